//! `landfall check`: the configuration, read as the server would.

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage, ValuePlace};
use super::{example, output, serve};
use crate::server::check;
use crate::sys::order::sort_by_key;

/// The command.
pub const COMMAND: Command = Command {
    name: "check",
    about: "checks the configuration without starting a server",
    usage: &["[FLAGS]"],
    text: &[
        "It takes every flag that serve takes, and reads the same variables and the same file. \
         It prints everything that is wrong with them, with the lines of the file, and \
         everything that would keep a server from starting: a key file that can't be read, a \
         directory that can't be written to, a stage's program that isn't there, a port that is \
         taken (unless by the server with the same --data). It makes nothing.",
        "The exit code is 0 if all is well, else 1.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    if call.settings.example {
        call.texts(0)?;
        return output::print(&example::file());
    }
    let mut wrong: Vec<String> = call.wrong.iter().map(Usage::to_string).collect();
    for fault in check::check(&serve::config(&call)?) {
        let place = fault.flag.and_then(|flag| Some(&call.given(flag)?.place));
        let line = match place {
            Some(place @ ValuePlace::File(_)) => format!("{place}: {}", fault.what),
            _ => fault.what,
        };
        // What is wrong in the file has been found already.
        if !wrong.contains(&line) {
            wrong.push(line);
        }
    }
    // In the file's order, and then what no line of it says.
    sort_by_key(&mut wrong, |line| line_in(&call, line));
    for line in &wrong {
        output::say(&format!("landfall check: {line}"));
    }
    if wrong.is_empty() {
        output::print("all is well\n")
    } else {
        Ok(ExitCode::FAILURE)
    }
}

/// The line of the configuration file that a complaint begins with, or more than there are.
fn line_in(call: &Call, complaint: &str) -> u32 {
    let number = || {
        let file = call.settings.file.as_ref()?.to_str()?;
        let rest = complaint.strip_prefix(file)?.strip_prefix(':')?;
        rest.split(':').next()?.parse().ok()
    };
    number().unwrap_or(u32::MAX)
}
