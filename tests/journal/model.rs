//! The journal on a disk that loses its power at every boundary, is cut at every byte,
//! and fails.
//!
//! The invariants, after a loss of power at any moment, whatever the disk made of what
//! wasn't synced:
//!
//! 1. With `always`, every event that was acknowledged is there, as it was; with an
//!    interval, every terminal one and all that was acknowledged before a sync that
//!    returned.
//! 2. What is there was published, with this id and this content.
//! 3. No id is given twice, whether it was acknowledged or only seen.
//! 4. A job whose deletion was on the medium stays deleted.
//! 5. A second start finds what the first one found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use landfall::event::ring::RingLimits;
use landfall::hub::HubConfig;
use landfall::hub::Mailbox;
use landfall::sequencer::journal::{Health, JournalConfig, Request, Sync, What};
use landfall::{Event, Hub, JobId, Journal, PublishError};

use super::disk::{Disk, Fault, Operation, after_power_loss};

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

fn open(disk: &Disk, sync: Sync, bytes: u64) -> Hub {
    let hub = Hub::with_base(
        HubConfig {
            ring: RingLimits {
                events: 10_000,
                bytes: 10_000_000,
            },
            ..HubConfig::default()
        },
        0,
    );
    let config = JournalConfig {
        sync,
        bytes,
        ..JournalConfig::default()
    };
    Journal::open_in(Arc::new(disk.clone()), config, &hub).unwrap();
    hub
}

fn close(hub: &Hub) {
    hub.journal().unwrap().close();
}

/// What a life did, in its order.
#[derive(Clone, Debug)]
enum Deed {
    /// An event is on its way: if it gets an id, it is this one.
    Submitted(usize, u64, String),
    /// It was acknowledged.
    Acknowledged(usize, u64, String, bool),
    /// The job's deletion was acknowledged.
    Deleted(usize, u64),
}

fn job(number: usize) -> JobId {
    format!("job{number}").parse().unwrap()
}

/// What there is of a job: ids and data.
fn events(hub: &Hub, number: usize) -> Vec<(u64, String)> {
    let Some(job) = hub.find(&job(number)) else {
        return Vec::new();
    };
    let (reply, replies) = crossbeam_channel::bounded(1);
    let upto = job.lock().newest_id();
    let (mut after, mut cursor, mut found) = (0, None, Vec::new());
    while after < upto {
        hub.journal().unwrap().read(Request {
            row: 0,
            ticket: 0,
            what: What::Job {
                job: job.clone(),
                after,
                upto,
            },
            cursor,
            reply: reply.clone(),
            mailbox: Arc::new(Mailbox::new(|| {})),
        });
        let replay = replies.recv().unwrap();
        let text = std::str::from_utf8(&replay.batch.bytes).unwrap();
        found.extend(text.split_terminator("\n\n").map(|frame| {
            let id = frame.rsplit_once("id: ").unwrap().1.parse().unwrap();
            let data = frame.lines().nth(1).unwrap().strip_prefix("data: ");
            (id, data.unwrap().to_owned())
        }));
        assert!(replay.reached > after);
        after = replay.reached;
        cursor = replay.cursor_after(after);
    }
    found
}

const JOBS: usize = 3;

/// A life of some events, deletions and ends, with every deed marked in the disk's log.
fn live(disk: &Disk, sync: Sync, bytes: u64, deeds: usize, random: &mut Random) -> Vec<Deed> {
    let hub = open(disk, sync, bytes);
    let mut done: Vec<Deed> = Vec::new();
    let mut last = [0_u64; JOBS];
    let mut ended = [false; JOBS];
    let mut note = |deed: Deed| {
        disk.mark(done.len());
        done.push(deed);
        done.clone()
    };
    let mut all = Vec::new();
    for n in 0..deeds {
        let number = random.below(JOBS as u64) as usize;
        if ended[number] || random.below(20) == 0 {
            if hub.delete(&job(number)).unwrap() {
                all = note(Deed::Deleted(number, last[number]));
            }
            ended[number] = false;
            continue;
        }
        let is_end = random.below(12) == 0;
        let padding = "x".repeat(random.below(60) as usize);
        let data = format!("{{\"n\":{n},\"p\":\"{padding}\"}}");
        let seen = format!("{{\"jobId\":\"job{number}\",{}", &data[1..]);
        note(Deed::Submitted(number, last[number] + 1, seen.clone()));
        let name = if is_end { "done" } else { "progress" };
        let id = hub
            .publish(&job(number), Event::new(name, &data).unwrap())
            .unwrap();
        last[number] = id.0;
        ended[number] = is_end;
        all = note(Deed::Acknowledged(number, id.0, seen, is_end));
    }
    close(&hub);
    all
}

/// Loses the power after every operation of a life, and holds the invariants against
/// what a start finds then.
fn lose_power_everywhere(sync: Sync, bytes: u64, deeds: usize, seed: u64, keeps_all: bool) {
    let mut random = Random(seed);
    let disk = Disk::with(1, &BTreeMap::new());
    let done = live(&disk, sync, bytes, deeds, &mut random);
    let log = disk.log();
    for end in 0..=log.len() {
        let log = &log[..end];
        let left = after_power_loss(log, |limit| random.below(limit));
        let disk = Disk::with(2, &left);
        let hub = open(&disk, sync, bytes);
        let found: Vec<_> = (0..JOBS).map(|number| events(&hub, number)).collect();
        check(log, &done, sync, &found, &hub, keeps_all);
        close(&hub);
        let again = open(&disk, sync, bytes);
        if keeps_all {
            let second: Vec<_> = (0..JOBS).map(|number| events(&again, number)).collect();
            assert_eq!(second, found, "the second start after {end}");
        }
        // No id was given before.
        let given = given(log, &done, sync);
        for (number, given) in given.iter().enumerate() {
            if again.snapshot(&job(number)).is_some() {
                again.delete(&job(number)).unwrap();
            }
            let id = again.publish(&job(number), Event::done()).unwrap();
            assert!(
                id.0 > *given,
                "id {id} of job{number} came twice, after {end}: {:?}, {found:?}",
                &log[end.saturating_sub(8)..]
            );
        }
        close(&again);
    }
}

/// The marks of a log.
fn marks(log: &[Operation]) -> impl Iterator<Item = usize> {
    log.iter().filter_map(|operation| match operation {
        Operation::Mark(mark) => Some(*mark),
        _ => None,
    })
}

/// The first write of an event with this data, which no other has, and its file.
fn write_of(log: &[Operation], data: &str) -> Option<(usize, usize)> {
    let n = data
        .split_once("\"n\":")
        .unwrap()
        .1
        .split_once(',')
        .unwrap()
        .0;
    let n = format!("{{\"n\":{n},").into_bytes();
    let holds = |bytes: &[u8]| bytes.windows(n.len()).any(|part| part == n);
    log.iter().enumerate().find_map(|(at, o)| match o {
        Operation::Write(file, _, bytes) if holds(bytes) => Some((at, *file)),
        _ => None,
    })
}

fn is_synced(log: &[Operation], data: &str) -> bool {
    write_of(log, data).is_some_and(|(at, written)| {
        let syncs = |o: &Operation| matches!(o, Operation::Sync(file) if *file == written);
        log[at..].iter().any(syncs)
    })
}

/// The highest id of each job that somebody may have seen.
fn given(log: &[Operation], done: &[Deed], sync: Sync) -> [u64; JOBS] {
    let mut given = [0; JOBS];
    for mark in marks(log) {
        let (number, id) = match &done[mark] {
            Deed::Acknowledged(number, id, ..) | Deed::Deleted(number, id) => (*number, *id),
            Deed::Submitted(number, id, data) => {
                let may_be_seen = match sync {
                    Sync::Always => is_synced(log, data),
                    Sync::Interval(_) => write_of(log, data).is_some(),
                };
                if !may_be_seen {
                    continue;
                }
                (*number, *id)
            }
        };
        given[number] = given[number].max(id);
    }
    given
}

fn check(
    log: &[Operation],
    done: &[Deed],
    sync: Sync,
    found: &[Vec<(u64, String)>],
    hub: &Hub,
    keeps_all: bool,
) {
    let end = log.len();

    let mut published: Vec<BTreeMap<u64, &String>> = vec![BTreeMap::new(); JOBS];
    let mut promised: Vec<BTreeMap<u64, &String>> = vec![BTreeMap::new(); JOBS];
    let mut is_deleted = [false; JOBS];
    for mark in marks(log) {
        match &done[mark] {
            Deed::Submitted(number, id, data) => {
                published[*number].insert(*id, data);
                is_deleted[*number] = false;
            }
            Deed::Acknowledged(number, id, data, is_end) => {
                if sync == Sync::Always || *is_end || is_synced(log, data) {
                    promised[*number].insert(*id, data);
                }
            }
            Deed::Deleted(number, _) => {
                promised[*number].clear();
                if sync == Sync::Always {
                    published[*number].clear();
                    is_deleted[*number] = true;
                }
            }
        }
    }
    for number in 0..JOBS {
        for (id, data) in &found[number] {
            assert_eq!(
                published[number].get(id).copied(),
                Some(data),
                "job{number} has {id} after {end}"
            );
        }
        if is_deleted[number] {
            let there = hub.snapshot(&job(number));
            assert!(there.is_none(), "job{number} is back after {end}");
        }
        if keeps_all {
            for (id, data) in &promised[number] {
                let there = found[number].iter().find(|(other, _)| other == id);
                // A deletion that wasn't acknowledged may have been carried out.
                let may_be_gone = found[number].is_empty() && is_being_deleted(log, done, number);
                assert!(
                    there.is_some_and(|(_, other)| other == *data) || may_be_gone,
                    "job{number} misses {id} after {end}: {:?}",
                    found[number]
                );
            }
        }
    }
}

/// Whether the job's next deed that isn't in the log is its deletion.
fn is_being_deleted(log: &[Operation], done: &[Deed], number: usize) -> bool {
    let next = marks(log).last().map_or(0, |mark| mark + 1);
    matches!(done.get(next), Some(Deed::Deleted(other, _)) if *other == number)
}

#[test]
fn a_loss_of_power_at_any_boundary_breaks_no_promise_of_always() {
    for seed in [1, 2] {
        lose_power_everywhere(Sync::Always, 64 << 10, 50, 0x9e37_79b9 * seed, true);
    }
}

#[test]
fn a_loss_of_power_at_any_boundary_breaks_no_promise_of_an_interval() {
    for seed in [4, 5] {
        let sync = Sync::Interval(Duration::from_millis(1));
        lose_power_everywhere(sync, 64 << 10, 50, 0x9e37_79b9 * seed, true);
    }
}

#[test]
fn a_loss_of_power_amid_compaction_brings_no_job_and_no_id_back() {
    for (seed, sync) in [
        (7, Sync::Always),
        (8, Sync::Interval(Duration::from_millis(1))),
    ] {
        lose_power_everywhere(sync, 12 << 10, 70, 0x9e37_79b9 * seed, false);
    }
}

#[test]
fn a_journal_that_is_cut_at_any_byte_opens_and_has_all_before_the_cut() {
    let disk = Disk::with(1, &BTreeMap::new());
    let hub = open(&disk, Sync::Always, 1 << 20);
    for n in 1..=12 {
        for number in 0..2 {
            let event = Event::new("progress", &format!("{{\"n\":{n}}}")).unwrap();
            hub.publish(&job(number), event).unwrap();
        }
    }
    // A crash: no close.
    let content = disk.content();
    let (name, bytes) = content.iter().next().unwrap();
    let all = [events(&hub, 0), events(&hub, 1)];
    let mut seen = 0;
    for end in 0..=bytes.len() {
        let cut = BTreeMap::from([(name.clone(), bytes[..end].to_vec())]);
        let disk = Disk::with(1, &cut);
        let hub = open(&disk, Sync::Always, 1 << 20);
        let found = [events(&hub, 0), events(&hub, 1)];
        let count = found[0].len() + found[1].len();
        assert!(count >= seen, "at {end}");
        seen = count;
        for number in 0..2 {
            let kept = found[number].len();
            assert_eq!(found[number], all[number][..kept], "at {end}");
            // What is cut off may have been an event that somebody has seen.
            let id = hub.publish(&job(number), Event::done()).unwrap();
            assert!(id.0 > kept as u64, "at {end}");
            if count == 24 || end == 0 {
                assert_eq!(id.0, kept as u64 + 1);
            }
        }
        close(&hub);
    }
    assert_eq!(seen, 24);
    close(&hub);
}

#[test]
fn a_damaged_byte_anywhere_costs_what_it_stands_in_and_never_makes_up_an_event() {
    let disk = Disk::with(1, &BTreeMap::new());
    let hub = open(&disk, Sync::Always, 1 << 20);
    for n in 1..=8 {
        let event = Event::new("progress", &format!("{{\"n\":{n}}}")).unwrap();
        hub.publish(&job(0), event).unwrap();
    }
    let content = disk.content();
    let (name, bytes) = content.iter().next().unwrap();
    let all = events(&hub, 0);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let disk = Disk::with(1, &BTreeMap::from([(name.clone(), damaged)]));
        let hub = open(&disk, Sync::Always, 1 << 20);
        let found = events(&hub, 0);
        assert!(found.iter().all(|event| all.contains(event)), "at {at}");
        let id = hub.publish(&job(0), Event::done()).unwrap();
        assert!(id.0 > 8, "{id} came twice, at {at}");
        close(&hub);
    }
    close(&hub);
}

#[test]
fn what_cannot_be_written_changes_nothing_and_publishing_goes_on_when_it_can() {
    for sync in [Sync::Always, Sync::Interval(Duration::from_millis(1))] {
        for fault in [Fault::Full, Fault::Write, Fault::Sync, Fault::ReadOnly] {
            let disk = Disk::with(1, &BTreeMap::new());
            let hub = open(&disk, sync, 1 << 20);
            let publish = |number| hub.publish(&job(number), Event::progress("x", 1.0));
            assert_eq!(publish(0).unwrap().0, 1);
            disk.fail(Some(fault));
            let expected = match fault {
                Fault::Full => PublishError::DiskFull,
                _ => PublishError::DiskFailing,
            };
            // Where nobody waits for the medium, its failure is found a little later.
            let refused = (0..1000).find_map(|_| {
                std::thread::sleep(Duration::from_millis(2));
                publish(0).err()
            });
            assert_eq!(refused, Some(expected), "{sync:?} {fault:?}");
            assert_ne!(hub.journal().unwrap().health(), Health::Good);
            assert_eq!(publish(1), Err(expected));
            assert!(hub.snapshot(&job(1)).is_none());
            let before = events(&hub, 0);
            disk.fail(None);
            let next = (0..1000).find_map(|_| {
                std::thread::sleep(Duration::from_millis(5));
                publish(0).ok()
            });
            assert_eq!(next.unwrap().0, before.len() as u64 + 1);
            assert_eq!(hub.journal().unwrap().health(), Health::Good);
            let after = events(&hub, 0);
            assert_eq!(after[..before.len()], before);
            close(&hub);
            let hub = open(&disk, sync, 1 << 20);
            assert_eq!(events(&hub, 0), after, "{sync:?} {fault:?}");
            close(&hub);
        }
    }
}

#[test]
fn a_disk_that_is_full_at_the_start_is_served_from() {
    let disk = Disk::with(1, &BTreeMap::new());
    let hub = open(&disk, Sync::Always, 1 << 20);
    hub.publish(&job(0), Event::progress("x", 1.0)).unwrap();
    close(&hub);
    for fault in [Fault::Full, Fault::ReadOnly] {
        disk.fail(Some(fault));
        let hub = open(&disk, Sync::Always, 1 << 20);
        assert_eq!(events(&hub, 0).len(), 1);
        assert!(hub.publish(&job(0), Event::done()).is_err());
        close(&hub);
    }
    disk.fail(None);
    let hub = open(&disk, Sync::Always, 1 << 20);
    assert_eq!(
        hub.publish(&job(0), Event::progress("x", 1.0)).unwrap().0,
        2
    );
    close(&hub);
}

#[test]
fn ids_lost_with_the_power_are_unknown_and_not_given_again() {
    let disk = Disk::with(1, &BTreeMap::new());
    let sync = Sync::Interval(Duration::from_secs(3600));
    let hub = open(&disk, sync, 1 << 20);
    let publish = |hub: &Hub| hub.publish(&job(0), Event::progress("x", 1.0)).unwrap().0;
    (1..=3).for_each(|id| assert_eq!(publish(&hub), id));
    let nothing_unsynced = after_power_loss(&disk.log(), |_| 0);
    close(&hub);
    let hub = open(&Disk::with(2, &nothing_unsynced), sync, 1 << 20);
    assert!(hub.snapshot(&job(0)).is_none());
    let next = publish(&hub);
    assert!(next > 3, "{next}");
    close(&hub);
}
