//! `landfall serve`: the server.

mod life;
mod reload;
mod scheduling;

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage, ValuePlace};
use crate::http::Address;
use crate::server::ServerConfig;

/// The command.
pub const COMMAND: Command = Command {
    name: "serve",
    about: "runs the server",
    usage: &["[FLAGS]"],
    text: &[
        "Once it listens everywhere, it prints a line for each listener, such as public \
         http://127.0.0.1:41234, and then ready. It logs to stderr.",
        "SIGTERM and SIGINT stop it. SIGHUP makes it read its file and keys again. SIGUSR2 \
         starts another server in its place. SIGUSR1 does nothing.",
    ],
    runs_another: false,
    main,
};

/// Runs the server until SIGTERM or SIGINT.
fn main(call: Call) -> Result<ExitCode, Failure> {
    life::run(&call)?;
    Ok(ExitCode::SUCCESS)
}

/// The server that a call asks for.
///
/// # Errors
/// It has words, which nobody asked for.
pub fn config(call: &Call) -> Result<ServerConfig, Usage> {
    call.texts(0)?;
    let mut config = call.settings.server.clone();
    for (flag, address) in [("listen", &config.listen), ("publish", &config.publish)] {
        if *address == Address::Off {
            return Err(Usage::Value {
                place: ValuePlace::Flag(flag),
                value: address.to_string(),
                why: "only --ops can be off: give IP:PORT or unix:PATH".to_owned(),
            });
        }
    }
    #[cfg(feature = "uploads")]
    config.pipeline.file.clone_from(&call.settings.file);
    if call.settings.memory_only {
        config.data = None;
    }
    Ok(config)
}
