//! The thread of a webhook: it reads the order, says what is tried when, and keeps the file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::select;

use super::backlog::Undelivered;
use super::config::Hook;
use super::counts::HookCounts;
use super::file::{HookFile, HookStanding};
use super::porter::{Delivered, PorterParcel, Porters};
use super::reader::{OrderReader, Reach};
use super::request::DeliveryEnd;
use crate::event::frame::DELETED;
use crate::event::job::{EventId, JobId};
use crate::hub::Mailbox;
use crate::sequencer::Sequencer;
use crate::sys::channel::{self, Receiver};
use crate::sys::clock::now_ms;
use crate::sys::log::tell;
use crate::sys::random::Random;
use crate::sys::vital;

/// How often the order is looked at while events come one after the other, at most.
const PAUSE: Duration = Duration::from_millis(20);
/// A look mustn't take more than this part of the time.
const LOOK_PART: u32 = 20;
/// How often the file is written, at most, after deliveries; and where only the position moves.
const SAVE: Duration = Duration::from_secs(1);
const SAVE_POSITION: Duration = Duration::from_secs(60);
/// When a file is written again that couldn't be.
const SAVE_RETRY: Duration = Duration::from_secs(10);
/// How long it sleeps that has nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// What a courier is told from outside.
pub struct Orders {
    /// There is news.
    pub news: Receiver<()>,
    /// It is to come to its end.
    pub ends: Arc<AtomicBool>,
    /// Where it says that it sleeps.
    pub mailbox: Arc<Mailbox>,
}

/// A courier.
pub struct Courier {
    hook: Arc<Hook>,
    jobs: Sequencer,
    reader: OrderReader,
    file: Option<HookFile>,
    standing: HookStanding,
    counts: Arc<HookCounts>,
    orders: Orders,
    porters: Porters,
    next_look: Instant,
    /// When the file is to be written.
    save_at: Option<Instant>,
    /// The receiver has taken nothing since it failed.
    is_failing: bool,
    random: Random,
}

impl Courier {
    /// Starts the threads of a webhook, which goes on where its file says, and where there is
    /// none with the next event. Blocks for the disk.
    ///
    /// # Errors
    /// The file can't be read or written, or there are no threads to be had.
    pub fn start(
        hook: Arc<Hook>,
        jobs: Sequencer,
        file: Option<HookFile>,
        counts: Arc<HookCounts>,
        orders: Orders,
    ) -> io::Result<JoinHandle<()>> {
        let standing = standing(&hook, &jobs, file.as_ref(), &counts)?;
        let porters = Porters::start(&hook, &jobs, &standing.mark)?;
        let courier = Courier {
            reader: OrderReader::new(jobs.clone()),
            hook,
            jobs,
            file,
            standing,
            counts,
            orders,
            porters,
            next_look: Instant::now(),
            save_at: None,
            is_failing: false,
            random: Random::new(),
        };
        vital::spawn("webhook", move || courier.run())
    }

    fn run(mut self) {
        while !self.orders.ends.load(Ordering::Acquire) {
            self.look();
            self.hand_out();
            self.save_if_due();
            self.rest();
        }
        self.come_to_an_end();
    }

    /// Reads on, as far as there is room for what waits.
    fn look(&mut self) {
        let now = Instant::now();
        if self.is_full() || now < self.next_look || !self.has_news() {
            return;
        }
        let newest = self.jobs.hub().published();
        let reach = self.read_on(now);
        if reach.gaps > 0 {
            let (name, gaps) = (&self.hook.name, reach.gaps);
            self.counts.lost.add(gaps);
            error!(
                "webhook {name}: events of {gaps} jobs were no longer kept: they aren't delivered"
            );
        }
        self.standing.position = reach.upto;
        self.save_within(SAVE_POSITION);
        let took = now.elapsed();
        let has_room = self.standing.backlog.len() <= self.hook.waiting / 2;
        let pause = if has_room && reach.upto < newest {
            took
        } else {
            // What comes meanwhile is read together.
            PAUSE.max(took * LOOK_PART)
        };
        self.next_look = Instant::now() + pause;
    }

    /// Notes what the webhook wants of what follows.
    fn read_on(&mut self, now: Instant) -> Reach {
        let (hook, counts, backlog) = (&self.hook, &self.counts, &mut self.standing.backlog);
        let hub = self.jobs.hub();
        let wants = |job: &JobId| hook.jobs.covers(job);
        self.reader.read(self.standing.position, wants, |seen| {
            if seen.name == DELETED {
                // Nothing of a life is told any more that was deleted.
                counts.deleted.add(backlog.void(seen.job) as u64);
            }
            if !hook.wants(seen.name) {
                return true;
            }
            if backlog.len() >= hook.waiting {
                return false;
            }
            let newest = hub.life(seen.job).filter(|life| life.last == seen.id);
            let event = Undelivered {
                job: seen.job.clone(),
                name: seen.name.into(),
                tries: 0,
                time_ms: newest.map_or_else(now_ms, |life| life.updated_ms),
                since_ms: 0,
                due: now,
                is_busy: false,
                is_unheard: false,
                is_void: false,
                place: seen.place,
            };
            backlog.add(seen.id, event);
            true
        })
    }

    fn has_news(&self) -> bool {
        self.jobs.hub().published() > self.standing.position
    }

    fn is_full(&self) -> bool {
        self.standing.backlog.len() >= self.hook.waiting
    }

    /// Hands porters what is due.
    fn hand_out(&mut self) {
        let backlog = &mut self.standing.backlog;
        while self.porters.has_room()
            && let Some(id) = backlog.next(Instant::now())
            && let Some(event) = backlog.get_mut(id)
        {
            event.is_busy = true;
            self.porters.send(PorterParcel {
                id,
                job: event.job.clone(),
                time_ms: event.time_ms,
                place: event.place,
            });
        }
        self.counts.set_waiting(backlog.len());
    }

    /// Sleeps until there is something to do.
    fn rest(&mut self) {
        let now = Instant::now();
        let mut wait = IDLE;
        if self.porters.has_room()
            && let Some(next) = self.standing.backlog.until_next(now)
        {
            wait = wait.min(next);
        }
        if let Some(at) = self.save_at {
            wait = wait.min(at.saturating_duration_since(now));
        }
        if !self.is_full() {
            self.orders.mailbox.fall_asleep();
            if self.has_news() {
                wait = wait.min(self.next_look.saturating_duration_since(now));
            }
        }
        select! {
            recv(self.porters.delivered.parcels()) -> delivered => {
                if let Ok(delivered) = delivered.map(channel::Receiver::open) {
                    self.settle(delivered);
                }
            }
            recv(self.orders.news.parcels()) -> _ => {}
            default(wait) => {}
        }
        while let Ok(delivered) = self.porters.delivered.try_recv() {
            self.settle(delivered);
        }
    }

    /// A porter is back.
    fn settle(&mut self, delivered: Delivered) {
        self.porters.busy -= 1;
        let id = delivered.id;
        let Some(event) = self.standing.backlog.get_mut(id) else {
            return;
        };
        event.is_busy = false;
        let is_void = event.is_void;
        self.save_within(SAVE);
        match delivered.end {
            None if is_void => self.drop_void(id),
            Some(DeliveryEnd::Failed { .. }) if is_void => self.drop_void(id),
            None => self.lose(id),
            Some(DeliveryEnd::Taken) => self.take(id),
            Some(DeliveryEnd::Unwanted(why)) => self.give_up(id, &why),
            Some(DeliveryEnd::Failed {
                why,
                is_unheard,
                retry_after,
            }) => {
                self.counts.failed.add(1);
                self.fail(id, &why, is_unheard, retry_after);
            }
        }
    }

    fn take(&mut self, id: EventId) {
        self.standing.backlog.remove(id);
        self.counts.delivered.add(1);
        if std::mem::take(&mut self.is_failing) {
            info!("webhook {}: it takes events again", self.hook.name);
        }
        self.standing.backlog.heard(Instant::now());
    }

    /// Nobody is to be told of it any more.
    fn drop_void(&mut self, id: EventId) {
        self.standing.backlog.remove(id);
        self.counts.deleted.add(1);
    }

    /// The event isn't kept any more.
    fn lose(&mut self, id: EventId) {
        let Some(event) = self.standing.backlog.remove(id) else {
            return;
        };
        let (name, job) = (&self.hook.name, &event.job);
        if self
            .jobs
            .hub()
            .life(job)
            .is_some_and(|life| life.is_deleted())
        {
            self.counts.deleted.add(1);
            debug!("webhook {name}: event {id} of job {job} was deleted");
            return;
        }
        self.counts.lost.add(1);
        error!("webhook {name}: event {id} of job {job} was no longer kept when it was its turn");
    }

    fn fail(&mut self, id: EventId, why: &str, is_unheard: bool, retry_after: Option<Duration>) {
        let (hook, now_ms) = (self.hook.clone(), now_ms());
        let Some(event) = self.standing.backlog.get_mut(id) else {
            return;
        };
        event.tries += 1;
        if event.since_ms == 0 {
            event.since_ms = now_ms;
        }
        let tried = Duration::from_millis(now_ms.saturating_sub(event.since_ms));
        let Some(left) = hook
            .retry_for
            .checked_sub(tried)
            .filter(|left| !left.is_zero())
        else {
            return self.give_up(id, why);
        };
        let doublings = (event.tries - 1).min(24);
        let wait = hook.retry_first.saturating_mul(1 << doublings);
        let wait = self.random.jitter(wait.min(hook.retry_most));
        let wait = wait.max(retry_after.unwrap_or_default().min(hook.retry_most));
        // The last try is at the end of the time that there is.
        let wait = wait.min(left);
        event.due = Instant::now() + wait;
        event.is_unheard = is_unheard;
        let (name, what, job) = (&hook.name, &event.name, &event.job);
        let wait = humantime::format_duration(Duration::from_millis(wait.as_millis() as u64));
        let level = if std::mem::replace(&mut self.is_failing, true) {
            log::Level::Debug
        } else {
            log::Level::Warn
        };
        let message = format_args!(
            "webhook {name}: {what} of job {job} (event {id}): {why}: tried again in {wait}"
        );
        tell(level, module_path!(), message);
    }

    fn give_up(&mut self, id: EventId, why: &str) {
        let Some(event) = self.standing.backlog.remove(id) else {
            return;
        };
        self.counts.given_up.add(1);
        let (name, what, job) = (&self.hook.name, &event.name, &event.job);
        let tries = event.tries.max(1);
        error!(
            "webhook {name}: given up on {what} of job {job} (event {id}) after {tries} \
             tries: {why}"
        );
    }

    fn save_within(&mut self, time: Duration) {
        let at = Instant::now() + time;
        self.save_at = Some(self.save_at.map_or(at, |before| before.min(at)));
    }

    fn save_if_due(&mut self) {
        let now = Instant::now();
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_at = None;
            self.save();
        }
    }

    fn save(&mut self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.write(&self.standing) {
            let name = &self.hook.name;
            error!("webhook {name}: what was delivered can't be noted: {error}");
            self.save_within(SAVE_RETRY);
        }
    }

    /// Waits for porters, unless that takes too long: what they have then goes out again.
    fn come_to_an_end(mut self) {
        let deadline = Instant::now() + super::GRACE;
        while self.porters.busy > 0
            && let Ok(delivered) = self.porters.delivered.recv_deadline(deadline)
        {
            self.settle(delivered);
        }
        self.save();
    }
}

/// Where a webhook begins.
fn standing(
    hook: &Hook,
    jobs: &Sequencer,
    file: Option<&HookFile>,
    counts: &HookCounts,
) -> io::Result<HookStanding> {
    let newest = jobs.hub().published();
    let known = match file {
        Some(file) => file.read()?,
        None => None,
    };
    if let Some(mut standing) = known {
        if standing.position <= newest {
            let latest = Instant::now() + hook.retry_most;
            standing.backlog.hasten(latest);
            return Ok(standing);
        }
        counts.lost.add(1);
        error!(
            "webhook {}: it had events up to {}, and the order has {newest}: it begins anew",
            hook.name, standing.position
        );
    }
    let standing = HookStanding::beginning_after(newest)?;
    if let Some(file) = file {
        // The ids of requests are the same after a crash.
        file.write(&standing)?;
    }
    Ok(standing)
}
