//! Progress that a command prints as JSON lines.

use serde_json::{Map, Value};

use super::tools::Tools;
use super::{STAGE_MAX_BYTES, Update};

/// Reads `{"percent":..,"stage":..}`. Other fields go along as they are. A line
/// with neither a percentage nor a stage that can be used is not about progress,
/// unless it is one of a program that says it in its own way.
pub(super) fn read(line: &str, tools: &mut Tools) -> Option<Update> {
    let mut extra: Map<String, Value> = serde_json::from_slice(line.as_bytes()).ok()?;
    if let Some(update) = tools.read_json(&extra) {
        return update.map(Update::before_the_end);
    }
    let percent = extra.remove("percent").and_then(|value| value.as_f64());
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    let stage = match extra.remove("stage") {
        Some(Value::String(stage)) => Some(stage),
        _ => None,
    };
    let stage = stage.filter(|stage| !stage.is_empty() && stage.len() <= STAGE_MAX_BYTES);
    // Which job this is about is for the hub to say.
    extra.remove("jobId");
    (percent.is_some() || stage.is_some()).then_some(Update {
        stage,
        percent,
        extra,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Update> {
        super::read(line, &mut Tools::default())
    }

    #[test]
    fn percent_and_stage_are_taken_and_the_rest_goes_along() {
        let update = read(r#"{"percent":30.5,"stage":"scanning","file":"a","jobId":"x"}"#).unwrap();
        assert_eq!(update.stage.as_deref(), Some("scanning"));
        assert_eq!(update.percent, Some(30.5));
        assert_eq!(
            Value::Object(update.extra),
            serde_json::json!({"file": "a"})
        );
    }

    #[test]
    fn a_program_that_says_it_in_its_own_way_is_not_done_before_it_has_ended() {
        let restic = r#"{"message_type":"status","percent_done":1}"#;
        let borg = r#"{"current":8,"total":8,"type":"progress_percent"}"#;
        for line in [restic, borg] {
            assert_eq!(read(line).unwrap().percent, Some(99.9), "{line}");
        }
        // Who speaks as the hub does is taken at its word.
        assert_eq!(read(r#"{"percent":100}"#).unwrap().percent, Some(100.0));
    }

    #[test]
    fn a_bad_field_is_left_out_without_harm_to_the_other() {
        for bad in ["101", "-1", "\"5\"", "null", "[1]", "1e300"] {
            let update = read(&format!(r#"{{"stage":"a","percent":{bad}}}"#)).unwrap();
            assert_eq!(
                (update.stage.as_deref(), update.percent),
                (Some("a"), None),
                "{bad}"
            );
        }
        let long = "x".repeat(STAGE_MAX_BYTES + 1);
        for bad in ["5", "null", "\"\"", &format!("{long:?}")] {
            let update = read(&format!(r#"{{"stage":{bad},"percent":5}}"#)).unwrap();
            assert_eq!((update.stage, update.percent), (None, Some(5.0)), "{bad}");
        }
    }

    #[test]
    fn other_json_is_not_progress() {
        let deep = format!("{{\"percent\":{}", "[".repeat(8000));
        for line in [
            "{}",
            r#"{"level":"info"}"#,
            r#"{"percent":101}"#,
            "{",
            "{5%}",
            &deep,
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
