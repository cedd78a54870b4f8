//! An upload as it lies on disk: `uploads/<id>/` with the bytes in `data` and what is
//! known of them in `info.json`.
//!
//! While it is received the directory is the [`spool`](crate::upload::spool)'s; from the moment
//! its info says `landed` it is the pipeline's. Its name is made here, of random bits, so
//! nothing that a client says is ever part of a path.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::access::places::{Occupant, Place};
use crate::event::job::{EventId, JobId, LifeId};
use crate::event::json::{Object, object, wrong};
use crate::hub::{Hub, Owner};
use crate::sequencer::PublishError;
use crate::sys::private::sync_directory;
use crate::sys::random;

/// The file with an upload's bytes, in its directory.
pub const DATA: &str = "data";
/// The file that says what they are.
const INFO: &str = "info.json";
/// What becomes [`INFO`] as soon as it is whole.
const INFO_PART: &str = "info.json.part";

/// An upload's name: 32 hexadecimal digits of random bits. Who knows it may go on with
/// the upload, so it can't be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId([u8; 16]);

/// What is known of an upload, as its `info.json` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The job that it is the beginning of.
    pub job: JobId,
    /// The life of the job that it began. None where a version wrote this that knew none.
    pub life: Option<LifeId>,
    /// The number that ended that life, where the next is about to be begun with the same
    /// file: whatever ends the process meanwhile, that next life finds it.
    pub retried_after: Option<EventId>,
    /// The file's name, as the client says: any text, and never part of a path.
    pub name: String,
    /// The media type that the client says it has.
    pub declared_type: Option<String>,
    /// The bytes that it has or will have, where that is known.
    pub size: Option<u64>,
    /// How far it has come.
    pub state: UploadState,
    /// The second of the unix clock at which it began.
    pub created: u64,
    /// Whom it is counted for, also after a restart.
    pub client: Occupant,
    /// Where it may go on after it was cut off: what tus needs to know of it.
    pub resumable: Option<Resumable>,
}

/// What an upload needs to go on after it was cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resumable {
    /// `Upload-Metadata`, as it was sent.
    pub metadata: String,
    /// Bytes of `data` from here on are a piece whose checksum hasn't been compared yet.
    pub unverified_from: Option<u64>,
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// Bytes are missing.
    Receiving,
    /// All bytes are on disk, and it is acknowledged or about to be.
    Landed,
}

/// An upload that is whole and on disk: the pipeline's, from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The job that goes on.
    pub job: JobId,
    /// The life of the job that it is of.
    pub life: LifeId,
    /// The upload, and the name of its directory.
    pub upload: UploadId,
    /// The file's name, as the client says: any text, and never part of a path.
    pub name: String,
    /// The media type that the client says it has.
    pub declared_type: Option<String>,
    /// Its bytes.
    pub size: u64,
    /// The file that holds them: `uploads/<id>/data`.
    pub path: PathBuf,
}

/// Takes uploads that have landed.
pub trait Landing: Send + Sync {
    /// How many stages there are to come, each as much of the whole as the upload.
    fn stages(&self) -> usize;

    /// Takes one, and its place among those that wait, which is given back when nothing more is
    /// to be done. Called from a plain thread, once for each upload in a server's life,
    /// and again after a restart as long as its directory is there. May block.
    fn land(&self, landed: Landed, place: Option<Place>);

    /// Has a life of a job begun, in the place of one whose upload may be kept: with the new
    /// life that upload goes. Called from a plain thread. May block.
    ///
    /// # Errors
    /// Those of `begin`; nothing goes then.
    fn take_over(
        &self,
        job: &JobId,
        begin: &dyn Fn() -> Result<LifeId, PublishError>,
    ) -> Result<LifeId, PublishError>;

    /// Removes an upload whose job's life is over, and all that was made of it. Called from
    /// a plain thread. May block.
    fn discard(&self, upload: UploadId);
}

impl Landed {
    /// Its directory.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

impl UploadId {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random bits to give.
    pub fn random() -> io::Result<UploadId> {
        random::secret().map(UploadId)
    }

    /// The same, given by the server of this name: the others tell it by that.
    pub fn marked(mut self, name: &str) -> UploadId {
        self.0[12..].copy_from_slice(&mark(name));
        self
    }

    /// Whether a server of this name may have given it.
    pub fn is_of(&self, name: &str) -> bool {
        self.0[12..] == mark(name)
    }

    /// A job that is called by it, as one is that nobody gave a name.
    pub fn as_job(&self) -> JobId {
        let name = format!("job_{self}");
        name.parse().expect("digits and letters are a name")
    }
}

/// What of an upload's name is the server's that gave it: the other 12 bytes are random.
fn mark(name: &str) -> [u8; 4] {
    let digest = Sha256::digest(name);
    [digest[0], digest[1], digest[2], digest[3]]
}

impl FromStr for UploadId {
    type Err = ();

    fn from_str(text: &str) -> Result<UploadId, ()> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(());
        }
        u128::from_str_radix(text, 16)
            .map(|bits| UploadId(bits.to_be_bytes()))
            .map_err(drop)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

impl Info {
    /// Reads an upload's info. Blocks.
    ///
    /// # Errors
    /// There is none, or it isn't whole.
    pub fn read(directory: &Path) -> io::Result<Info> {
        let mut json = Object::read(&std::fs::read(directory.join(INFO))?)?;
        let job = json.needed_text("job")?.parse();
        let number = |number: Option<u64>| number.map(EventId);
        Ok(Info {
            job: job.map_err(|_| wrong("job", "is no name"))?,
            life: number(json.number("life")?).map(LifeId),
            retried_after: number(json.number("retried_after")?),
            name: json.needed_text("name")?,
            declared_type: json.text("type")?,
            size: json.number("size")?,
            state: match &*json.needed_text("state")? {
                "receiving" => UploadState::Receiving,
                "landed" => UploadState::Landed,
                _ => return Err(wrong("state", "is none that is known")),
            },
            created: json.needed_number("created")?,
            client: match json.object("client")? {
                Some(client) => Occupant::of_json(client)?,
                None => Occupant::default(),
            },
            resumable: json
                .object("resumable")?
                .map(Resumable::of_json)
                .transpose()?,
        })
    }

    /// Reads an upload's info, if it has ever got there. Blocks.
    ///
    /// # Errors
    /// It has, and can't be read.
    pub(super) fn find(directory: &Path) -> io::Result<Option<Info>> {
        let never_came = |error: &io::Error| {
            let is_empty = || {
                let metadata = std::fs::metadata(directory.join(INFO));
                metadata.is_ok_and(|metadata| metadata.len() == 0)
            };
            // A loss of power leaves the name of what was never kept, and nothing in it.
            error.kind() == io::ErrorKind::NotFound || is_empty()
        };
        match Info::read(directory) {
            Ok(info) => Ok(Some(info)),
            Err(error) if never_came(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it, as a whole or not at all. Blocks; with `is_kept` until it would be there
    /// after a power cut as well.
    ///
    /// # Errors
    /// The disk is full, or fails. What was there stays.
    pub fn write(&self, directory: &Path, is_kept: bool) -> io::Result<()> {
        let part = directory.join(INFO_PART);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)?;
        file.write_all(self.to_json().to_string().as_bytes())?;
        if is_kept {
            file.sync_data()?;
        }
        std::fs::rename(&part, directory.join(INFO))?;
        if is_kept {
            sync_directory(directory)
        } else {
            Ok(())
        }
    }

    fn to_json(&self) -> Value {
        let state = match self.state {
            UploadState::Receiving => "receiving",
            UploadState::Landed => "landed",
        };
        object(&mut [
            ("job", self.job.as_str().into()),
            ("life", self.life.map(|life| life.0.0).into()),
            ("retried_after", self.retried_after.map(|id| id.0).into()),
            ("name", self.name.clone().into()),
            ("type", self.declared_type.clone().into()),
            ("size", self.size.into()),
            ("state", state.into()),
            ("created", self.created.into()),
            ("client", self.client.to_json()),
            (
                "resumable",
                self.resumable.as_ref().map(Resumable::to_json).into(),
            ),
        ])
    }

    /// The life of its job that it is of now. None where that is over, but for one that
    /// failed and may be tried again.
    pub fn life_in(&self, hub: &Hub) -> Option<LifeId> {
        let now = hub.life(&self.job).filter(|life| !life.is_deleted())?;
        let is_it = match (self.life, self.retried_after) {
            // There was one of each name, and no telling whose it was but that it runs.
            (None, _) => !now.is_over(),
            (Some(life), _) if life == now.id() => true,
            (Some(_), Some(end)) => {
                now.owner == Owner::Upload && !now.is_over() && now.previous_end == end
            }
            (Some(_), None) => false,
        };
        is_it.then(|| now.id())
    }

    /// The upload as the pipeline gets it. None where it hasn't landed.
    pub fn landed(&self, upload: UploadId, directory: &Path) -> Option<Landed> {
        match (self.state, self.size, self.life) {
            (UploadState::Landed, Some(size), Some(life)) => Some(Landed {
                job: self.job.clone(),
                life,
                upload,
                name: self.name.clone(),
                declared_type: self.declared_type.clone(),
                size,
                path: directory.join(DATA),
            }),
            _ => None,
        }
    }
}

impl Resumable {
    fn of_json(mut json: Object) -> io::Result<Resumable> {
        Ok(Resumable {
            metadata: json.needed_text("metadata")?,
            unverified_from: json.number("unverified_from")?,
        })
    }

    fn to_json(&self) -> Value {
        object(&mut [
            ("metadata", self.metadata.clone().into()),
            ("unverified_from", self.unverified_from.into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::network::Network;

    fn info() -> Info {
        Info {
            job: "job_8f3a".parse().unwrap(),
            life: Some(LifeId(EventId(7))),
            retried_after: None,
            name: "../clip \"1\"\n.mp4".to_owned(),
            declared_type: Some("video/mp4".to_owned()),
            size: Some(12),
            state: UploadState::Receiving,
            created: 1_764_000_000,
            client: Occupant {
                network: Some(Network::of([192, 0, 2, 7].into())),
                token: Some(u64::MAX),
            },
            resumable: None,
        }
    }

    #[test]
    fn an_id_is_32_digits_and_nothing_that_could_be_a_path() {
        let id = UploadId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, UploadId::random().unwrap());
        let long = "a".repeat(33);
        let sign = format!("+{}", "0".repeat(31));
        let upper = "A".repeat(32);
        for bad in [
            "",
            ".",
            "..",
            "a",
            &long,
            &sign,
            &upper,
            "../../../../../../../../etc/passwd",
        ] {
            assert_eq!(bad.parse::<UploadId>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn info_is_read_as_it_was_written_and_leaves_nothing_beside() {
        let directory = tempfile::tempdir().unwrap();
        let mut info = info();
        info.write(directory.path(), true).unwrap();
        assert_eq!(Info::read(directory.path()).unwrap(), info);
        info.state = UploadState::Landed;
        info.resumable = Some(Resumable {
            metadata: "filename YQ==".to_owned(),
            unverified_from: Some(7),
        });
        info.retried_after = Some(EventId(9));
        info.write(directory.path(), false).unwrap();
        assert_eq!(Info::read(directory.path()).unwrap(), info);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_what_is_whole_has_landed() {
        let mut info = info();
        let id = UploadId::random().unwrap();
        assert_eq!(info.landed(id, Path::new("/u")), None);
        info.state = UploadState::Landed;
        let landed = info.landed(id, Path::new("/u")).unwrap();
        assert_eq!((landed.path, landed.size), (PathBuf::from("/u/data"), 12));
    }

    #[test]
    fn a_broken_info_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Info::read(directory.path()).is_err());
        for text in [
            "",
            "{",
            "{}",
            r#"{"job":"a/b","name":"","state":"landed","created":1}"#,
        ] {
            std::fs::write(directory.path().join(INFO), text).unwrap();
            assert!(Info::read(directory.path()).is_err(), "{text}");
        }
    }
}
