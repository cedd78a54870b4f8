//! How far a job has come, kept beside its upload: `uploads/<id>/state.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::event::job::{EventId, LifeId};
use crate::event::json::{Object, object, path, wrong};
use crate::sys::durable;
use crate::upload::Landed;

/// How far a job has come.
#[derive(Clone, Debug)]
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
    pub failure: Option<JobFailure>,
    /// The data of `done`: all that is left to do is to tell it.
    pub done: Option<Value>,
}

/// What the stages have found.
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct JobFailure {
    /// In which stage.
    pub stage: String,
    /// Why, in words.
    pub message: String,
    /// When, in seconds of the unix clock.
    pub at: u64,
    /// Whether the file is one to be kept away from everyone.
    pub is_infected: bool,
    /// Whether another try may come to more.
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
            error!("{job}: how far it was can't be read, so it begins anew: {error}");
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
            Ok(bytes) => FileState::of_json(Object::read(&bytes)?).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is missing is as at the beginning: another version may have written it.
    fn of_json(mut json: Object) -> io::Result<FileState> {
        let life = json.number("life")?;
        let attempt = json.number("attempt")?.unwrap_or(1);
        Ok(FileState {
            attempt: attempt.try_into().unwrap_or(u32::MAX),
            life: life.map(|life| LifeId(EventId(life))),
            completed: texts(json.list("completed")?)?,
            running: json.text("running")?,
            current: json.text("current")?.unwrap_or_default().into(),
            facts: Facts::of_json(json.object("facts")?)?,
            failure: json
                .object("failure")?
                .map(JobFailure::of_json)
                .transpose()?,
            done: json.value("done")?,
        })
    }

    fn to_json(&self) -> io::Result<Value> {
        Ok(object(&mut [
            ("attempt", self.attempt.into()),
            ("life", self.life.map(|life| life.0.0).into()),
            ("completed", self.completed.clone().into()),
            ("running", self.running.clone().into()),
            ("current", path(&self.current)?),
            ("facts", self.facts.to_json()?),
            (
                "failure",
                self.failure.as_ref().map(JobFailure::to_json).into(),
            ),
            ("done", self.done.clone().into()),
        ]))
    }

    /// Keeps it, also beyond a power cut.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        durable::write(
            &folder.join("state.json"),
            self.to_json()?.to_string().as_bytes(),
        )
    }

    /// Keeps it beyond the end of the process.
    pub fn note(&self, folder: &Path) -> io::Result<()> {
        durable::write_unsynced(
            &folder.join("state.json"),
            self.to_json()?.to_string().as_bytes(),
        )
    }
}

impl Facts {
    fn of_json(json: Option<Object>) -> io::Result<Facts> {
        let Some(mut json) = json else {
            return Ok(Facts::default());
        };
        let notes = json.object("notes")?.map(Object::rest);
        let stages = json.list("stagesMs")?.into_iter();
        let stages = stages.map(|stage| Some((stage[0].as_str()?.to_owned(), stage[1].as_u64()?)));
        let stages: Option<_> = stages.collect();
        Ok(Facts {
            name: json.text("name")?.unwrap_or_default(),
            original_digest: json.text("originalDigest")?,
            content_type: json.text("contentType")?,
            notes: notes.unwrap_or_default(),
            queued_ms: json.number("queuedMs")?.unwrap_or_default(),
            stages_ms: stages.ok_or_else(|| wrong("stagesMs", "isn't as it has to be"))?,
            stored: json.object("stored")?.map(Stored::of_json).transpose()?,
        })
    }

    fn to_json(&self) -> io::Result<Value> {
        let stages = self.stages_ms.iter().map(|(name, ms)| json!([name, ms]));
        let stored = self.stored.as_ref().map(Stored::to_json).transpose()?;
        Ok(object(&mut [
            ("name", self.name.clone().into()),
            ("originalDigest", self.original_digest.clone().into()),
            ("contentType", self.content_type.clone().into()),
            ("notes", self.notes.clone().into()),
            ("queuedMs", self.queued_ms.into()),
            ("stagesMs", stages.collect()),
            ("stored", stored.into()),
        ]))
    }
}

impl Stored {
    fn of_json(mut json: Object) -> io::Result<Stored> {
        Ok(Stored {
            path: json.text("path")?.map(PathBuf::from),
            location: json.text("location")?,
            size: json.needed_number("size")?,
            digest: json.needed_text("digest")?,
        })
    }

    fn to_json(&self) -> io::Result<Value> {
        Ok(object(&mut [
            ("path", self.path.as_deref().map(path).transpose()?.into()),
            ("location", self.location.clone().into()),
            ("size", self.size.into()),
            ("digest", self.digest.clone().into()),
        ]))
    }
}

impl JobFailure {
    fn of_json(mut json: Object) -> io::Result<JobFailure> {
        Ok(JobFailure {
            stage: json.needed_text("stage")?,
            message: json.needed_text("message")?,
            at: json.needed_number("at")?,
            is_infected: json.flag("isInfected")?,
            retryable: json.flag("retryable")?,
        })
    }

    fn to_json(&self) -> Value {
        object(&mut [
            ("stage", self.stage.clone().into()),
            ("message", self.message.clone().into()),
            ("at", self.at.into()),
            ("isInfected", self.is_infected.into()),
            ("retryable", self.retryable.into()),
        ])
    }

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

fn texts(list: Vec<Value>) -> io::Result<Vec<String>> {
    let texts = list.into_iter().map(|value| match value {
        Value::String(text) => Ok(text),
        _ => Err(wrong("completed", "isn't a list of texts")),
    });
    texts.collect()
}

/// Now, in seconds of the unix clock.
pub fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
