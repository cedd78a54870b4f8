//! Rows and the jobs that they follow: how they come, and how they go.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::idle::HEARTBEAT_PARTS;
use super::table::{BLOCKED, CONSOLIDATED, ENDING, HAS_LEFTOVER, NONE, PLAIN, QUEUED, READING};
use super::{Adoption, Shard, ShardJob, Stream};
use crate::access::quota::Share;
use crate::hub::Job;
use crate::sys::metrics::Close;
use crate::sys::socket::Socket;

/// Reads before a client that has closed counts as gone, whatever else it has said.
const LAST_READS_MAX: usize = 8;

impl Shard {
    pub(super) fn adopt(&mut self, adoption: Adoption) {
        let Adoption {
            socket,
            opening,
            stream,
        } = adoption;
        let fd = socket.as_raw_fd();
        let (row, job) = match stream {
            Stream::Job { job, after, pace } => {
                let slot = match pace {
                    None => self.follow(&job),
                    Some(pace) => self.follow_paced(&job, pace, after),
                };
                let row = self.table.insert(socket, slot, after.0, HAS_LEFTOVER);
                let followed = self.jobs[slot as usize]
                    .as_mut()
                    .expect("it was just followed");
                self.table.link(&mut followed.head, row);
                (row, Some(job))
            }
            Stream::Consolidated(stream) => (self.adopt_consolidated(socket, *stream), None),
        };
        self.make_small(row);
        let bytes = opening.to_bytes();
        // A row has no room for what gives these back: closing it does.
        let one = opening.open.unwrap_or_else(|| self.counted.streams.one());
        one.leave();
        let places = [opening.address, opening.token];
        let places = places.map(|share| share.and_then(Share::into_place));
        self.table.set_places(row, places);
        self.set_deadlines(row, opening.ends_at);
        if self.drain.is_some() {
            self.table[row].flags |= ENDING;
        }
        #[cfg(feature = "redis")]
        self.end_if_lost(row);
        if opening.is_plain {
            self.table[row].flags |= PLAIN;
        }
        self.add_leftover_bytes(row, &bytes);
        // Both directions at once and for good: an edge-triggered poller tells of each
        // change once, so a row costs one call however often it blocks.
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .sockets
            .register(&mut SourceFd(&fd), Token(row as usize), interest);
        if let Err(error) = registered {
            warn!("shard {}: a stream can't be polled: {error}", self.number);
            self.close(row, Close::ClientGone);
            return;
        }
        drop(job);
        self.admit(row);
        if let Some(there) = self.table.get(row) {
            // Rows that come together are looked at apart.
            there.age = (self.random.next() % u64::from(HEARTBEAT_PARTS)) as u8;
        }
    }

    /// The place of a job in this shard; it is followed from now on.
    pub(super) fn follow(&mut self, job: &Arc<Job>) -> u32 {
        let mut core = job.lock();
        if let Some(slot) = core.slot_in(self.number) {
            return slot;
        }
        // Under the job's lock: what comes from here on is news for the place.
        let slot = self.place(ShardJob::new(job.clone()));
        core.follow(self.number, slot);
        slot
    }

    pub(super) fn place(&mut self, followed: ShardJob) -> u32 {
        let slot = self.free_jobs.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() as u32 - 1
        });
        self.jobs[slot as usize] = Some(followed);
        slot
    }

    /// Lets a job go that nobody here follows any more.
    pub(super) fn unfollow_if_unused(&mut self, slot: u32) {
        let place = &mut self.jobs[slot as usize];
        if place
            .as_ref()
            .is_some_and(|f| f.head == NONE && f.consolidated.is_empty() && f.strands.is_empty())
            && let Some(followed) = place.take()
        {
            self.free_jobs.push(slot);
            let Some(strand) = followed.strand else {
                followed.job.lock().unfollow(self.number);
                return;
            };
            if let Some(followed) = &mut self.jobs[strand.job as usize] {
                followed.strands.retain(|&other| other != slot);
            }
            self.unfollow_if_unused(strand.job);
        }
    }

    pub(super) fn queue_job(&mut self, slot: u32) {
        // A slot may have been given to another job since: serving that is harmless.
        if let Some(Some(followed)) = self.jobs.get_mut(slot as usize)
            && !followed.queued
        {
            followed.queued = true;
            self.dirty.push_back(slot);
        }
    }

    pub(super) fn queue_row(&mut self, row: u32) {
        if let Some(there) = self.table.get(row)
            && there.flags & (QUEUED | BLOCKED | READING) == 0
        {
            there.flags |= QUEUED;
            self.behind.push_back(row);
        }
    }

    pub(super) fn close(&mut self, row: u32, why: Close) {
        let Some(there) = self.table.get(row) else {
            return;
        };
        let (slot, is_consolidated) = (there.place, there.flags & CONSOLIDATED != 0);
        self.leave_waiting(row);
        self.forget_leftover(row);
        self.forget_reading(row);
        self.give_buffer_back(row);
        if is_consolidated {
            self.leave_consolidated(row, slot);
        } else if let Some(Some(followed)) = self.jobs.get_mut(slot as usize) {
            if followed.walk == row {
                followed.walk = self.table[row].next;
            }
            self.table.unlink(&mut followed.head, row);
            let job = followed.job.clone();
            self.unfollow_if_unused(slot);
            self.hub.leave(&job);
        }
        self.hub.metrics().closed(why);
        drop(self.counted.streams.take_back());
        let [address, token] = self.table.take_places(row);
        if let Some(place) = address {
            self.counted.addresses.give_back(place);
        }
        if let Some(place) = token {
            self.counted.tokens.give_back(place);
        }
        // Closing the socket takes it out of the poller as well.
        drop(self.table.remove(row));
    }

    pub(super) fn socket_event(&mut self, event: &mio::event::Event) {
        let row = event.token().0 as u32;
        let Some(there) = self.table.get(row) else {
            return;
        };
        if event.is_writable() && there.flags & BLOCKED != 0 {
            self.unblock(row);
            self.queue_row(row);
        }
        let is_over = event.is_error() || event.is_read_closed();
        let Some(socket) = self.table.get(row).and_then(|row| row.socket.as_ref()) else {
            return;
        };
        if is_over {
            // A client that half-closes has gone: nothing tells it from one that crashed.
            // But the row may be another's by now: a socket that was closed is polled on for
            // as long as a child that is just being started has it, too.
            if has_left(socket) {
                // What is there for it already is sent first.
                self.serve_behind(row);
                self.close(row, Close::ClientGone);
            }
        } else if event.is_readable() {
            // A client has nothing more to say. What it says is dropped, once an event.
            let mut dropped = [0; 1024];
            let _ = socket.receive(&mut dropped);
        }
    }
}

/// Whether nothing more comes from a client, or so much that nobody waits for its end.
fn has_left(socket: &Socket) -> bool {
    let mut dropped = [0; 1024];
    for _ in 0..LAST_READS_MAX {
        match socket.receive(&mut dropped) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    true
}
