//! Uploads that have begun, so that a later call goes on with them.

use std::fs::{self, DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hmac_sha256::Hash;
use serde_json::json;

use crate::client::UploadPlace;
use crate::event::job::JobId;
use crate::event::json::Object;
use crate::http::Address;

/// How long an upload is remembered: no hub keeps an unfinished one as long as this.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is remembered of one upload, in a file of its own.
pub struct UploadMemory(Option<PathBuf>);

impl UploadMemory {
    /// The memory of a file's upload to a hub: another as soon as the file is changed. What
    /// is too old goes. Blocks for the disk.
    pub fn of(
        hub: &Address,
        file: &Path,
        metadata: &Metadata,
        job: Option<&JobId>,
    ) -> UploadMemory {
        let Some(folder) = folder() else {
            return UploadMemory(None);
        };
        forget_the_old(&folder);
        let mut hash = Hash::new();
        let (seconds, rest) = (metadata.mtime(), metadata.mtime_nsec());
        let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let job = job.map(JobId::as_str).unwrap_or_default();
        let what = format!("{hub}\n{job}\n{}\n{seconds}.{rest}\n", metadata.len());
        hash.update(what.as_bytes());
        hash.update(file.as_os_str().as_encoded_bytes());
        let digits: String = hash.finalize()[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        UploadMemory(Some(folder.join(digits)))
    }

    /// Where the upload goes on.
    pub fn recall(&self) -> Option<UploadPlace> {
        let text = fs::read(self.0.as_ref()?).ok()?;
        let mut place = Object::read(&text).ok()?;
        Some(UploadPlace {
            location: place.needed_text("location").ok()?,
            job: place.needed_text("job").ok()?,
        })
    }

    /// Remembers it. Where that can't be, a later call begins anew.
    pub fn keep(&self, place: &UploadPlace) {
        let Some(path) = &self.0 else { return };
        let remembered = json!({ "location": place.location, "job": place.job });
        // Who knows an upload's address may go on with it.
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700);
        let folder = folder.create(path.parent().unwrap_or(path));
        if let Err(error) = folder.and_then(|()| fs::write(path, remembered.to_string())) {
            warn!(
                "{}: {error}: the upload can't be gone on with later",
                path.display()
            );
        }
    }

    /// It has landed, or is gone.
    pub fn forget(&self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Where what commands remember is kept (XDG base directories). None where there is no home.
fn folder() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("landfall/uploads"))
}

fn forget_the_old(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let now = SystemTime::now();
    for entry in entries.flatten() {
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .map(|modified| now.duration_since(modified).unwrap_or_default());
        if age.is_ok_and(|age| age > KEPT_FOR) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
