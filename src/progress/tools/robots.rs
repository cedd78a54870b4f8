//! Programs that rip discs, as they tell it to other programs.

use crate::progress::STAGE_MAX_BYTES;
use crate::progress::update::{LineReading, Update};

/// What is known of HandBrake's newest report, which is many lines of JSON.
#[derive(Default)]
pub(in crate::progress) struct HandBrake {
    is_working: bool,
    pass: f64,
    passes: f64,
}

impl HandBrake {
    /// Whether a report has begun.
    pub fn is_working(&self) -> bool {
        self.is_working
    }

    /// Reads a line of `HandBrakeCLI --json`.
    pub fn read(&mut self, line: &str) -> LineReading {
        if line == r#""Working": {"# {
            *self = HandBrake {
                is_working: true,
                pass: 1.0,
                passes: 1.0,
            };
            return LineReading::Mine(None);
        }
        let field = line
            .strip_prefix('"')
            .and_then(|rest| rest.split_once(r#"": "#));
        let Some((key, value)) = field.filter(|_| self.is_working) else {
            self.is_working = false;
            return LineReading::NotMine;
        };
        let value: Option<f64> = value.trim_end_matches(',').parse().ok();
        let update = match (key, value) {
            ("Pass", Some(pass)) if pass >= 1.0 => {
                self.pass = pass;
                None
            }
            ("PassCount", Some(passes)) if passes >= 1.0 => {
                self.passes = passes;
                None
            }
            ("Progress", Some(part)) => Update::part((self.pass - 1.0 + part) / self.passes),
            _ => None,
        };
        LineReading::Mine(update)
    }
}

/// What is known of a makemkvcon.
#[derive(Default)]
pub(in crate::progress) struct MakeMkv {
    /// What it does, from the second thing on that it does.
    stage: Option<String>,
    is_at_work: bool,
}

impl MakeMkv {
    /// Reads a line of `makemkvcon -r`: `PRGV:now,all,65536`, and `PRGT:5018,0,"Saving"` before
    /// each thing that is a whole.
    pub fn read(&mut self, line: &str) -> LineReading {
        if let Some(named) = line.strip_prefix("PRGT:") {
            let name = named.splitn(3, ',').nth(2).unwrap_or_default();
            let name = name.trim_matches('"');
            let may_be = self.is_at_work && (1..=STAGE_MAX_BYTES).contains(&name.len());
            self.stage = may_be.then(|| name.to_owned()).or(self.stage.take());
            self.is_at_work = true;
            return LineReading::Mine(None);
        }
        let Some(values) = line.strip_prefix("PRGV:") else {
            return if line.starts_with("PRGC:") || line.starts_with("MSG:") {
                LineReading::Mine(None)
            } else {
                LineReading::NotMine
            };
        };
        let values: Vec<f64> = values.split(',').filter_map(|it| it.parse().ok()).collect();
        let update = match values[..] {
            [_, all, most] if most > 0.0 => Update::part(all / most),
            _ => None,
        };
        LineReading::Mine(update.map(|update| Update {
            stage: self.stage.clone(),
            ..update
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_handbrake_is_of_one_of_its_passes() {
        let mut handbrake = HandBrake::default();
        let mut told = Vec::new();
        for line in [
            "Progress: {",
            r#""State": "SCANNING","#,
            r#""Progress": 0.9,"#,
            r#""Working": {"#,
            r#""Pass": 2,"#,
            r#""PassCount": 2,"#,
            r#""Progress": 0.5,"#,
            r#""Rate": 2.3e-7,"#,
            "}",
            r#""Progress": 0.1"#,
        ] {
            if let LineReading::Mine(Some(update)) = handbrake.read(line) {
                told.extend(update.percent);
            }
        }
        assert_eq!(told, [75.0]);
    }

    #[test]
    fn makemkv_tells_all_of_it_beside_what_it_does_now() {
        let mut makemkv = MakeMkv::default();
        let mut told = |line: &str| match makemkv.read(line) {
            LineReading::Mine(Some(update)) => Some((update.stage, update.percent.unwrap())),
            LineReading::Mine(None) => None,
            LineReading::NotMine => panic!("{line}"),
        };
        assert_eq!(told("PRGT:5018,0,\"Scanning 50% off\""), None);
        assert_eq!(told("PRGV:60000,16384,65536"), Some((None, 25.0)));
        assert_eq!(told("PRGC:5017,0,\"Saving, to MKV\""), None);
        assert_eq!(told("PRGT:5024,0,\"Saving, all\""), None);
        let saving = Some("Saving, all".to_owned());
        assert_eq!(told("PRGV:60000,8192,65536"), Some((saving, 12.5)));
        for line in ["PRGV:1,2", "PRGV:1,2,0", "PRGV:9,9,1", "MSG:5,\"9%\""] {
            assert_eq!(told(line), None, "{line}");
        }
        assert_eq!(makemkv.read("PROGRESS 5%"), LineReading::NotMine);
    }
}
