//! The stage `transcoding`: ffmpeg, where it is installed and the file is audio or video.

use std::io;
use std::process::Command;

use super::command::renamed;
use super::complaint::{self, Asker};
use super::demuxer::Demuxer;
use crate::event::json::Object;
use crate::pipeline::config::{MAX_OUTPUT_BYTES, Transcoding};
use crate::pipeline::kind;
use crate::pipeline::task::{Outcome, Ran, StageFailure, Task};
use crate::progress::{Format, Reader};

const VIDEO: &str = "-map 0:v:0 -map 0:a:0? -c:v libx264 -preset veryfast -crf 23 \
                     -pix_fmt yuv420p -vf scale=trunc(iw/2)*2:trunc(ih/2)*2 -c:a aac \
                     -movflags +faststart";
const AUDIO: &str = "-map 0:a:0 -c:a aac -movflags +faststart";
/// What ffprobe may say: a few lines for each stream.
const PROBE_MAX_BYTES: usize = 256 * 1024;

/// Transcodes the task's input.
pub fn run(options: &Transcoding, task: &mut Task<'_>) -> Result<Outcome, StageFailure> {
    let kind = match &task.facts.content_type {
        Some(kind) => kind.clone(),
        None => kind::of_file(task.input)
            .map_err(|error| task.unreadable(&error))?
            .to_owned(),
    };
    // By its bytes: a playlist is text, and would make ffmpeg open what it names.
    if !is_media(&kind) {
        return skipped(&format!("{kind} is neither audio nor video"));
    }
    let demuxer = Demuxer::of_file(&kind, task.input).map_err(|error| task.unreadable(&error))?;
    let Some(demuxer) = demuxer else {
        return skipped(&format!("{kind} isn't transcoded"));
    };
    let Some(media) = probe(demuxer, &kind, task)? else {
        return skipped("ffprobe isn't installed");
    };
    let Some(has_picture) = media.has_picture else {
        return skipped("there is neither sound nor picture in it");
    };
    let extension = match (&options.extension, has_picture) {
        (Some(extension), _) => extension,
        (None, true) => "mp4",
        (None, false) => "m4a",
    };
    let output = task.folder.join(format!("output.{extension}"));
    let mut command = Command::new("ffmpeg");
    command.args("-nostdin -hide_banner -v error -nostats -progress pipe:1".split(' '));
    demuxer.put_on(&mut command);
    command.arg("-i").arg(task.input);
    match &options.args {
        Some(args) => command.args(args),
        None => command.args(if has_picture { VIDEO } else { AUDIO }.split_ascii_whitespace()),
    };
    command.arg("-y").arg(&output);
    let seconds = media.seconds;
    let reader = Reader::of_ffmpeg(seconds);
    let max_output = options.max_output.unwrap_or(MAX_OUTPUT_BYTES);
    match task.run(command, reader, 0, max_output)? {
        Ran::Well(_) => {}
        Ran::Missing => return skipped("ffmpeg isn't installed"),
        Ran::Badly(crash) => {
            let asked = match options.args {
                None => Asker::Here,
                Some(_) => Asker::There,
            };
            return Err(complaint::failure(asked, &kind, &crash));
        }
    }
    if !output.metadata().is_ok_and(|made| made.len() > 0) {
        return Err(StageFailure::Unfit(
            "nothing can be made of the file".to_owned(),
        ));
    }
    let kind = kind::of_file(&output).map_err(|error| task.unreadable(&error))?;
    task.facts.content_type = Some(kind.to_owned());
    task.facts.name = renamed(&task.facts.name, extension);
    if let Some(seconds) = seconds {
        task.note("mediaSeconds", seconds);
    }
    Ok(Outcome::Made(output))
}

/// Whether a type is one of audio or video.
pub fn is_media(kind: &str) -> bool {
    kind.starts_with("audio/") || kind.starts_with("video/")
}

/// What ffprobe says of the input; none where it isn't installed.
fn probe(demuxer: Demuxer, kind: &str, task: &mut Task<'_>) -> Result<Option<Media>, StageFailure> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error"]);
    demuxer.put_on(&mut command);
    command.args(["-of", "json", "-show_entries"]);
    command.arg("format=duration:stream=codec_type:stream_disposition=attached_pic");
    command.arg("-i").arg(task.input);
    // What it prints is no progress.
    let reader = Reader::new(Format::Ignore);
    let json = match task.run(command, reader, PROBE_MAX_BYTES, MAX_OUTPUT_BYTES)? {
        Ran::Well(json) => json,
        Ran::Missing => return Ok(None),
        Ran::Badly(crash) => return Err(complaint::failure(Asker::Here, kind, &crash)),
    };
    match Object::read(&json).and_then(Media::of_json) {
        Ok(media) => Ok(Some(media)),
        Err(error) => {
            warn!(
                "{}: ffprobe's description: {error}",
                task.passage.attempt.landed.job
            );
            let what = "there is too much in the file to be described".to_owned();
            Err(StageFailure::Unfit(what))
        }
    }
}

fn skipped(reason: &str) -> Result<Outcome, StageFailure> {
    Ok(Outcome::Skipped(reason.to_owned()))
}

/// What ffprobe says.
struct Media {
    /// Whether there is a picture that moves, beside or instead of sound; none where there
    /// is neither. A cover is no such picture.
    has_picture: Option<bool>,
    seconds: Option<f64>,
}

impl Media {
    fn of_json(mut json: Object) -> io::Result<Media> {
        let (mut video, mut audio) = (false, false);
        for mut stream in json.objects("streams")? {
            let kind = stream.text("codec_type")?;
            let disposition = stream.object("disposition")?;
            let cover = disposition.map(|mut it| it.number("attached_pic"));
            let is_cover = cover.transpose()?.flatten().unwrap_or_default() != 0;
            video |= kind.as_deref() == Some("video") && !is_cover;
            audio |= kind.as_deref() == Some("audio") && !is_cover;
        }
        let container = json.object("format")?;
        let duration = container.map(|mut it| it.text("duration")).transpose()?;
        let seconds: Option<f64> = duration.flatten().and_then(|text| text.parse().ok());
        Ok(Media {
            has_picture: (video || audio).then_some(video),
            seconds: seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0),
        })
    }
}
