//! How far a job has come, kept beside its upload: `uploads/<id>/state.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::job::LifeId;
use crate::sys::durable;
use crate::upload::Landed;

/// How far a job has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileState {
    /// Counts from 1.
    pub attempt: u32,
    /// The life of the job that the attempt is. None where a version wrote this that knew
    /// none.
    pub life: Option<LifeId>,
    /// The stages that this attempt has behind it.
    pub completed: Vec<String>,
    /// The stage that it is in.
    pub running: Option<String>,
    /// What the next stage works on.
    pub current: PathBuf,
    /// What the stages have found.
    pub facts: Facts,
    /// How it failed.
    pub failure: Option<Failed>,
    /// The data of `done`: all that is left to do is to tell it.
    pub done: Option<Value>,
}

/// What the stages have found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// The result's name.
    pub name: String,
    /// The upload's SHA-256, in hex.
    pub original_digest: Option<String>,
    /// The type of what the next stage works on, by its bytes.
    pub content_type: Option<String>,
    /// What was worth telling: the members of `done` beside those that it always has.
    pub notes: Map<String, Value>,
    /// How long was waited for stages, in milliseconds.
    pub queued_ms: u64,
    /// How long each stage took, in milliseconds.
    pub stages_ms: Vec<(String, u64)>,
    /// What was stored.
    pub stored: Option<Stored>,
}

/// Where a result is, and what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Where it is below the data directory.
    pub path: Option<PathBuf>,
    /// Where it is elsewhere.
    pub location: Option<String>,
    /// Its size, in bytes.
    pub size: u64,
    /// Its SHA-256, in hex.
    pub digest: String,
}

/// How a job failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// In which stage.
    pub stage: String,
    /// Why, in words.
    pub message: String,
    /// When, in seconds of the unix clock.
    pub at: u64,
    /// Whether the file is one to be kept away from everyone.
    pub is_infected: bool,
    /// Whether another try may come to more.
    #[serde(default)]
    pub retryable: bool,
}

impl Default for FileState {
    fn default() -> FileState {
        FileState {
            attempt: 1,
            life: None,
            completed: Vec::new(),
            running: None,
            current: PathBuf::new(),
            facts: Facts::default(),
            failure: None,
            done: None,
        }
    }
}

impl FileState {
    /// The first or another attempt, at its beginning.
    pub fn new(attempt: u32, landed: &Landed) -> FileState {
        FileState {
            attempt,
            life: Some(landed.life),
            current: landed.path.clone(),
            facts: Facts {
                name: landed.name.clone(),
                ..Facts::default()
            },
            ..FileState::default()
        }
    }

    /// How far a landed upload is: as it was kept, or at the beginning of an attempt.
    pub fn of(landed: &Landed) -> FileState {
        let job = &landed.job;
        let known = FileState::read(landed.folder()).unwrap_or_else(|error| {
            log::error!("{job}: how far it was can't be read, so it begins anew: {error}");
            None
        });
        let state = match known {
            Some(state) if state.life.is_none_or(|of| of == landed.life) => state,
            // Tried again: it is the next attempt, of which nothing was kept yet.
            Some(state) => FileState::new(state.attempt.saturating_add(1), landed),
            None => FileState::new(1, landed),
        };
        FileState {
            life: Some(landed.life),
            ..state
        }
    }

    /// What is kept in the upload's folder; none where nothing is. Blocks for the disk.
    ///
    /// # Errors
    /// The file can't be read, or holds something else.
    pub fn read(folder: &Path) -> io::Result<Option<FileState>> {
        match fs::read(folder.join("state.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps it, also beyond a power cut.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        durable::write(&folder.join("state.json"), &serde_json::to_vec(self)?)
    }

    /// Keeps it beyond the end of the process.
    pub fn note(&self, folder: &Path) -> io::Result<()> {
        durable::write_unsynced(&folder.join("state.json"), &serde_json::to_vec(self)?)
    }
}

impl Failed {
    /// The data of `error`, of a file of this name.
    pub fn data(&self, attempt: u32, name: &str) -> Map<String, Value> {
        let mut data = Map::new();
        for (key, value) in [
            ("name", Value::from(name)),
            ("message", self.message.as_str().into()),
            ("stage", self.stage.as_str().into()),
            ("attempt", attempt.into()),
            ("retryable", self.retryable.into()),
        ] {
            data.insert(key.to_owned(), value);
        }
        data
    }
}

/// Now, in seconds of the unix clock.
pub fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
