//! Events in words, fit for a terminal.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::sys::character::is_printable;

/// How much of a text from the hub is shown, in characters.
const TEXT_MAX_CHARS: usize = 200;

/// An event in words: `transcoding 43%`, `done`, `error: what went wrong`.
pub fn describe(event: &str, data: &Map<String, Value>) -> String {
    let text = |key| data.get(key).and_then(Value::as_str).map(printable);
    let words = match event {
        "progress" => {
            let percent = data
                .get("percent")
                .and_then(Value::as_f64)
                .map(|p| format!("{p}%"));
            let seconds = data.get("timeSeconds").and_then(Value::as_f64);
            let measure = percent.or_else(|| seconds.map(|seconds| format!("{seconds} s")));
            [text("stage"), measure]
        }
        "done" | "deleted" => [Some(event.into()), None],
        "error" => [
            text("message")
                .map(|m| format!("error: {m}"))
                .or(Some("error".into())),
            None,
        ],
        "reset" => {
            let reason = text("reason").unwrap_or_default();
            [
                Some(format!(
                    "reset: events before this are no longer kept ({reason})"
                )),
                None,
            ]
        }
        _ => [
            Some(printable(event)),
            Some(printable(&Value::from(data.clone()).to_string())),
        ],
    };
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() {
        "progress".into()
    } else {
        words.join(" ")
    }
}

/// How long ago something was: `12s`, `5m`, `3h`, `2d`.
pub fn age(passed: Duration) -> String {
    let seconds = passed.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A text that can't do anything to a terminal, and not too much of it.
pub fn printable(text: &str) -> String {
    let safe = text.chars().map(|c| if is_printable(c) { c } else { ' ' });
    safe.take(TEXT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(event: &str, data: &str) -> String {
        describe(event, &serde_json::from_str(data).unwrap())
    }

    #[test]
    fn an_event_is_told_in_a_few_words() {
        for (event, data, words) in [
            (
                "progress",
                r#"{"stage":"transcoding","percent":43}"#,
                "transcoding 43%",
            ),
            (
                "progress",
                r#"{"stage":"transcoding","percent":43.5}"#,
                "transcoding 43.5%",
            ),
            (
                "progress",
                r#"{"stage":"transcoding","timeSeconds":3.2}"#,
                "transcoding 3.2 s",
            ),
            ("progress", r#"{"percent":5}"#, "5%"),
            ("progress", "{}", "progress"),
            ("done", r#"{"elapsedMs":5}"#, "done"),
            ("error", r#"{"message":"disk full"}"#, "error: disk full"),
            ("error", "{}", "error"),
            ("deleted", r#"{"jobId":"a"}"#, "deleted"),
            ("note", r#"{"a":1}"#, r#"note {"a":1}"#),
        ] {
            assert_eq!(described(event, data), words);
        }
    }

    #[test]
    fn what_a_hub_says_can_not_drive_the_terminal() {
        let words = described("error", r#"{"message":"\u001b[2J\r\n\u0007boo\u009b"}"#);
        assert!(!words.contains(char::is_control), "{words:?}");
        assert_eq!(
            described("error", r#"{"message":"a\u202eb"}"#),
            "error: a b"
        );
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(10_000));
        assert!(described("error", &long).len() <= TEXT_MAX_CHARS + 7);
    }

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        for (seconds, words) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7199, "1h"),
            (200_000, "2d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), words);
        }
    }
}
