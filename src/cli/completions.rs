//! `landfall completions`: what a shell completes after `landfall`, made from the tables of
//! commands and of flags.

mod bash;
mod fish;
mod zsh;

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage, ValuePlace};
use super::flags::{self, Flag};
use super::output;

/// The command.
pub const COMMAND: Command = Command {
    name: "completions",
    about: "prints the completions for a shell",
    usage: &["bash|zsh|fish"],
    text: &[
        "bash: landfall completions bash > /etc/bash_completion.d/landfall, or source \
         <(landfall completions bash) in ~/.bashrc. zsh: into a file _landfall in a directory \
         of $fpath. fish: into ~/.config/fish/completions/landfall.fish. The Debian package \
         installs them.",
    ],
    runs_another: false,
    main,
};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

fn main(call: Call) -> Result<ExitCode, Failure> {
    let shell = call.texts(1)?.first().copied();
    output::print(&match shell {
        Some("bash") => bash::script(),
        Some("zsh") => zsh::script(),
        Some("fish") => fish::script(),
        None => return Err(Usage::Wrong("no shell: name bash, zsh or fish").into()),
        Some(other) => {
            let usage = Usage::Value {
                place: ValuePlace::Word("SHELL"),
                value: other.to_owned(),
                why: "not a shell that is known: use bash, zsh or fish".to_owned(),
            };
            return Err(usage.into());
        }
    })
}

/// What the words of a command are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    Nothing,
    Files,
    /// A command and its arguments.
    Program,
    Shells,
}

fn words(command: &Command) -> Words {
    let says = |what: &str| command.usage.iter().any(|usage| usage.contains(what));
    match () {
        () if command.runs_another => Words::Program,
        () if command.name == COMMAND.name => Words::Shells,
        () if says("FILE") => Words::Files,
        () => Words::Nothing,
    }
}

/// What the value of a flag is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FlagValue {
    /// It takes none.
    Nothing,
    File,
    Folder,
    OneOf(&'static [&'static str]),
    /// Whatever it is, no shell can know it.
    Other,
}

fn value(flag: &Flag) -> FlagValue {
    match flag.value().trim_end_matches("...") {
        "" => FlagValue::Nothing,
        "FILE" => FlagValue::File,
        "DIR" => FlagValue::Folder,
        _ if !flag.choices.is_empty() => FlagValue::OneOf(flag.choices),
        _ => FlagValue::Other,
    }
}

/// Every flag, each name once: one that several commands have is the same kind of flag in them
/// all.
fn every_flag() -> impl Iterator<Item = &'static Flag> {
    let flags = || flags::GROUPS.iter().flat_map(|group| group.flags);
    let is_first = move |(index, flag): &(usize, &Flag)| {
        !flags().take(*index).any(|before| before.name == flag.name)
    };
    flags().enumerate().filter(is_first).map(|(_, flag)| flag)
}

/// What a flag does, in as few words as one reads in a list.
fn about(flag: &Flag) -> &'static str {
    let ends = [": ", "; ", ". ", " (", ", where"];
    let end = ends.iter().filter_map(|end| flag.help.find(end)).min();
    flag.help[..end.unwrap_or(flag.help.len())].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_one_name_take_the_same_kind_of_value() {
        for flag in every_flag() {
            let all = flags::GROUPS.iter().flat_map(|group| group.flags);
            for other in all.filter(|other| other.name == flag.name) {
                assert!(value(flag) == value(other), "--{}", flag.name);
            }
        }
    }

    #[test]
    fn what_is_offered_for_a_value_can_be_given() {
        use crate::cli::settings::Settings;
        for flag in every_flag() {
            for choice in flag.choices {
                // One that ends so wants more.
                let text = match choice.strip_suffix('=') {
                    Some(_) => format!("{choice}1s"),
                    None => (*choice).to_owned(),
                };
                let set = flag.set(
                    &mut Settings::default(),
                    &[&text],
                    ValuePlace::Flag(flag.name),
                );
                assert_eq!(set, Ok(()));
            }
        }
    }

    #[test]
    fn what_a_flag_does_is_told_in_a_line() {
        for flag in every_flag() {
            let about = about(flag);
            assert!((5..=140).contains(&about.len()), "--{}: {about}", flag.name);
        }
    }
}
