//! What the guides show backends: workers that publish and makers of tokens, taken from there
//! and run.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::JOB;
use super::binary::Binary;
use super::http::{Answer, ask};

const GUIDES: &str = concat!(
    include_str!("../../src/docs/publishing.md"),
    include_str!("../../src/docs/security.md")
);
const KEY: &str = "6c616e6466616c6c6c616e6466616c6c6c616e6466616c6c6c616e6466616c6c";

#[test]
fn a_worker_in_go_publishes_once_though_an_answer_was_lost() {
    publishes_once("go", "func publish", |folder, snippet| {
        let program = folder.join("worker");
        let path = program.to_str().unwrap();
        let built = run("go", folder, "worker.go", snippet, &["build", "-o", path]);
        assert!(built.status.success(), "{built:?}");
        output(&mut Command::new(program))
    });
}

#[test]
fn a_worker_in_php_publishes_once_though_an_answer_was_lost() {
    publishes_once("php", "function publish", |folder, snippet| {
        run("php", folder, "worker.php", snippet, &[])
    });
}

#[test]
fn node_makes_tokens_that_count() {
    makes_tokens("js", "node", "token.mjs");
}

#[test]
fn python_makes_tokens_that_count() {
    makes_tokens("python", "python3", "token.py");
}

/// Runs a worker behind what loses the answer to its first request.
fn publishes_once(language: &str, mark: &str, run: impl Fn(&Path, &str) -> Output) {
    let server = Binary::serve(&[]);
    let hub = lossy(server.publish);
    let snippet = block(language, mark).replace("127.0.0.1:8081", &hub.to_string());
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &snippet);
    assert!(output.status.success(), "{output:?}");
    let stream = get(server.public, &format!("/api/jobs/{JOB}/events"), &[]);
    let datas: Vec<Value> = stream
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let progress = json!({"jobId": JOB, "stage": "scanning", "percent": 50});
    assert_eq!(datas, [progress, json!({"jobId": JOB})]);
    // What the server refuses is an error in its words.
    let output = run(folder.path(), &snippet);
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("done"), "{said}");
}

fn makes_tokens(language: &str, program: &str, name: &str) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token.key");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = Binary::serve(&["--token-key", file.to_str().unwrap()]);
    let output = run(
        program,
        folder.path(),
        name,
        &block(language, "token.key"),
        &[],
    );
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    let field = format!("Authorization: Bearer {}", token.trim());
    let status = |job: &str| get(server.public, &format!("/api/jobs/{job}"), &[&field]).status;
    assert_eq!((status(JOB), status("another")), (404, 403));
}

/// The guides' only block in a language that has `mark` in it.
fn block(language: &str, mark: &str) -> String {
    let begin = format!("\n```{language}\n");
    let blocks = GUIDES.split(&begin).skip(1);
    let mut blocks = blocks
        .map(|rest| rest.split_once("\n```\n").unwrap().0)
        .filter(|block| block.contains(mark));
    let block = blocks.next().expect(mark).to_owned();
    assert_eq!(blocks.next(), None, "{mark}");
    block
}

/// Runs a snippet as a file of that name.
fn run(program: &str, folder: &Path, name: &str, snippet: &str, flags: &[&str]) -> Output {
    fs::write(folder.join(name), snippet).unwrap();
    // Go keeps what it has compiled.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients-go/cache");
    let mut command = Command::new(program);
    command.args(flags).arg(name).env("GOCACHE", cache);
    output(command.current_dir(folder))
}

fn output(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command
        .output()
        .unwrap_or_else(|error| panic!("{program:?}: {error}: run scripts/test"))
}

fn get(address: SocketAddr, target: &str, fields: &[&str]) -> Answer {
    ask(address, "GET", target, fields, "")
}

/// A proxy that keeps the first answer for itself, and closes. Its threads end with the test.
fn lossy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(server).unwrap());
            let (mut asked, mut onward) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut asked, &mut onward);
                let _ = onward.shutdown(Shutdown::Write);
            });
            thread::spawn(move || {
                let mut piece = [0; 16 * 1024];
                while let Ok(length @ 1..) = server.read(&mut piece) {
                    if number == 0 || client.write_all(&piece[..length]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    address
}
