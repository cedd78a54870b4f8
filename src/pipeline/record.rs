//! What is known of a stored result: `files/jobs/<job>.json`. `done` and a download both
//! go by it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable;
use crate::event::job::JobId;

/// A stored result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The upload that it was made of.
    pub upload: String,
    /// Where it is below the data directory, as `files/<aa>/<sha256>`; none where it isn't
    /// on this disk.
    pub path: Option<PathBuf>,
    /// Where else it is, as `s3://bucket/key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Its name: any text, and never a path.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Its content type, by its bytes.
    pub content_type: String,
}

impl Record {
    /// The record of a job's result; none where the job has none. Blocks for the disk.
    ///
    /// # Errors
    /// The file can't be read, or holds something else.
    pub fn read(data: &Path, job: &JobId) -> io::Result<Option<Record>> {
        match fs::read(Record::path_of(data, job)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps it, in the place of the one before.
    pub(super) fn write(&self, data: &Path, job: &JobId) -> io::Result<()> {
        let path = Record::path_of(data, job);
        durable::create_folder(path.parent().unwrap_or(data))?;
        durable::write(&path, &serde_json::to_vec(self)?)
    }

    /// Lets go of it. What it told of stays where it is. False where there is none.
    pub(super) fn remove(data: &Path, job: &JobId) -> io::Result<bool> {
        match fs::remove_file(Record::path_of(data, job)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn path_of(data: &Path, job: &JobId) -> PathBuf {
        // A job's name can't hold a slash, and with its ending it is no `..`.
        data.join("files/jobs").join(format!("{job}.json"))
    }
}
