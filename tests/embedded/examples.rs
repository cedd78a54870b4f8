//! The programs of tests/examples, asked as a browser and a worker would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use landfall::{JobState, Server, ServerConfig};

use super::{SOON, job};

struct Program {
    child: Child,
    address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = target.with_file_name("examples/debug").join(name);
    assert!(
        path.is_file(),
        "{} isn't there: run scripts/test",
        path.display()
    );
    path
}

fn start(name: &str, folder: &Path) -> Program {
    let mut command = Command::new(path(name));
    let command = command.arg(folder).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut address = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut address).unwrap();
    Program {
        child,
        address: address.trim().to_owned(),
    }
}

/// The whole answer.
fn ask(address: &str, method: &str, fields: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} /jobs/a/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn serves_jobs_and_goes_on_after_a_restart(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = start(name, folder.path());
    let address = program.address.clone();
    let reader = thread::spawn(move || ask(&address, "GET", "", ""));
    let publish = |body: &str| ask(&program.address, "POST", "", body);
    for (body, status, part) in [
        (
            r#"{"event":"progress","data":{"percent":30}}"#,
            "201",
            "{\"id\":1}",
        ),
        (
            r#"{"event":"progress","data":{"percent":150}}"#,
            "400",
            "from 0 to 100",
        ),
        (r#"{"event":"a\nb","data":{}}"#, "400", "may only hold"),
        (r#"{"event":"done","data":{}}"#, "201", "{\"id\":2}"),
    ] {
        let answer = publish(body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(answer.contains(part), "{answer}");
    }
    let (first, end) = (
        "event: progress\ndata: {\"jobId\":\"a\",\"percent\":30}\nid: 1\n\n",
        "event: done\ndata: {\"jobId\":\"a\"}\nid: 2\n\n",
    );
    let stream = reader.join().unwrap();
    assert!(stream.contains("text/event-stream"), "{stream}");
    assert!(stream.contains(first) && stream.contains(end), "{stream}");
    drop(program);
    let program = start(name, folder.path());
    let resume = |last| {
        ask(
            &program.address,
            "GET",
            &format!("Last-Event-ID: {last}\r\n"),
            "",
        )
    };
    let stream = resume("1");
    assert!(!stream.contains(first) && stream.contains(end), "{stream}");
    let over = resume("2");
    assert!(over.starts_with("HTTP/1.1 204"), "{over}");
    let reset = resume("99");
    assert!(reset.contains("event: reset"), "{reset}");
}

#[test]
fn an_axum_server_serves_jobs_and_goes_on_after_a_restart() {
    serves_jobs_and_goes_on_after_a_restart("axum");
}

#[test]
fn an_actix_server_serves_jobs_and_goes_on_after_a_restart() {
    serves_jobs_and_goes_on_after_a_restart("actix");
}

#[test]
fn a_hyper_server_serves_jobs_and_goes_on_after_a_restart() {
    serves_jobs_and_goes_on_after_a_restart("hyper");
}

#[test]
fn a_program_with_a_window_shows_its_jobs_without_a_listener() {
    let output = Command::new(path("desktop")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    for file in ["cats.mov", "dogs.mov"] {
        let mut of_it = shown.lines().filter(|line| line.contains(file));
        let last = of_it.next_back().unwrap();
        assert_eq!(last, format!("done {{\"jobId\":\"{file}\"}}"), "{shown}");
    }
}

#[test]
fn a_worker_is_told_the_numbers_of_its_events() {
    let server = Server::start(ServerConfig::with(|config| {
        config.listen = landfall::Address::Off;
        config.publish = "127.0.0.1:0".parse().unwrap();
        config.ops = landfall::Address::Off;
    }))
    .unwrap();
    let hub = server.publish().tcp().unwrap().to_string();
    let output = Command::new(path("worker")).args([&hub, "a"]).output();
    let told = String::from_utf8(output.unwrap().stdout).unwrap();
    let numbers: Vec<u64> = told.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 4);
    assert!(numbers.is_sorted());
    let snapshot = server.jobs().snapshot(&job("a")).unwrap();
    assert_eq!(snapshot.state, JobState::Done);
    assert_eq!(snapshot.last_event_id.unwrap().0, numbers[3]);
}
