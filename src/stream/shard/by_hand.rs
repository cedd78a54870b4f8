//! A shard without a thread, for a simulation: whoever has it takes its turns.

use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll};
use parking_lot::Mutex;

use super::{Counted, Shard, ShardConfig, ShardHandle, WAKER};
use crate::access::quota::Shares;
use crate::sequencer::Sequencer;
use crate::stream::SendMemory;
use crate::sys::headcount::Headcount;
use crate::sys::random::Random;

/// Such a shard.
pub struct ShardByHand {
    shard: Arc<Mutex<Shard>>,
    handle: ShardHandle,
    poll: Poll,
    events: Events,
}

impl ShardByHand {
    pub fn new(sequencer: &Sequencer, config: ShardConfig) -> ShardByHand {
        let poll = Poll::new().expect("there is a poller");
        let counted = Counted {
            addresses: Shares::new(None),
            tokens: Shares::new(None),
            streams: Headcount::default(),
            send_memory: SendMemory::new(64 << 20, 128 * 1024),
        };
        let made = ShardHandle::without_thread(sequencer, config, counted, &poll);
        let (shard, handle) = made.expect("there is a waker");
        shard.lock().random = Random::seeded(1);
        ShardByHand {
            shard,
            handle,
            poll,
            events: Events::with_capacity(64),
        }
    }

    pub fn handle(&self) -> &ShardHandle {
        &self.handle
    }

    /// What its thread does between two sleeps. False where it sleeps now, and may be stood
    /// in for.
    pub fn turn(&mut self) -> bool {
        let polled = self.poll.poll(&mut self.events, Some(Duration::ZERO));
        polled.expect("the poller works");
        let mut shard = self.shard.lock();
        shard.wake_up(None);
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            shard.socket_event(event);
        }
        shard.turn();
        shard.until_next_turn() == Some(Duration::ZERO)
    }
}
