//! How a command fails: called in a wrong way, or in what it was to do.

use std::fmt;
use std::io;
#[cfg(feature = "cli")]
use std::path::PathBuf;

#[cfg(feature = "cli")]
use super::lines::LineError;
#[cfg(feature = "cli")]
use crate::client;
#[cfg(feature = "cli")]
use crate::http::Address;

/// How much of a value is shown, in characters.
const VALUE_MAX_CHARS: usize = 100;

/// Why a command did not do what it was to do. Shown, it says what is wrong and what would
/// be right.
#[derive(Debug)]
pub enum Failure {
    /// It is called in a wrong way.
    Usage(Usage),
    /// The hub is away, or refuses.
    #[cfg(feature = "cli")]
    Hub(HubFailure),
    /// The hub refuses one of these lines of stdin, or is away.
    #[cfg(feature = "cli")]
    Lines {
        /// The number of the first.
        first: u64,
        /// That of the last.
        last: u64,
        /// Why.
        why: HubFailure,
    },
    /// This line of stdin is no event.
    #[cfg(feature = "cli")]
    Line {
        /// Its number.
        number: u64,
        /// Why.
        why: LineError,
    },
    /// The system refuses: the error says what.
    System(io::Error),
}

/// How a call is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// There is no such command.
    NoCommand {
        /// What was asked for.
        name: String,
        /// The nearest that there is.
        nearest: Option<&'static str>,
    },
    /// This build hasn't that command, or that part of the file.
    LeftOut {
        /// What.
        what: String,
        /// The feature that has it.
        feature: &'static str,
    },
    /// The command has no such flag.
    NoFlag {
        /// The flag, with its dashes.
        name: String,
        /// The nearest that it has.
        nearest: Option<&'static str>,
        /// A command that has this very flag.
        has_it: Option<&'static str>,
    },
    /// No flag has this twin, but one has nearly this.
    NoVariable {
        /// The variable.
        name: String,
        /// The nearest that there is.
        nearest: String,
    },
    /// A value is wrong.
    Value {
        /// Whose.
        place: ValuePlace,
        /// The value.
        value: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// The flag's value is missing, or empty, or so is the variable.
    NoValue(ValuePlace),
    /// The value isn't UTF-8.
    NotText(ValuePlace),
    /// Something in the configuration file, in words of its own: where, what is wrong, and
    /// what would be right.
    File(String),
    /// In words of its own: what is wrong, and what would be right.
    Wrong(&'static str),
    /// A word more than the command takes.
    Extra(String),
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValuePlace {
    /// Behind a flag.
    Flag(&'static str),
    /// In an environment variable.
    Variable(String),
    /// In the configuration file: its path, its line and its key.
    File(String),
    /// It is the word that the usage calls so.
    Word(&'static str),
}

/// What a hub did instead.
#[cfg(feature = "cli")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFailure {
    /// Where it was asked.
    pub hub: Address,
    /// The file with what it was shown.
    pub key: Option<PathBuf>,
    /// What came of it.
    pub error: client::ClientError,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(usage) => usage.fmt(f),
            #[cfg(feature = "cli")]
            Failure::Hub(failure) => failure.fmt(f),
            #[cfg(feature = "cli")]
            Failure::Lines { first, last, why } => {
                write!(f, "stdin, lines {first} to {last}: {why}")
            }
            #[cfg(feature = "cli")]
            Failure::Line { number, why } => write!(f, "stdin, line {number}: {why}"),
            Failure::System(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Usage::NoCommand { name, nearest } => {
                write!(f, "there is no command {name}")?;
                nearest.map_or(Ok(()), |nearest| write!(f, ": the nearest is {nearest}"))
            }
            Usage::LeftOut { what, feature } => write!(
                f,
                "{what} is left out of this build: build it with the feature {feature}"
            ),
            Usage::NoFlag {
                name,
                nearest,
                has_it,
            } => {
                write!(f, "there is no flag {name}")?;
                match (nearest, has_it) {
                    (_, Some(command)) => write!(f, " here: landfall {command} has it"),
                    (Some(nearest), None) => write!(f, ": the nearest is --{nearest}"),
                    (None, None) => Ok(()),
                }
            }
            Usage::NoVariable { name, nearest } => {
                write!(
                    f,
                    "no flag has the variable {name}: the nearest is {nearest}"
                )
            }
            Usage::Value { place, value, why } => {
                let sign = match place {
                    ValuePlace::Variable(_) => "=",
                    ValuePlace::File(_) => " = ",
                    ValuePlace::Flag(_) | ValuePlace::Word(_) => " ",
                };
                let (value, why) = (without_passwords(value), without_passwords(why));
                let shown: String = value.chars().take(VALUE_MAX_CHARS).collect();
                let rest = if shown.len() < value.len() { "..." } else { "" };
                write!(f, "{place}{sign}{shown}{rest}: {why}")
            }
            Usage::NoValue(place @ ValuePlace::Variable(_)) => {
                write!(f, "{place} is empty: give it a value, or unset it")
            }
            Usage::NoValue(place) => write!(f, "{place} has no value: give it one"),
            Usage::NotText(place) => write!(f, "{place}: the value isn't UTF-8: use text"),
            Usage::File(what) => f.write_str(&without_passwords(what)),
            Usage::Wrong(what) => f.write_str(what),
            Usage::Extra(word) => write!(f, "{word} is one word too many: leave it out"),
        }
    }
}

impl fmt::Display for ValuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValuePlace::Flag(name) => write!(f, "--{name}"),
            ValuePlace::Variable(name) | ValuePlace::File(name) => f.write_str(name),
            ValuePlace::Word(name) => f.write_str(name),
        }
    }
}

#[cfg(feature = "cli")]
impl fmt::Display for HubFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use client::ClientError::{Away, Malformed, Refused, TimedOut, Unsendable};
        let HubFailure { hub, key, error } = self;
        match (error, key) {
            (Away { .. } | TimedOut | Malformed(_), _) => {
                write!(f, "{error}: is landfall serve running? (--hub {hub})")
            }
            (Refused { status: 401, .. }, None) => write!(
                f,
                "the hub wants a key (status 401): give the file with its \
                 publishing key, or with a token, as --key FILE"
            ),
            (Refused { status: 401, .. }, Some(key)) => {
                write!(
                    f,
                    "{error}: give another than {} as --key FILE",
                    key.display()
                )
            }
            (Refused { status: 405, .. }, _) => write!(
                f,
                "{hub} is the hub's public listener, which doesn't take this (status 405): give \
                 the publishing one with --hub, as http://127.0.0.1:8081"
            ),
            (Refused { .. } | Unsendable(_), _) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Failure {
        Failure::Usage(usage)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::System(error)
    }
}

/// A text without the users and passwords of URLs in it: what a service fails to start with ends up
/// in its log.
fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (scheme, behind) = rest.split_at(at + 3);
        let end = behind.find(|c: char| c.is_whitespace() || c == '"');
        let url = &behind[..end.unwrap_or(behind.len())];
        shown.push_str(scheme);
        rest = behind;
        if let Some(host) = url.rfind('@') {
            shown.push_str("***");
            rest = &behind[host..];
        }
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown_of_a_value_that_is_wrong() {
        let wrong = |value: &str| {
            let usage = Usage::Value {
                place: ValuePlace::Word("URL"),
                value: value.to_owned(),
                why: format!("{value:?} is none"),
            };
            usage.to_string()
        };
        for (value, shown) in [
            ("redis://u:pass@h:bad/0", "redis://***@h:bad/0"),
            ("a://p@ss@h b://c d://e@f", "a://***@h b://c d://***@f"),
            ("mail@host", "mail@host"),
            ("http://h/a@b", "http://***@b"),
        ] {
            assert_eq!(wrong(value), format!("URL {shown}: {shown:?} is none"));
        }
        let long = format!("redis://:{}@h", "p".repeat(200));
        assert!(
            !wrong(&long).contains('p'.to_string().repeat(2).as_str()),
            "{}",
            wrong(&long)
        );
    }
}
