//! A server: a hub, its shards and its listeners.

pub mod connection;
pub mod handover;
pub mod listener;
pub mod lobby;
mod monitor;
pub mod sockets;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::hub::HubConfig;
use crate::pipeline::{Pipeline, PipelineConfig};
use crate::routes::{Access, Answers, AuthConfig, Context, Downloads, Gate, QuotaConfig, Quotas};
use crate::sequencer::Sequencer;
use crate::sequencer::journal::{JournalConfig, Lock};
use crate::server::connection::ConnectionConfig;
use crate::server::listener::{Acceptor, Address, Knocker, Listener, SocketOptions};
use crate::server::lobby::LobbyConfig;
use crate::server::sockets::{Given, Sockets};
use crate::stream::{Counted, ShardConfig, ShardHandle};
use crate::sys::coroutine;
use crate::upload::disk::Disk;
use crate::upload::spool::{Spool, SpoolConfig};

/// File descriptors that are kept for what is neither a stream nor a connection.
const SPARE_DESCRIPTORS: u64 = 64;
/// How long the data directory may still be another's at the start: a command that was just
/// being started when the server before this one was killed holds it for an instant.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// How often a drain looks whether all streams have ended.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// Where a server listens, and its limits.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The public listener. Default: 127.0.0.1:8080.
    pub listen: Address,
    /// The publishing listener. Default: 127.0.0.1:8081.
    pub publish: Address,
    /// The monitoring listener. Default: 127.0.0.1:8082.
    pub ops: SocketAddr,
    /// The directory where what is kept on disk is kept. Default: none, and then nothing
    /// is, and uploads are refused.
    pub data: Option<PathBuf>,
    /// How events are kept there, below `journal/`.
    pub journal: JournalConfig,
    /// Who may do what.
    pub auth: AuthConfig,
    /// What one client may have.
    pub quotas: QuotaConfig,
    /// What is kept.
    pub hub: HubConfig,
    /// Lets whoever may follow a job download the file that it has come to. Default:
    /// false.
    pub downloads: bool,
    /// The most downloads at once: 503 beyond it. Each may hold 256 KiB. Default: 64.
    pub downloads_max: usize,
    /// What uploads may be.
    pub spool: SpoolConfig,
    /// What becomes of them.
    pub pipeline: PipelineConfig,
    /// How streams are served.
    pub shard: ShardConfig,
    /// How requests are read.
    pub connection: ConnectionConfig,
    /// How many shards. Default: one a core, and 64 at most.
    pub shards: usize,
    /// The most streams. One that there is no room for gets 200, a `retry:` of
    /// `busy_retry`, and a close. Default: what the process may open files, less
    /// `connections`.
    pub streams: usize,
    /// The most connections that aren't streams, of which the public listener's may be
    /// three quarters: one too many with a request is answered with 503, one too many
    /// without takes the place of the one that has waited longest on its listener.
    /// Default: 1,024.
    pub connections: usize,
    /// The largest body, in bytes: 413 beyond it. Default: 1 MiB.
    pub body_bytes: usize,
    /// What the kernel holds for a client that reads slowly, in bytes. Default: 128 KiB.
    /// A stream that fills it waits for its client, up to the stall limit.
    pub send_buffer_bytes: usize,
    /// What a stream that there is no room for is asked to wait, before jitter.
    /// Default: 30 s.
    pub busy_retry: Duration,
    /// How long [`Server::stop`] waits for clients to take what is pending. Default: 10 s.
    pub drain: Duration,
    /// The time over which [`Server::stop`] ends the streams, one after the other, so that
    /// their clients don't come back together; at most half of `drain`. Default: 5 s.
    pub drain_spread: Duration,
    /// How long a server that is started to take this one's place may take to be ready.
    /// Default: 60 s.
    pub handover: Duration,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let connections = 1024;
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let streams = files
            .unwrap_or(1 << 20)
            .saturating_sub(SPARE_DESCRIPTORS + connections);
        ServerConfig {
            listen: Address::Tcp(local(8080)),
            publish: Address::Tcp(local(8081)),
            ops: local(8082),
            data: None,
            journal: JournalConfig::default(),
            auth: AuthConfig::default(),
            quotas: QuotaConfig::default(),
            hub: HubConfig::default(),
            downloads: false,
            downloads_max: 64,
            spool: SpoolConfig::default(),
            pipeline: PipelineConfig::default(),
            shard: ShardConfig::default(),
            connection: ConnectionConfig::default(),
            shards: std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(64),
            streams: streams.max(64) as usize,
            connections: connections as usize,
            body_bytes: 1024 * 1024,
            send_buffer_bytes: 128 * 1024,
            busy_retry: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            drain_spread: Duration::from_secs(5),
            handover: Duration::from_secs(60),
        }
    }
}

/// A running server.
///
/// ```
/// use landfall::{Event, Server, ServerConfig};
/// let mut config = ServerConfig::default();
/// config.listen = "127.0.0.1:0".parse().unwrap();
/// config.publish = "127.0.0.1:0".parse().unwrap();
/// config.ops = "127.0.0.1:0".parse().unwrap();
/// let server = Server::start(config)?;
/// println!("follow it at {}/api/jobs/job_8f3a/events", server.public());
/// server.jobs().publish(&"job_8f3a".parse().unwrap(), Event::progress("scanning", 30.0)).unwrap();
/// server.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    context: Arc<Context>,
    public: Address,
    publish: Address,
    ops: SocketAddr,
    acceptors: Vec<Acceptor>,
    threads: Vec<JoinHandle<()>>,
    drain: Duration,
    drain_spread: Duration,
    /// The data directory is this server's for as long as it runs.
    lock: Option<Lock>,
}

impl Server {
    /// Binds all listeners and starts to serve. Returns when clients can connect.
    ///
    /// # Errors
    /// An address is in use or not to be had, a key can't be read, or others can reach the
    /// publishing listener and nothing says who may publish: the error says which.
    pub fn start(config: ServerConfig) -> io::Result<Server> {
        Server::start_on(config, Sockets::default())
    }

    /// The same, on sockets that listen already. A listener without one binds its address.
    pub fn start_on(config: ServerConfig, sockets: Sockets) -> io::Result<Server> {
        coroutine::configure();
        raise_file_limit();
        let named = |what: &'static str, address: &dyn std::fmt::Display| {
            let place = format!("{what} {address}");
            move |error: io::Error| io::Error::new(error.kind(), format!("{place}: {error}"))
        };
        let options = SocketOptions {
            send_buffer_bytes: config.send_buffer_bytes,
            silence: config.shard.stall,
        };
        let given = |given: Option<Given>| given.map(|it| Listener::given(it, options)).transpose();
        let (public, publish) = (given(sockets.public)?, given(sockets.publish)?);
        let gate = gate(
            config.auth,
            publish.as_ref().map_or(&config.publish, Listener::address),
        )?;
        warn_of_open_jobs(config.ops);
        let bind = |given: Option<Listener>, what, address| match given {
            Some(listener) => Ok(listener),
            None => Listener::bind(address, options).map_err(named(what, address)),
        };
        let public = bind(public, "public listener", &config.listen)?;
        let publish = bind(publish, "publishing listener", &config.publish)?;
        let (jobs, lock) = match &config.data {
            None => (Sequencer::in_memory(config.hub), None),
            Some(data) => {
                let patience = match sockets.claim {
                    None => LOCK_PATIENCE,
                    Some(claim) => {
                        claim();
                        config.handover
                    }
                };
                let lock = Lock::take(data, patience)?;
                let journal = data.join("journal");
                let jobs = Sequencer::with_journal(&journal, config.journal, config.hub)
                    .map_err(named("journal", &journal.display()))?;
                (jobs, Some(lock))
            }
        };
        let quotas = Quotas::new(config.quotas);
        let counted = Counted {
            addresses: quotas.addresses().clone(),
            tokens: quotas.tokens().clone(),
        };
        let mut shards = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..config.shards.max(1) {
            let (shard, thread) = ShardHandle::start(&jobs, config.shard.clone(), counted.clone())?;
            shards.push(shard);
            threads.push(thread);
        }
        let (pipeline, spool) = match &config.data {
            Some(data) => {
                let pipeline = Pipeline::start(config.pipeline, jobs.clone(), data)
                    .map_err(named("pipeline", &data.display()))?;
                let spool = open_spool(data, config.spool, &jobs, &pipeline)?;
                (Some(pipeline), Some(spool))
            }
            None => (None, None),
        };
        let context = Arc::new(Context {
            jobs,
            gate,
            spool,
            pipeline,
            downloads: Downloads {
                is_on: config.downloads,
                max: config.downloads_max,
                open: Arc::default(),
            },
            data: config.data,
            quotas,
            answers: Answers::default(),
            shards,
            next_shard: AtomicUsize::new(0),
            streams_max: config.streams,
            body_bytes: config.body_bytes,
            retry: config.shard.retry,
            busy_retry: config.busy_retry,
            draining: AtomicBool::new(false),
            is_succeeded: AtomicBool::new(false),
        });
        let ops = monitor::start(config.ops, sockets.ops, context.clone())
            .map_err(named("monitoring listener", &config.ops))?;
        let connection = Arc::new(config.connection);
        let (public_address, publish_address) =
            (public.address().clone(), publish.address().clone());
        let accept = |listener: Listener, access| {
            let lobby = LobbyConfig {
                access,
                connection: connection.clone(),
                connections: config.connections,
                conversations: match access {
                    Access::Public => config.connections.div_ceil(4) * 3,
                    Access::Publish => config.connections,
                },
            };
            listener.accept(context.clone(), lobby)
        };
        let acceptors = vec![
            accept(public, Access::Public)?,
            accept(publish, Access::Publish)?,
        ];
        Ok(Server {
            context,
            public: public_address,
            publish: publish_address,
            ops,
            acceptors,
            threads,
            drain: config.drain,
            drain_spread: config.drain_spread.min(config.drain / 2),
            lock,
        })
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
    pub fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// The jobs, to publish from within the process.
    pub fn jobs(&self) -> &Sequencer {
        &self.context.jobs
    }

    /// Reads the key files again: streams that are open stay open until their tokens end.
    /// Blocks while it reads.
    ///
    /// # Errors
    /// A file can't be read or holds no key. All keys stay what they were then.
    pub fn reload_keys(&self) -> io::Result<()> {
        self.context.gate.reload()
    }

    /// The public listener's, and the publishing one's.
    pub(crate) fn acceptors(&self) -> &[Acceptor] {
        &self.acceptors
    }

    /// A handle that finds out whether the server is alive.
    pub fn pulse(&self) -> Pulse {
        Pulse {
            shards: self.context.shards.clone(),
            acceptors: self.acceptors.iter().map(Acceptor::knocker).collect(),
        }
    }

    /// Another process has the same sockets, or will have: stopping leaves their files where
    /// they are.
    pub(crate) fn keep_files(&mut self) {
        self.acceptors.iter_mut().for_each(Acceptor::keep_file);
    }

    /// Another process serves at the same sockets: monitoring, whose port is shared, goes on
    /// saying that it is ready.
    pub(crate) fn is_succeeded(&mut self) {
        self.keep_files();
        self.context.is_succeeded.store(true, Ordering::Release);
    }

    /// Stops: accepts no more, answers the requests that have begun, sends every stream
    /// what is pending and a last `retry:`, and closes it, all of them over the drain's
    /// spread. Blocks until that is done, or the drain limit has passed; the monitoring
    /// listener goes on until the process ends. Returns whether everything went out.
    pub fn stop(self) -> bool {
        self.stop_unless(|| false)
    }

    /// The same; what is left is cut off as soon as `is_enough`, which is asked again and
    /// again.
    pub fn stop_unless(mut self, is_enough: impl FnMut() -> bool) -> bool {
        self.close();
        let has_drained = self.wait(is_enough, |server| {
            server.has_answered() && server.context.jobs.hub().metrics().streams_open.get() <= 0
        });
        if !has_drained {
            let metrics = self.context.jobs.hub().metrics();
            log::warn!(
                "{} streams and {} requests were cut off",
                metrics.streams_open.get(),
                metrics.requests_active.get()
            );
        }
        self.acceptors.into_iter().for_each(Acceptor::stop);
        self.context.shards.iter().for_each(ShardHandle::stop);
        for thread in self.threads {
            let _ = thread.join();
        }
        self.context.put_away(self.drain);
        has_drained
    }

    /// Accepts no more, answers the requests that have begun, and lets go of the data
    /// directory, for another process to take. The streams begin to end. Blocks as
    /// [`Server::stop_unless`] does.
    pub(crate) fn release(&mut self, is_enough: impl FnMut() -> bool) {
        self.close();
        self.wait(is_enough, Server::has_answered);
        if let Some(spool) = &self.context.spool {
            spool.close();
        }
        self.context.put_away(self.drain);
        self.lock = None;
    }

    /// Whether it keeps anything on disk that only one process can have.
    pub(crate) fn has_data(&self) -> bool {
        self.lock.is_some()
    }

    fn close(&mut self) {
        self.context.draining.store(true, Ordering::Release);
        self.acceptors.iter_mut().for_each(Acceptor::close);
        if let Some(pipeline) = &self.context.pipeline {
            pipeline.halt();
        }
        for shard in &self.context.shards {
            shard.drain(self.drain_spread);
        }
    }

    /// Whether nobody waits for an answer.
    fn has_answered(&self) -> bool {
        let metrics = self.context.jobs.hub().metrics();
        self.acceptors.iter().all(Acceptor::is_empty) && metrics.requests_active.get() <= 0
    }

    /// Waits for something, to the drain limit at most. Returns whether it has come.
    fn wait(&self, mut is_enough: impl FnMut() -> bool, is_done: impl Fn(&Server) -> bool) -> bool {
        let deadline = Instant::now() + self.drain;
        while !is_done(self) && Instant::now() < deadline && !is_enough() {
            std::thread::sleep(DRAIN_POLL);
        }
        is_done(self)
    }
}

/// Finds out whether a server is alive.
pub struct Pulse {
    shards: Vec<ShardHandle>,
    acceptors: Vec<Knocker>,
}

impl Pulse {
    /// Whether every shard, every acceptor and the coroutines' scheduler answer within
    /// `limit`. Blocks so long at most.
    pub fn is_alive(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let count = self.shards.len() + self.acceptors.len() + 1;
        let (answer, answers) = crossbeam_channel::bounded(count);
        self.shards.iter().for_each(|it| it.knock(answer.clone()));
        self.acceptors
            .iter()
            .for_each(|it| it.knock(answer.clone()));
        let spawned = coroutine::spawn(move || {
            let _ = answer.try_send(());
        });
        spawned.is_ok() && (0..count).all(|_| answers.recv_deadline(deadline).is_ok())
    }
}

/// The place for uploads, with what an earlier life left there.
fn open_spool(
    data: &Path,
    config: SpoolConfig,
    jobs: &Sequencer,
    pipeline: &Pipeline,
) -> io::Result<Spool> {
    let open = || {
        std::fs::create_dir_all(data)?;
        let disk = Disk::start(config.disk_threads)?;
        let landing = Arc::new(pipeline.clone());
        Spool::open(data, config, jobs.clone(), disk, landing)
    };
    open().map_err(|error| {
        let message = format!(
            "data directory {}: {error}: give a directory that can be written to with --data, \
             or keep nothing on disk with --memory-only",
            data.display()
        );
        io::Error::new(error.kind(), message)
    })
}

/// Who may do what, unless that is anyone who finds the publishing listener.
fn gate(config: AuthConfig, publish: &Address) -> io::Result<Gate> {
    let (is_local, is_unix) = match publish {
        Address::Tcp(address) => (address.ip().to_canonical().is_loopback(), false),
        Address::Unix(_) => (true, true),
    };
    let gate = Gate::new(config, is_local, is_unix)?;
    if !gate.has_keys() && !gate.publishing_is_open() {
        let message = format!(
            "publishing listener {publish}: others than this host can reach it, and nothing \
             says who may publish: give it --publish-key FILE or --token-key FILE, listen on \
             127.0.0.1 or a unix socket, or let everybody publish with --insecure"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if !is_local && gate.publishing_is_open() {
        log::warn!("publishing listener {publish}: everybody who reaches it can publish");
    }
    Ok(gate)
}

fn warn_of_open_jobs(ops: SocketAddr) {
    if !ops.ip().to_canonical().is_loopback() {
        log::warn!("monitoring listener {ops}: /jobs shows the names of all jobs to everybody");
    }
}

/// Asks for as many open files as the process may have: each stream is one.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            log::warn!("the limit on open files stays as it is: {error}");
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
        server.context.shards[0].stop();
        let deadline = Instant::now() + Duration::from_secs(20);
        while pulse.is_alive(Duration::from_millis(50)) {
            assert!(Instant::now() < deadline, "a dead thread answers");
        }
        server.stop();
    }
}
