//! What the listeners of one server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::http::Status;
use crate::routes::{Answers, Context, Label, Peer};
use crate::stream::opening::Opening;
use crate::stream::{Adoption, ShardHandle, Stream};
use crate::sys::headcount::Headcount;
use crate::sys::metrics::Metrics;
use crate::sys::socket::Socket;
use crate::webhook::Webhooks;

/// What commands that are killed have to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// What the listeners of one server share.
pub struct House {
    /// What requests are decided by.
    pub context: Arc<Context>,
    /// Who is here.
    pub census: Census,
    /// Where streams are parked.
    shards: Vec<ShardHandle>,
    /// Who is told of events.
    webhooks: Option<Webhooks>,
    /// The next shard to be given a stream.
    next_shard: AtomicUsize,
    /// How requests were answered.
    answers: Answers,
    /// Another server has taken its place.
    is_succeeded: AtomicBool,
}

/// Who is here and isn't a stream. It is by this that others are let in, and that the server
/// knows whether it may stop.
#[derive(Debug, Default)]
pub struct Census {
    /// Connections that wait for their first request.
    pub waiting: Headcount,
    /// Those that have made one.
    pub conversations: Headcount,
    /// Those of them that wait for an answer.
    pub unanswered: Headcount,
}

impl House {
    /// Nobody is there yet.
    pub fn new(
        context: Arc<Context>,
        shards: Vec<ShardHandle>,
        webhooks: Option<Webhooks>,
    ) -> House {
        House {
            context,
            webhooks,
            census: Census::default(),
            shards,
            next_shard: AtomicUsize::new(0),
            answers: Answers::default(),
            is_succeeded: AtomicBool::new(false),
        }
    }

    /// Gives a stream to the next shard.
    pub fn park(&self, socket: Socket, peer: Peer, mut opening: Opening, stream: Stream) {
        opening.address = peer.into_share();
        let next = self.next_shard.fetch_add(1, Ordering::Relaxed);
        self.shards[next % self.shards.len()].adopt(Adoption {
            socket,
            opening,
            stream,
        });
    }

    /// Counts an answer.
    pub fn answered(&self, label: Label, status: Status) {
        self.answers.count(label, status);
    }

    /// How requests were answered.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// What is counted for monitoring.
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.context.jobs.hub().metrics()
    }

    /// The shards.
    pub fn shards(&self) -> &[ShardHandle] {
        &self.shards
    }

    /// The webhooks.
    pub fn webhooks(&self) -> Option<&Webhooks> {
        self.webhooks.as_ref()
    }

    /// Whether it stops, and nobody has taken its place.
    pub fn is_stopping(&self) -> bool {
        self.context.is_draining() && !self.is_succeeded.load(Ordering::Acquire)
    }

    /// Another server has taken its place.
    pub fn succeed(&self) {
        self.is_succeeded.store(true, Ordering::Release);
    }

    /// Stops what writes below the data directory, for another process to have it. Blocks, to
    /// `deadline` for commands that take their time to end; then they are killed, whatever they
    /// were given for it.
    pub fn put_away(&self, deadline: Instant) {
        if let Some(pipeline) = &self.context.pipeline
            && !pipeline.stop(deadline)
        {
            warn!("stages are still at work: they are killed, and begin anew later");
            pipeline.hurry();
            pipeline.stop(Instant::now() + KILL_PATIENCE);
        }
        if let Some(webhooks) = &self.webhooks {
            webhooks.stop();
        }
        self.context.jobs.order().close();
    }
}
