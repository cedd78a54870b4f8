//! Whether a server is alive.

use std::time::Duration;

use super::Server;
use super::listener::{Acceptor, Knocker};
use crate::stream::ShardHandle;
use crate::sys::{channel, clock, coroutine};

/// Finds out whether a server is alive.
pub struct Pulse {
    shards: Vec<ShardHandle>,
    acceptors: Vec<Knocker>,
}

impl Pulse {
    pub(super) fn of(server: &Server) -> Pulse {
        Pulse {
            shards: server.house.shards().to_vec(),
            acceptors: server.acceptors.iter().map(Acceptor::knocker).collect(),
        }
    }

    /// Whether every shard, every acceptor and the coroutines' scheduler answer within
    /// `limit`. Blocks so long at most.
    pub fn is_alive(&self, limit: Duration) -> bool {
        let deadline = clock::after(limit);
        let count = self.shards.len() + self.acceptors.len() + 1;
        let (answer, answers) = channel::bounded(count);
        self.shards.iter().for_each(|it| it.knock(answer.clone()));
        self.acceptors
            .iter()
            .for_each(|it| it.knock(answer.clone()));
        let spawned = coroutine::spawn(Box::new(move || {
            let _ = answer.try_send(());
        }));
        spawned.is_ok() && (0..count).all(|_| answers.recv_deadline(deadline).is_ok())
    }
}
