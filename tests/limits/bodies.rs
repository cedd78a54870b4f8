//! A body comes at a rate, and to an end.

use std::io::Write;
use std::time::Duration;

use super::support::{TestServer, post};

const TARGET: &str = "/api/jobs/a/events";

/// Sends a long body in pieces, and returns the answer's message.
fn drip(server: &TestServer, piece: &str, apart: Duration) -> String {
    let mut client = server.publishing();
    let body = " ".repeat(500_000);
    let request = post(TARGET, "application/json", &body);
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    client.send(format!("{head}\r\n\r\n"));
    let mut sending = client.socket().try_clone().unwrap();
    std::thread::scope(|scope| {
        // The pause is what is tested. It ends when the server has had enough.
        let drips = scope.spawn(move || {
            for _ in 0..1000 {
                if sending.write_all(piece.as_bytes()).is_err() {
                    return;
                }
                std::thread::sleep(apart);
            }
            panic!("it goes on and on");
        });
        let answer = client.answer();
        assert_eq!(answer.status, 408);
        let _ = client.socket().shutdown(std::net::Shutdown::Both);
        drips.join().unwrap();
        answer.error()
    })
}

#[test]
fn a_body_that_comes_in_drips_is_408() {
    let server = TestServer::with(|config| {
        config.connection.body_timeout = Duration::from_secs(3);
        config.connection.body_bytes_per_second = 512;
    });
    // Each is in time, and all together they are too little.
    let message = drip(&server, " ", Duration::from_millis(20));
    assert!(message.contains("too slowly"), "{message}");
}

#[test]
fn a_body_that_does_not_end_in_time_is_408_however_fast_it_comes() {
    let server = TestServer::with(|config| {
        config.connection.body_time = Duration::from_millis(500);
    });
    let message = drip(&server, &" ".repeat(500), Duration::from_millis(20));
    assert!(message.contains("whole in time"), "{message}");
}

#[test]
fn lines_that_break_off_stay_published_and_the_answer_names_the_one_that_is_missing() {
    let server = TestServer::with(|config| {
        config.connection.body_timeout = Duration::from_millis(300);
    });
    let lines = "{\"event\":\"progress\"}\n{\"event\":\"note\"}\n{\"event\":\"pro";
    for (job, status, goes_on) in [
        ("stalls", 408, ""),
        ("ends", 400, ""),
        ("lies", 400, "x\r\n"),
    ] {
        let mut client = server.publishing();
        let target = format!("/api/jobs/{job}/events");
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{lines}\r\n{goes_on}",
            lines.len()
        ));
        if job == "ends" {
            client.half_close();
        }
        let answer = client.answer();
        assert_eq!(answer.status, status, "{job}: {answer:?}");
        let (told, newest) = (
            answer.json(),
            server.public().get(&format!("/api/jobs/{job}")).json(),
        );
        assert!(answer.error().starts_with("line 3: "), "{told}");
        assert_eq!(
            (&told["line"], told["ids"].as_array().unwrap().len()),
            (&3.into(), 2)
        );
        let newest = newest["lastEventId"].as_str().unwrap().to_owned();
        assert_eq!(told["ids"][1].to_string(), newest);
    }
}
