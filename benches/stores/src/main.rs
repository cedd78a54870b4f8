//! The journal, redb and fjall at the journal's work: bytes written for an event, events
//! a second with a sync for each batch and without, and a start with a million events.
//!
//! `cargo run --release [EVENTS]` in this folder.

use std::path::Path;
use std::time::{Duration, Instant};

use landfall::JournalConfig;
use landfall::config::SyncPolicy;
use landfall::{Event, HubConfig, JobId, Saying, Sequencer};

/// Events that are published together.
const BATCH: usize = 64;
const JOBS: usize = 1000;
const DATA: &str = r#"{"stage":"transcoding","percent":42.5,"overall":61.2,"eta":"00:01:12"}"#;

trait Store {
    fn name(&self) -> &'static str;
    /// Writes `batches` batches, each synced or none; returns how long it took.
    fn write(&self, path: &Path, batches: usize, synced: bool) -> Duration;
    /// Opens what is there and reads all of it; returns how many events there were.
    fn start(&self, path: &Path) -> usize;
}

fn main() {
    let events: usize = std::env::args()
        .nth(1)
        .map_or(1_000_000, |events| events.parse().expect("how many events"));
    println!(
        "| store | bytes written per event | events a second, interval | events a second, always | start with {events} events |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let stores: [&dyn Store; 3] = [&Own, &Redb, &Fjall];
    for store in stores {
        let synced = tempfile::tempdir_in(".").unwrap();
        let batches = 500;
        let always = store.write(synced.path(), batches, true);
        let plain = tempfile::tempdir_in(".").unwrap();
        let before = written();
        let interval = store.write(plain.path(), events / BATCH, false);
        let bytes = written() - before;
        let began = Instant::now();
        let found = store.start(plain.path());
        let start = began.elapsed();
        assert_eq!(found, events / BATCH * BATCH, "{}", store.name());
        let rate = |batches: usize, time: Duration| (batches * BATCH) as f64 / time.as_secs_f64();
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.2} s |",
            store.name(),
            bytes as f64 / found as f64,
            rate(events / BATCH, interval),
            rate(batches, always),
            start.as_secs_f64(),
        );
    }
}

/// What this process has given the kernel to write, in bytes.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with("wchar:")).unwrap();
    line[6..].trim().parse().unwrap()
}

struct Own;

impl Own {
    fn open(path: &Path, sync: SyncPolicy) -> Sequencer {
        let hub = HubConfig::with(|config| {
config.memory_bytes = 64 << 20;
});
        let config = JournalConfig::with(|config| {
config.sync = sync;
config.bytes = 4 << 30;
});
        Sequencer::with_journal(path, config, hub).unwrap()
    }
}

impl Store for Own {
    fn name(&self) -> &'static str {
        "own segments"
    }

    fn write(&self, path: &Path, batches: usize, synced: bool) -> Duration {
        let sync = match synced {
            true => SyncPolicy::Always,
            false => SyncPolicy::Interval(Duration::from_millis(200)),
        };
        let own = Own::open(path, sync);
        let jobs: Vec<JobId> = (0..JOBS)
            .map(|n| format!("job_{n:04}").parse().unwrap())
            .collect();
        let began = Instant::now();
        for batch in 0..batches {
            let events = (0..BATCH).map(|n| {
                let job = jobs[(batch * BATCH + n) % JOBS].clone();
                Saying::of(job, Event::new("progress", DATA).unwrap())
            });
            let (_, error) = own.say_all(events.collect());
            assert_eq!(error, None);
        }
        let took = began.elapsed();
        own.close();
        took
    }

    fn start(&self, path: &Path) -> usize {
        let own = Own::open(path, SyncPolicy::Always);
        // There were events alone, and each has a number.
        let events = landfall::internals::hub(&own).published().0 as usize;
        std::thread::spawn(move || own.close());
        events
    }
}

/// What a store would be given: the number as the key, and the event's parts.
fn entry(n: usize) -> ([u8; 8], Vec<u8>) {
    let mut value = format!("job_{:04}\0progress\0", n % JOBS).into_bytes();
    value.extend_from_slice(&(n as u64 / JOBS as u64).to_le_bytes());
    value.extend_from_slice(&1_800_000_000_000_u64.to_le_bytes());
    value.extend_from_slice(DATA.as_bytes());
    ((n as u64).to_be_bytes(), value)
}

struct Redb;

const TABLE: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("events");

impl Store for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn write(&self, path: &Path, batches: usize, synced: bool) -> Duration {
        let database = redb::Database::create(path.join("redb")).unwrap();
        let began = Instant::now();
        let mut synced_at = Instant::now();
        for batch in 0..batches {
            let mut transaction = database.begin_write().unwrap();
            // As often as the journal syncs.
            let is_due = synced || synced_at.elapsed() > Duration::from_millis(200);
            if is_due {
                synced_at = Instant::now();
            }
            transaction.set_durability(match is_due {
                true => redb::Durability::Immediate,
                false => redb::Durability::None,
            });
            {
                let mut table = transaction.open_table(TABLE).unwrap();
                for n in 0..BATCH {
                    let (key, value) = entry(batch * BATCH + n);
                    table.insert(&key[..], &value[..]).unwrap();
                }
            }
            transaction.commit().unwrap();
        }
        let took = began.elapsed();
        let mut last = database.begin_write().unwrap();
        last.set_durability(redb::Durability::Immediate);
        last.commit().unwrap();
        took
    }

    fn start(&self, path: &Path) -> usize {
        use redb::ReadableTable;
        let database = redb::Database::open(path.join("redb")).unwrap();
        let transaction = database.begin_read().unwrap();
        let table = transaction.open_table(TABLE).unwrap();
        let entries = table.iter().unwrap();
        entries
            .filter(|entry| !entry.as_ref().unwrap().1.value().is_empty())
            .count()
    }
}

struct Fjall;

impl Store for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn write(&self, path: &Path, batches: usize, synced: bool) -> Duration {
        let keyspace = fjall::Config::new(path.join("fjall")).open().unwrap();
        let events = keyspace
            .open_partition("events", fjall::PartitionCreateOptions::default())
            .unwrap();
        let began = Instant::now();
        let mut synced_at = Instant::now();
        for batch in 0..batches {
            let mut write = keyspace.batch();
            for n in 0..BATCH {
                let (key, value) = entry(batch * BATCH + n);
                write.insert(&events, key, value);
            }
            write.commit().unwrap();
            let is_due = synced || synced_at.elapsed() > Duration::from_millis(200);
            if is_due {
                synced_at = Instant::now();
            }
            keyspace
                .persist(match is_due {
                    true => fjall::PersistMode::SyncData,
                    false => fjall::PersistMode::Buffer,
                })
                .unwrap();
        }
        let took = began.elapsed();
        keyspace.persist(fjall::PersistMode::SyncAll).unwrap();
        took
    }

    fn start(&self, path: &Path) -> usize {
        let keyspace = fjall::Config::new(path.join("fjall")).open().unwrap();
        let events = keyspace
            .open_partition("events", fjall::PartitionCreateOptions::default())
            .unwrap();
        events
            .iter()
            .filter(|entry| !entry.as_ref().unwrap().1.is_empty())
            .count()
    }
}
