//! A consolidated stream that is served so often at most, and gets the newest progress of each
//! job then. In between it rests.

use std::time::Instant;

use crate::event::Pace;
use crate::event::job::EventId;
use crate::hub::Hub;
use crate::sequencer::history::NewestOf;

/// What there is to know of it.
pub(super) struct Paced {
    pace: Pace,
    /// What is numbered up to here is being sent.
    upto: Option<EventId>,
    /// Some of it has been.
    has_sent: bool,
    /// When it may be served again.
    rests_until: Option<Instant>,
}

impl Paced {
    pub fn new(pace: Pace) -> Paced {
        Paced {
            pace,
            upto: None,
            has_sent: false,
            rests_until: None,
        }
    }

    /// The number up to which the stream is served: that was the newest when its turn began,
    /// however many passes it takes.
    pub fn begin(&mut self, published: EventId) -> EventId {
        *self.upto.get_or_insert(published)
    }

    /// A pass has found something to send, or hasn't.
    pub fn note(&mut self, has_sent: bool) {
        self.has_sent |= has_sent;
    }

    /// The turn is over: the stream rests, where it has been sent something. Returns until when.
    pub fn rest(&mut self, now: Instant) -> Option<Instant> {
        self.upto = None;
        let has_sent = std::mem::take(&mut self.has_sent);
        self.rests_until = has_sent.then(|| now + self.pace.interval());
        self.rests_until
    }

    /// Whether it rests. A rest that is over is ended.
    pub fn rests_at(&mut self, now: Instant) -> bool {
        self.rests_until = self.rests_until.filter(|&until| now < until);
        self.rests_until.is_some()
    }

    /// Ends the rest that lasts until then. False where that isn't its own.
    pub fn wake(&mut self, until: Instant) -> bool {
        let is_its_own = self.rests_until == Some(until);
        if is_its_own {
            self.rests_until = None;
        }
        is_its_own
    }
}

/// What finds the number of a job's newest progress event.
pub(super) fn newest_of(hub: &Hub) -> NewestOf {
    let hub = hub.clone();
    Box::new(move |job| {
        let job = hub.find(job);
        job.map_or(EventId(0), |job| job.lock().ring().newest_progress())
    })
}
