use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::thread;

use socket2::{Domain, Socket, Type};

use super::*;

/// Answers one connection with the given answers, one per request without a body
/// or with a body of `body_bytes`, and returns what it was asked.
fn serve(mut socket: impl Read + Write, answers: &[&str]) -> String {
    let mut asked = Vec::new();
    let mut seen = 0;
    for answer in answers {
        loop {
            let text = String::from_utf8_lossy(&asked[seen..]).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    seen = asked.len();
                    break;
                }
            }
            let mut buffer = [0; 1024];
            let count = socket.read(&mut buffer).unwrap();
            assert!(count > 0, "closed before asking: {text}");
            asked.extend_from_slice(&buffer[..count]);
        }
        socket.write_all(answer.as_bytes()).unwrap();
    }
    String::from_utf8(asked).unwrap()
}

fn tcp(answers: Vec<Vec<&'static str>>) -> (Client, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(listener.local_addr().unwrap().into());
    let hub = thread::spawn(move || {
        let connections = answers.iter();
        connections
            .map(|answers| serve(listener.accept().unwrap().0, answers))
            .collect()
    });
    (client, hub)
}

fn publish(client: &mut Client) -> Result<u64, ClientError> {
    let event = Event::new("progress", r#"{"percent":5}"#).unwrap();
    let id = client.publish(&"a".parse().unwrap(), &event);
    id.map(|id| id.0)
}

const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{\"id\":1}";
const ALL_CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 13\r\n\r\n{\"ids\":[2,3]}";

#[test]
fn requests_share_a_connection_and_carry_the_token() {
    let (client, hub) = tcp(vec![vec![CREATED, ALL_CREATED]]);
    let mut client = client.with_token(Some("secret".into()));
    assert_eq!(publish(&mut client), Ok(1));
    let ids = client.publish_lines(&"a".parse().unwrap(), b"{}\n");
    assert_eq!(ids, Ok(vec![EventId(2), EventId(3)]));
    let asked = hub.join().unwrap().concat();
    assert!(
        asked.starts_with("POST /api/jobs/a/events HTTP/1.1\r\nHost: 127.0.0.1:"),
        "{asked}"
    );
    assert_eq!(
        asked
            .matches("\r\nAuthorization: Bearer secret\r\n")
            .count(),
        2,
        "{asked}"
    );
    assert!(
        asked.contains(r#"{"event":"progress","data":{"percent":5}}"#),
        "{asked}"
    );
    assert!(
        asked.contains("\r\nContent-Type: application/x-ndjson\r\n"),
        "{asked}"
    );
}

#[test]
fn a_connection_that_the_hub_closed_meanwhile_is_replaced() {
    let (mut client, hub) = tcp(vec![vec![CREATED], vec![CREATED]]);
    assert_eq!(publish(&mut client), Ok(1));
    // The hub closes after the last answer it is given; that must have arrived.
    while client.connection.as_ref().is_some_and(Connection::is_idle) {
        thread::yield_now();
    }
    assert_eq!(publish(&mut client), Ok(1));
    assert_eq!(hub.join().unwrap().len(), 2);
}

#[test]
fn a_refusal_carries_the_status_and_the_words_of_the_hub() {
    let (mut client, hub) = tcp(vec![vec![
        "HTTP/1.1 409 Conflict\r\nContent-Length: 28\r\n\r\n{\"error\":\"the job\\nis over\"}",
        "HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n",
    ]]);
    let message = "the job is over".to_owned();
    assert_eq!(
        publish(&mut client),
        Err(ClientError::Refused {
            status: 409,
            message
        })
    );
    let error = publish(&mut client).unwrap_err();
    assert_eq!(error.to_string(), "refused (status 503)");
    assert!(error.is_temporary());
    hub.join().unwrap();
}

#[test]
fn a_hub_that_is_away_is_a_temporary_error() {
    // Nobody listens at this port, and nobody else can.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).unwrap();
    let place = socket.local_addr().unwrap().as_socket().unwrap();
    let mut client = Client::new(place.into());
    let error = publish(&mut client).unwrap_err();
    assert!(matches!(
        error,
        ClientError::Away {
            kind: io::ErrorKind::ConnectionRefused,
            ..
        }
    ));
    assert!(error.is_temporary());
}

#[test]
fn a_hub_that_never_answers_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::new(listener.local_addr().unwrap().into());
    let (job, event) = ("a".parse().unwrap(), "x".parse().unwrap());
    let deadline = Some(Instant::now() + Duration::from_millis(50));
    assert_eq!(
        client.publish_by(&job, &event, "{}", deadline),
        Err(ClientError::TimedOut)
    );
}

#[test]
fn a_unix_socket_will_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let hub = thread::spawn(move || serve(listener.accept().unwrap().0, &[CREATED]));
    let mut client = Client::new(Address::Unix(path));
    assert_eq!(publish(&mut client), Ok(1));
    assert!(hub.join().unwrap().contains("\r\nHost: localhost\r\n"));
}

#[test]
fn a_stream_is_read_as_it_comes_and_resumed_by_its_id() {
    let (client, hub) = tcp(vec![
        vec![
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
             retry: 7\nevent: progress\ndata: {}\nid: 3\n\nevent: cut",
        ],
        vec!["HTTP/1.1 204 No Content\r\n\r\n"],
    ]);
    let jobs: Vec<JobId> = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    let mut stream = client.events(&jobs, "").unwrap().unwrap();
    let mut seen = Vec::new();
    while stream.wait(|event| seen.push(event.event)).unwrap() {}
    assert_eq!(seen, ["progress"]);
    assert_eq!(stream.retry(), Some(Duration::from_millis(7)));
    assert_eq!(stream.last_event_id(), Some("3"));
    assert!(client.events(&jobs[..1], "3").unwrap().is_none());
    let asked = hub.join().unwrap();
    assert!(
        asked[0].starts_with("GET /api/events?job=a&job=b HTTP/1.1\r\n"),
        "{asked:?}"
    );
    assert!(!asked[0].contains("Last-Event-ID"), "{asked:?}");
    assert!(
        asked[1].starts_with("GET /api/jobs/a/events HTTP/1.1\r\n"),
        "{asked:?}"
    );
    assert!(asked[1].contains("\r\nLast-Event-ID: 3\r\n"), "{asked:?}");
}

#[test]
fn a_stream_of_chunks_ends_with_the_last_one_and_without_it_was_cut_off() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: chunked\r\n\r\n9\r\nretry: 7\n\r\n";
    const FRAME: &str = "1f\r\nevent: deleted\ndata: {}\nid: 3\n\n\r\n";
    let whole: &str = format!("{HEAD}{FRAME}0\r\n\r\n").leak();
    let between: &str = format!("{HEAD}{FRAME}").leak();
    let inside: &str = format!("{HEAD}{FRAME}{}", &FRAME[..20]).leak();
    let (client, hub) = tcp([whole, between, inside].map(|answer| vec![answer]).into());
    let jobs: Vec<JobId> = vec!["a".parse().unwrap()];
    for is_whole in [true, false, false] {
        let mut stream = client.events(&jobs, "").unwrap().unwrap();
        let mut seen = Vec::new();
        let end = loop {
            match stream.wait(|event| seen.push((event.is_end(), event.id))) {
                Ok(true) => {}
                end => break end,
            }
        };
        assert_eq!(seen, [(true, "3".to_owned())]);
        match end {
            Ok(_) => assert!(is_whole),
            Err(error) => assert!(!is_whole && error.is_temporary(), "{error}"),
        }
        assert_eq!(stream.last_event_id(), Some("3"));
    }
    hub.join().unwrap();
}

#[test]
fn what_would_end_a_line_or_ask_for_something_else_is_not_sent() {
    // Nobody listens there.
    let client = || Client::new("127.0.0.1:1".parse().unwrap());
    let unsendable = |error| assert!(matches!(error, ClientError::Unsendable(_)), "{error:?}");
    for token in ["token\n", "a\r\nX-Other: b", "a b", "\u{e4}"] {
        let mut client = client().with_token(Some(token.to_owned()));
        unsendable(publish(&mut client).unwrap_err());
        unsendable(client.events(&["a".parse().unwrap()], "").err().unwrap());
    }
    for prefix in [
        "a\r\nX-Other: b",
        "a HTTP/1.1",
        "a&maxRate=2",
        "a*",
        "\u{e4}",
    ] {
        unsendable(client().events_matching(prefix, "").err().unwrap());
    }
    unsendable(client().events(&[], "").err().unwrap());
    let away = client().events_matching("", "").err().unwrap();
    assert!(matches!(away, ClientError::Away { .. }), "{away:?}");
}
