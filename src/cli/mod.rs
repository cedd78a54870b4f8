//! The command line: one file a command.

mod flags;
mod publish;
mod run;
mod serve;
mod token;
mod watch;

use std::process::ExitCode;

const HELP: &str = "\
Landfall streams the progress of jobs to browsers over Server-Sent Events.

Usage:
  landfall [serve] [FLAGS]                         run the server
  landfall run [FLAGS] -- CMD...                   run a command and publish its progress
  landfall watch [FLAGS] JOB...                    follow jobs in the terminal
  landfall publish [FLAGS] JOB EVENT [JSON]        publish one event, or NDJSON from stdin
  landfall token [FLAGS]                           mint a token

`landfall COMMAND --help` lists a command's flags.
";

/// The whole program: reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    // may_minihttp logs an error for every connection that its client closes.
    let filter =
        env_logger::Env::default().default_filter_or("warn,landfall=info,may_minihttp=off");
    env_logger::Builder::from_env(filter).init();
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let command = arguments
        .first()
        .and_then(|first| first.to_str())
        .unwrap_or_default();
    let command = match command {
        "" => "serve".to_owned(),
        "--help" | "-h" | "help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        "--version" | "-V" => {
            println!("landfall {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        flag if flag.starts_with('-') => "serve".to_owned(),
        _ => arguments.remove(0).to_string_lossy().into_owned(),
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    let done = match command.as_str() {
        "serve" => serve::main(parser),
        "token" => token::main(parser),
        "run" => run::main(&mut parser).map_err(|error| error.to_string()),
        "watch" => watch::main(&mut parser).map_err(|error| error.to_string()),
        "publish" => publish::main(&mut parser).map_err(|error| error.to_string()),
        other => Err(format!(
            "there is no command {other:?}: see landfall --help"
        )),
    };
    done.unwrap_or_else(|message| {
        eprintln!("landfall: {message}");
        ExitCode::from(2)
    })
}
