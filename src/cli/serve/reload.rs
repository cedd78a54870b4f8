//! What SIGHUP does: the file and the keys are read again, what can be taken is taken, and what
//! can't is told.

use super::COMMAND;
use crate::cli::call::{Call, GivenFlag};
use crate::cli::flags;
use crate::cli::logging;
use crate::server::Server;

/// Reads everything again that the server began with, and what is `now`. Returns what holds from
/// now on.
///
/// # Errors
/// All that is wrong. Nothing has changed then.
pub fn reload(server: &Server, first: &Call, now: &Call) -> Result<Call, Vec<String>> {
    let call = first.again(&COMMAND).map_err(|wrong| {
        let wrong = wrong.iter().map(ToString::to_string);
        wrong.collect::<Vec<_>>()
    })?;
    let config = super::config(&call).map_err(|usage| vec![usage.to_string()])?;
    server
        .reload(config)
        .map_err(|error| vec![error.to_string()])?;
    logging::set(&call.settings.log);
    let live = changed(now, &call, true);
    let what = match &live[..] {
        [] => String::new(),
        live => format!("; changed: {}", live.join(", ")),
    };
    info!("SIGHUP: the keys, the stages and the limits have been read again{what}");
    let mut asleep = changed(first, &call, false);
    if first.webhooks != call.webhooks {
        asleep.push("[[webhook]]");
    }
    if !asleep.is_empty() {
        warn!(
            "SIGHUP: these need a restart, and are what they were: {}",
            asleep.join(", ")
        );
    }
    Ok(call)
}

/// The flags of which something else is said, of those that a server that runs takes or of the
/// others.
fn changed(before: &Call, now: &Call, is_live: bool) -> Vec<&'static str> {
    let said = |call, name| Call::given(call, name).map(|GivenFlag { values, .. }| values);
    let flags = flags::of(COMMAND.name).map(|(_, flag)| flag);
    flags
        .filter(|flag| flag.is_live == is_live)
        .map(|flag| flag.name)
        .filter(|name| said(before, name) != said(now, name))
        .collect()
}
