//! Webhooks: servers that are told what has become of jobs, and follow nothing.
//!
//! A webhook is one more reader of the one order, and keeps a position in it. What it can't
//! deliver waits in the order, and not in a queue of its own: it notes the numbers of a bounded
//! number of events, and reads one again for every try. So a receiver that is slow or dead costs
//! what one costs that is well, and delays nobody.
//!
//! The invariants:
//! - An event is settled once its receiver has taken it, or it was tried as long as it may be.
//!   The file says what is settled after the fact: what happens in between is told twice, with
//!   the same id, and never not at all.
//! - Of a job, an event is tried when those before it are settled.
//! - No thread of a webhook is waited for by anybody else's.

mod backlog;
mod config;
mod counts;
mod courier;
mod file;
mod porter;
mod reader;
mod request;
mod secret;
mod template;
mod url;

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

#[cfg(feature = "serve")]
pub use config::EXAMPLE;
use config::Hook;
pub use config::HookPlan;
use counts::HookCounts;
use courier::{Courier, Orders};
use file::HookFile;
use secret::{HookSecrets, Secrets};

use crate::event::job::EventId;
use crate::hub::Mailbox;
use crate::sequencer::Sequencer;
use crate::sys::channel::{Sender, bounded};
use crate::sys::metrics::{Counter, head};

/// What requests under way have to be answered when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// The webhooks of a server.
pub struct Webhooks {
    hooks: Vec<(Arc<Hook>, Arc<HookCounts>)>,
    couriers: Mutex<Vec<JoinHandle<()>>>,
    bells: Vec<Sender<()>>,
    ends: Arc<AtomicBool>,
}

/// The secrets of all webhooks, in their order.
pub struct NewSecrets(Vec<Option<Secrets>>);

/// An event as webhooks are told of it.
pub(crate) struct HookEvent<'a> {
    /// Its job.
    job: &'a str,
    /// Its name.
    name: &'a str,
    /// Its number.
    id: EventId,
    /// When it came, in milliseconds of the unix clock.
    time_ms: u64,
    /// Its data, a JSON object.
    data: &'a str,
}

impl HookPlan {
    /// Starts the webhooks. Where they stand is kept below `data`; without it they begin with
    /// the next event, and what isn't delivered when the server ends is lost. None where there
    /// are none. Blocks for the disk.
    ///
    /// # Errors
    /// What they need can't be read, or there are no threads to be had.
    pub fn start(self, jobs: &Sequencer, data: Option<&Path>) -> io::Result<Option<Webhooks>> {
        if self.hooks.is_empty() {
            return Ok(None);
        }
        if let Some(why) = self.check().into_iter().next() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let ends = Arc::new(AtomicBool::new(false));
        let (bells, rung): (Vec<_>, Vec<_>) = self.hooks.iter().map(|_| bounded(1)).unzip();
        let mailbox = mailbox(jobs, bells.clone());
        let mut webhooks = Webhooks {
            hooks: Vec::new(),
            couriers: Mutex::default(),
            bells,
            ends: ends.clone(),
        };
        for (hook, news) in self.hooks.into_iter().zip(rung) {
            let (hook, counts) = (Arc::new(hook), Arc::<HookCounts>::default());
            webhooks.hooks.push((hook.clone(), counts.clone()));
            let file = data
                .map(|data| HookFile::of(data, &hook.name))
                .transpose()?;
            let orders = Orders {
                news,
                ends: ends.clone(),
                mailbox: mailbox.clone(),
            };
            let courier = Courier::start(hook, jobs.clone(), file, counts, orders)?;
            webhooks.couriers.lock().push(courier);
        }
        Ok(Some(webhooks))
    }

    /// What would keep them from starting. Blocks for the disk.
    pub fn check(&self) -> Vec<String> {
        let checked = self.hooks.iter().map(|hook| {
            request::check(hook).map_err(|why| format!("webhook {}: {why}", hook.name))
        });
        checked.filter_map(Result::err).collect()
    }
}

impl Webhooks {
    /// What the files of secrets hold now. Blocks for the disk.
    ///
    /// # Errors
    /// One can't be read, or holds something else.
    pub fn reread(&self) -> io::Result<NewSecrets> {
        let read = self.hooks.iter().map(|(hook, _)| {
            let secrets = hook.secrets.as_ref();
            secrets.map(HookSecrets::reread).transpose()
        });
        Ok(NewSecrets(read.collect::<io::Result<_>>()?))
    }

    /// Signs by these from now on.
    pub fn change(&self, secrets: NewSecrets) {
        for ((hook, _), new) in self.hooks.iter().zip(secrets.0) {
            if let (Some(secrets), Some(new)) = (&hook.secrets, new) {
                secrets.change(new);
            }
        }
    }

    /// Ends them: where they stand is in their files then. Blocks, a second for requests that
    /// are under way.
    pub fn stop(&self) {
        self.ends.store(true, Ordering::Release);
        for bell in &self.bells {
            let _ = bell.try_send(());
        }
        for courier in self.couriers.lock().drain(..) {
            let _ = courier.join();
        }
    }

    /// Adds what was counted, as Prometheus reads it. Names need no escapes.
    pub fn write_metrics(&self, out: &mut String) {
        type Count = fn(&HookCounts) -> &Counter;
        let outcomes: [(&str, Count); 5] = [
            ("delivered", |counts| &counts.delivered),
            ("failed", |counts| &counts.failed),
            ("given_up", |counts| &counts.given_up),
            ("lost", |counts| &counts.lost),
            ("deleted", |counts| &counts.deleted),
        ];
        let help = "Events for each webhook, by what became of them; failed counts tries.";
        head(out, "webhook_events_total", help, "counter");
        for (hook, counts) in &self.hooks {
            for (outcome, count) in outcomes {
                let (name, count) = (&hook.name, count(counts).get());
                let _ = writeln!(
                    out,
                    "landfall_webhook_events_total{{webhook=\"{name}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
        let help = "Events that each webhook's receiver hasn't taken; more may stand behind them.";
        head(out, "webhook_events_waiting", help, "gauge");
        for (hook, counts) in &self.hooks {
            let (name, waiting) = (&hook.name, counts.waiting());
            let _ = writeln!(
                out,
                "landfall_webhook_events_waiting{{webhook=\"{name}\"}} {waiting}"
            );
        }
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl HookEvent<'_> {
    /// As Standard Webhooks has it.
    fn standard(&self) -> String {
        let HookEvent { name, id, data, .. } = self;
        let time = self.time();
        format!(r#"{{"type":"job.{name}","timestamp":"{time}","id":{id},"data":{data}}}"#)
    }

    /// When it came.
    fn time(&self) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.time_ms);
        humantime::format_rfc3339_millis(time).to_string()
    }
}

/// A letter box that hears of every event, and rings all bells.
fn mailbox(jobs: &Sequencer, bells: Vec<Sender<()>>) -> Arc<Mailbox> {
    let ring = move || {
        for bell in &bells {
            // One that has been rung already needs no second time.
            let _ = bell.try_send(());
        }
    };
    let mailbox = Arc::new(Mailbox::new(ring));
    let hub = jobs.hub();
    let place = hub
        .register(mailbox.clone())
        .expect("a server has no more shards than there may be");
    hub.follow_all(place, true);
    mailbox
}
