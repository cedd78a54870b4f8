//! What most scenarios begin with: a server, its jobs, its subscribers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::clients::{Clients, Connecting};
use crate::clock::now_ns;
use crate::failure::{Result, fail};
use crate::http::Connection;
use crate::peer::{self, Peer, Setup};
use crate::server::Server;
use crate::totals::Totals;

/// The job of every scenario that needs only one.
pub const JOB: &str = "job_8f3a";
/// Connections that wait for their head at a time, where connecting itself is
/// not what is measured: below every server's accept queue.
const WINDOW: usize = 100;
/// For one step of a scenario.
pub const STEP_LIMIT: Duration = Duration::from_secs(30);

/// A server and its subscribers.
pub struct Field<'a> {
    pub peer: &'a dyn Peer,
    pub clients: Clients,
    pub server: Server,
    /// The number of the next event on [`JOB`].
    pub next: u32,
}

impl<'a> Field<'a> {
    /// Starts a server and prepares [`JOB`].
    pub fn new(peer: &'a dyn Peer, setup: &Setup) -> Result<Self> {
        let field = Field {
            peer,
            clients: Clients::new()?,
            server: peer.start(setup)?,
            next: 0,
        };
        field.prepare(&[JOB.to_owned()])?;
        Ok(field)
    }

    /// Makes sure that these jobs exist.
    pub fn prepare(&self, jobs: &[String]) -> Result<()> {
        let mut connection = Connection::open(self.server.publish)?;
        for job in jobs {
            if let Some(request) = self.peer.prepare(job) {
                connection.publish(&request)?;
            }
        }
        Ok(())
    }

    /// Connects subscribers of [`JOB`] until there are `count`.
    pub fn subscribe(&mut self, count: usize) -> Result<()> {
        let request = self.peer.subscribe(JOB);
        self.subscribe_with(count, &|_| request.clone(), 0)
    }

    /// Connects subscribers until there are `count`, each by its own request.
    pub fn subscribe_with(
        &mut self,
        count: usize,
        request: &dyn Fn(usize) -> Vec<u8>,
        receive_bytes: usize,
    ) -> Result<()> {
        let how = Connecting {
            address: self.server.public,
            request,
            first: self.next,
            window: WINDOW,
            receive_bytes,
        };
        self.clients.connect_up_to(count, &how, STEP_LIMIT)?;
        if self.clients.totals.refused > 0 {
            return fail(format!("{} refused", self.clients.totals.refused));
        }
        // A head may be sent before the subscriber is in place.
        self.clients.run_for(Duration::from_millis(100))?;
        self.server.settle();
        Ok(())
    }

    /// Publishes `count` events on [`JOB`], one request at a time over one
    /// connection, and waits until `readers` subscribers have them all.
    /// Returns the nanoseconds from the first request to the last receipt.
    pub fn burst(&mut self, count: u32, readers: usize) -> Result<u64> {
        self.burst_of(count, readers, peer::data)
    }

    pub fn burst_of(
        &mut self,
        count: u32,
        readers: usize,
        data: impl Fn(&str, u32, u64) -> String + Sync,
    ) -> Result<u64> {
        let (peer, address) = (self.peer, self.server.publish);
        let (first, target) = (self.next, self.next + count);
        self.next = target;
        let wanted = self.seen() + u64::from(count) * readers as u64;
        let mut connection = Connection::open(address)?;
        let failed = AtomicBool::new(false);
        let start = now_ns();
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| -> Result<()> {
                (first..target)
                    .try_for_each(|n| {
                        connection.publish(&peer.publish(JOB, &data(JOB, n, now_ns())))
                    })
                    .inspect_err(|_| failed.store(true, Ordering::Relaxed))
            });
            let deadline = Instant::now() + STEP_LIMIT;
            let received = self.clients.run_until(deadline, |totals| {
                seen(totals) >= wanted || failed.load(Ordering::Relaxed)
            });
            publisher.join().expect("the publisher doesn't panic")?;
            received?;
            Ok(self.clients.totals.last_event_ns - start)
        })
    }

    /// Events that arrived, or were skipped and so never will.
    pub fn seen(&self) -> u64 {
        seen(&self.clients.totals)
    }
}

/// Events that arrived, or were skipped and so never will.
pub fn seen(totals: &Totals) -> u64 {
    totals.tally.in_order + totals.tally.missing
}
