//! Request heads: read the same however they are cut, and never with two lengths.

use std::net::IpAddr;

use landfall::config::Origin;
use landfall::internals::access::host;
use landfall::internals::http::{BodyLength, Head, HeadError, HeadLimits};

/// Small, so that short inputs reach them.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 1024,
    target_bytes: 256,
};

/// The input is what a client sends.
pub fn check(input: &[u8]) {
    let whole = Head::parse(input, LIMITS);
    let length = match &whole {
        Ok(Some((head, length))) => {
            assert_eq!(Head::parse(&input[..*length], LIMITS), whole);
            judge(head, &input[..*length]);
            *length
        }
        Ok(None) | Err(_) => input.len(),
    };
    let mut refused: Option<HeadError> = None;
    for end in 0..length {
        match Head::parse(&input[..end], LIMITS) {
            Ok(None) => assert!(refused.is_none(), "{end}: refused before, and awaited now"),
            Err(error) => refused = Some(error),
            Ok(Some(_)) => panic!("{end}: it is shorter than it is"),
        }
    }
    if let Some(error) = refused {
        assert!(whole.is_err(), "in part {error:?}, whole {whole:?}");
    }
}

/// Holds a head that was accepted against what RFC 9112 says, in its own plain reading.
fn judge(head: &Head<'_>, bytes: &[u8]) {
    assert!(bytes.len() <= LIMITS.head_bytes);
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let text = text.trim_start_matches("\r\n");
    let text = text.strip_suffix("\r\n\r\n").expect("no blank line");
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let [method, target, version] = words[..] else {
        panic!("the request line is {words:?}");
    };
    assert_eq!(method, head.method.as_str());
    assert!(target.len() <= LIMITS.target_bytes);
    assert!(!target.contains('#'), "{target}");
    assert_eq!(version, if head.is_1_0 { "HTTP/1.0" } else { "HTTP/1.1" });
    let fields: Vec<(String, &str)> = lines.map(field).collect();
    let all = |name: &str| -> Vec<&str> {
        let named = fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| *value).collect()
    };
    match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) => assert_eq!(head.length, BodyLength::None),
        ([], [digits]) => {
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(head.length, BodyLength::Length(digits.parse().unwrap()));
        }
        ([coding], []) => {
            assert!(coding.eq_ignore_ascii_case("chunked") && !head.is_1_0);
            assert_eq!(head.length, BodyLength::Chunked);
        }
        lengths => panic!("more than one length: {lengths:?}"),
    }
    let hosts = all("host").len();
    assert!(hosts == 1 || (hosts == 0 && head.is_1_0));
    head.host.into_iter().for_each(is_known_with_reason);
    head.origin.into_iter().for_each(is_read_again);
    // An absolute target's host counts, and not the field (RFC 9112 section 3.2.2).
    let authority = target
        .get(..7)
        .filter(|it| it.eq_ignore_ascii_case("http://"));
    let authority = authority.map(|_| target[7..].split(['/', '?']).next().unwrap());
    let closes = all("connection")
        .iter()
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"));
    assert!(!(closes && head.keep_alive));
    for (name, value, is_once) in [
        ("host", head.host, true),
        ("origin", head.origin, true),
        ("authorization", head.authorization, true),
        ("cookie", head.cookie, true),
        ("last-event-id", head.last_event_id, false),
        ("content-type", head.content_type, false),
    ] {
        let there = all(name);
        let is_in_target = name == "host" && authority.is_some();
        assert_eq!(there.is_empty() && !is_in_target, value.is_none(), "{name}");
        assert!(there.len() <= 1 || !is_once, "{name} is there twice");
        if let Some(value) = value {
            let value: String = value.iter().map(|&byte| char::from(byte)).collect();
            let wanted = match authority {
                Some(authority) if name == "host" => authority,
                _ => there[0],
            };
            assert_eq!(value, wanted, "{name}");
        }
    }
}

/// What a stranger may own is no name of this server.
fn is_known_with_reason(bytes: &[u8]) {
    let names = ["hub.example".parse().unwrap()];
    if !host::is_known(bytes, &names) {
        return;
    }
    let text = std::str::from_utf8(bytes).expect("a name that is no text");
    let end = match text.rfind(']') {
        Some(end) => end + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(end);
    let digits = port.strip_prefix(':').unwrap_or(port);
    assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_ours = !name.contains(['.', '[', ':'])
        || name.ends_with(".localhost")
        || name == "hub.example"
        || bare.parse::<IpAddr>().is_ok();
    assert!(is_ours, "{text}");
}

fn is_read_again(origin: &[u8]) {
    let Some(origin) = std::str::from_utf8(origin)
        .ok()
        .and_then(|text| text.parse().ok())
    else {
        return;
    };
    let origin: Origin = origin;
    assert!(
        !origin
            .as_str()
            .contains(|c: char| c.is_control() || c == ' ' || c == ',')
    );
    assert_eq!(origin.as_str().parse(), Ok(origin.clone()));
    assert!(host::is_same(
        origin.authority().as_bytes(),
        origin.authority()
    ));
}

fn field(line: &str) -> (String, &str) {
    assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
    let (name, value) = line.split_once(':').expect("a field without a colon");
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(is_token), "{name:?}");
    (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']))
}
