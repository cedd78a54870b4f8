//! The real binary on a directory of its own, and an HTTP client that sends what it is told.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use socket2::{Domain, Type};
use tempfile::TempDir;

use crate::binary::{ANY, Binary};
pub use crate::http::{PATIENCE, wait_until};

/// A server that ends with the test.
pub struct House {
    pub public: SocketAddr,
    pub publish: SocketAddr,
    pub data: PathBuf,
    flags: Vec<String>,
    binary: Binary,
    _folder: Option<TempDir>,
}

impl House {
    /// One with `flags`, on a new directory.
    pub fn start(flags: &[&str]) -> House {
        let folder = tempfile::tempdir().unwrap();
        let mut house = House::on(&folder.path().join("data"), flags);
        house._folder = Some(folder);
        house
    }

    /// One on a directory that may have seen another before.
    pub fn on(data: &Path, flags: &[&str]) -> House {
        let owned: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        House::of(serve(data, &owned, [ANY; 2]), data, flags)
    }

    fn of(binary: Binary, data: &Path, flags: &[&str]) -> House {
        House {
            public: binary.public,
            publish: binary.publish,
            data: data.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            binary,
            _folder: None,
        }
    }

    /// One whose log goes to a file.
    pub fn logging(data: &Path, log: &Path, flags: &[&str]) -> House {
        let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
        program.stderr(fs::File::create(log).unwrap());
        let flags = [&["--data", data.to_str().unwrap()], flags].concat();
        House::of(Binary::started_by(program, &flags), data, &[])
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.binary.kill();
    }

    /// Another life, at the same addresses.
    pub fn revive(&mut self) {
        let listen = [self.public, self.publish];
        self.binary = serve(&self.data, &self.flags, listen);
    }

    /// Another life will have other flags.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// SIGTERM; returns when it has ended.
    pub fn stop(&mut self) {
        self.binary.stop();
    }

    /// The memory that the server has.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.binary.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("RssAnon:"))
            .unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kibibytes * 1024
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    pub fn ask(&self, method: &str, target: &str, fields: &[&str], body: &[u8]) -> Answer {
        let length = format!("Content-Length: {}", body.len());
        let mut lines = fields.to_vec();
        lines.push(&length);
        self.send(method, target, &lines, body).answer_to(method)
    }

    /// Sends a request whose body isn't counted for it, and leaves it open.
    pub fn send(&self, method: &str, target: &str, fields: &[&str], body: &[u8]) -> Client {
        let mut client = Client::connect(self.public);
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n",
            self.public
        );
        client.send(&[head.as_bytes(), body].concat());
        client
    }

    /// Uploads by POST; `job` is the name of the file, too.
    pub fn post(&self, job: &str, body: &[u8]) -> Answer {
        self.ask(
            "POST",
            &format!("/api/uploads?name={job}&job={job}"),
            &[],
            body,
        )
    }

    /// A job's snapshot, once it has ended.
    pub fn ended(&self, job: &str) -> Value {
        self.wait_for(job, "the job has ended", |snapshot| {
            snapshot["state"] != "running"
        })
    }

    /// A job's snapshot, as soon as it is as it should be.
    pub fn wait_for(&self, job: &str, what: &str, mut is_so: impl FnMut(&Value) -> bool) -> Value {
        let mut last = None;
        wait_until(&format!("{job}: {what}"), || {
            let answer = self.ask("GET", &format!("/api/jobs/{job}"), &[], b"");
            last = (answer.status == 200).then(|| answer.json());
            last.as_ref().is_some_and(&mut is_so)
        });
        last.unwrap()
    }

    /// What a job that is done has stored.
    pub fn stored(&self, job: &str) -> Vec<u8> {
        let snapshot = self.ended(job);
        assert_eq!(snapshot["state"], "done", "{snapshot}");
        let answer = self.ask("GET", &format!("/api/jobs/{job}/file"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.body
    }

    /// What lies in the spool: the names of uploads.
    pub fn spooled(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data.join("uploads")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Waits until the spool is empty.
    pub fn wait_for_empty_spool(&self) {
        wait_until("the spool is empty", || self.spooled().is_empty());
    }

    /// All events of a job that has ended: names and data.
    pub fn events(&self, job: &str) -> Vec<(String, Value)> {
        let target = format!("/api/jobs/{job}/events");
        let text = self.send("GET", &target, &[], b"").answer().text();
        let mut events = Vec::new();
        let mut name = String::new();
        for line in text.lines() {
            if let Some(value) = line.strip_prefix("event: ") {
                name = value.to_owned();
            } else if let Some(value) = line.strip_prefix("data: ") {
                events.push((name.clone(), serde_json::from_str(value).unwrap()));
            }
        }
        events
    }

    /// Begins a resumable upload, and returns its address.
    pub fn begin(&self, size: usize, fields: &[&str]) -> String {
        let length = format!("Upload-Length: {size}");
        let fields = [fields, &[TUS, &length]].concat();
        let answer = self.ask("POST", "/api/tus/", &fields, b"");
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.field("location").unwrap().to_owned()
    }

    pub fn patch(&self, upload: &str, offset: usize, fields: &[&str], body: &[u8]) -> Answer {
        let offset = format!("Upload-Offset: {offset}");
        let fields = [fields, &[TUS, PIECE, &offset]].concat();
        self.ask("PATCH", upload, &fields, body)
    }

    /// How often something was refused at the limit that a flag sets.
    pub fn refusals(&self, flag: &str) -> u64 {
        self.metric(&format!("landfall_refusals_total{{limit=\"{flag}\"}}"))
    }

    /// What is counted under this name.
    pub fn metric(&self, sample: &str) -> u64 {
        let mut client = Client::connect(self.binary.ops);
        client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let text = client.answer().text();
        let sample = format!("{sample} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&sample));
        line.unwrap_or_else(|| panic!("no {sample}in {text}"))
            .parse()
            .unwrap()
    }

    /// How many bytes of an upload are in its file.
    pub fn data_of(&self, upload: &str) -> u64 {
        let id = upload.rsplit('/').next().unwrap();
        let data = self.data.join("uploads").join(id).join("data");
        fs::metadata(data).map_or(0, |metadata| metadata.len())
    }

    pub fn offset(&self, upload: &str) -> usize {
        let answer = self.ask("HEAD", upload, &[TUS], b"");
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.field("upload-offset").unwrap().parse().unwrap()
    }
}

pub const TUS: &str = "Tus-Resumable: 1.0.0";
pub const PIECE: &str = "Content-Type: application/offset+octet-stream";

fn serve(data: &Path, flags: &[String], listen: [SocketAddr; 2]) -> Binary {
    let flags: Vec<_> = std::iter::once("--downloads")
        .chain(flags.iter().map(String::as_str))
        .collect();
    Binary::serve_at(listen, data.to_str().unwrap(), &flags)
}

/// A connection.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).unwrap())
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    /// Connects from another address of this host.
    pub fn connect_from(source: &str, address: SocketAddr) -> Client {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let source = SocketAddr::new(source.parse().unwrap(), 0);
        socket.bind(&source.into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Client::over(socket.into())
    }

    /// Sends a request with a body, and reads its answer.
    pub fn ask(&mut self, method: &str, target: &str, fields: &[&str], body: &[u8]) -> Answer {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body].concat());
        self.answer_to(method)
    }

    /// Sends as far as the other side goes along.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Reads a whole answer; one that ends with its connection up to there.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("")
    }

    fn answer_to(&mut self, method: &str) -> Answer {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            if let Some(answer) = Answer::parse(&bytes, method == "HEAD") {
                return answer;
            }
            match self.0.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => bytes.extend_from_slice(&piece[..length]),
                Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&bytes)),
            }
        }
        Answer::parse(&bytes, true)
            .unwrap_or_else(|| panic!("no answer but {:?}", String::from_utf8_lossy(&bytes)))
    }
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// None while it isn't whole; with `is_all` a head alone will do.
    fn parse(bytes: &[u8], is_all: bool) -> Option<Answer> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let body = &bytes[end + 4..];
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 100 {
            return Answer::parse(body, is_all);
        }
        let mut answer = Answer {
            status,
            head,
            body: body.to_vec(),
        };
        let length = match answer.field("content-length") {
            Some(length) => length.parse().unwrap(),
            None if [204, 304].contains(&status) => 0,
            None => usize::MAX,
        };
        let is_whole = body.len() >= length;
        answer.body.truncate(length);
        (is_whole || is_all).then_some(answer)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The message of an error.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// Bytes that look like no others.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
