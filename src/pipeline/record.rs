//! What is known of a stored result: `files/jobs/<job>@<life>.json`. `done` and a download
//! both go by it.
//!
//! A record is of one life of a job, and its name says of which: another life's can't be
//! taken for it, nor be removed in its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::job::{EventId, JobId, LifeId};
use crate::event::json::{Object, object, path};
use crate::hub::Hub;
use crate::sys::durable;

/// Where records are, below the data directory.
const FOLDER: &str = "files/jobs";

/// A stored result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The upload that it was made of.
    pub upload: String,
    /// Where it is below the data directory, as `files/<aa>/<sha256>`; none where it isn't
    /// on this disk.
    pub path: Option<PathBuf>,
    /// Where else it is, as `s3://bucket/key`.
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

impl StoredRecord {
    /// The record of the result of a job's life; none where that has none. Blocks for the
    /// disk.
    ///
    /// # Errors
    /// The file can't be read, or holds something else.
    pub fn read(data: &Path, job: &JobId, life: LifeId) -> io::Result<Option<StoredRecord>> {
        match fs::read(StoredRecord::path_of(data, job, life)) {
            Ok(bytes) => StoredRecord::of_json(Object::read(&bytes)?).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of_json(mut json: Object) -> io::Result<StoredRecord> {
        Ok(StoredRecord {
            upload: json.needed_text("upload")?,
            path: json.text("path")?.map(PathBuf::from),
            location: json.text("location")?,
            name: json.needed_text("name")?,
            size: json.needed_number("size")?,
            digest: json.needed_text("digest")?,
            content_type: json.needed_text("contentType")?,
        })
    }

    /// Keeps it, in the place of the one before.
    pub(super) fn write(&self, data: &Path, job: &JobId, life: LifeId) -> io::Result<()> {
        let record = object(&mut [
            ("upload", self.upload.clone().into()),
            ("path", self.path.as_deref().map(path).transpose()?.into()),
            ("location", self.location.clone().into()),
            ("name", self.name.clone().into()),
            ("size", self.size.into()),
            ("digest", self.digest.clone().into()),
            ("contentType", self.content_type.clone().into()),
        ]);
        let file = StoredRecord::path_of(data, job, life);
        durable::create_folder(file.parent().unwrap_or(data))?;
        durable::write(&file, record.to_string().as_bytes())
    }

    /// Lets go of it, if it is there. What it told of stays where it is.
    pub(super) fn remove(data: &Path, job: &JobId, life: LifeId) {
        remove(&StoredRecord::path_of(data, job, life));
    }

    /// Lets go of the records of lives that aren't their jobs' any more.
    pub(super) fn sweep(data: &Path, hub: &Hub) {
        for (path, name) in records(data) {
            let lapsed = match whose(&name) {
                Some((job, life)) => !hub.is_current(&job, life),
                None => false,
            };
            if lapsed {
                remove(&path);
            }
        }
    }

    /// Takes over the records of a version that knew no lives, where the job is done with
    /// the very result; the others go.
    pub(super) fn carry_over(data: &Path, hub: &Hub) {
        for (path, name) in records(data) {
            let Ok(job) = name.parse::<JobId>() else {
                continue;
            };
            match life_of(&path, &job, hub) {
                Err(error) => error!("{job}: its record can't be read, and stays: {error}"),
                Ok(Some(life)) => {
                    if let Err(error) = fs::rename(&path, StoredRecord::path_of(data, &job, life)) {
                        error!("{job}: its record can't be carried over: {error}");
                    }
                }
                Ok(None) => remove(&path),
            }
        }
    }

    fn path_of(data: &Path, job: &JobId, LifeId(began): LifeId) -> PathBuf {
        // A job's name can't hold a slash, and with its ending it is no `..`.
        data.join(FOLDER).join(format!("{job}@{began}.json"))
    }
}

/// Every record there is: where it is, and its name without the ending.
fn records(data: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = fs::read_dir(data.join(FOLDER)).into_iter().flatten();
    entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path
            .file_name()?
            .to_str()?
            .strip_suffix(".json")?
            .to_owned();
        Some((path, name))
    })
}

/// The job and the life that a record is of.
fn whose(name: &str) -> Option<(JobId, LifeId)> {
    let (job, began) = name.split_once('@')?;
    Some((job.parse().ok()?, LifeId(EventId(began.parse().ok()?))))
}

/// The life that an old record is of: the job's, where `done` told the same digest.
fn life_of(path: &Path, job: &JobId, hub: &Hub) -> io::Result<Option<LifeId>> {
    let record = StoredRecord::of_json(Object::read(&fs::read(path)?)?)?;
    let is_it = |event: &str, data: &str| {
        let data: serde_json::Value = serde_json::from_slice(data.as_bytes()).unwrap_or_default();
        event == "done" && data["digest"] == *record.digest
    };
    let snapshot = hub.snapshot(job).filter(|snapshot| {
        let last = snapshot.last_event.as_ref();
        last.is_some_and(|(event, data)| is_it(event.as_str(), data))
    });
    Ok(snapshot.map(|snapshot| LifeId(snapshot.began)))
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            error!("{}: can't be removed: {error}", path.display());
        }
        _ => {}
    }
}
