//! The one table of flags. Arguments, environment and help are read from it.

#[cfg(feature = "cli")]
mod client;
mod keeping;
mod serving;
mod token;
#[cfg(feature = "uploads")]
mod uploading;
mod value;

use super::error::{Usage, ValuePlace};
use super::settings::Settings;
use value::{ListSetting, Quantity, TextSetting, Unit};

/// Flags that belong together, and the commands that take them.
pub struct FlagGroup {
    /// The heading above them.
    pub title: &'static str,
    /// The commands that take them all.
    pub commands: &'static [&'static str],
    /// The flags.
    pub flags: &'static [Flag],
}

/// A flag.
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What it does, and what happens at the limit, in plain sentences.
    pub help: &'static str,
    kind: FlagKind,
    /// The default in words, where it isn't a quantity or a switch that is off.
    default: Option<&'static str>,
    /// The least and the most that it may be.
    bounds: (u64, u64),
    /// Another command that takes it.
    also: Option<&'static str>,
    twin: Option<&'static str>,
    /// What it may be, for whoever wants to see one, where there is no default to show.
    sample: Option<&'static str>,
    /// What it may be, where that is one of a few.
    pub choices: &'static [&'static str],
    /// Whether a server that runs takes another value, on SIGHUP.
    pub is_live: bool,
}

/// What its value is, and the setting that it goes to.
enum FlagKind {
    Switch(fn(&mut Settings) -> &mut bool),
    Quantity(Unit, fn(&mut Settings) -> &mut dyn Quantity),
    /// What the help calls it comes first.
    Word(&'static str, fn(&mut Settings) -> &mut dyn TextSetting),
    List(&'static str, fn(&mut Settings) -> &mut dyn ListSetting),
}

/// Every flag there is.
pub const GROUPS: &[FlagGroup] = &[
    serving::FILE,
    serving::LISTENERS,
    serving::BASE,
    serving::ACCESS,
    keeping::DISK,
    keeping::MEMORY,
    keeping::FLEET,
    serving::PUBLISHING,
    #[cfg(feature = "uploads")]
    uploading::UPLOADS,
    #[cfg(feature = "uploads")]
    uploading::PROCESSING,
    serving::STREAMS,
    serving::CONNECTIONS,
    serving::LOG,
    serving::STOPPING,
    serving::CHECK,
    #[cfg(feature = "cli")]
    client::RUN,
    #[cfg(feature = "cli")]
    client::SELECTION,
    #[cfg(feature = "cli")]
    client::ALL,
    token::TOKEN,
    #[cfg(feature = "cli")]
    client::HUB,
];

/// The flags that a command takes, each with the title of its group.
pub fn of(command: &str) -> impl Iterator<Item = (&'static str, &'static Flag)> {
    let flags = GROUPS.iter().flat_map(|group| {
        let flags = group.flags.iter();
        flags.map(move |flag| (group, flag))
    });
    flags
        .filter(move |(group, flag)| {
            group.commands.contains(&command) || flag.also == Some(command)
        })
        .map(|(group, flag)| (group.title, flag))
}

/// A command that takes a flag of that name.
pub fn owner(name: &str) -> Option<&'static str> {
    let has_it = |group: &&FlagGroup| group.flags.iter().any(|flag| flag.name == name);
    GROUPS.iter().find(has_it).map(|group| group.commands[0])
}

impl Flag {
    const fn new(name: &'static str, kind: FlagKind, help: &'static str) -> Flag {
        Flag {
            name,
            help,
            kind,
            default: None,
            bounds: (1, u64::MAX),
            also: None,
            twin: None,
            sample: None,
            choices: &[],
            is_live: false,
        }
    }

    const fn default(mut self, shown: &'static str) -> Flag {
        self.default = Some(shown);
        self
    }

    const fn bounds(mut self, least: u64, most: u64) -> Flag {
        self.bounds = (least, most);
        self
    }

    const fn also(mut self, command: &'static str) -> Flag {
        self.also = Some(command);
        self
    }

    const fn sample(mut self, value: &'static str) -> Flag {
        self.sample = Some(value);
        self
    }

    const fn choices(mut self, choices: &'static [&'static str]) -> Flag {
        self.choices = choices;
        self
    }

    const fn live(mut self) -> Flag {
        self.is_live = true;
        self
    }

    const fn twin(mut self, variable: &'static str) -> Flag {
        self.twin = Some(variable);
        self
    }

    /// Its variable in the environment.
    pub fn variable(&self) -> String {
        match self.twin {
            Some(variable) => variable.to_owned(),
            None => format!(
                "LANDFALL_{}",
                self.name.replace('-', "_").to_ascii_uppercase()
            ),
        }
    }

    /// Whether `--name` alone is enough.
    pub fn is_switch(&self) -> bool {
        matches!(self.kind, FlagKind::Switch(_))
    }

    /// Whether it takes several values.
    pub fn is_list(&self) -> bool {
        matches!(self.kind, FlagKind::List(..))
    }

    /// What the help calls its value. One that ends with `...` may be repeated.
    pub fn value(&self) -> String {
        match self.kind {
            FlagKind::Switch(_) => String::new(),
            FlagKind::Quantity(unit, _) => unit.name().to_owned(),
            FlagKind::Word(what, _) => what.to_owned(),
            FlagKind::List(what, _) => format!("{what}..."),
        }
    }

    /// Its default, as it would be given. None where there is none.
    pub fn default_text(&self, defaults: &mut Settings) -> Option<String> {
        match self.kind {
            _ if self.default.is_some() => self.default.map(str::to_owned),
            FlagKind::Quantity(unit, field) => Some(unit.show(field(defaults).get())),
            FlagKind::Switch(_) | FlagKind::Word(..) | FlagKind::List(..) => None,
        }
    }

    /// Whether what is shown of it is its default.
    #[cfg(test)]
    pub fn has_default(&self) -> bool {
        self.sample.is_none()
    }

    /// What could stand in the configuration file: the default, or something like it.
    pub fn example(&self, defaults: &mut Settings) -> String {
        let text = match self.sample {
            Some(sample) => sample.to_owned(),
            None => self.default_text(defaults).unwrap_or_default(),
        };
        match &self.kind {
            FlagKind::Switch(_) => "false".to_owned(),
            FlagKind::Quantity(Unit::Count, _) if text != "off" => text,
            FlagKind::List(..) => format!("[\"{}\"]", text.replace(',', "\", \"")),
            _ => format!("\"{text}\""),
        }
    }

    /// Sets it. Of several values a list takes all, with commas between some of them, and
    /// all else the last.
    ///
    /// # Errors
    /// The value is wrong: which, and what would be right.
    pub fn set(
        &self,
        settings: &mut Settings,
        given: &[&str],
        place: ValuePlace,
    ) -> Result<(), Usage> {
        let value = match self.kind {
            FlagKind::List(..) => given.join(","),
            _ => given.last().copied().unwrap_or_default().to_owned(),
        };
        if value.is_empty() {
            return Err(Usage::NoValue(place));
        }
        let done = match self.kind {
            FlagKind::Switch(field) => value::switch(&value).map(|is_on| *field(settings) = is_on),
            FlagKind::Quantity(unit, field) => self.set_quantity(unit, field(settings), &value),
            FlagKind::Word(_, field) => field(settings).put(&value),
            FlagKind::List(_, field) => field(settings).put(&value),
        };
        done.map_err(|why| Usage::Value { place, value, why })
    }

    fn set_quantity(&self, unit: Unit, field: &mut dyn Quantity, text: &str) -> Result<(), String> {
        let can_be_off = field.can_be_off();
        if can_be_off && matches!(text, "off" | "none") {
            field.put(None);
            return Ok(());
        }
        let or_off = if can_be_off { ", or off" } else { "" };
        let (least, most) = (self.bounds.0, self.bounds.1.min(field.most()));
        match unit.read(text) {
            Some(number) if (least..=most).contains(&number) => {
                field.put(Some(number));
                Ok(())
            }
            Some(number) if number > most => {
                let most = unit.show(Some(most));
                Err(format!("too much: give {most} at most{or_off}"))
            }
            Some(_) if least > 1 => {
                let least = unit.show(Some(least));
                Err(format!("too little: give {least} at least{or_off}"))
            }
            _ => Err(format!("{}{or_off}", unit.rule())),
        }
    }
}

const fn switch(
    name: &'static str,
    field: fn(&mut Settings) -> &mut bool,
    help: &'static str,
) -> Flag {
    Flag::new(name, FlagKind::Switch(field), help)
}

const fn count(
    name: &'static str,
    field: fn(&mut Settings) -> &mut dyn Quantity,
    help: &'static str,
) -> Flag {
    Flag::new(name, FlagKind::Quantity(Unit::Count, field), help)
}

const fn size(
    name: &'static str,
    field: fn(&mut Settings) -> &mut dyn Quantity,
    help: &'static str,
) -> Flag {
    Flag::new(name, FlagKind::Quantity(Unit::Size, field), help)
}

const fn duration(
    name: &'static str,
    field: fn(&mut Settings) -> &mut dyn Quantity,
    help: &'static str,
) -> Flag {
    Flag::new(name, FlagKind::Quantity(Unit::Duration, field), help)
}

const fn word(
    name: &'static str,
    what: &'static str,
    field: fn(&mut Settings) -> &mut dyn TextSetting,
    help: &'static str,
) -> Flag {
    Flag::new(name, FlagKind::Word(what, field), help)
}

const fn list(
    name: &'static str,
    what: &'static str,
    field: fn(&mut Settings) -> &mut dyn ListSetting,
    help: &'static str,
) -> Flag {
    Flag::new(name, FlagKind::List(what, field), help)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all() -> impl Iterator<Item = &'static Flag> {
        GROUPS.iter().flat_map(|group| group.flags)
    }

    fn set(name: &str, values: &[&str]) -> Result<Settings, String> {
        let flag = all().find(|flag| flag.name == name).unwrap();
        let mut settings = Settings::default();
        let done = flag.set(&mut settings, values, ValuePlace::Flag(flag.name));
        done.map(|()| settings).map_err(|usage| usage.to_string())
    }

    #[test]
    fn every_default_that_is_shown_is_the_default() {
        let expected = format!("{:?}", Settings::default());
        for flag in all() {
            let Some(text) = flag.default_text(&mut Settings::default()) else {
                continue;
            };
            // In words.
            if text.contains(' ') {
                continue;
            }
            let mut settings = Settings::default();
            flag.set(&mut settings, &[&text], ValuePlace::Flag(flag.name))
                .unwrap();
            assert_eq!(format!("{settings:?}"), expected, "--{}", flag.name);
        }
    }

    #[test]
    fn every_flag_and_every_variable_has_one_meaning() {
        let mut variables = HashSet::new();
        assert!(all().all(|flag| variables.insert(flag.variable())));
        for command in crate::cli::COMMANDS.iter().map(|command| command.name) {
            let mut names = HashSet::new();
            assert!(
                of(command).all(|(_, flag)| names.insert(flag.name)),
                "{command}"
            );
        }
    }

    #[test]
    fn a_wrong_value_says_what_would_be_right() {
        for (name, value, part) in [
            ("ring-events", "0", "above 0"),
            ("ring-bytes", "64kx", "64KiB"),
            ("retry", "5", "5s"),
            ("retry", "0s", "5s"),
            ("hub-wait", "soon", "5s"),
            ("max-connections-per-address", "0", "or off"),
            (
                "max-streams-per-token",
                "70000",
                "give 65535 at most, or off",
            ),
            ("shards", "65", "give 64 at most"),
            ("journal-bytes", "1M", "give 4MiB at least"),
            ("ttl", "500ms", "give 1s at least"),
            ("trusted-proxy", "10.0.0.0/40", "10.0.0.0/8"),
            ("listen", "8080", "IP:PORT"),
            ("ops", "localhost", "IP:PORT"),
            ("insecure", "maybe", "true or false"),
            ("sync", "never", "always"),
            ("pattern", "(", "not a pattern"),
            ("pattern", "a", "(?<percent>...)"),
            ("cors-origin", "https://a/", "without a path"),
            ("host", "http://a", "without a scheme"),
            ("token-cookie", "a b", "cookie"),
            ("listen", "", "has no value"),
        ] {
            let message = set(name, &[value]).unwrap_err();
            assert!(message.starts_with(&format!("--{name} ")), "{message}");
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_list_keeps_its_order_and_all_else_is_what_was_said_last() {
        let settings = set("token-key", &["a", "b", "c, d"]).unwrap();
        let keys = settings.server.auth.token_keys;
        assert_eq!(keys, ["a", "b", "c", "d"].map(std::path::PathBuf::from));
        assert_eq!(
            set("ring-bytes", &["1K", "2K"])
                .unwrap()
                .server
                .hub
                .ring
                .bytes,
            2048
        );
        assert_eq!(
            set("max-stream-rate", &["off"])
                .unwrap()
                .server
                .quotas
                .stream_rate,
            None
        );
        assert!(set("hub-wait", &["0s"]).unwrap().run.hub_wait.is_zero());
    }
}
