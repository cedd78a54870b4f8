//! What the commands' flags have in common.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use lexopt::{Parser, ValueExt};

/// How a command ends: with an exit code, or with what was wrong in how it was called.
pub type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Where the commands look for a hub's publishing listener.
pub const DEFAULT_HUB: &str = "http://127.0.0.1:8081";

/// The environment's value for a flag: `--hub-wait` has the twin `LANDFALL_HUB_WAIT`.
/// An empty one counts as none.
pub fn from_env<T>(flag: &str) -> Result<Option<T>, Box<dyn Error>>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let name = format!("LANDFALL_{}", flag.to_uppercase().replace('-', "_"));
    let Some(text) = std::env::var_os(&name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text
        .into_string()
        .map_err(|_| format!("{name} is not UTF-8"))?;
    text.parse()
        .map(Some)
        .map_err(|error| format!("{name}: {error}").into())
}

/// The value that follows a flag.
pub fn value<T>(flag: &str, args: &mut Parser) -> Result<T, Box<dyn Error>>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text = args.value()?.string()?;
    text.parse()
        .map_err(|error| format!("--{flag}: {error}").into())
}

/// What the hub is shown: the publishing key or the token in a file, if one is named. A
/// file, since arguments are for all of a host to see.
pub fn credential(path: Option<PathBuf>) -> Result<Option<String>, Box<dyn Error>> {
    let Some(path) = path else { return Ok(None) };
    let named = |why: String| format!("--key {}: {why}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
    let text = text.trim();
    // Anything else would break the header field that it is shown in.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(named("it is no key and no token, in one line".to_owned()).into());
    }
    Ok(Some(text.to_owned()))
}

/// Prints a help text, to a reader who may have had enough of it.
pub fn help(text: &str) -> Outcome {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
