//! `landfall check`: the configuration, read as the server would.

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage};
use super::{output, serve};
use crate::server::check;

/// The command.
pub const COMMAND: Command = Command {
    name: "check",
    about: "reads the configuration as serve would, and says what is wrong",
    usage: &["[FLAGS]"],
    text: &[
        "It takes every flag that serve takes, and reads the same variables and the same file. \
         It makes nothing: a server may run meanwhile.",
        "The exit code is 0 where all is well, else 1.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    let mut wrong: Vec<String> = call.wrong.iter().map(Usage::to_string).collect();
    for line in check::check(&serve::config(call)?) {
        // A file that can't be read is found so twice.
        if !wrong.contains(&line) {
            wrong.push(line);
        }
    }
    for line in &wrong {
        output::say(&format!("landfall check: {line}"));
    }
    match wrong.is_empty() {
        true => output::print("all is well\n"),
        false => Ok(ExitCode::FAILURE),
    }
}
