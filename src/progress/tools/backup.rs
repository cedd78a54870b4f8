//! Backup and copying programs that tell how far they are in JSON: restic, borg and rclone.

use serde_json::{Map, Value};

use crate::progress::Update;

/// What a line of one of them tells; `None`: it is none of theirs, or not about progress.
pub(in crate::progress) fn read(line: &Map<String, Value>) -> Option<Update> {
    let is = |key: &str, value: &str| line.get(key).and_then(Value::as_str) == Some(value);
    let number = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_f64);
    let (part, seconds) = if is("message_type", "status") {
        let part = number(line, "percent_done")?;
        (part, number(line, "seconds_remaining"))
    } else if is("type", "progress_percent") {
        (
            ratio(number(line, "current")?, number(line, "total")?)?,
            None,
        )
    } else {
        let Value::Object(stats) = line.get("stats")? else {
            return None;
        };
        let part = ratio(number(stats, "bytes")?, number(stats, "totalBytes")?)?;
        (part, number(stats, "eta"))
    };
    let mut update = Update::part(part)?;
    if let Some(seconds) = seconds.filter(|it| (0.0..1e9).contains(it)) {
        let eta_ms = (seconds * 1000.0) as u64;
        update.extra.insert("etaMs".into(), eta_ms.into());
    }
    Some(update)
}

fn ratio(done: f64, total: f64) -> Option<f64> {
    (total > 0.0).then(|| done / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<(f64, Option<u64>)> {
        let update = read(&serde_json::from_str(line).unwrap())?;
        Some((
            update.percent.unwrap(),
            update.extra.get("etaMs").and_then(Value::as_u64),
        ))
    }

    #[test]
    fn each_tells_it_in_its_own_way() {
        for (line, expected) in [
            (
                r#"{"message_type":"status","percent_done":0.0905,"total_files":40}"#,
                (9.0, None),
            ),
            (
                r#"{"message_type":"status","percent_done":1,"seconds_remaining":2}"#,
                (100.0, Some(2000)),
            ),
            (
                r#"{"message":" 50%","current":3,"total":8,"type":"progress_percent"}"#,
                (37.5, None),
            ),
            (
                r#"{"level":"info","msg":"a 99%","stats":{"bytes":15,"eta":null,"totalBytes":60}}"#,
                (25.0, None),
            ),
            (
                r#"{"stats":{"bytes":30,"eta":4,"totalBytes":60}}"#,
                (50.0, Some(4000)),
            ),
        ] {
            assert_eq!(told(line), Some(expected), "{line}");
        }
        for line in [
            r#"{"message_type":"summary","percent_done":1}"#,
            r#"{"message_type":"status","percent_done":1.5}"#,
            r#"{"message_type":"status","percent_done":"1"}"#,
            r#"{"current":0,"total":0,"type":"progress_percent"}"#,
            r#"{"operation":1,"type":"progress_percent","finished":true}"#,
            r#"{"original_size":5,"type":"archive_progress","path":"50%"}"#,
            r#"{"stats":{"bytes":0,"totalBytes":0}}"#,
            r#"{"stats":5}"#,
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
