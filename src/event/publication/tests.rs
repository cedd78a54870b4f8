use super::*;
use crate::event::Publication;

fn read(text: &str) -> Result<Publication, EventError> {
    Publication::from_json(text.as_bytes())
}

#[test]
fn an_event_is_a_name_and_an_object() {
    let published = read(r#"{"event":"progress","data":{"percent":30}}"#).unwrap();
    let event = Event::new("progress", r#"{"percent":30}"#).unwrap();
    assert_eq!(published.word, Word::Event(event, None));
    assert_eq!(published.job, None);
    let done = read(r#"{"event":"done"}"#).unwrap().word;
    assert_eq!(done, Word::Event(Event::done(), None));
    let job = read(r#"{"job":"a","event":"done"}"#).unwrap().job;
    assert_eq!(job, Some("a".parse().unwrap()));
}

#[test]
fn a_lease_comes_with_an_event_or_alone() {
    let minute: Lease = "1m".parse().unwrap();
    let published = read(r#"{"event":"done","data":{},"lease":"1m"}"#).unwrap();
    assert_eq!(published.word, Word::Event(Event::done(), Some(minute)));
    let alone = read(r#"{"job":"a","lease":"\u0031m"}"#).unwrap();
    assert_eq!(alone.word, Word::Alive(minute));
    assert_eq!(alone.job, "a".parse().ok());
    for lease in [
        "null",
        "30",
        "\"30\"",
        "\"0s\"",
        "\"1year\"",
        "{}",
        "[\"30s\"]",
        "true",
    ] {
        let text = format!(r#"{{"event":"x","lease":{lease}}}"#);
        assert_eq!(read(&text), Err(EventError::Lease), "{lease}");
        let text = format!(r#"{{"lease":{lease}}}"#);
        assert_eq!(read(&text), Err(EventError::Lease), "{lease}");
    }
    for text in [
        r#"{"lease":"1m","data":{}}"#,
        r#"{"job":"a"}"#,
        r#"{"lease":"1m","event":null}"#,
    ] {
        assert!(matches!(read(text), Err(EventError::Shape(_))), "{text}");
    }
}

#[test]
fn a_key_comes_with_whatever_is_said() {
    for text in [
        r#"{"event":"x","key":"k"}"#,
        r#"{"lease":"1m","key":"\u006b"}"#,
    ] {
        assert_eq!(read(text).unwrap().key, "k".parse().ok(), "{text}");
    }
    for key in [
        "\"\"",
        "\"a b\"",
        "\"é\"",
        &format!("\"{}\"", "k".repeat(256)),
    ] {
        let text = format!(r#"{{"event":"x","key":{key}}}"#);
        assert_eq!(read(&text), Err(EventError::Key), "{key}");
    }
    for key in ["null", "1", "{}"] {
        let text = format!(r#"{{"event":"x","key":{key}}}"#);
        assert!(matches!(read(&text), Err(EventError::Shape(_))), "{key}");
    }
}

#[test]
fn what_is_wrong_is_said_without_what_steers_a_terminal() {
    for text in [
        r#"{"eve\nnt":"x"}"#,
        r#"{"event":"x","\u001b[2J":1}"#,
        r#"{"event":"a\rb"}"#,
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn what_says_the_same_has_the_same_content_and_nothing_else_has() {
    let content = |text: &str| read(text).unwrap().word.content();
    let event = content(r#"{"event":"x","data":{"a":1},"lease":"60s"}"#);
    for same in [
        r#"{"data": {"a" : 1}, "lease":"1m", "event":"x"}"#,
        r#"{"event":"x","data":{"a":1},"lease":"1m","key":"k","job":"j"}"#,
    ] {
        assert_eq!(content(same), event, "{same}");
    }
    for other in [
        r#"{"event":"x","data":{"a":1}}"#,
        r#"{"event":"x","data":{"a":1},"lease":"61s"}"#,
        r#"{"event":"x","data":{"a":2},"lease":"60s"}"#,
        r#"{"event":"y","data":{"a":1},"lease":"60s"}"#,
        r#"{"lease":"60s"}"#,
    ] {
        assert_ne!(content(other), event, "{other}");
    }
}

#[test]
fn line_ends_between_tokens_go_and_those_in_strings_are_escapes() {
    let event = Event::new("x", "{\r\n \"a b\" : [ 1 ,\t2 ],\n\"s\":\"\\\" \\n\" }").unwrap();
    assert_eq!(event.data(), r#"{"a b":[1,2],"s":"\" \n"}"#);
    assert!(Event::new("x", "{\"s\":\"\n\"}").is_err());
    assert!(Event::new("x", "{\"s\":\"\0\"}").is_err());
}

#[test]
fn compacting_keeps_the_value() {
    let text = r#" { "k\\" : " \\" , "é" : [ { } , " \u0000 " ] , "n" : -1.5e3 } "#;
    let event = Event::new("x", text).unwrap();
    let before: serde_json::Value = serde_json::from_str(text).unwrap();
    let after: serde_json::Value = serde_json::from_str(event.data()).unwrap();
    assert_eq!(before, after);
}

#[test]
fn half_a_surrogate_is_kept_as_it_was_sent_in_names_as_well() {
    for data in [r#"{"\ud800":1}"#, r#"{"a":{"\udc00":"\ud800"}}"#] {
        assert_eq!(Event::new("x", data).unwrap().data(), data);
    }
}

#[test]
fn data_must_be_an_object() {
    for data in ["[]", "1", "\"{}\"", "null", "true"] {
        assert_eq!(
            Event::new("x", data),
            Err(EventError::NotAnObject),
            "{data}"
        );
    }
}

#[test]
fn null_is_neither_data_nor_a_job() {
    let data = read(r#"{"event":"x","data":null}"#);
    assert_eq!(data, Err(EventError::NotAnObject));
    let job = read(r#"{"event":"x","job":null}"#);
    assert!(matches!(job, Err(EventError::Shape(_))), "{job:?}");
}

#[test]
fn percent_is_a_number_from_0_to_100_also_when_spelt_with_escapes() {
    for good in ["0", "100", "33.3", "1e2"] {
        assert!(Event::new("progress", &format!(r#"{{"percent":{good}}}"#)).is_ok());
    }
    for bad in ["-1", "100.1", "\"30\"", "null", "[1]", "1e999"] {
        let data = format!(r#"{{"percent":{bad}}}"#);
        assert_eq!(
            Event::new("progress", &data),
            Err(EventError::Percent),
            "{bad}"
        );
    }
    let escaped = r#"{"perc\u0065nt":200}"#;
    assert_eq!(Event::new("progress", escaped), Err(EventError::Percent));
    let twice = r#"{"percent":1,"percent":200}"#;
    assert_eq!(Event::new("progress", twice), Err(EventError::Percent));
}

#[test]
fn an_event_speaks_for_the_job_that_its_data_names_and_for_no_other() {
    let (own, other): (JobId, JobId) = ("j".parse().unwrap(), "k".parse().unwrap());
    for (data, speaks_for_own, speaks_for_other) in [
        ("{}", true, true),
        (r#"{"a":{"jobId":"k"}}"#, true, true),
        (r#"{"a":1,"jobId":"j"}"#, true, false),
        (r#"{"job\u0049d":"k"}"#, false, true),
        (r#"{"jobId":"\u006a"}"#, true, false),
        (r#"{"jobId":"j","jobId":"k"}"#, false, false),
        (r#"{"jobId":null}"#, false, false),
        (r#"{"jobId":1}"#, false, false),
        (r#"{"jobId":"a b"}"#, false, false),
    ] {
        let event = Event::new("x", data).unwrap();
        assert_eq!(event.speaks_for(&own), speaks_for_own, "{data}");
        assert_eq!(event.speaks_for(&other), speaks_for_other, "{data}");
    }
}

#[test]
fn nobody_publishes_what_the_server_says_itself() {
    for name in ["reset", "deleted", "open"] {
        assert_eq!(Event::new(name, "{}"), Err(EventError::Reserved));
        let text = format!(r#"{{"event":"{name}"}}"#);
        assert_eq!(read(&text), Err(EventError::Reserved));
    }
}

#[test]
fn what_is_no_event_says_what_would_be_one() {
    for text in [
        "",
        "{",
        "[]",
        r#"{"data":{}}"#,
        r#"{"event":"a","date":{}}"#,
        "{}{}",
        "null",
        r#"["a","progress",{},"30s","k"]"#,
        r#" ["a","progress"]"#,
    ] {
        let message = read(text).unwrap_err().to_string();
        assert!(
            message.contains(r#"{"event":"progress""#),
            "{text}: {message}"
        );
    }
    assert!(matches!(
        read(r#"{"event":"a\nb"}"#),
        Err(EventError::Name(_))
    ));
}

#[test]
fn nesting_however_deep_is_an_answer_and_no_overflow() {
    let deep = format!(r#"{{"event":"x","data":{{"a":{}}}}}"#, "[".repeat(60_000));
    assert!(read(&deep).is_err());
    let deep = format!(
        r#"{{"event":"x","data":{{"a":{}{}}}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    let _ = read(&deep);
}

#[test]
fn what_is_no_percent_is_an_error_and_never_made_one() {
    for percent in [f64::NAN, f64::INFINITY, -0.1, 100.1, 150.0] {
        let event = Event::progress("scanning", percent);
        assert_eq!(event, Err(EventError::Percent), "{percent}");
        let data = std::collections::BTreeMap::from([("percent", percent)]);
        let event = Event::of("progress", &data);
        assert_eq!(event, Err(EventError::Percent), "{percent}");
    }
    for percent in [0.0, 99.95, 100.0] {
        assert!(Event::progress("scanning", percent).is_ok(), "{percent}");
    }
}
