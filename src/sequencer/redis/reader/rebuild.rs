//! Puts a node's state back from what Redis has, or Redis's log from what the node has.

use std::ops::Range;
use std::time::Duration;

use super::super::position::Position;
use super::super::replica::{ItemApplied, Misfit, Replica};
use super::super::snapshot;
use super::super::store::{Body, Item, StoreFault};
use super::{ATTEMPTS, LogReader, READ, SHYNESS};
use crate::sequencer::journal::codec::Unread;
use crate::sys::clock;

/// What of this process's was found while the state was put back.
#[derive(Default)]
struct OwnFound {
    /// The snapshot has all up to this count.
    in_snapshot: u64,
    /// What came behind it.
    items: Vec<(Item, ItemApplied)>,
}

/// What reading from the snapshot on has come to.
enum LogRead {
    Whole(Replica),
    /// What an opening comes after isn't there: the state before that.
    UpToGap(Replica),
    Nothing,
}

impl LogReader {
    /// Puts the state back: what the snapshot has, and the log since.
    pub(super) fn rebuild(&mut self) -> Result<(), StoreFault> {
        self.has_caught_up = false;
        self.must_look = true;
        self.fence_off();
        if self.has_state {
            warn!(
                "fleet: the log doesn't go on from {}: the state is put back",
                self.replica.at
            );
            self.shared.counters.rebuilds.add(1);
        }
        let mut voids = Vec::new();
        let mut part = None;
        for _ in 0..ATTEMPTS {
            let mut own = OwnFound::default();
            match self.read_whole(&mut own, &mut voids)? {
                LogRead::Whole(fresh) => {
                    self.take_over(fresh, own);
                    self.unread_since = None;
                    return Ok(());
                }
                LogRead::UpToGap(fresh) => part = part.or(Some((fresh, own))),
                LogRead::Nothing => {}
            }
        }
        let look = self.link()?.look()?;
        let Some((last, _)) = look.last else {
            // It is gone by now: what was here is still here, for another to begin with.
            return Ok(());
        };
        if look.is_master {
            self.replace_log(last, part)?;
        }
        Err(StoreFault::Broken(
            "its log has gaps, or no snapshot".to_owned(),
        ))
    }

    /// The log can't be read through: one begins with the state that there is. Who has read
    /// in the newest epoch may do so at once, and others where nobody has; where nobody has a state,
    /// with the part that comes before the gap.
    fn replace_log(
        &mut self,
        last: Position,
        part: Option<(Replica, OwnFound)>,
    ) -> Result<(), StoreFault> {
        let is_written = std::mem::replace(&mut self.unread_end, last) != last;
        if is_written && !self.has_state {
            // Somebody goes on with it, who has one.
            self.unread_since = None;
        }
        let since = *self.unread_since.get_or_insert_with(clock::now);
        let is_long = clock::now() - since > SHYNESS;
        if let Some((fresh, own)) = part.filter(|_| is_long && !self.has_state) {
            self.take_over(fresh, own);
        }
        if self.has_state && (is_long || self.replica.at.epoch >= last.epoch) {
            error!("fleet: the log up to {last} can't be read through: one begins anew");
            self.open(Some(Some(last)))?;
            self.must_salvage = true;
        }
        Ok(())
    }

    /// The state that the snapshot and the log make, without what was found void. Nothing where
    /// another node has trimmed the log meanwhile, or Redis has lost some of it, or more is found
    /// void. A Redis that reads a torn file may have what was torn off again later, before what was
    /// appended since.
    fn read_whole(
        &mut self,
        own: &mut OwnFound,
        voids: &mut Vec<Range<Position>>,
    ) -> Result<LogRead, StoreFault> {
        let Some(kept) = self.link()?.snapshot()? else {
            // Somebody else's is told by what stands in it.
            self.link()?.read(Position::START, 1, Duration::ZERO)?;
            return Ok(LogRead::Nothing);
        };
        let fresh = snapshot::restore(&kept, self.shared.hub.config());
        let mut fresh = match fresh {
            Ok(fresh) => fresh,
            Err(Unread::Newer) => return Err(self.newer()),
            Err(Unread::Malformed) => {
                let why = "the fleet's snapshot is damaged: see the guide on fleets";
                return Err(StoreFault::Refused(why.to_owned()));
            }
        };
        let boot = fresh.boots.get(&self.shared.boot);
        own.in_snapshot = boot.map_or(0, |boot| boot.count);
        let is_there = self.link()?.nonce_at(fresh.at)?.as_ref() == Some(&fresh.nonce);
        let mut is_first = true;
        let mut read = fresh.at;
        let mut end = None;
        let (mut openings, mut has_gap) = (Vec::new(), false);
        loop {
            let items = self.link()?.read(read, READ, Duration::ZERO)?;
            if items.is_empty() {
                // Nothing follows where the log ends, and where there is none any more.
                let last = self.link()?.look()?.last;
                let is_whole = |(at, nonce)| at == fresh.at && nonce == fresh.nonce;
                if last == end || last.clone().is_none_or(|(at, _)| at <= read) {
                    if has_gap {
                        *voids = void_by(&openings);
                        return Ok(LogRead::UpToGap(fresh));
                    }
                    return Ok(match last.is_some_and(is_whole) {
                        true => LogRead::Whole(fresh),
                        false => LogRead::Nothing,
                    });
                }
                end = last;
                continue;
            }
            for item in &items {
                read = item.at;
                if let Body::Opening { before, .. } = item.what {
                    openings.push((before, item.at));
                }
                if has_gap || voids.iter().any(|void| void.contains(&item.at)) {
                    continue;
                }
                let is_opening = matches!(item.what, Body::Opening { .. });
                if std::mem::take(&mut is_first) && !is_there && !is_opening {
                    return Ok(LogRead::Nothing);
                }
                let applied = match fresh.apply(item, false) {
                    Ok(applied) => applied,
                    Err(Misfit::Gap) if is_opening => {
                        // What comes behind it says what is void.
                        has_gap = true;
                        continue;
                    }
                    Err(Misfit::Gap) => return Ok(LogRead::Nothing),
                    Err(Misfit::Newer) => return Err(self.newer()),
                };
                if matches!(applied, ItemApplied::Entry { boot, .. } if boot == self.shared.boot) {
                    own.items.push((item.clone(), applied));
                }
            }
        }
    }

    fn take_over(&mut self, mut fresh: Replica, own: OwnFound) {
        let lost = fresh.hub.lost();
        if self.has_state {
            self.announce(&lost);
        }
        self.shared.hub.replace_by(&fresh.hub, || {
            // Streams may have come meanwhile to what was there.
            if self.has_state {
                self.announce(&lost);
            }
        });
        fresh.hub = self.shared.hub.clone();
        self.shared.holders.replace_by(&fresh.holders);
        fresh.holders = self.shared.holders.clone();
        let at = fresh.at;
        self.replica = fresh;
        self.has_state = true;
        self.is_behind = false;
        self.is_verified = true;
        self.must_salvage = true;
        self.bytes = 0;
        // What others had said is unknown, and they say it again.
        self.crowd.clear();
        self.shared.wish_to_be_known();
        self.shared.flight.lock().pass_over(own.in_snapshot);
        for (item, applied) in own.items {
            self.note(&item, applied);
        }
        self.high = self.high.max(at);
        self.shared.note_position(at);
    }
}

/// What is void by these openings, and what each comes after: what stands between the two. The
/// last isn't void, and one that is says nothing.
fn void_by(openings: &[(Position, Position)]) -> Vec<Range<Position>> {
    let mut voids: Vec<Range<Position>> = Vec::new();
    for (before, at) in openings.iter().rev() {
        if voids.last().is_none_or(|later| *at < later.start) {
            voids.push(before.next()..*at);
        }
    }
    voids
}
