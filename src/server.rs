//! A server: a hub, its shards and its listeners.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::connection::ConnectionConfig;
use crate::coroutine;
use crate::disk::Disk;
use crate::event::Event;
use crate::hub::{Hub, HubConfig};
use crate::journal::{Journal, JournalConfig, Lock};
use crate::listener::{Acceptor, Address, Listener, SocketOptions};
use crate::lobby::LobbyConfig;
use crate::monitor;
use crate::routes::{Access, AuthConfig, Context, Gate, QuotaConfig, Quotas};
use crate::shard::{Counted, ShardConfig, ShardHandle};
use crate::spool::{Spool, SpoolConfig};
use crate::upload::{Landed, Landing};

/// File descriptors that are kept for what is neither a stream nor a connection.
const SPARE_DESCRIPTORS: u64 = 64;
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
    /// What uploads may be.
    pub spool: SpoolConfig,
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
            spool: SpoolConfig::default(),
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
/// server.hub().publish(&"job_8f3a".parse().unwrap(), Event::progress("scanning", 30.0)).unwrap();
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
    _lock: Option<Lock>,
}

impl Server {
    /// Binds all listeners and starts to serve. Returns when clients can connect.
    ///
    /// # Errors
    /// An address is in use or not to be had, a key can't be read, or others can reach the
    /// publishing listener and nothing says who may publish: the error says which.
    pub fn start(config: ServerConfig) -> io::Result<Server> {
        coroutine::configure();
        raise_file_limit();
        let named = |what: &'static str, address: &dyn std::fmt::Display| {
            let place = format!("{what} {address}");
            move |error: io::Error| io::Error::new(error.kind(), format!("{place}: {error}"))
        };
        let gate = gate(config.auth, &config.publish)?;
        warn_of_open_jobs(config.ops);
        let options = SocketOptions {
            send_buffer_bytes: config.send_buffer_bytes,
            silence: config.shard.stall,
        };
        let public = Listener::bind(&config.listen, options)
            .map_err(named("public listener", &config.listen))?;
        let publish = Listener::bind(&config.publish, options)
            .map_err(named("publishing listener", &config.publish))?;
        let (hub, lock) = match &config.data {
            None => (Hub::new(config.hub), None),
            Some(data) => {
                let lock = Lock::take(data, Duration::ZERO)?;
                let hub = Hub::with_base(config.hub, 0);
                let journal = data.join("journal");
                Journal::open(&journal, config.journal, &hub)
                    .map_err(named("journal", &journal.display()))?;
                (hub, Some(lock))
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
            let (shard, thread) = ShardHandle::start(&hub, config.shard.clone(), counted.clone())?;
            shards.push(shard);
            threads.push(thread);
        }
        let spool = match &config.data {
            Some(data) => Some(open_spool(data, config.spool, &hub)?),
            None => None,
        };
        let context = Arc::new(Context {
            hub,
            gate,
            spool,
            quotas,
            shards,
            next_shard: AtomicUsize::new(0),
            streams_max: config.streams,
            body_bytes: config.body_bytes,
            retry: config.shard.retry,
            busy_retry: config.busy_retry,
            draining: AtomicBool::new(false),
        });
        let ops = monitor::start(config.ops, context.clone())
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
            _lock: lock,
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

    /// The hub, to publish from within the process.
    pub fn hub(&self) -> &Hub {
        &self.context.hub
    }

    /// Reads the key files again: streams that are open stay open until their tokens end.
    /// Blocks while it reads.
    ///
    /// # Errors
    /// A file can't be read or holds no key. All keys stay what they were then.
    pub fn reload_keys(&self) -> io::Result<()> {
        self.context.gate.reload()
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
    pub fn stop_unless(self, mut is_enough: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + self.drain;
        self.context.draining.store(true, Ordering::Release);
        self.acceptors.into_iter().for_each(Acceptor::stop);
        for shard in &self.context.shards {
            shard.drain(self.drain_spread);
        }
        let metrics = self.context.hub.metrics();
        let is_empty = || metrics.streams_open.get() <= 0 && metrics.requests_active.get() <= 0;
        while !is_empty() && Instant::now() < deadline && !is_enough() {
            std::thread::sleep(DRAIN_POLL);
        }
        let is_drained = is_empty();
        if !is_drained {
            log::warn!(
                "{} streams and {} requests were cut off",
                metrics.streams_open.get(),
                metrics.requests_active.get()
            );
        }
        self.context.shards.iter().for_each(ShardHandle::stop);
        for thread in self.threads {
            let _ = thread.join();
        }
        if let Some(journal) = self.context.hub.journal() {
            journal.close();
        }
        is_drained
    }
}

/// The place for uploads, with what an earlier life left there.
fn open_spool(data: &Path, config: SpoolConfig, hub: &Hub) -> io::Result<Spool> {
    let open = || {
        std::fs::create_dir_all(data)?;
        let disk = Disk::start(config.disk_threads)?;
        let landing = Arc::new(Stored(hub.clone()));
        Spool::open(data, config, hub.clone(), disk, landing)
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

/// Ends the job of an upload that has landed: nothing is done about it yet.
struct Stored(Hub);

impl Landing for Stored {
    fn land(&self, landed: Landed) {
        let data = serde_json::json!({ "name": landed.name, "size": landed.size });
        let event = Event::new("done", &data.to_string()).expect("an object");
        if let Err(error) = self.0.publish(&landed.job, event) {
            log::warn!(
                "the job {} can't be told that it is done: {error}",
                landed.job
            );
        }
    }
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
