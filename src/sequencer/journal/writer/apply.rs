//! What is written, on its way into the index and the hub.

use std::sync::atomic::Ordering;

use super::JournalWriter;
use super::batch::{Numbered, WriteBatch};
use crate::hub::Change;
use crate::sequencer::journal::segment::RecordPlace;
use crate::sequencer::log_end;

impl JournalWriter {
    /// Has the hub take what is written.
    pub(super) fn apply(&mut self, batch: &WriteBatch, start: u64) {
        let Some(last) = batch.entries.last() else {
            return;
        };
        let segment = self.segment();
        if let Some(segment) = self.shared.segments.lock().get_mut(&segment) {
            segment.newest_ms = last.entry.time_ms;
            segment.newest = last.id;
        }
        let is_alone = batch.entries.len() == 1;
        let is_forget = |entry: &Numbered| matches!(entry.entry.change, Change::Forget { .. });
        // What is written can be read back before the hub has let go of it. Of what is
        // forgotten the hub tells before it can't be read any more.
        for entries in batch
            .entries
            .chunk_by(|one, other| !is_forget(one) && !is_forget(other))
        {
            match entries {
                [entry] if is_forget(entry) => {
                    self.apply_entry(entry, is_alone);
                    self.shared.index.lock().remove(&entry.entry.job);
                }
                entries => {
                    self.index(entries, start);
                    entries
                        .iter()
                        .for_each(|entry| self.apply_entry(entry, is_alone));
                }
            }
        }
        let keys = self.hub.keys();
        self.shared.keys.store(keys, Ordering::Release);
    }

    fn apply_entry(&self, entry: &Numbered, is_alone: bool) {
        match self.hub.apply(entry.id, &entry.entry) {
            Ok(news) => {
                self.hub.tell(news, is_alone);
                log_end(&entry.entry.job, &entry.entry.change);
            }
            Err(refusal) => {
                let (job, id) = (&entry.entry.job, entry.id);
                error!("journal: {job} {id} is written and not taken: {refusal}");
            }
        }
    }

    /// Notes where entries are, which begin in the segment with the batch at `start`.
    fn index(&self, entries: &[Numbered], start: u64) {
        let segment = self.segment();
        let mut events = 0;
        let mut index = self.shared.index.lock();
        for entry in entries {
            let job = &entry.entry.job;
            let place = RecordPlace {
                segment,
                offset: (start + entry.offset as u64) as u32,
                bytes: entry.bytes as u32,
            };
            match entry.entry.change {
                Change::Event { .. } => {
                    events += 1;
                    index.append(job, entry.id, place, entry.floor);
                }
                Change::Renew { .. } | Change::Cancel { .. } => {}
                Change::Begin { .. } if !entry.replaces => index.begin_life(job),
                Change::Begin { .. } | Change::Delete { .. } => {
                    index.end_by_deletion(job, entry.id, place, entry.floor);
                }
                Change::Forget { .. } => index.remove(job),
            }
        }
        drop(index);
        self.shared.counters.events.add(events);
    }
}
