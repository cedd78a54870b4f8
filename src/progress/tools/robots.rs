//! Programs that rip discs, as they tell it to other programs.

use crate::progress::update::{Reading, Update};

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
    pub fn read(&mut self, line: &str) -> Reading {
        if line == r#""Working": {"# {
            *self = HandBrake {
                is_working: true,
                pass: 1.0,
                passes: 1.0,
            };
            return Reading::Mine(None);
        }
        let field = line
            .strip_prefix('"')
            .and_then(|rest| rest.split_once(r#"": "#));
        let Some((key, value)) = field.filter(|_| self.is_working) else {
            self.is_working = false;
            return Reading::NotMine;
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
        Reading::Mine(update)
    }
}

/// Reads a line of `makemkvcon -r`: `PRGV:now,all,65536`.
pub(in crate::progress) fn read_makemkv(line: &str) -> Reading {
    let Some(values) = line.strip_prefix("PRGV:") else {
        let is_mine = ["PRGC:", "PRGT:", "MSG:"]
            .iter()
            .any(|it| line.starts_with(it));
        return if is_mine {
            Reading::Mine(None)
        } else {
            Reading::NotMine
        };
    };
    let values: Vec<f64> = values.split(',').filter_map(|it| it.parse().ok()).collect();
    Reading::Mine(match values[..] {
        [_, all, most] if most > 0.0 => Update::part(all / most),
        _ => None,
    })
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
            if let Reading::Mine(Some(update)) = handbrake.read(line) {
                told.extend(update.percent);
            }
        }
        assert_eq!(told, [75.0]);
    }

    #[test]
    fn makemkv_tells_all_of_it_beside_what_it_does_now() {
        let percent = |percent| Reading::Mine(Some(Update::percent(percent)));
        assert_eq!(read_makemkv("PRGV:60000,16384,65536"), percent(25.0));
        for line in [
            "PRGT:5018,0,\"Saving 50% off\"",
            "PRGV:1,2",
            "PRGV:1,2,0",
            "PRGV:9,9,1",
        ] {
            assert_eq!(read_makemkv(line), Reading::Mine(None), "{line}");
        }
        assert_eq!(read_makemkv("PROGRESS 5%"), Reading::NotMine);
    }
}
