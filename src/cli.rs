//! The command line: one command a file.

mod flags;
mod publish;
mod run;
mod watch;

use std::process::ExitCode;

const HELP: &str = "\
landfall carries the progress of jobs to browsers over Server-Sent Events.

Usage: landfall COMMAND [FLAGS]

Commands:
  run       runs a command and publishes its progress
  watch     follows jobs in the terminal
  publish   publishes events

`landfall COMMAND --help` tells more of each.
";

/// Runs the command that the process was asked for.
pub fn main() -> ExitCode {
    let log = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(log)
        .format_timestamp(None)
        .init();
    let mut args = lexopt::Parser::from_env();
    let result = match args.next() {
        Ok(Some(lexopt::Arg::Value(command))) => match command.to_str() {
            Some("run") => run::main(&mut args),
            Some("watch") => watch::main(&mut args),
            Some("publish") => publish::main(&mut args),
            _ => Err(format!("there is no command {command:?}; see landfall --help").into()),
        },
        Ok(Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h'))) => flags::help(HELP),
        Ok(Some(other)) => Err(other.unexpected().into()),
        Ok(None) => flags::help(HELP),
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("landfall: {error}");
        ExitCode::from(flags::USAGE_EXIT_CODE)
    })
}
