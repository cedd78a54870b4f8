//! Calls that no program should make: each gets an error or a `reset`, and whatever was
//! acknowledged stays in its order.

use std::io::ErrorKind;
use std::time::Duration;

use landfall::{
    After, Event, EventId, EventStream, Follow, HubConfig, JobId, JournalConfig, LastEventId,
    LifeId, Owner, Saying, Sequencer, Start, Subscribers, Word,
};

use super::random::Random;

const NAMES: [&str; 12] = [
    "a",
    "b",
    "c",
    "d",
    "",
    "a\n",
    "a\r\n\r\ndata: x",
    "a\0b",
    "ä",
    "a b",
    "../a",
    "a:1",
];
const EVENTS: [&str; 8] = [
    "progress", "note", "done", "error", "reset", "deleted", "a\nid: 7", "",
];
const DATA: [&str; 10] = [
    "{}",
    r#"{"percent":7}"#,
    r#"{"jobId":"z"}"#,
    "{}\n\ndata: {}",
    "[]",
    "null",
    "{",
    r#"{"a":"\u0000\n"}"#,
    "{\"a\":\n1}",
    "\u{feff}{}",
];
const NUMBERS: [f64; 9] = [
    f64::NAN,
    f64::INFINITY,
    -1.0,
    -0.0,
    100.1,
    1e308,
    0.1,
    50.0,
    100.0,
];

/// What one run has at hand.
struct House {
    random: Random,
    hub: Sequencer,
    subscribers: Subscribers,
    streams: Vec<(EventStream, EventId)>,
    lives: Vec<LifeId>,
    newest: EventId,
}

#[test]
fn whatever_is_asked_wrongly_is_an_error_or_a_reset_and_never_a_panic() {
    for seed in 0..60 {
        let mut house = House::new(seed);
        for _ in 0..300 {
            house.turn();
        }
        let streams = std::mem::take(&mut house.streams);
        for (mut stream, mut last) in streams {
            read(&mut stream, &mut last, usize::MAX);
        }
        house.hub.close();
        let _ = house.hub.publish(&"a".parse().unwrap(), Event::done());
    }
}

impl House {
    fn new(seed: u64) -> House {
        let hub = Sequencer::in_memory(HubConfig::with(|config| {
            config.ring.events = 1 + seed as usize % 4;
            config.ring.bytes = 200;
            config.jobs = 3;
            config.awaited = 2;
            config.event_bytes = 100;
            config.memory_bytes = 600;
            config.cancel_grace = Duration::ZERO;
        }));
        House {
            random: Random(seed + 1),
            subscribers: Subscribers::of(&hub).unwrap(),
            hub,
            streams: Vec::new(),
            lives: vec![LifeId(EventId(0)), LifeId(EventId(u64::MAX))],
            newest: EventId(0),
        }
    }

    fn turn(&mut self) {
        let turn = self.random.below(10);
        if turn == 0 {
            return self.follow();
        }
        if turn < 3 && !self.streams.is_empty() {
            let which = self.random.below(self.streams.len());
            let (stream, last) = &mut self.streams[which];
            read(stream, last, 3);
            if turn == 2 {
                drop(self.streams.swap_remove(which));
            }
            return;
        }
        let name = *self.random.one(&NAMES);
        let Ok(job) = name.parse::<JobId>() else {
            assert!(name.len() != 1);
            return;
        };
        let life = *self.random.one(&self.lives);
        match turn {
            3 => {
                let owner = *self.random.one(&[Owner::Worker, Owner::Upload]);
                let afters = [After::Ended, After::Running, After::FailedUpload];
                let after = *self
                    .random
                    .one(&[&afters[..], &[After::Failed(life)]].concat());
                if let Ok(life) = self.hub.begin(&job, owner, after) {
                    self.is_newer(life.0);
                    self.lives.push(life);
                }
            }
            4 => {
                let only = *self.random.one(&[None, Some(life)]);
                let deleted = self.hub.delete(&job, only);
                deleted.into_iter().for_each(|id| self.is_newer(id));
            }
            5 => drop(self.hub.cancel(&job)),
            _ => self.publish(job, life),
        }
        let _ = self.hub.snapshot(&"a".parse().unwrap());
    }

    fn publish(&mut self, job: JobId, life: LifeId) {
        let (name, data) = (*self.random.one(&EVENTS), *self.random.one(&DATA));
        let percent = *self.random.one(&NUMBERS);
        let event = match self.random.below(3) {
            0 => Event::new(name, data),
            1 => Event::of(name, data),
            _ => Event::progress(name, percent),
        };
        let Ok(event) = event else { return };
        let lease = *self.random.one(&["1s", "0s", "30", "99999999999h", "-1s"]);
        let word = match lease.parse() {
            Ok(lease) if percent < 1.0 => Word::Alive(lease),
            lease => Word::Event(event, lease.ok()),
        };
        let key = *self.random.one(&["", "k", "a\nb"]);
        let published = self.hub.say(Saying {
            job,
            word,
            key: key.parse().ok(),
            life: Some(life).filter(|_| percent > 50.0),
        });
        if key.parse::<landfall::IdempotencyKey>().is_err() {
            published.into_iter().for_each(|id| self.is_newer(id));
        }
    }

    /// Numbers only grow.
    fn is_newer(&mut self, id: EventId) {
        assert!(id >= self.newest, "{id} after {}", self.newest);
        self.newest = id;
    }

    fn follow(&mut self) {
        let jobs = (0..self.random.below(4))
            .filter_map(|_| self.random.one(&NAMES).parse().ok())
            .collect();
        let prefix = (*self.random.one(&NAMES)).to_owned();
        let what = match self.random.below(2) {
            0 => Follow::Jobs(jobs),
            _ => Follow::Prefix(prefix),
        };
        let start = match self.random.below(7) {
            0 => Start::Oldest,
            1 => Start::Newest,
            2 => Start::Next,
            3 => Start::After(LastEventId::Number(0)),
            4 => Start::After(LastEventId::Number(u64::MAX)),
            5 => Start::After(LastEventId::Number(self.newest.0)),
            _ => Start::After(LastEventId::Malformed("7\n\ndata: {}\"\\\u{85}".to_owned())),
        };
        let Ok(stream) = self.subscribers.follow(what, &start) else {
            return;
        };
        let rate = *self.random.one(&NUMBERS);
        // A wrong rate is an error, and the stream is let go of.
        let stream = match rate == 0.1 || rate.is_nan() {
            true => stream.max_rate(rate),
            false => Ok(stream),
        };
        if let Ok(stream) = stream {
            self.streams.push((stream, EventId(0)));
        }
    }
}

/// Reads what there is, so many events at most. Each is one frame, and no number comes twice but
/// that of resets.
fn read(stream: &mut EventStream, last: &mut EventId, most: usize) {
    for _ in 0..most {
        let Some(event) = stream.next_within(Duration::ZERO) else {
            return;
        };
        let (id, data) = (event.id(), event.data());
        let frame = format!("event: {}\ndata: {data}\nid: {id}\n\n", event.name());
        assert_eq!(event.frame(), frame);
        assert!(!frame.contains(['\r', '\0']), "{frame:?}");
        let said: serde_json::Value = serde_json::from_str(data).unwrap();
        assert!(said["jobId"].is_string(), "{frame}");
        match event.name() {
            "reset" => assert!(id >= *last || said["reason"] == "unknown", "{frame}"),
            _ => assert!(id > *last, "{frame} after {last}"),
        }
        *last = id;
    }
}

#[test]
fn a_journal_that_is_open_is_opened_by_nobody_else_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        Sequencer::with_journal(
            folder.path(),
            JournalConfig::default(),
            HubConfig::default(),
        )
    };
    let job = "a".parse().unwrap();
    let first = open().unwrap();
    let id = first.publish(&job, Event::done()).unwrap();
    assert_eq!(open().err().unwrap().kind(), ErrorKind::ResourceBusy);
    first.close();
    // Whoever has the one that is closed still reads what it knows.
    let second = open().unwrap();
    for jobs in [&first, &second] {
        assert_eq!(jobs.snapshot(&job).unwrap().last_event_id, Some(id));
    }
    assert!(first.publish(&"b".parse().unwrap(), Event::done()).is_err());
    drop(second);
    assert!(open().is_ok());
}
