//! The command line: one file a command, and one table of flags for them all.

#[cfg(feature = "cli")]
mod bar;
mod call;
#[cfg(feature = "cli")]
mod cancel;
mod check;
#[cfg(feature = "cli")]
mod completions;
#[cfg(feature = "cli")]
mod delete;
mod error;
mod example;
mod file;
mod flags;
mod help;
#[cfg(feature = "cli")]
mod hub;
#[cfg(feature = "cli")]
mod lines;
#[cfg(feature = "cli")]
mod list;
mod logging;
mod manual;
mod output;
#[cfg(feature = "cli")]
mod publish;
#[cfg(feature = "cli")]
mod retry;
#[cfg(feature = "cli")]
mod run;
#[cfg(feature = "cli")]
mod screen;
mod serve;
mod settings;
#[cfg(feature = "cli")]
mod snapshot;
mod token;
#[cfg(feature = "cli")]
mod upload;
#[cfg(feature = "cli")]
mod watch;
#[cfg(feature = "cli")]
mod words;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::process::ExitCode;

use crate::sys::nearest::nearest;
use call::{Command, Wish};
use error::{Failure, Usage};

/// Every command there is.
#[cfg(feature = "cli")]
const COMMANDS: &[&Command] = &[
    &serve::COMMAND,
    &run::COMMAND,
    &watch::COMMAND,
    &publish::COMMAND,
    &list::COMMAND,
    &cancel::COMMAND,
    &delete::COMMAND,
    &retry::COMMAND,
    &upload::COMMAND,
    &token::COMMAND,
    &check::COMMAND,
    &completions::COMMAND,
];
#[cfg(not(feature = "cli"))]
const COMMANDS: &[&Command] = &[&serve::COMMAND, &token::COMMAND, &check::COMMAND];

/// Those that a build without the feature cli leaves out.
const OTHER_COMMANDS: [&str; 9] = [
    "run",
    "watch",
    "publish",
    "list",
    "cancel",
    "delete",
    "retry",
    "upload",
    "completions",
];

/// What is wrong with the flags in a configuration file that is called so.
#[cfg(feature = "internals")]
pub(crate) fn wrong_flags(name: &str, text: &str) -> Vec<String> {
    let (_, wrong) = file::ConfigFile::parse(name, text);
    wrong.iter().map(Usage::to_string).collect()
}

/// The whole program: reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    logging::start();
    let mut arguments: VecDeque<OsString> = std::env::args_os().skip(1).collect();
    let first = arguments.front().map(|first| first.to_string_lossy());
    let done = match first.as_deref() {
        Some("--help" | "-h" | "help") => {
            let asked = arguments.iter().skip(1).map(|word| word.to_string_lossy());
            tell_help(&asked.collect::<Vec<_>>()).map_err(|failure| (None, failure))
        }
        Some("--version" | "-V" | "version") => tell_version().map_err(|failure| (None, failure)),
        None => call(&serve::COMMAND, arguments),
        Some(flag) if flag.starts_with('-') => call(&serve::COMMAND, arguments),
        Some(name) => match find(name) {
            Ok(command) => {
                arguments.pop_front();
                call(command, arguments)
            }
            Err(usage) => Err((None, usage.into())),
        },
    };
    done.unwrap_or_else(|(command, failure)| {
        complain(command, &failure);
        match failure {
            // A wrong configuration is what check is to find.
            Failure::Usage(_) if !command.is_some_and(is_check) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    })
}

type Failed = (Option<&'static Command>, Failure);

fn find(name: &str) -> Result<&'static Command, Usage> {
    let found = COMMANDS.iter().find(|command| command.name == name);
    let names = COMMANDS.iter().map(|command| command.name);
    let name = name.to_owned();
    found.copied().ok_or_else(|| {
        if OTHER_COMMANDS.contains(&&*name) {
            let (what, feature) = (name, "cli");
            return Usage::LeftOut { what, feature };
        }
        let nearest = nearest(&name, &mut names.chain(["help", "version"]));
        Usage::NoCommand { name, nearest }
    })
}

fn call(command: &'static Command, arguments: VecDeque<OsString>) -> Result<ExitCode, Failed> {
    let variables: Vec<_> = std::env::vars_os().collect();
    let done = match call::read(command, arguments, &variables) {
        Ok(Wish::Work(call)) if !call.wrong.is_empty() && !is_check(command) => {
            let wrong = call.wrong.into_iter();
            wrong.for_each(|usage| complain(Some(command), &usage.into()));
            Ok(ExitCode::from(2))
        }
        Ok(Wish::Work(call)) => (command.main)(*call),
        Ok(Wish::Help) => output::print(&help::of(command, output::width())),
        Ok(Wish::Version) => tell_version(),
        Err(usage) => Err(usage.into()),
    };
    done.map_err(|failure| (Some(command), failure))
}

fn is_check(command: &Command) -> bool {
    command.name == check::COMMAND.name
}

fn tell_help(asked: &[Cow<'_, str>]) -> Result<ExitCode, Failure> {
    let as_page = asked.first().is_some_and(|word| word == "--man");
    let name = asked.get(usize::from(as_page));
    let name = name.filter(|name| !["help", "version"].contains(&&***name));
    let command = name.map(|name| find(name)).transpose()?;
    let width = output::width();
    output::print(&match command {
        Some(command) if as_page => manual::of(command),
        Some(command) => help::of(command, width),
        None if as_page => manual::overview(COMMANDS),
        None => help::overview(COMMANDS, width),
    })
}

fn tell_version() -> Result<ExitCode, Failure> {
    output::print(&format!("landfall {}\n", env!("CARGO_PKG_VERSION")))
}

/// Says what is wrong, and what would be right.
fn complain(command: Option<&Command>, failure: &Failure) {
    let name = command.map(|command| format!(" {}", command.name));
    let name = name.unwrap_or_default();
    output::say(&match failure {
        Failure::Usage(usage) => format!("landfall{name}: {usage}; see landfall{name} --help"),
        failure => format!("landfall{name}: {failure}"),
    });
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn what_one_build_leaves_out_is_what_the_other_has_more() {
        let kept = ["serve", "token", "check"];
        let names = COMMANDS.iter().map(|command| command.name);
        let more: Vec<_> = names.filter(|name| !kept.contains(name)).collect();
        assert_eq!(more, OTHER_COMMANDS);
    }
}
