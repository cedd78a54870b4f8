//! Where a webhook stands, kept in a file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::backlog::{HookBacklog, Undelivered};
use crate::event::job::EventId;
use crate::event::json::{Object, object, wrong};
use crate::sys::clock::now_ms;
use crate::sys::durable;
use crate::sys::random;

const VERSION: u64 = 1;

/// A webhook's file.
pub struct HookFile(PathBuf);

/// Where a webhook stands.
pub struct HookStanding {
    /// What the ids of its requests begin with: no other webhook's do.
    pub mark: String,
    /// Everything up to this number is delivered, given up, or in the backlog.
    pub position: EventId,
    /// What isn't delivered.
    pub backlog: HookBacklog,
}

impl HookFile {
    /// The file of the webhook that is called so. Blocks for the disk.
    ///
    /// # Errors
    /// Its folder can't be made.
    pub fn of(data: &Path, name: &str) -> io::Result<HookFile> {
        let folder = data.join("webhooks");
        durable::create_folder(&folder)?;
        Ok(HookFile(folder.join(format!("{name}.json"))))
    }

    /// What it says. None where it isn't there. Blocks for the disk.
    ///
    /// # Errors
    /// It can't be read, or says something else.
    pub fn read(&self) -> io::Result<Option<HookStanding>> {
        let named = |error: String| {
            let path = self.0.display();
            let right = "remove it to begin with the next event";
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{path}: {error}: {right}"),
            )
        };
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(error.to_string())),
        };
        let read = Object::read(&bytes).and_then(HookStanding::of_json);
        read.map(Some).map_err(|error| named(error.to_string()))
    }

    /// Writes it, whole or not at all. Blocks for the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn write(&self, standing: &HookStanding) -> io::Result<()> {
        let (now, now_ms) = (Instant::now(), now_ms());
        let waiting = standing.backlog.iter().map(|(id, event)| {
            let wait = event.due.saturating_duration_since(now);
            object(&mut [
                ("id", id.0.into()),
                ("job", event.job.as_str().into()),
                ("name", (*event.name).into()),
                ("tries", event.tries.into()),
                ("time_ms", event.time_ms.into()),
                ("since_ms", event.since_ms.into()),
                ("next_ms", (now_ms + wait.as_millis() as u64).into()),
                ("unheard", event.is_unheard.into()),
            ])
        });
        let written = object(&mut [
            ("version", VERSION.into()),
            ("mark", standing.mark.as_str().into()),
            ("position", standing.position.0.into()),
            ("waiting", waiting.collect()),
        ]);
        durable::write(&self.0, written.to_string().as_bytes())
    }
}

impl HookStanding {
    fn of_json(mut json: Object) -> io::Result<HookStanding> {
        let version = json.needed_number("version")?;
        if version != VERSION {
            return Err(wrong("version", &format!("is {version}, not {VERSION}")));
        }
        let (now, now_ms) = (Instant::now(), now_ms());
        let mut backlog = HookBacklog::default();
        for mut it in json.objects("waiting")? {
            let job = it.needed_text("job")?.parse();
            let next_ms = it.needed_number("next_ms")?;
            let event = Undelivered {
                job: job.map_err(|_| wrong("job", "is no name of one"))?,
                name: it.needed_text("name")?.into(),
                tries: it.needed_number("tries")?.try_into().unwrap_or(u32::MAX),
                time_ms: it.needed_number("time_ms")?,
                since_ms: it.needed_number("since_ms")?,
                due: now + Duration::from_millis(next_ms.saturating_sub(now_ms)),
                is_busy: false,
                is_unheard: it.flag("unheard")?,
                is_void: false,
                place: None,
            };
            backlog.add(EventId(it.needed_number("id")?), event);
        }
        Ok(HookStanding {
            mark: json.needed_text("mark")?,
            position: EventId(json.needed_number("position")?),
            backlog,
        })
    }

    /// One that begins after this number.
    ///
    /// # Errors
    /// The system has no random bits.
    pub fn beginning_after(position: EventId) -> io::Result<HookStanding> {
        let bits = u128::from_be_bytes(random::secret()?);
        Ok(HookStanding {
            mark: format!("{bits:032x}"),
            position,
            backlog: HookBacklog::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_and_one_that_says_something_else_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = HookFile::of(folder.path(), "[::1]:9000").unwrap();
        assert!(file.read().unwrap().is_none());
        let mut standing = HookStanding::beginning_after(EventId(9)).unwrap();
        let event = Undelivered {
            job: "a".parse().unwrap(),
            name: "done".into(),
            tries: 3,
            time_ms: 5,
            since_ms: 6,
            due: Instant::now() + Duration::from_secs(60),
            is_busy: true,
            is_unheard: true,
            is_void: false,
            place: None,
        };
        standing.backlog.add(EventId(7), event);
        file.write(&standing).unwrap();
        let back = file.read().unwrap().unwrap();
        assert_eq!((back.mark, back.position), (standing.mark, EventId(9)));
        let (id, event) = back.backlog.iter().next().unwrap();
        assert_eq!(
            (id, event.tries, event.time_ms, event.since_ms),
            (EventId(7), 3, 5, 6)
        );
        assert!(!event.is_busy && event.is_unheard);
        let wait = event.due.saturating_duration_since(Instant::now());
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(61));

        for text in [
            "",
            "{}",
            r#"{"version":2,"mark":"","position":1,"waiting":[]}"#,
        ] {
            std::fs::write(&file.0, text).unwrap();
            let error = file.read().err().unwrap().to_string();
            assert!(
                error.contains("9000.json") && error.contains("remove it"),
                "{error}"
            );
        }
    }
}
