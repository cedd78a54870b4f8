//! The journal on a disk that loses its power at every boundary, is cut at every byte,
//! and fails.
//!
//! The invariants, after a loss of power at any moment, whatever the disk made of what
//! wasn't synced:
//!
//! 1. With `always`, every event that was acknowledged is there, as it was; with an
//!    interval, every terminal one and all that was acknowledged before a sync that
//!    returned.
//! 2. What is there was published, with this number and this content, and not deleted.
//! 3. No number is given twice, whether it was acknowledged or only seen.
//! 4. A deletion and a beginning that were acknowledged hold.
//! 5. A second start finds what the first one found.

use std::collections::BTreeMap;
use std::time::Duration;

use landfall::Refusal;
use landfall::config::SyncPolicy;
use landfall::{After, Event, EventId, Owner, PublishError, Sequencer};

use super::disk::{Disk, Fault, Operation, after_power_loss};
use super::http::wait_until;
use super::library::{Health, events, job, open, ring};

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

/// What a life did, in its order. An entry that is on its way has at least the number that
/// stands with it, if it gets one.
#[derive(Clone, Debug)]
enum Deed {
    /// An event is on its way.
    Submitted(usize, u64, String),
    /// It was acknowledged.
    Acknowledged(usize, u64, String, bool),
    /// The job is about to be deleted.
    Deleting(usize),
    /// That was acknowledged.
    Deleted(usize, u64),
    /// A life is about to begin; one that is running is to end with that.
    Beginning(usize, bool),
    /// That was acknowledged.
    Began(usize, u64),
}

const JOBS: usize = 3;

/// A life of some events, beginnings, deletions and ends, with every deed marked in the
/// disk's log.
fn live(disk: &Disk, sync: SyncPolicy, bytes: u64, deeds: usize, random: &mut Random) -> Vec<Deed> {
    let jobs = open(disk, sync, bytes);
    let mut done: Vec<Deed> = Vec::new();
    let mut last = 0;
    let mut is_over = [false; JOBS];
    let mut note = |deed: Deed| {
        disk.mark(done.len());
        done.push(deed);
    };
    for n in 0..deeds {
        let number = random.below(JOBS as u64) as usize;
        let name = job(number);
        let is_there = jobs.snapshot(&name).is_some();
        if is_there && random.below(12) == 0 {
            note(Deed::Deleting(number));
            last = jobs.delete(&name, None).unwrap().0;
            note(Deed::Deleted(number, last));
            is_over[number] = true;
            continue;
        }
        if is_over[number] || random.below(20) == 0 {
            note(Deed::Beginning(number, !is_over[number]));
            let began = jobs.begin(&name, Owner::Worker, After::Running).unwrap();
            last = began.0.0;
            note(Deed::Began(number, last));
            is_over[number] = false;
            continue;
        }
        let is_end = random.below(12) == 0;
        let padding = "x".repeat(random.below(60) as usize);
        let data = format!("{{\"n\":{n},\"p\":\"{padding}\"}}");
        let seen = format!("{{\"jobId\":\"job{number}\",{}", &data[1..]);
        note(Deed::Submitted(number, last + 1, seen.clone()));
        let event = if is_end { "done" } else { "progress" };
        let event = Event::new(event, &data).unwrap();
        last = jobs.publish(&name, event).unwrap().0;
        is_over[number] = is_end;
        note(Deed::Acknowledged(number, last, seen, is_end));
    }
    jobs.close();
    done
}

/// Loses the power after every operation of a life, and holds the invariants against
/// what a start finds then.
fn lose_power_everywhere(sync: SyncPolicy, bytes: u64, deeds: usize, seed: u64, keeps_all: bool) {
    let mut random = Random(seed);
    let disk = Disk::with(1, &BTreeMap::new());
    let done = live(&disk, sync, bytes, deeds, &mut random);
    let log = disk.log();
    for end in 0..=log.len() {
        let log = &log[..end];
        let left = after_power_loss(log, |limit| random.below(limit));
        let disk = Disk::with(2, &left);
        let jobs = open(&disk, sync, bytes);
        let found: Vec<_> = (0..JOBS).map(|number| events(&jobs, number)).collect();
        let rings: Vec<_> = (0..JOBS).map(|number| ring(&jobs, number)).collect();
        let snapshots = told(&jobs);
        check(log, &done, sync, &found, &rings, &jobs, keeps_all);
        let published = landfall::internals::hub(&jobs).published();
        jobs.close();
        drop(jobs);
        let again = open(&disk, sync, bytes);
        assert!(
            landfall::internals::hub(&again).published() >= published,
            "after {end}"
        );
        let second: Vec<_> = (0..JOBS).map(|number| events(&again, number)).collect();
        assert_same(&second, &found, keeps_all, end);
        let second: Vec<_> = (0..JOBS).map(|number| ring(&again, number)).collect();
        assert_same(&second, &rings, keeps_all, end);
        assert_eq!(told(&again), snapshots, "the second start after {end}");
        // No number was given before.
        let given = given(log, &done, sync);
        let begun = again.begin(&job(0), Owner::Worker, After::Running);
        let id = begun.unwrap().0.0;
        assert!(
            id > given,
            "{id} came twice, after {end}: {:?}, {found:?}",
            &log[end.saturating_sub(8)..]
        );
        again.close();
    }
}

/// Whether a second start has found what the first has; where segments go meanwhile, no more.
fn assert_same(
    second: &[Vec<(u64, String)>],
    first: &[Vec<(u64, String)>],
    keeps_all: bool,
    end: usize,
) {
    for (second, first) in second.iter().zip(first) {
        assert_eq!(second.last(), first.last(), "the second start after {end}");
        let is_known = second.iter().all(|event| first.contains(event));
        assert!(
            is_known,
            "the second start after {end}: {second:?}, {first:?}"
        );
        let is_whole = second.len() == first.len();
        assert!(
            is_whole || !keeps_all,
            "the second start after {end}: {second:?}, {first:?}"
        );
    }
}

/// What is the same after a restart.
fn told(jobs: &Sequencer) -> Vec<String> {
    let snapshots = jobs.snapshots();
    snapshots
        .iter()
        .map(|snapshot| format!("{snapshot:?}"))
        .collect()
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
    let (_, n) = data.split_once("\"n\":").unwrap();
    let (n, _) = n.split_once(',').unwrap();
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
        log[at..].iter().any(syncs) && has_name(log, written)
    })
}

/// Whether the medium has a segment's name: before that nobody is told that it has what is in it.
fn has_name(log: &[Operation], file: usize) -> bool {
    let created = log.iter().find_map(|o| match o {
        Operation::Create(name, it) if *it == file => Some(name),
        _ => None,
    });
    let Some(created) = created.filter(|name| name.ends_with(".new")) else {
        return true;
    };
    let renames = |o: &Operation| matches!(o, Operation::Rename(from, _) if from == created);
    let mut since = log.iter().skip_while(|o| !renames(o));
    since.any(|o| matches!(o, Operation::SyncNames))
}

/// The highest number that somebody may have seen.
fn given(log: &[Operation], done: &[Deed], sync: SyncPolicy) -> u64 {
    let numbers = marks(log).map(|mark| match &done[mark] {
        Deed::Acknowledged(_, id, ..) | Deed::Deleted(_, id) | Deed::Began(_, id) => *id,
        Deed::Submitted(_, id, data) => {
            let may_be_seen = match sync {
                SyncPolicy::Always => is_synced(log, data),
                _ => write_of(log, data).is_some(),
            };
            if may_be_seen { *id } else { 0 }
        }
        Deed::Deleting(_) | Deed::Beginning(..) => 0,
    });
    numbers.max().unwrap_or(0)
}

/// What there must be of lives, and may be.
#[derive(Default)]
struct Events {
    /// Data, with its number where that is known.
    published: BTreeMap<String, Option<u64>>,
    promised: BTreeMap<u64, String>,
}

/// What a job must be, and may be.
#[derive(Default)]
struct Expected {
    /// Of its newest life.
    newest: Events,
    /// Of those before it that ended.
    before: Events,
    /// Its deletion was acknowledged, and nothing has begun since.
    is_deleted: bool,
    /// What would void all that is on its way.
    may_be_void: bool,
}

fn check(
    log: &[Operation],
    done: &[Deed],
    sync: SyncPolicy,
    found: &[Vec<(u64, String)>],
    rings: &[Vec<(u64, String)>],
    jobs: &Sequencer,
    keeps_all: bool,
) {
    let end = log.len();
    let mut expected: [Expected; JOBS] = Default::default();
    for mark in marks(log) {
        match &done[mark] {
            Deed::Submitted(number, _, data) => {
                let events = &mut expected[*number].newest;
                events.published.insert(data.clone(), None);
            }
            Deed::Acknowledged(number, id, data, is_end) => {
                let job = &mut expected[*number].newest;
                job.published.insert(data.clone(), Some(*id));
                if sync == SyncPolicy::Always || *is_end || is_synced(log, data) {
                    job.promised.insert(*id, data.clone());
                }
            }
            Deed::Deleting(number) => expected[*number].may_be_void = true,
            Deed::Beginning(number, replaces) => {
                expected[*number].may_be_void |= replaces;
                expected[*number].is_deleted = false;
            }
            Deed::Deleted(number, _) => {
                expected[*number].end_newest(true);
                expected[*number].is_deleted = true;
            }
            Deed::Began(number, _) => {
                let is_void = expected[*number].may_be_void;
                expected[*number].end_newest(is_void);
            }
        }
    }
    for (number, job) in expected.iter().enumerate() {
        for (id, data) in found[number].iter().chain(&rings[number]) {
            if data == &format!("{{\"jobId\":\"job{number}\"}}") {
                // That it was deleted, or replaced.
                continue;
            }
            let known = job.newest.published.get(data);
            let known = known.or_else(|| job.before.published.get(data));
            let is_right = known.is_some_and(|known| known.is_none_or(|known| known == *id));
            assert!(
                is_right,
                "job{number} has {id} {data} after {end}: {known:?}"
            );
        }
        let name = self::job(number);
        if job.is_deleted {
            let life = landfall::internals::hub(jobs).life(&name);
            assert!(life.is_some_and(|life| life.is_deleted()), "after {end}");
            let refused = jobs.publish(&name, Event::done());
            let deleted = PublishError::Refused(Refusal::Deleted);
            assert_eq!(refused, Err(deleted), "job{number} after {end}");
        }
        if keeps_all && !(job.may_be_void && found[number].is_empty()) {
            for (id, data) in &job.newest.promised {
                let there = found[number].iter().find(|(other, _)| other == id);
                assert!(
                    there.is_some_and(|(_, other)| other == data) || job.may_be_void,
                    "job{number} misses {id} after {end}: {:?}",
                    found[number]
                );
            }
        }
        for (id, data) in job.before.promised.iter().filter(|_| keeps_all) {
            let is_there = found[number].contains(&(*id, data.clone()));
            assert!(
                is_there,
                "job{number} misses {id} of a life before, after {end}"
            );
        }
    }
}

impl Expected {
    /// What is of its newest life is of one before from now on, or `is_void`.
    fn end_newest(&mut self, is_void: bool) {
        let newest = std::mem::take(&mut self.newest);
        if !is_void {
            self.before.published.extend(newest.published);
            self.before.promised.extend(newest.promised);
        }
        self.may_be_void = false;
    }
}

#[test]
fn a_loss_of_power_at_any_boundary_breaks_no_promise_of_always() {
    for seed in [1, 2, 3] {
        lose_power_everywhere(SyncPolicy::Always, 64 << 10, 60, 0x9e37_79b9 * seed, true);
    }
}

#[test]
fn a_loss_of_power_at_any_boundary_breaks_no_promise_of_an_interval() {
    for seed in [4, 5, 6] {
        let sync = SyncPolicy::Interval(Duration::from_millis(1));
        lose_power_everywhere(sync, 64 << 10, 60, 0x9e37_79b9 * seed, true);
    }
}

#[test]
fn a_loss_of_power_amid_a_checkpoint_brings_no_job_and_no_number_back() {
    for (seed, sync) in [
        (7, SyncPolicy::Always),
        (8, SyncPolicy::Always),
        (9, SyncPolicy::Interval(Duration::from_millis(1))),
        (10, SyncPolicy::Interval(Duration::from_millis(1))),
    ] {
        lose_power_everywhere(sync, 12 << 10, 120, 0x9e37_79b9 * seed, false);
    }
}

#[test]
fn a_journal_that_is_cut_at_any_byte_opens_and_has_all_before_the_cut() {
    let disk = Disk::with(1, &BTreeMap::new());
    let jobs = open(&disk, SyncPolicy::Always, 1 << 20);
    for n in 1..=12 {
        for number in 0..2 {
            let event = Event::new("progress", &format!("{{\"n\":{n}}}")).unwrap();
            jobs.publish(&job(number), event).unwrap();
        }
    }
    // A crash: no close.
    let content = disk.content();
    let (name, bytes) = content.iter().next().unwrap();
    let all = [events(&jobs, 0), events(&jobs, 1)];
    let mut seen = 0;
    for end in 0..=bytes.len() {
        let cut = BTreeMap::from([(name.clone(), bytes[..end].to_vec())]);
        let disk = Disk::with(1, &cut);
        let jobs = open(&disk, SyncPolicy::Always, 1 << 20);
        let found = [events(&jobs, 0), events(&jobs, 1)];
        let count = found[0].len() + found[1].len();
        assert!(count >= seen, "at {end}");
        seen = count;
        for number in 0..2 {
            let kept = found[number].len();
            assert_eq!(found[number], all[number][..kept], "at {end}");
        }
        // What is cut off may have been an event that somebody has seen.
        let id = jobs.publish(&job(0), Event::done()).unwrap();
        assert!(id.0 > count as u64, "at {end}");
        if count == 24 {
            assert_eq!(id.0, 25);
        }
        if end == 0 {
            assert!(id.0 > 24, "what is empty had something: {id}");
        }
    }
    assert_eq!(seen, 24);
}

#[test]
fn a_damaged_byte_anywhere_costs_what_it_stands_in_and_never_makes_up_an_event() {
    let disk = Disk::with(1, &BTreeMap::new());
    let jobs = open(&disk, SyncPolicy::Always, 1 << 20);
    for n in 1..=8 {
        let event = Event::new("progress", &format!("{{\"n\":{n}}}")).unwrap();
        jobs.publish(&job(0), event).unwrap();
    }
    let content = disk.content();
    let (name, bytes) = content.iter().next().unwrap();
    let all = events(&jobs, 0);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let disk = Disk::with(1, &BTreeMap::from([(name.clone(), damaged)]));
        let jobs = open(&disk, SyncPolicy::Always, 1 << 20);
        let found = events(&jobs, 0);
        assert!(found.iter().all(|event| all.contains(event)), "at {at}");
        let id = jobs.publish(&job(0), Event::done()).unwrap();
        assert!(id.0 > 8, "{id} came twice, at {at}");
    }
}

#[test]
fn what_cannot_be_written_changes_nothing_and_publishing_goes_on_when_it_can() {
    for sync in [
        SyncPolicy::Always,
        SyncPolicy::Interval(Duration::from_millis(1)),
    ] {
        for fault in [Fault::Full, Fault::Write, Fault::Sync, Fault::ReadOnly] {
            let disk = Disk::with(1, &BTreeMap::new());
            let jobs = open(&disk, sync, 1 << 20);
            let publish = |number| jobs.publish(&job(number), Event::progress("x", 1.0).unwrap());
            assert_eq!(publish(0).unwrap(), EventId(1));
            disk.fail(Some(fault));
            let expected = match fault {
                Fault::Full => PublishError::DiskFull,
                _ => PublishError::DiskFailing,
            };
            // Where nobody waits for the medium, its failure is found a little later.
            let mut refused = None;
            wait_until("it is refused", || {
                refused = publish(0).err();
                refused.is_some()
            });
            assert_eq!(refused, Some(expected), "{sync:?} {fault:?}");
            assert_ne!(landfall::internals::order(&jobs).health(), Health::Good);
            assert_eq!(publish(1), Err(expected));
            let deletion = jobs.delete(&job(0), None);
            assert_eq!(deletion, Err(expected), "{sync:?} {fault:?}");
            assert!(jobs.snapshot(&job(1)).is_none());
            let before = events(&jobs, 0);
            disk.fail(None);
            let mut next = None;
            wait_until("it is taken again", || {
                next = publish(0).ok();
                next.is_some()
            });
            assert_eq!(next.unwrap().0, before.len() as u64 + 1);
            assert_eq!(landfall::internals::order(&jobs).health(), Health::Good);
            let after = events(&jobs, 0);
            assert_eq!(after[..before.len()], before);
            drop(jobs);
            let jobs = open(&disk, sync, 1 << 20);
            assert_eq!(events(&jobs, 0), after, "{sync:?} {fault:?}");
        }
    }
}

#[test]
fn a_disk_that_is_full_at_the_start_is_served_from() {
    let disk = Disk::with(1, &BTreeMap::new());
    let jobs = open(&disk, SyncPolicy::Always, 1 << 20);
    jobs.publish(&job(0), Event::progress("x", 1.0).unwrap())
        .unwrap();
    drop(jobs);
    for fault in [Fault::Full, Fault::ReadOnly] {
        disk.fail(Some(fault));
        let jobs = open(&disk, SyncPolicy::Always, 1 << 20);
        assert_eq!(events(&jobs, 0).len(), 1);
        assert!(jobs.publish(&job(0), Event::done()).is_err());
    }
    disk.fail(None);
    let jobs = open(&disk, SyncPolicy::Always, 1 << 20);
    let id = jobs
        .publish(&job(0), Event::progress("x", 1.0).unwrap())
        .unwrap();
    assert_eq!(id, EventId(2));
}

#[test]
fn numbers_lost_with_the_power_are_unknown_and_not_given_again() {
    let disk = Disk::with(1, &BTreeMap::new());
    let sync = SyncPolicy::Interval(Duration::from_secs(3600));
    let jobs = open(&disk, sync, 1 << 20);
    let publish = |jobs: &Sequencer| {
        jobs.publish(&job(0), Event::progress("x", 1.0).unwrap())
            .unwrap()
    };
    (1..=3).for_each(|id| assert_eq!(publish(&jobs), EventId(id)));
    let nothing_unsynced = after_power_loss(&disk.log(), |_| 0);
    drop(jobs);
    let jobs = open(&Disk::with(2, &nothing_unsynced), sync, 1 << 20);
    assert!(jobs.snapshot(&job(0)).is_none());
    let next = publish(&jobs);
    assert!(next > EventId(3), "{next}");
    assert!(
        landfall::internals::hub(&jobs)
            .lost()
            .iter()
            .any(|lost| lost.contains(&3))
    );
}
