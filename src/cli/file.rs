//! The configuration file: what the flags of the server say, each under its own name, beside
//! what others read there.

use std::fs;
use std::path::Path;

use toml_span::value::{Value, ValueInner};

use super::error::{Usage, ValuePlace};
use super::flags::{self, Flag};
use crate::sys::nearest::nearest;
use crate::sys::order::sort_by_key;
use crate::sys::toml;

/// What it is called where nothing else is said.
pub const DEFAULT: &str = "landfall.toml";
/// The command that has it.
const OWNER: &str = "serve";
/// The flag that names it, which stands in none.
const FLAG: &str = "config";
/// What stands there and is no flag.
const SECTIONS: [&str; 2] = ["stage", "webhook"];

/// What a file says of flags.
#[derive(Default)]
pub struct ConfigFile {
    /// Every key that isn't for others to read, right or wrong.
    pub keys: Vec<String>,
    /// What it says of webhooks, as it is understood.
    pub webhooks: String,
    entries: Vec<FileValue>,
}

struct FileValue {
    flag: &'static Flag,
    values: Vec<String>,
    place: ValuePlace,
}

impl ConfigFile {
    /// Reads a file. Blocks for the disk. Returns what it says, and what is wrong with it.
    pub fn read(path: &Path) -> (ConfigFile, Vec<Usage>) {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => ConfigFile::parse(&name, &text),
            Err(error) => {
                let wrong = Usage::File(format!("{name}: {error}"));
                (ConfigFile::default(), vec![wrong])
            }
        }
    }

    /// What it says of a flag, and where.
    pub fn get(&self, flag: &Flag) -> Option<(Vec<&str>, ValuePlace)> {
        let entry = self.entries.iter().find(|it| it.flag.name == flag.name)?;
        let values = entry.values.iter().map(String::as_str);
        Some((values.collect(), entry.place.clone()))
    }

    /// The same of a text, which has a name.
    pub fn parse(name: &str, text: &str) -> (ConfigFile, Vec<Usage>) {
        let mut file = ConfigFile::default();
        let line = |at| toml::line(text, at);
        let wrong = |at, what: String| Usage::File(format!("{name}:{}: {what}", line(at)));
        let mut document = match toml_span::parse(text) {
            Ok(document) => document,
            Err(error) => return (file, vec![wrong(error.span.start, error.to_string())]),
        };
        let ValueInner::Table(table) = document.take() else {
            return (file, vec![wrong(0, "the file is no table".to_owned())]);
        };
        let mut members: Vec<_> = table.into_iter().collect();
        sort_by_key(&mut members, |(key, _)| key.span.start);
        let mut all_wrong = Vec::new();
        for (key, mut value) in members {
            if SECTIONS.contains(&&*key.name) {
                if !cfg!(feature = "uploads") {
                    let what = format!("[[{}]]", key.name);
                    let feature = "uploads";
                    let left_out = Usage::LeftOut { what, feature };
                    all_wrong.push(wrong(key.span.start, left_out.to_string()));
                }
                continue;
            }
            file.keys.push(key.name.to_string());
            let at = key.span.start;
            let entry = flag(&key.name).and_then(|flag| {
                let place = ValuePlace::File(format!("{name}:{}: {}", line(at), flag.name));
                let values = texts(&mut value, flag)?;
                Ok(FileValue {
                    flag,
                    values,
                    place,
                })
            });
            match entry {
                Ok(entry) => file.entries.push(entry),
                Err(what) => all_wrong.push(wrong(at, what)),
            }
        }
        (file, all_wrong)
    }
}

/// The flag that names it, of a command that reads it.
pub fn flag_of(command: &str) -> Option<&'static Flag> {
    let found = flags::of(command).find(|(_, flag)| flag.name == FLAG);
    found.map(|(_, flag)| flag)
}

/// The flags that stand there, each with the title of its group.
pub fn flags() -> impl Iterator<Item = (&'static str, &'static Flag)> {
    flags::of(OWNER).filter(|(_, flag)| flag.name != FLAG)
}

fn flag_names() -> impl Iterator<Item = &'static str> {
    flags().map(|(_, flag)| flag.name)
}

fn flag(key: &str) -> Result<&'static Flag, String> {
    if key == FLAG {
        return Err("config names the file itself: give it as --config".to_owned());
    }
    let found = flags::of(OWNER).find(|(_, flag)| flag.name == key);
    found.map(|(_, flag)| flag).ok_or_else(|| {
        match nearest(key, &mut flag_names().chain(SECTIONS)) {
            Some(nearest) => format!("there is no {key}: the nearest is {nearest}"),
            None => format!(
                "there is no {key}: there are the flags of serve, without their dashes, \
                 [[stage]] and [[webhook]]"
            ),
        }
    })
}

/// A value as it would be given on the command line; several where a list takes them.
fn texts(value: &mut Value<'_>, flag: &Flag) -> Result<Vec<String>, String> {
    match value.take() {
        ValueInner::Array(values) if flag.is_list() => values
            .into_iter()
            .map(|mut value| text(value.take(), flag))
            .collect(),
        value => Ok(vec![text(value, flag)?]),
    }
}

fn text(value: ValueInner<'_>, flag: &Flag) -> Result<String, String> {
    let name = flag.name;
    let text = match value {
        ValueInner::String(text) => text.into_owned(),
        ValueInner::Integer(number) => number.to_string(),
        ValueInner::Float(number) => number.to_string(),
        ValueInner::Boolean(is_on) => is_on.to_string(),
        ValueInner::Array(_) if flag.is_list() => {
            return Err(format!("{name} takes a list of texts"));
        }
        ValueInner::Array(_) => return Err(format!("{name} takes one value, and not a list")),
        ValueInner::Table(_) => return Err(format!("{name} takes a value, and not a table")),
    };
    if text.is_empty() {
        return Err(format!("{name} is empty: give it a value, or leave it out"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let (_, wrong) = ConfigFile::parse("a.toml", text);
        wrong.iter().map(Usage::to_string).collect()
    }

    #[test]
    fn every_flag_of_the_server_stands_there_under_its_own_name_but_the_file_itself() {
        for name in flag_names() {
            let (file, wrong) = ConfigFile::parse("a.toml", &format!("{name} = 'x'"));
            assert!(wrong.is_empty(), "{name}: {wrong:?}");
            let (values, place) = file.get(flag(name).unwrap()).unwrap();
            assert_eq!(values, ["x"]);
            assert_eq!(place.to_string(), format!("a.toml:1: {name}"));
        }
        assert!(flag_names().count() > 60);
        let config = wrong("config = 'x'");
        assert!(config[0].contains("give it as --config"), "{config:?}");
    }

    #[test]
    fn values_are_what_they_would_be_on_the_command_line() {
        let text = "ring-events = 5\nmemory-only = true\nheartbeat = \"5s\"\n\
                    token-key = [\"a\", \"b\"]\nhost = 'a'\n[[stage]]\nname = 'x'\n";
        let (file, wrong) = ConfigFile::parse("a.toml", text);
        assert!(wrong.is_empty(), "{wrong:?}");
        for (name, values) in [
            ("ring-events", &["5"][..]),
            ("memory-only", &["true"]),
            ("heartbeat", &["5s"]),
            ("token-key", &["a", "b"]),
            ("host", &["a"]),
        ] {
            assert_eq!(file.get(flag(name).unwrap()).unwrap().0, values, "{name}");
        }
        assert!(file.get(flag("retry").unwrap()).is_none());
        assert_eq!(file.keys.len(), 5, "the stages are for others to read");
    }

    #[test]
    fn everything_that_is_wrong_is_said_with_its_line_and_the_nearest_that_there_is() {
        let text = "ring-event = 5\nfrobnicate = 1\nstages = []\nring_bytes = 1\n\
                    retry = ['5s']\nhost = [['a']]\nlisten = ''\n[heartbeat]\na = 1\n";
        let expected = [
            "a.toml:1: there is no ring-event: the nearest is ring-events",
            "a.toml:2: there is no frobnicate: there are the flags of serve, without their \
             dashes, [[stage]] and [[webhook]]",
            "a.toml:3: there is no stages: the nearest is stage",
            "a.toml:4: there is no ring_bytes: the nearest is ring-bytes",
            "a.toml:5: retry takes one value, and not a list",
            "a.toml:6: host takes a list of texts",
            "a.toml:7: listen is empty: give it a value, or leave it out",
            "a.toml:8: heartbeat takes a value, and not a table",
        ];
        assert_eq!(wrong(text), expected);
        let broken = wrong("listen = 'a'\nretry = \n");
        assert!(broken[0].starts_with("a.toml:2: "), "{broken:?}");
        assert_eq!(broken.len(), 1);
        let twice = wrong("retry = '5s'\nretry = '6s'\n");
        assert!(twice[0].contains("duplicate"), "{twice:?}");
    }
}
