//! A real transcode, from ffmpeg's output to what a browser would see.

#[path = "support/binary.rs"]
mod binary;

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use binary::Binary;
use serde_json::Value;

const JOB: &str = "job_8f3a";

#[test]
fn a_transcode_is_progress_that_grows_to_100_and_then_done() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=duration=3"])
        .args(["-pix_fmt", "yuv420p", "in.mp4"])
        .current_dir(&folder)
        .status()
        .expect("ffmpeg is missing: scripts/test installs it");
    assert!(made.success());

    let server = Binary::serve(&[]);
    let mut curl = Curl::follow(&server);
    // At the speed of the film, so that there is something to see on the way.
    let arguments = ["-re", "-i", "in.mp4", "-c:v", "mpeg4", "out.mkv"];
    let output = transcode(&server, folder.path(), &arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(folder.path().join("out.mkv").metadata().unwrap().len() > 1000);
    assert!(text(&output).contains("Output #0"), "{output:?}");

    let frames = curl.frames();
    let (end, progress) = frames.split_last().unwrap();
    assert_eq!(end.event, "done", "{frames:?}");
    assert_eq!(end.data["jobId"], JOB);
    let percents: Vec<f64> = progress.iter().map(Frame::percent).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(percents.first(), Some(&0.0));
    assert_eq!(percents.last(), Some(&100.0));
    let between = percents.iter().filter(|&&p| p > 0.0 && p < 100.0);
    assert!(between.count() >= 2, "{percents:?}");
    for frame in progress {
        assert_eq!(frame.event, "progress");
        assert_eq!(frame.data["jobId"], JOB);
        assert_eq!(frame.data["stage"], "transcoding");
    }
    assert!(frames.is_sorted_by(|a, b| a.id < b.id), "{frames:?}");
}

#[test]
fn a_transcode_that_fails_is_an_error_with_what_ffmpeg_said_last() {
    let folder = tempfile::tempdir().unwrap();
    let server = Binary::serve(&[]);
    let mut curl = Curl::follow(&server);
    let output = transcode(&server, folder.path(), &["-i", "none.mp4", "out.mkv"]);
    let code = output.status.code().unwrap();
    assert_ne!(code, 0);
    let last = text(&output).trim_end().lines().last().unwrap().to_owned();
    assert!(last.contains("none.mp4"), "{last}");

    let frames = curl.frames();
    let end = frames.last().unwrap();
    assert_eq!(end.event, "error", "{frames:?}");
    let message = format!("ffmpeg: exit status {code}: {last}");
    assert_eq!(end.data["message"], message);
    let progress = &frames[..frames.len() - 1];
    assert!(progress.iter().all(|frame| frame.percent() < 100.0));
}

fn transcode(server: &Binary, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["run", "--job", JOB, "--stage", "transcoding"])
        .args(["--hub", &format!("http://{}", server.publish)])
        .args(["--", "ffmpeg", "-nostdin"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What came between two blank lines.
#[derive(Debug)]
struct Frame {
    event: String,
    data: Value,
    id: u64,
}

impl Frame {
    fn percent(&self) -> f64 {
        self.data["percent"].as_f64().expect("a percent")
    }
}

/// A curl that follows the job.
struct Curl {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Curl {
    /// Starts it, and returns when the stream is open.
    fn follow(server: &Binary) -> Curl {
        let url = format!("http://{}/api/jobs/{JOB}/events", server.public);
        let mut child = Command::new("curl")
            .args(["-sSN", "--max-time", "60", &url])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl is missing: scripts/test installs it");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("curl prints nothing").unwrap();
        assert!(first.starts_with("retry: "), "{first}");
        Curl { child, lines }
    }

    /// Reads until the stream ends.
    fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let lines = self.lines.by_ref().map(Result::unwrap);
        // Comments are heartbeats.
        let mut lines = lines.filter(|line| !line.starts_with(':'));
        while let Some(event) = lines.next() {
            let mut rest = |name: &str| {
                let line = lines.next().expect("a whole frame");
                line.strip_prefix(name).expect(&line).to_owned()
            };
            let (data, id) = (rest("data: "), rest("id: "));
            assert_eq!(rest(""), "");
            frames.push(Frame {
                event: event.strip_prefix("event: ").expect(&event).to_owned(),
                data: serde_json::from_str(&data).unwrap(),
                id: id.parse().unwrap(),
            });
        }
        assert!(self.child.wait().unwrap().success(), "curl failed");
        frames
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
