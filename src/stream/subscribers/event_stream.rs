//! What one subscriber reads: events, each once and in order, as frames that are ready to be
//! sent.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::consolidated::{Consolidated, Filled, Since};
use super::super::paced::newest_of;
use super::{Desk, Waiter, invalid};
use crate::event::Pace;
use crate::event::frame;
use crate::event::job::{EventId, JobId};
use crate::event::ring::Batch;
use crate::sequencer::history::{Cursor, Replay, ReplayRequest, What};

/// The events of jobs, as [`Subscribers::follow`](super::Subscribers::follow) begins them. It
/// misses nothing and repeats nothing: where events are gone, `reset` says so.
///
/// [`EventStream::events`] gives them to a thread, and blocks it; [`EventStream::next_within`]
/// does so for a while. With the feature `futures` it is a `Stream`, which any executor can
/// poll, and no iterator, so `next` and `map` mean those of `StreamExt`. It reads the rings that
/// all subscribers share when it is asked, so one that stops reading holds up nobody and costs
/// nothing more.
pub struct EventStream {
    desk: Arc<Desk>,
    /// None once it has been left.
    stream: Option<Consolidated>,
    waiter: Arc<Waiter>,
    number: u32,
    /// The client has everything up to here, once what is ready has been taken.
    after: EventId,
    /// Frames in their chunks, and how many of their bytes have been taken.
    ready: Arc<Vec<u8>>,
    taken: usize,
    reading: ReadBack,
    has_ended: bool,
}

/// An event of a stream, as a frame that is shared with those that were read with it.
#[derive(Clone)]
pub struct SentEvent {
    bytes: Arc<Vec<u8>>,
    frame: Range<usize>,
}

/// What is being read back.
#[derive(Default)]
struct ReadBack {
    ticket: u64,
    is_asked: bool,
    cursor: Option<Cursor>,
    forgettings: u64,
}

/// What a look has found.
enum LookFound {
    Event(SentEvent),
    Nothing,
    End,
}

impl EventStream {
    pub(super) fn new(desk: Arc<Desk>, mut stream: Consolidated) -> EventStream {
        let waiter = Arc::<Waiter>::default();
        let has_ended = stream.is_over();
        EventStream {
            number: desk.join(&waiter, &stream),
            after: stream.after,
            stream: Some(stream),
            desk,
            waiter,
            ready: Arc::default(),
            taken: 0,
            reading: ReadBack::default(),
            has_ended,
        }
    }

    /// Its events, one after the other, until it ends. Each blocks the thread until it comes.
    ///
    /// ```
    /// use landfall::{Event, Follow, HubConfig, Sequencer, Start, Subscribers};
    /// # let jobs = Sequencer::in_memory(HubConfig::default());
    /// # let subscribers = Subscribers::of(&jobs)?;
    /// # jobs.publish(&"job_8f3a".parse().unwrap(), Event::done()).unwrap();
    /// let job = "job_8f3a".parse().unwrap();
    /// let mut stream = subscribers.follow(Follow::Jobs(vec![job]), &Start::Oldest)?;
    /// for event in stream.events() {
    ///     assert_eq!(event.name(), "done");
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn events(&mut self) -> impl Iterator<Item = SentEvent> {
        std::iter::from_fn(|| self.next_by(None))
    }

    /// Has it give progress so many times a second at most, from 0.1 to 100: of each job the
    /// newest then. All other events come, as with `?maxRate=` on the wire, in the same turns.
    ///
    /// ```
    /// # use landfall::{Follow, HubConfig, Sequencer, Start, Subscribers};
    /// # let jobs = Sequencer::in_memory(HubConfig::default());
    /// # let subscribers = Subscribers::of(&jobs)?;
    /// let every_job = Follow::Prefix(String::new());
    /// let stream = subscribers.follow(every_job, &Start::Newest)?.max_rate(2.0)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] where it is no such number.
    pub fn max_rate(mut self, per_second: f64) -> io::Result<EventStream> {
        let pace = Pace::of(per_second).map_err(invalid)?;
        if let Some(stream) = &mut self.stream {
            stream.set_pace(pace);
        }
        Ok(self)
    }

    /// The next event, where it comes within so long; none as well where the stream has ended,
    /// see [`EventStream::has_ended`]. Blocks until then.
    pub fn next_within(&mut self, wait: Duration) -> Option<SentEvent> {
        self.next_by(Instant::now().checked_add(wait))
    }

    /// Whether nothing follows: every job that was named has ended, or there are no
    /// [`Subscribers`](super::Subscribers) any more. Where that is so from the beginning, a
    /// browser is answered with 204, so that it comes back no more.
    pub fn has_ended(&self) -> bool {
        self.has_ended && self.taken == self.ready.len()
    }

    /// Has a task woken when there may be more, and says what there is now.
    #[cfg(feature = "futures")]
    fn poll(&mut self, task: &std::task::Waker) -> std::task::Poll<Option<SentEvent>> {
        use std::task::Poll;
        loop {
            match self.look() {
                LookFound::Event(event) => return Poll::Ready(Some(event)),
                LookFound::End => return Poll::Ready(None),
                LookFound::Nothing if self.waiter.register(task) => return Poll::Pending,
                LookFound::Nothing => {}
            }
        }
    }

    fn next_by(&mut self, deadline: Option<Instant>) -> Option<SentEvent> {
        loop {
            match self.look() {
                LookFound::Event(event) => return Some(event),
                LookFound::Nothing if self.waiter.wait(deadline) => {}
                LookFound::Nothing | LookFound::End => return None,
            }
        }
    }

    fn look(&mut self) -> LookFound {
        loop {
            if let Some(event) = self.take() {
                return LookFound::Event(event);
            }
            if self.has_ended {
                return LookFound::End;
            }
            if !self.fill() {
                return LookFound::Nothing;
            }
        }
    }

    /// The next frame that is ready.
    fn take(&mut self) -> Option<SentEvent> {
        let Some((chunk, payload)) = frame::first(&self.ready[self.taken..]) else {
            // A stream that waits holds no memory.
            self.ready = Arc::default();
            self.taken = 0;
            return None;
        };
        let frame = self.taken + payload.start..self.taken + payload.end;
        self.taken += chunk;
        Some(SentEvent {
            bytes: self.ready.clone(),
            frame,
        })
    }

    /// Makes frames ready, or finds the end. False where there is nothing now.
    fn fill(&mut self) -> bool {
        let replay = self.waiter.look();
        if self.desk.is_closed.load(Ordering::Acquire) {
            self.has_ended = true;
            return true;
        }
        if self.reading.is_asked {
            return replay.is_some_and(|replay| self.fill_from(*replay));
        }
        let Some(stream) = &mut self.stream else {
            return false;
        };
        if stream.rests_at(Instant::now()) {
            return false;
        }
        let mut batch = Batch::default();
        let pass = stream.pass(&self.desk.sequencer, self.after, &mut batch);
        let (newest, mut ready) = (batch.newest(), pass.resets);
        if ready.is_empty() {
            ready = batch.bytes;
        } else {
            ready.extend_from_slice(&batch.bytes);
        }
        self.ready = Arc::new(ready);
        match pass.filled {
            Filled::Behind(upto) => {
                self.read(upto, pass.since);
                return !self.ready.is_empty();
            }
            Filled::Whole(upto) => self.after = EventId(newest.max(upto.0)),
            Filled::Partly => self.after = EventId(newest.max(self.after.0)),
        }
        self.reading.cursor = None;
        stream.selection.has_reached(self.after);
        self.has_ended = pass.has_ended;
        if pass.has_more || self.has_ended {
            return true;
        }
        let has_news = self.rest();
        has_news || !self.ready.is_empty()
    }

    /// It has all that there was when its turn began: it rests, where it has a rate. Returns
    /// whether there is more, and no rest.
    fn rest(&mut self) -> bool {
        let Some(paced) = self.stream.as_mut().and_then(|it| it.paced.as_mut()) else {
            return false;
        };
        match paced.rest(Instant::now()) {
            Some(until) => {
                self.desk.rest(until, self.number);
                false
            }
            None => self.desk.sequencer.hub().published() > self.after,
        }
    }

    /// Has events up to `upto` read back.
    fn read(&mut self, upto: EventId, since: Since) {
        let Some(stream) = &self.stream else { return };
        self.reading.ticket += 1;
        self.reading.is_asked = true;
        self.reading.forgettings = since.forgettings;
        self.desk.sequencer.order().read(ReplayRequest {
            row: self.number,
            ticket: self.reading.ticket,
            what: What::Many {
                jobs: stream.selection.jobs(),
                after: self.after,
                upto,
                kept_from: since.kept_from,
            },
            cursor: self.reading.cursor,
            newest: stream
                .is_paced()
                .then(|| newest_of(self.desk.sequencer.hub())),
            reply: self.desk.pieces.0.clone(),
            mailbox: self.desk.mailbox.clone(),
        });
    }

    /// Makes ready what was read back, unless it isn't to be seen any more.
    fn fill_from(&mut self, replay: Replay) -> bool {
        if replay.ticket != self.reading.ticket {
            return false;
        }
        self.reading.is_asked = false;
        let sequencer = &self.desk.sequencer;
        let has_missed = self.stream.as_ref().is_some_and(|stream| {
            let is_followed = |job: &JobId| stream.selection.follows(job);
            let forgettings = self.reading.forgettings;
            let hub = sequencer.hub();
            hub.has_forgotten(forgettings, self.after, is_followed)
        });
        if has_missed || !sequencer.order().is_current(&replay.sources) {
            self.reading.cursor = None;
            return true;
        }
        self.after = EventId(self.after.0.max(replay.batch.newest()).max(replay.reached));
        self.reading.cursor = replay.cursor_after(self.after.0);
        self.ready = Arc::new(replay.batch.bytes);
        if let Some(stream) = &mut self.stream {
            stream.selection.has_reached(self.after);
        }
        true
    }
}

#[cfg(feature = "futures")]
impl futures_core::Stream for EventStream {
    type Item = SentEvent;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        task: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<SentEvent>> {
        self.get_mut().poll(task.waker())
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.desk.leave(self.number, stream);
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl SentEvent {
    /// Its place in the one order. Whoever has it resumes after it, with
    /// [`Start::After`](crate::Start::After).
    pub fn id(&self) -> EventId {
        let digits = self.line("id: ").parse();
        EventId(digits.unwrap_or_default())
    }

    /// `progress`, `done`, `error`, a name of the publisher's own, `deleted` or `reset`.
    pub fn name(&self) -> &str {
        self.line("event: ")
    }

    /// A JSON object, with the job's name as `jobId`.
    pub fn data(&self) -> &str {
        self.line("data: ")
    }

    /// The event as it goes to a browser (WHATWG HTML 9.2), with the blank line behind it:
    /// what to write into a response of `text/event-stream`. [`AsRef`] gives the same bytes.
    pub fn frame(&self) -> &str {
        std::str::from_utf8(self.as_ref()).unwrap_or_default()
    }

    fn line(&self, field: &str) -> &str {
        let mut lines = self.frame().lines();
        lines
            .find_map(|line| line.strip_prefix(field))
            .unwrap_or_default()
    }
}

impl AsRef<[u8]> for SentEvent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.frame.clone()]
    }
}

impl fmt::Debug for SentEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentEvent")
            .field("id", &self.id().0)
            .field("name", &self.name())
            .field("data", &self.data())
            .finish()
    }
}
