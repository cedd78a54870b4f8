//! Opens epochs, and begins the log where there is none.

use std::time::Duration;

use super::super::position::{Position, SLOTS, next_epoch, slot_of};
use super::super::replica::nonce;
use super::super::snapshot;
use super::super::store::{Body, EpochOpened, EpochOpening, StoreFault};
use super::{LogReader, SHYNESS};
use crate::sequencer::Health;
use crate::sys::clock;

/// How long it is until it is tried again what it was too early for.
pub(super) const EARLY: Duration = Duration::from_millis(100);
/// By how many seconds it may be too early and nothing be wrong: no two epochs of a node are
/// closer.
const EARLY_MAX_S: u64 = 2;

impl LogReader {
    /// There is no log: one begins, with the state that there is.
    pub(super) fn begin_log(&mut self) -> Result<(), StoreFault> {
        let since = *self.empty_since.get_or_insert_with(clock::now);
        self.must_look = true;
        let has_all = self.has_state && !self.is_behind;
        if !has_all && clock::now() - since < SHYNESS {
            clock::sleep(EARLY);
            return Ok(());
        }
        self.has_caught_up = false;
        if !self.open(Some(None))? {
            clock::sleep(EARLY);
            return Ok(());
        }
        if self.has_state {
            warn!("fleet: Redis has lost everything: it is put back from what is here");
        }
        self.has_state = true;
        self.is_behind = false;
        self.is_verified = true;
        self.must_salvage = true;
        Ok(())
    }

    /// Opens the next epoch of a log that ends here. Redis may have been started again, with
    /// less than was read of it: where nobody else could read it up to here, one begins anew. False
    /// where it is too early for it.
    pub(super) fn follow(&mut self, last: Position) -> Result<bool, StoreFault> {
        let is_whole = self.is_whole()?;
        if !is_whole {
            error!("fleet: Redis has lost some of the log before {last}: one begins anew");
        }
        self.open((!is_whole).then_some(Some(last)))
    }

    /// Whether all is there that openings follow on, since the snapshot that a start begins with.
    fn is_whole(&mut self) -> Result<bool, StoreFault> {
        let mut at = self.replica.at;
        let link = self.link()?;
        let Some((start, _)) = link.snapshots_at()? else {
            return Ok(false);
        };
        while at.epoch > start.epoch {
            let opening = link
                .item_at(Position::opening(at.epoch))?
                .map(|item| item.what);
            let Some(Body::Opening { before, .. }) = opening else {
                return Ok(false);
            };
            let is_there = before == start || link.item_at(before)?.is_some();
            if !is_there || !(start..at).contains(&before) {
                return Ok(false);
            }
            at = before;
        }
        Ok(at >= start)
    }

    /// Opens the next epoch; of a log that begins with what is here, where it is to, in the
    /// place of one that ends there, if there is one. False where it is too early for it.
    pub(super) fn open(
        &mut self,
        begins_log: Option<Option<Position>>,
    ) -> Result<bool, StoreFault> {
        self.must_look = true;
        let now_s = clock::now_ms() / 1000;
        let over = begins_log.flatten();
        // What has no number was none of the fleet's.
        let end = over.filter(|last| last.number().is_some());
        let seen = self.high.max(self.replica.at).max(end.unwrap_or_default());
        let known = seen.epoch.max(self.asked);
        let epoch = match next_epoch(self.slot(), known, now_s, &mut self.random) {
            Ok(epoch) => epoch,
            Err(early_s) => {
                if early_s > EARLY_MAX_S {
                    let why = format!("this node's clock is {early_s} s behind: set it right");
                    self.shared.cannot_read(Health::Denied, &why);
                }
                return Ok(false);
            }
        };
        self.asked = epoch;
        let opening = EpochOpening {
            known: self.replica.at.epoch,
            epoch,
            nonce: nonce(self.shared.boot, u64::MAX - self.random.next() % (1 << 40)),
            state: begins_log.map(|_| snapshot::take(&self.replica)),
            over,
        };
        let opened = self.link()?.open(&opening)?;
        debug!("fleet: epoch {epoch}: {opened:?}");
        // What follows on it is read at once.
        self.must_look = opened != EpochOpened::Yes;
        Ok(true)
    }

    pub(super) fn slot(&self) -> u64 {
        let name = &self.shared.here.name;
        let known = self.replica.nodes.get(name).and_then(|node| node.slot);
        // What another has by the log is none of the latter.
        known.unwrap_or_else(|| SLOTS + slot_of(name))
    }
}
