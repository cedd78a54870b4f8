//! What this process has appended or wants to, and what has become of it.
//!
//! The invariant: only who reads the log says what has become of an entry. One that was sent
//! is sent again under its count until it is read, or one with a higher count is.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::event::job::EventId;
use crate::hub::Refusal;
use crate::sequencer::PublishError;
use crate::sequencer::journal::reply::Reply;
use crate::sys::clock;

/// How long what was applied is kept, to be sent again where Redis loses it; longer where it
/// isn't known for a while what Redis has lost.
const KEPT: Duration = Duration::from_secs(60);
/// How much of it, in bytes.
const KEPT_MAX_BYTES: usize = 64 << 20;
/// How long a publisher waits to hear what became of an entry: not so long as publishers wait for
/// an answer, which would never hear what to do.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a publisher is answered.
pub type Put = (Vec<EventId>, Option<PublishError>);

/// Proposals of one publisher, that hold in turn up to the first that is refused.
pub struct Group(Mutex<Open>);

struct Open {
    ids: Vec<EventId>,
    left: usize,
    reply: Option<Reply<Put>>,
}

/// An entry that was sent, or is to be.
pub struct Sent {
    pub payload: Arc<[u8]>,
    /// Who waits for it.
    pub group: Option<Arc<Group>>,
    /// How often it was sent and may have been taken.
    pub sends: u32,
    pub since: Instant,
}

/// What was read back, of which replicas may not have it yet.
struct Held {
    group: Arc<Group>,
    result: Result<EventId, Refusal>,
}

/// An entry of this process that was applied.
struct OwnEntry {
    count: u64,
    payload: Arc<[u8]>,
    at: Instant,
}

/// All of it.
#[derive(Default)]
pub struct Flight {
    /// The last count that was given.
    count: u64,
    /// What was sent and isn't read back.
    waiting: BTreeMap<u64, Sent>,
    /// What has to get another count.
    dead: VecDeque<Sent>,
    own: VecDeque<OwnEntry>,
    own_bytes: usize,
    /// It isn't known what Redis has lost: nothing of it is too old.
    pub holds: bool,
    /// All that waits is to be sent again.
    pub resend: bool,
    /// Replicas have all up to this count.
    confirmed: u64,
    held: BTreeMap<u64, Held>,
}

impl Group {
    /// So many proposals of whoever waits for the reply.
    pub fn new(count: usize, reply: Reply<Put>) -> Group {
        Group(Mutex::new(Open {
            ids: Vec::with_capacity(count),
            left: count,
            reply: Some(reply),
        }))
    }

    fn take(&self, result: Result<EventId, PublishError>) {
        let mut open = self.0.lock();
        open.left = open.left.saturating_sub(1);
        let error = match result {
            Ok(id) => {
                open.ids.push(id);
                None
            }
            Err(error) => Some(error),
        };
        if (error.is_some() || open.left == 0)
            && let Some(reply) = open.reply.take()
        {
            reply.answer((std::mem::take(&mut open.ids), error));
        }
    }

    /// What is left of it won't be done.
    pub fn refuse(&self, error: PublishError) {
        self.take(Err(error));
    }
}

impl Sent {
    /// One that is to be sent.
    pub fn new(payload: Vec<u8>, group: Option<Arc<Group>>) -> Sent {
        Sent {
            payload: payload.into(),
            group,
            sends: 0,
            since: clock::now(),
        }
    }
}

impl Flight {
    /// How many entries wait to be read back.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the entry of this count isn't read back.
    pub fn waits_for(&self, count: u64) -> bool {
        self.waiting.contains_key(&count)
    }

    /// Gives an entry its count.
    pub fn add(&mut self, sent: Sent) -> u64 {
        self.count += 1;
        self.waiting.insert(self.count, sent);
        self.count
    }

    /// One that has to get another count.
    pub fn take_dead(&mut self) -> Option<Sent> {
        self.dead.pop_front()
    }

    /// Counts and payloads of those behind `sent`, `most` at most, which are sent now.
    pub fn send_behind(&mut self, sent: u64, most: usize) -> Vec<(u64, Arc<[u8]>)> {
        let behind = self.waiting.range_mut(sent + 1..).take(most);
        let send = |(&count, entry): (&u64, &mut Sent)| {
            entry.sends += 1;
            (count, entry.payload.clone())
        };
        behind.map(send).collect()
    }

    /// Whether something is to be sent, where everything up to `sent` was.
    pub fn has_more(&self, sent: u64) -> bool {
        let is_behind = || self.waiting.range(sent + 1..).next().is_some();
        self.resend || !self.dead.is_empty() || is_behind()
    }

    /// An entry of this process was read.
    pub fn settle(
        &mut self,
        count: u64,
        result: Option<Result<EventId, Refusal>>,
        needs_replicas: bool,
    ) {
        while let Some(first) = self.waiting.first_entry()
            && *first.key() < count
        {
            self.dead.push_back(first.remove());
        }
        // What is read once more, while the state is put back, is kept already.
        let Some(sent) = self.waiting.remove(&count) else {
            return;
        };
        if matches!(result, Some(Ok(_))) {
            self.keep(count, sent.payload);
        }
        let Some(group) = sent.group else {
            return;
        };
        match result {
            Some(result) if needs_replicas && count > self.confirmed => {
                self.held.insert(count, Held { group, result });
            }
            Some(result) => group.take(result.map_err(PublishError::Refused)),
            // What it depends on was refused, and said so, unless that was taken once, lost,
            // and sent again.
            None => group.refuse(PublishError::Away),
        }
    }

    fn keep(&mut self, count: u64, payload: Arc<[u8]>) {
        let at = clock::now();
        self.own_bytes += payload.len();
        self.own.push_back(OwnEntry { count, payload, at });
        while let Some(first) = self.own.front()
            && (self.own_bytes > KEPT_MAX_BYTES || !self.holds && at - first.at > KEPT)
        {
            self.own_bytes -= first.payload.len();
            self.own.pop_front();
        }
    }

    /// Whether something was read that replicas have yet to confirm.
    pub fn needs_replicas(&self) -> bool {
        !self.held.is_empty()
    }

    /// Replicas have all up to this count.
    pub fn confirm(&mut self, count: u64) {
        self.confirmed = count;
        while let Some(first) = self.held.first_entry()
            && *first.key() <= count
        {
            let Held { group, result } = first.remove();
            group.take(result.map_err(PublishError::Refused));
        }
    }

    /// The state was replaced by one in which the last of this process is `last`. What is
    /// lost of it is sent again, before anything new. Returns how many entries are.
    pub fn salvage(&mut self, last: u64) -> usize {
        let mut count = 0;
        for own in std::mem::take(&mut self.own) {
            if own.count <= last {
                self.own.push_back(own);
                continue;
            }
            self.own_bytes -= own.payload.len();
            count += 1;
            let held = self.held.remove(&own.count);
            let sent = Sent {
                payload: own.payload,
                // It will have another number.
                group: held.map(|held| held.group),
                sends: 1,
                since: own.at,
            };
            self.waiting.entry(own.count).or_insert(sent);
        }
        for (_, held) in self.held.split_off(&(last + 1)) {
            held.group.refuse(PublishError::Away);
        }
        self.confirmed = self.confirmed.min(last);
        self.pass_over(last);
        self.count = self.count.max(last);
        self.resend = true;
        count
    }

    /// All up to this count is in a snapshot that was read, and what it was answered isn't
    /// known. Redis may lose it yet.
    pub fn pass_over(&mut self, last: u64) {
        while let Some(first) = self.waiting.first_entry()
            && *first.key() <= last
        {
            let count = *first.key();
            let sent = first.remove();
            self.keep(count, sent.payload);
            sent.group
                .iter()
                .for_each(|group| group.refuse(PublishError::Away));
        }
    }

    /// Nothing of a batch of these counts was taken, this time.
    pub fn take_back(&mut self, counts: RangeInclusive<u64>) {
        for (_, sent) in self.waiting.range_mut(counts) {
            sent.sends = sent.sends.saturating_sub(1);
        }
        self.resend = true;
    }

    /// Who waits for what can't have been taken at any time hears why it won't be.
    pub fn refuse_untaken(&mut self, error: PublishError) {
        let is_untaken = |sent: &Sent| sent.sends == 0 && sent.group.is_some();
        let waiting = self.waiting.iter();
        let untaken = waiting.filter(|(_, sent)| is_untaken(sent));
        let untaken: Vec<u64> = untaken.map(|(&count, _)| count).collect();
        let refused = untaken.iter().map(|count| self.waiting.remove(count));
        let refused: Vec<_> = refused.flatten().collect();
        self.refuse(refused, error);
    }

    /// These won't be sent. Of whose group something was that may have been taken, nobody
    /// knows what became.
    pub fn refuse(&self, refused: impl IntoIterator<Item = Sent>, error: PublishError) {
        let open = self.waiting.values().chain(&self.dead);
        let open: HashSet<_> = open
            .filter_map(|sent| sent.group.as_ref().map(Arc::as_ptr))
            .collect();
        for group in refused.into_iter().filter_map(|sent| sent.group) {
            group.refuse(if open.contains(&Arc::as_ptr(&group)) {
                PublishError::Away
            } else {
                error
            });
        }
    }

    /// Who has waited too long hears that nobody knows.
    pub fn refuse_late(&mut self) {
        let now = clock::now();
        for sent in self.waiting.values_mut() {
            if now - sent.since < PATIENCE {
                break;
            }
            if let Some(group) = sent.group.take() {
                group.refuse(PublishError::Away);
            }
        }
    }

    /// Nobody hears any more.
    pub fn close(&mut self) {
        let waiting = self.waiting.values_mut().chain(self.dead.iter_mut());
        for group in waiting.filter_map(|sent| sent.group.take()) {
            group.refuse(PublishError::Away);
        }
        for (_, held) in std::mem::take(&mut self.held) {
            held.group.refuse(PublishError::Away);
        }
    }
}
