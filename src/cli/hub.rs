//! The hub that a command talks to, which jobs it means there, and how it runs one's command.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use super::error::{Failure, HubFailure, Usage, ValuePlace};
use super::output;
use crate::client::{self, Client};
use crate::event::Malformed;
use crate::event::job::{JobId, JobState};
use crate::http::{Address, BasePath};
use crate::progress::{Format, Pattern, STAGE_MAX_BYTES};

/// The hub that a command talks to.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// Where it listens.
    pub address: Address,
    /// A file with what it is shown.
    pub key: Option<PathBuf>,
    /// The path below which it serves everything.
    pub base_path: BasePath,
}

/// Which jobs are meant.
#[derive(Clone, Debug, Default)]
pub struct SelectionSettings {
    /// What their names begin with.
    pub prefix: Option<Prefix>,
    /// Their state.
    pub state: Option<JobState>,
    /// They are told as JSON.
    pub json: bool,
    /// Every one.
    pub all: bool,
}

/// How a command is run.
#[derive(Debug)]
pub struct RunSettings {
    /// The job's name.
    pub job: Option<JobId>,
    /// Whether the job begins anew.
    pub begin: bool,
    /// How long the job may be without a word of this run.
    pub lease: Duration,
    /// The stage until the command names one.
    pub stage: Option<StageName>,
    /// How the command's output is understood.
    pub format: Format,
    /// What is read of it instead.
    pub pattern: Option<Pattern>,
    /// Whether the command gets a terminal.
    pub pty: bool,
    /// How long the end is tried to be published.
    pub hub_wait: Duration,
}

impl Default for HubSettings {
    fn default() -> HubSettings {
        HubSettings {
            address: Address::from(SocketAddr::from(([127, 0, 0, 1], 8081))),
            key: None,
            base_path: BasePath::default(),
        }
    }
}

impl Default for RunSettings {
    fn default() -> RunSettings {
        RunSettings {
            job: None,
            begin: false,
            lease: Duration::from_secs(60),
            stage: None,
            format: Format::Auto,
            pattern: None,
            pty: false,
            hub_wait: Duration::from_secs(10),
        }
    }
}

impl HubSettings {
    /// A client that shows the hub what is in the key's file: its publishing key, or a
    /// token. A file, since arguments are for all of a host to see. Blocks.
    ///
    /// # Errors
    /// The file can't be read, or holds neither.
    pub fn client(&self) -> Result<Client, Usage> {
        let shown = self.key.as_ref().map(read_key).transpose()?;
        Ok(Client::new(self.address.clone())
            .with_token(shown)
            .with_base(self.base_path.clone()))
    }

    /// Does something with each of these jobs. What can't be done is said, and the others are
    /// gone on with, unless the hub is away.
    ///
    /// # Errors
    /// It is.
    pub fn each(
        &self,
        command: &str,
        jobs: &[JobId],
        act: &mut dyn FnMut(&JobId) -> Result<(), client::ClientError>,
    ) -> Result<ExitCode, Failure> {
        let mut code = ExitCode::SUCCESS;
        for job in jobs {
            match act(job) {
                Ok(()) => {}
                Err(error @ client::ClientError::Refused { status, .. }) if status != 401 => {
                    let failure = self.failure(error);
                    output::say(&format!("landfall {command}: {job}: {failure}"));
                    code = ExitCode::FAILURE;
                }
                Err(error) => return Err(Failure::Hub(self.failure(error))),
            }
        }
        Ok(code)
    }

    /// What the hub did instead, to be told to the user.
    pub fn failure(&self, error: client::ClientError) -> HubFailure {
        HubFailure {
            hub: self.address.clone(),
            key: self.key.clone(),
            error,
        }
    }
}

fn read_key(path: &PathBuf) -> Result<String, Usage> {
    let wrong = |why: String| Usage::Value {
        place: ValuePlace::Flag("key"),
        value: path.display().to_string(),
        why,
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    // Some editors begin a text with a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim();
    // Anything else would break the header field that it is shown in.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "not a key and not a token: use a file with one of them, in one line";
        return Err(wrong(why.to_owned()));
    }
    Ok(text.to_owned())
}

/// A stage's name, as a worker may give it.
#[derive(Clone, Debug)]
pub struct StageName(pub String);

impl FromStr for StageName {
    type Err = String;

    fn from_str(text: &str) -> Result<StageName, String> {
        if text.is_empty() || text.len() > STAGE_MAX_BYTES {
            return Err(format!("not a stage: use 1 to {STAGE_MAX_BYTES} bytes"));
        }
        Ok(StageName(text.to_owned()))
    }
}

/// How the names of jobs begin. A star behind it says the same.
#[derive(Clone, Debug)]
pub struct Prefix(String);

impl FromStr for Prefix {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Prefix, Malformed> {
        let prefix = text.strip_suffix('*').unwrap_or(text);
        if !prefix.is_empty() {
            prefix.parse::<JobId>()?;
        }
        Ok(Prefix(prefix.to_owned()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
