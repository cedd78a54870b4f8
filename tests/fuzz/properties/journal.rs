//! A journal's segment: whatever stands in it, a hub is restored from it, events go on
//! above it, and a second start finds the same.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall::internals::hub::Hub;
use landfall::internals::routes::snapshot_json;
use landfall::internals::sequencer::journal::{File, Files, Journal};
use landfall::{
    Event, EventId, HubConfig, JournalConfig, PublishError, Refusal, Sequencer, Snapshot,
};
use serde_json::value::RawValue;

/// The segment's name, and the number that its checksums begin with.
const NAME: &str = "0000000001.journal";
const NUMBER: u32 = 1;

/// The input is payloads of records: a byte of length, and so many bytes; they get the
/// head that makes them records. A length of 255 is followed by a byte of length, and so
/// many bytes as they are.
pub fn check(input: &[u8]) {
    for (magic, kind) in [
        ("LANDFJ1\n", "the old format"),
        ("LANDFJ2\n", "the new one"),
    ] {
        let files = Memory::default();
        files.put(NAME, segment(magic, input));
        let written = files.contents();
        let Ok(jobs) = open(&files) else {
            // Another version wrote it, and finds it as it was.
            assert_eq!(files.contents(), written, "{kind}");
            continue;
        };
        restores(&files, jobs);
    }
}

fn restores(files: &Memory, jobs: Sequencer) {
    let before = jobs.snapshots();
    for snapshot in &before {
        is_fit_for_a_frame(snapshot);
    }
    for snapshot in &before {
        let published = jobs.publish(&snapshot.job, Event::progress("again", 1.0).unwrap());
        match published {
            Ok(id) => assert!(snapshot.last_event_id.is_none_or(|last| id > last)),
            Err(PublishError::Refused(Refusal::Ended(state))) => assert_eq!(state, snapshot.state),
            // There is no number left.
            Err(PublishError::DiskFailing) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let job = "~new".parse().unwrap();
    match jobs.publish(&job, Event::progress("new", 1.0).unwrap()) {
        Ok(_) | Err(PublishError::DiskFailing) => {}
        Err(PublishError::Refused(Refusal::Ended(_) | Refusal::Deleted)) => {}
        Err(error) => panic!("{error}"),
    }
    let before = jobs.snapshots();
    jobs.close();
    let jobs = open(files).expect("what it wrote itself");
    assert_eq!(tell(&jobs.snapshots()), tell(&before));
    jobs.close();
}

fn open(files: &Memory) -> io::Result<Sequencer> {
    let hub = Hub::new(HubConfig::default(), EventId(0));
    // What is too old goes when its time comes, which is any time here.
    let config = JournalConfig::with(|config| {
        config.age = Duration::from_secs(1 << 40);
    });
    let journal = Journal::open_in(Arc::new(files.clone()), config, &hub)?;
    Ok(landfall::internals::sequencer(hub, Arc::new(journal)))
}

/// What is the same after a restart.
fn tell(snapshots: &[Snapshot]) -> Vec<String> {
    let text = |snapshot: &Snapshot| {
        let Snapshot {
            job,
            state,
            last_event_id,
            last_event,
            created_at,
            ..
        } = snapshot;
        format!("{job} {state:?} {last_event_id:?} {last_event:?} {created_at:?}")
    };
    snapshots.iter().map(text).collect()
}

fn is_fit_for_a_frame(snapshot: &Snapshot) {
    let json = snapshot_json(snapshot);
    if let Some((name, data)) = &snapshot.last_event {
        assert!(!data.contains(['\r', '\n']) && !name.contains(['\r', '\n']));
        if serde_json::from_str::<&RawValue>(data).is_err() {
            return;
        }
    }
    let raw: Result<&RawValue, _> = serde_json::from_str(&json);
    raw.unwrap_or_else(|error| panic!("{error}: {json}"));
}

fn segment(magic: &str, mut input: &[u8]) -> Vec<u8> {
    let mut bytes = magic.as_bytes().to_vec();
    while let Some((&first, mut rest)) = input.split_first() {
        let is_raw = first == 255;
        let length = match rest.split_first() {
            Some((&length, after)) if is_raw => {
                rest = after;
                length
            }
            _ => first,
        };
        let (payload, after) = rest.split_at_checked(length.into()).unwrap_or((rest, &[]));
        input = after;
        if is_raw {
            bytes.extend_from_slice(payload);
            continue;
        }
        let length = (payload.len() as u32).to_le_bytes();
        let seed = crc32c::crc32c(&NUMBER.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c_append(seed, &length), payload);
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// Files in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Content>>>);

type Content = Arc<Mutex<Vec<u8>>>;

struct Opened(Content);

impl Memory {
    fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.0.lock().unwrap();
        let content =
            |(name, content): (&String, &Content)| (name.clone(), content.lock().unwrap().clone());
        files.iter().map(content).collect()
    }

    fn put(&self, name: &str, content: Vec<u8>) {
        let content = Arc::new(Mutex::new(content));
        self.0.lock().unwrap().insert(name.to_owned(), content);
    }
}

impl Files for Memory {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = self.0.lock().unwrap();
        let size = |content: &Content| content.lock().unwrap().len() as u64;
        Ok(files
            .iter()
            .map(|(name, content)| (name.clone(), size(content)))
            .collect())
    }

    fn open(&self, name: &str, new: bool) -> io::Result<Arc<dyn File>> {
        if new {
            self.put(name, Vec::new());
        }
        let files = self.0.lock().unwrap();
        let content = files.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(Arc::new(Opened(content.clone())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let content = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files
            .remove(name)
            .map(drop)
            .ok_or(ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

impl File for Opened {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.0.lock().unwrap();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let content = self.0.lock().unwrap();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().truncate(bytes as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
