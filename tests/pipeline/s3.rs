//! Storing in an S3-compatible store, of which as much is there as an upload needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::support::Plant;

struct Put {
    line: String,
    fields: Vec<String>,
    body: Vec<u8>,
}

/// Answers each request with the next of `statuses`.
fn store(statuses: &'static [&str]) -> (String, Receiver<Put>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, puts) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut socket, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut lines = (&mut reader).lines().map(Result::unwrap);
            let line = lines.next().unwrap();
            let fields: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let length = fields.iter().find_map(|field| {
                let (name, value) = field.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse().unwrap())
            });
            let mut body = vec![0; length.expect("a length")];
            reader.read_exact(&mut body).unwrap();
            let answer = "<Error><Code>Because</Code></Error>";
            let length = answer.len();
            write!(
                socket,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
            )
            .unwrap();
            let _ = sender.send(Put { line, fields, body });
        }
    });
    (endpoint, puts)
}

fn stage(endpoint: &str) -> String {
    check_credentials();
    format!(
        "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'storing'\nto = 's3'\n\
         endpoint = '{endpoint}'\nbucket = 'films'\nprefix = 'in/'\nretries = 1\n"
    )
}

/// The tests of this file are run with the credentials in their environment.
fn check_credentials() {
    assert!(
        std::env::var("AWS_ACCESS_KEY_ID").is_ok(),
        "run them as scripts/test does: AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret"
    );
}

#[test]
fn a_result_is_put_into_the_store_signed_and_with_its_checksum() {
    let (endpoint, puts) = store(&["500 Oops", "200 OK"]);
    let plant = Plant::new(&stage(&endpoint));
    let job = plant.land("j", "a.txt", b"hello");
    let told = plant.end(&job, "done");
    let digest = Sha256::digest(b"hello");
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(told.iter().any(|told| told.data["retry"] == 1), "{told:#?}");
    assert_eq!(told.last().unwrap().data["digest"], format!("sha256:{hex}"));
    let record = plant.record(&job, plant.life(&job)).unwrap();
    let key = format!("in/{}/{hex}", &hex[..2]);
    assert_eq!(record.location, Some(format!("s3://films/{key}")));
    assert_eq!(record.path, None);
    let put = puts.iter().nth(1).unwrap();
    assert!(
        put.line.starts_with(&format!("PUT /films/{key}?")),
        "{}",
        put.line
    );
    for part in [
        "X-Amz-Signature=",
        "X-Amz-Credential=",
        "x-amz-checksum-sha256",
    ] {
        assert!(put.line.contains(part), "{part}: {}", put.line);
    }
    let sum = format!("x-amz-checksum-sha256: {}", STANDARD.encode(digest));
    assert!(put.fields.contains(&sum), "{:?}", put.fields);
    assert_eq!(put.body, b"hello");
    plant.is_clean(0);
}

#[test]
fn a_store_that_refuses_is_an_error_with_what_it_says() {
    let (endpoint, _puts) = store(&["403 Forbidden"]);
    let plant = Plant::new(&stage(&endpoint));
    let job = plant.land("j", "a.txt", b"hello");
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(
        message.contains("403") && message.contains("Because"),
        "{message}"
    );
    plant.is_clean(1);
}
