//! Layers of an image that docker pulls or pushes, several at a time.

use serde_json::{Map, Value};

use super::part_of;
use super::parts::Parts;
use crate::progress::update::{LineReading, Update};

/// How far each layer is.
#[derive(Default)]
pub(in crate::progress) struct Layers {
    parts: Parts,
    /// What was told last: it never falls, though more layers may follow.
    told: f64,
}

impl Layers {
    /// Reads `5f70bf18a086: Downloading [==>   ]  12.3MB/40MB`, and what else is said of one.
    pub fn read(&mut self, line: &str) -> LineReading {
        let layer = line.split_once(": ").filter(|(name, _)| is_name(name));
        let Some((name, status)) = layer else {
            return LineReading::NotMine;
        };
        let (verb, bar) = match status.split_once('[') {
            Some((verb, bar)) => (verb.trim_end(), bar),
            None => (status.trim_end(), ""),
        };
        let amount = bar.split_once(']').map(|(_, amount)| amount.trim());
        let within = amount
            .and_then(|amount| amount.split_once('/'))
            .and_then(part_of);
        match self.take(name, verb, within) {
            Some(told) => LineReading::Mine(told),
            None => LineReading::NotMine,
        }
    }

    /// Whether a line that has only begun is of a layer.
    pub fn would_read(&self, line: &str) -> bool {
        let name = line.split_once(": ").map(|(name, _)| name);
        name.is_some_and(|name| self.parts.find(name).is_some())
    }

    /// Reads the same as the Engine's API tells it. `None`: it is something else.
    pub fn read_json(&mut self, line: &Map<String, Value>) -> Option<Option<Update>> {
        let text = |key| line.get(key).and_then(Value::as_str);
        let (name, verb) = (text("id")?, text("status")?);
        let detail = line.get("progressDetail");
        let number = |key| detail.and_then(|it| it.get(key)).and_then(Value::as_f64);
        let within = number("current").zip(number("total"));
        let within = within.map(|(current, total)| current / total.max(1.0));
        if is_name(name) {
            self.take(name, verb, within)
        } else {
            None
        }
    }

    fn take(&mut self, name: &str, verb: &str, within: Option<f64>) -> Option<Option<Update>> {
        // Half of a pull is to unpack it.
        let within = within.filter(|it| (0.0..=1.0).contains(it)).unwrap_or(0.0);
        let part = match verb {
            "Pulling fs layer" | "Waiting" | "Preparing" => 0.0,
            "Downloading" => within / 2.0,
            "Verifying Checksum" | "Download complete" => 0.5,
            "Extracting" => 0.5 + within / 2.0,
            "Pushing" => within,
            "Pull complete" | "Pushed" => 1.0,
            // Nothing is to be done with them.
            "Already exists" | "Layer already exists" => return Some(None),
            _ if verb.starts_with("Mounted from") => 1.0,
            _ => return None,
        };
        self.parts.note(name, part, 1.0);
        self.told = self.told.max(self.parts.done());
        Some(Update::part(self.told))
    }
}

/// The first digits of a digest.
fn is_name(name: &str) -> bool {
    (6..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_layers_together_are_told_and_none_alone() {
        let mut layers = Layers::default();
        let mut told = Vec::new();
        for line in [
            "5f70bf18a086: Already exists",
            "0a1b2c3d4e5f: Pulling fs layer",
            "1a1b2c3d4e5f: Pulling fs layer",
            "0a1b2c3d4e5f: Downloading [=====>     ]  20MB/40MB",
            "1a1b2c3d4e5f: Downloading [==========>]  40MB/40MB",
            "1a1b2c3d4e5f: Download complete",
            "0a1b2c3d4e5f: Verifying Checksum",
            "0a1b2c3d4e5f: Extracting [=====>     ]  20MB/40MB",
            "0a1b2c3d4e5f: Pull complete",
            "1a1b2c3d4e5f: Downloading [=>]  1MB/40MB",
            "1a1b2c3d4e5f: Pull complete",
        ] {
            let LineReading::Mine(update) = layers.read(line) else {
                panic!("{line}");
            };
            told.extend(update.and_then(|it| it.percent));
        }
        let expected = [0.0, 0.0, 12.5, 37.5, 37.5, 50.0, 62.5, 75.0, 75.0, 100.0];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_engine_tells_the_same_in_json() {
        let mut layers = Layers::default();
        let line =
            r#"{"status":"Pushing","progressDetail":{"current":3,"total":4},"id":"0a1b2c3d"}"#;
        let told = layers.read_json(&serde_json::from_str(line).unwrap());
        assert_eq!(told, Some(Some(Update::percent(75.0))));
        for line in [
            r#"{"status":"Pulling from library/debian","id":"stable"}"#,
            r#"{"status":"ok"}"#,
        ] {
            assert_eq!(layers.read_json(&serde_json::from_str(line).unwrap()), None);
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for line in [
            "abc: Waiting",
            "stable: Pulling from a",
            "cafe12: 50%",
            "in.bin: Waiting",
        ] {
            assert_eq!(Layers::default().read(line), LineReading::NotMine, "{line}");
        }
    }
}
