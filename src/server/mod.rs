//! A server: a hub, its shards and its listeners.

pub mod check;
mod config;
pub mod connection;
#[cfg(feature = "uploads")]
mod errands;
pub mod handover;
mod house;
pub mod listener;
mod lobby;
mod monitor;
mod pulse;
pub mod sockets;
mod start;
mod story;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::Address;
use crate::sequencer::journal::Lock;
use crate::sequencer::{LeaseWatch, Sequencer};
use crate::stream::ShardHandle;
use crate::sys::clock;
use crate::webhook::Webhooks;
pub use config::ServerConfig;
pub use connection::ConnectionConfig;
use house::House;
use listener::Acceptor;
use monitor::Monitoring;
pub use pulse::Pulse;
use sockets::Sockets;

/// How often a drain looks whether all streams have ended.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// A running server. Dropped, it stops at once: who would have been waited for is cut off.
///
/// ```
/// use landfall::{Event, Server, ServerConfig};
/// let mut config = ServerConfig::default();
/// config.listen = "127.0.0.1:0".parse().unwrap();
/// config.publish = "127.0.0.1:0".parse().unwrap();
/// config.ops = "127.0.0.1:0".parse().unwrap();
/// let server = Server::start(config)?;
/// println!("follow it at {}/api/jobs/job_8f3a/events", server.public());
/// server.jobs().publish(&"job_8f3a".parse().unwrap(), Event::progress("scanning", 30.0).unwrap()).unwrap();
/// server.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    house: Arc<House>,
    public: Address,
    publish: Address,
    ops: Monitoring,
    acceptors: Vec<Acceptor>,
    threads: Vec<JoinHandle<()>>,
    /// Ends jobs whose leases have run out.
    leases: Option<LeaseWatch>,
    drain: Duration,
    drain_spread: Duration,
    /// The data directory is this server's for as long as it runs.
    lock: Option<Lock>,
    /// Whatever is left is dropped as it is.
    has_stopped: bool,
}

impl Server {
    /// Binds all listeners and starts to serve. Returns when clients can connect.
    ///
    /// # Errors
    /// An address is in use or not to be had, a key can't be read, or others can reach the
    /// publishing listener and nothing says who may publish: the error says which.
    pub fn start(config: ServerConfig) -> io::Result<Server> {
        start::start(config, Sockets::default())
    }

    /// The same, on sockets that listen already. A listener without one binds its address.
    ///
    /// # Errors
    /// As of [`Server::start`].
    pub(crate) fn start_on(config: ServerConfig, sockets: Sockets) -> io::Result<Server> {
        start::start(config, sockets)
    }

    /// Where browsers connect.
    pub fn public(&self) -> &Address {
        &self.public
    }

    /// Where workers publish.
    pub fn publish(&self) -> &Address {
        &self.publish
    }

    /// Where monitoring asks.
    pub fn ops(&self) -> &Address {
        self.ops.address()
    }

    /// That listener.
    pub(crate) fn monitoring(&self) -> &Monitoring {
        &self.ops
    }

    /// The jobs, to publish from within the process.
    pub fn jobs(&self) -> &Sequencer {
        &self.house.context.jobs
    }

    /// Takes from another configuration what a server that runs can take: who may do what, for
    /// which the key files are read again, the stages of uploads that land from now on, and
    /// limits on streams, publishers, uploads and downloads. Streams that are open stay open
    /// until their tokens end, and whoever has more of something than there may be now keeps
    /// it. The rest of the configuration is passed over. Blocks while it reads.
    ///
    /// # Errors
    /// A file can't be read, or says something that can't be. Nothing has changed then.
    pub fn reload(&self, config: ServerConfig) -> io::Result<()> {
        let context = &self.house.context;
        let gate = start::gate(config.auth.clone(), &self.publish)?;
        let webhooks = self.house.webhooks();
        let secrets = webhooks.map(Webhooks::reread).transpose()?;
        #[cfg(feature = "uploads")]
        if let Some(pipeline) = &context.pipeline {
            pipeline.reload(config.pipeline.clone())?;
        }
        if let (Some(webhooks), Some(secrets)) = (webhooks, secrets) {
            webhooks.change(secrets);
        }
        *context.rules.write() = config.rules();
        *context.gate.write() = Arc::new(gate);
        context
            .downloads
            .limit(config.downloads_max, config.downloads_per_address);
        #[cfg(feature = "uploads")]
        if let Some(spool) = &context.spool {
            spool.limit(config.spool);
        }
        context.quotas.set(config.quotas);
        Ok(())
    }

    /// What an operator wants to know of a server that has started.
    pub(crate) fn story(&self) -> String {
        story::tell(self)
    }

    /// What has the commands of stages killed at once, also while the server is being stopped.
    pub(crate) fn hurry(&self) -> impl Fn() + Send + Sync + 'static {
        let pipeline = self.house.context.pipeline.clone();
        move || {
            if let Some(pipeline) = &pipeline {
                pipeline.hurry();
            }
        }
    }

    /// The public listener's, and the publishing one's.
    pub(crate) fn acceptors(&self) -> &[Acceptor] {
        &self.acceptors
    }

    /// A handle that finds out whether the server is alive.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse::of(self)
    }

    /// Another process has the same sockets, or will have: stopping leaves their files where
    /// they are.
    pub(crate) fn keep_files(&mut self) {
        self.acceptors.iter_mut().for_each(Acceptor::keep_file);
        self.ops.keep_file();
    }

    /// Another process serves at the same sockets: monitoring, whose socket is shared, goes on
    /// saying that it is ready.
    pub(crate) fn give_way(&mut self) {
        self.keep_files();
        self.house.succeed();
    }

    /// Stops: accepts no more, answers the requests that have begun, sends every stream
    /// what is pending and a last `retry:`, and closes it, all of them over the drain's
    /// spread. Blocks until that is done, or the drain limit has passed; the monitoring
    /// listener goes on until then. Nothing listens any more then. Returns whether everything
    /// went out.
    pub fn stop(self) -> bool {
        self.stop_unless(|| false)
    }

    /// The same; what is left is cut off as soon as `is_enough`, which is asked again and
    /// again.
    pub fn stop_unless(mut self, is_enough: impl FnMut() -> bool) -> bool {
        let patience = self.drain;
        self.end(patience, is_enough)
    }

    fn end(&mut self, patience: Duration, is_enough: impl FnMut() -> bool) -> bool {
        let deadline = clock::after(patience);
        self.has_stopped = true;
        self.close();
        let streams = self.house.context.streams.clone();
        let has_drained = self.wait(is_enough, |server| {
            server.has_answered() && streams.get() == 0
        });
        if !has_drained {
            warn!(
                "{} streams and {} requests were cut off",
                streams.get(),
                self.house.census.unanswered.get()
            );
        }
        self.acceptors.drain(..).for_each(Acceptor::stop);
        self.house.shards().iter().for_each(ShardHandle::stop);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.house.put_away(deadline);
        self.house.metrics().tell_refusals(Instant::now(), true);
        has_drained
    }

    /// Accepts no more, answers the requests that have begun, and lets go of the data
    /// directory, for another process to take. The streams begin to end. Blocks as
    /// [`Server::stop_unless`] does.
    pub(crate) fn release(&mut self, is_enough: impl FnMut() -> bool) {
        let deadline = clock::after(self.drain);
        self.close();
        self.wait(is_enough, Server::has_answered);
        if let Some(spool) = &self.house.context.spool {
            spool.close();
        }
        self.house.put_away(deadline);
        self.lock = None;
    }

    /// Whether it keeps anything on disk that only one process can have.
    pub(crate) fn has_data(&self) -> bool {
        self.lock.is_some()
    }

    fn close(&mut self) {
        self.house.context.drain();
        // Who can't be heard any more isn't to be missed.
        self.leases = None;
        self.acceptors.iter_mut().for_each(Acceptor::close);
        if let Some(pipeline) = &self.house.context.pipeline {
            pipeline.halt();
        }
        for shard in self.house.shards() {
            shard.drain(self.drain_spread);
        }
    }

    /// Whether nobody waits for an answer.
    fn has_answered(&self) -> bool {
        self.acceptors.iter().all(Acceptor::is_empty) && self.house.census.unanswered.get() == 0
    }

    /// Waits for something, to the drain limit at most. Returns whether it has come.
    fn wait(&self, mut is_enough: impl FnMut() -> bool, is_done: impl Fn(&Server) -> bool) -> bool {
        let deadline = clock::after(self.drain);
        while !is_done(self) && Instant::now() < deadline && !is_enough() {
            std::thread::sleep(DRAIN_POLL);
        }
        is_done(self)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("public", &self.public)
            .field("publish", &self.publish)
            .field("ops", self.ops())
            .finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.has_stopped {
            self.end(Duration::ZERO, || true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_pulse_until_one_of_its_threads_has_none() {
        let config = ServerConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            publish: "127.0.0.1:0".parse().unwrap(),
            ops: "127.0.0.1:0".parse().unwrap(),
            ..ServerConfig::default()
        };
        let server = Server::start(config).unwrap();
        let pulse = server.pulse();
        assert!(pulse.is_alive(Duration::from_secs(20)));
        server.house.shards()[0].stop();
        let deadline = Instant::now() + Duration::from_secs(60);
        while pulse.is_alive(Duration::from_millis(50)) {
            assert!(Instant::now() < deadline, "a dead thread answers");
        }
        server.stop();
    }
}
