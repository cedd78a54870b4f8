//! How a server begins.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::RwLock;

use super::config::ServerConfig;
use super::connection::ConnectionConfig;
use super::house::House;
use super::listener::{Acceptor, Listener, SocketOptions};
use super::lobby::LobbyConfig;
use super::sockets::{GivenSocket, Sockets};
use super::{Server, monitor, story};
use crate::access::places::Places;
use crate::http::Address;
use crate::hub::{HubConfig, SHARDS_MAX};
#[cfg(feature = "uploads")]
use crate::pipeline::{Pipeline, PipelineConfig};
use crate::routes::{Access, AuthConfig, Context, Gate, Quotas};
use crate::sequencer::journal::{JournalConfig, Lock};
use crate::sequencer::{FleetConfig, LeaseWatch, Sequencer};
use crate::stream::{Counted, SendMemory, ShardConfig, ShardHandle};
use crate::sys::coroutine;
use crate::sys::headcount::Headcount;
#[cfg(feature = "uploads")]
use crate::upload::disk::Disk;
#[cfg(feature = "uploads")]
use crate::upload::spool::{Spool, SpoolConfig};
use crate::webhook::HookPlan;

/// How long the data directory may still be another's at the start: a command that was just
/// being started when the server before this one was killed holds it for an instant.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Starts a server, on the sockets that are given and on those that it binds.
///
/// # Errors
/// As of [`Server::start`].
pub fn start(config: ServerConfig, sockets: Sockets) -> io::Result<Server> {
    coroutine::configure();
    raise_file_limit();
    let hooks = hooks(&config)?;
    let listeners = Listeners::open(&config, sockets.public, sockets.publish)?;
    let rules = config.rules();
    let gate = gate(config.auth, &listeners.publish())?;
    warn_of_open_jobs(&config.ops);
    let lock = match (&config.data, sockets.claim) {
        (None, _) => None,
        (Some(data), None) => Some(Lock::take(data, LOCK_PATIENCE)?),
        (Some(data), Some(claim)) => {
            claim();
            Some(Lock::take(data, config.handover)?)
        }
    };
    let jobs = order(
        config.data.as_deref(),
        &config.fleet,
        config.journal,
        config.hub,
    )?;
    let quotas = Quotas::new(config.quotas);
    let streams = Headcount::default();
    let counted = Counted {
        addresses: quotas.addresses().clone(),
        tokens: quotas.tokens().clone(),
        streams: streams.clone(),
        send_memory: SendMemory::new(config.send_memory_bytes, config.send_buffer_bytes),
    };
    let webhooks = hooks
        .start(&jobs, config.data.as_deref())
        .map_err(named("webhooks", &"can't be started"))?;
    // Each is a place of the hub's, and the webhooks are one.
    let count = config
        .shards
        .min(SHARDS_MAX - usize::from(webhooks.is_some()));
    let (shards, threads) = shards(&jobs, count, &config.shard, &counted)?;
    #[cfg(not(feature = "uploads"))]
    let (pipeline, spool) = (None, None);
    #[cfg(feature = "uploads")]
    let (pipeline, spool) = match &config.data {
        Some(data) => {
            let (pipeline, spool) = uploads(data, config.pipeline, config.spool, &jobs)?;
            (Some(pipeline), Some(spool))
        }
        None => (None, None),
    };
    let context = Context {
        jobs,
        gate: RwLock::new(Arc::new(gate)),
        rules: RwLock::new(rules),
        base: config.base_path,
        spool,
        pipeline,
        downloads: Places::new(config.downloads_max, config.downloads_per_address),
        data: config.data,
        quotas,
        streams,
        retry: config.shard.retry,
        draining: AtomicBool::new(false),
    };
    let house = Arc::new(House::new(Arc::new(context), shards, webhooks));
    let options = socket_options(config.send_buffer_bytes, config.shard.stall);
    let ops = monitor::start(&config.ops, sockets.ops, options, house.clone())
        .map_err(unbound(("monitoring listener", "--ops"), &config.ops))?;
    let (public, publish) = (address_of(&listeners.public), listeners.publish());
    story::start_telling(&house.context)?;
    #[cfg(feature = "uploads")]
    super::errands::start(&house.context)?;
    // Workers can be heard from here on.
    let leases = Some(LeaseWatch::start(&house.context.jobs)?);
    Ok(Server {
        leases,
        acceptors: listeners.accept(&house, config.connection, config.connections)?,
        house,
        public,
        publish,
        ops,
        threads,
        drain: config.drain,
        drain_spread: config.drain_spread.min(config.drain / 2),
        lock,
        has_stopped: false,
    })
}

/// The webhooks that the file names.
#[cfg(feature = "uploads")]
fn hooks(config: &ServerConfig) -> io::Result<HookPlan> {
    let read = config.pipeline.file.as_deref().map(HookPlan::read);
    let plan = read
        .transpose()
        .map_err(|wrong| io::Error::other(wrong.join("; ")))?;
    Ok(plan.unwrap_or_default())
}

#[cfg(not(feature = "uploads"))]
fn hooks(_config: &ServerConfig) -> io::Result<HookPlan> {
    Ok(HookPlan)
}

/// What listens for browsers and workers.
struct Listeners {
    public: Option<Listener>,
    publish: Option<Listener>,
}

impl Listeners {
    fn open(
        config: &ServerConfig,
        public: Option<GivenSocket>,
        publish: Option<GivenSocket>,
    ) -> io::Result<Listeners> {
        let options = socket_options(config.send_buffer_bytes, config.shard.stall);
        let open = |given: Option<GivenSocket>, what, address: &Address| match given {
            Some(given) => Listener::given(given, options).map(Some),
            None if *address == Address::Off => Ok(None),
            None => Listener::bind(address, options)
                .map_err(unbound(what, address))
                .map(Some),
        };
        Ok(Listeners {
            public: open(public, ("public listener", "--listen"), &config.listen)?,
            publish: open(
                publish,
                ("publishing listener", "--publish"),
                &config.publish,
            )?,
        })
    }

    /// Where workers publish.
    fn publish(&self) -> Address {
        address_of(&self.publish)
    }

    /// Accepts connections at both. Browsers get three quarters of the places at most.
    fn accept(
        self,
        house: &Arc<House>,
        connection: ConnectionConfig,
        connections: usize,
    ) -> io::Result<Vec<Acceptor>> {
        let connection = Arc::new(connection);
        let lobby = |access, conversations| LobbyConfig {
            access,
            connection: connection.clone(),
            connections,
            conversations,
        };
        let of_public = lobby(Access::Public, connections.div_ceil(4) * 3);
        let of_publish = lobby(Access::Publish, connections);
        let both = [(self.public, of_public), (self.publish, of_publish)].into_iter();
        let both = both.filter_map(|(listener, lobby)| Some((listener?, lobby)));
        both.map(|(listener, lobby)| listener.accept(house.clone(), lobby))
            .collect()
    }
}

fn address_of(listener: &Option<Listener>) -> Address {
    let address = listener.as_ref().map(Listener::address);
    address.cloned().unwrap_or(Address::Off)
}

fn socket_options(send_buffer_bytes: usize, silence: Duration) -> SocketOptions {
    SocketOptions {
        send_buffer_bytes,
        silence,
    }
}

/// The order of events: a fleet's, or in memory, or kept below `data`, which is this server's
/// by now.
fn order(
    data: Option<&Path>,
    fleet: &FleetConfig,
    journal: JournalConfig,
    hub: HubConfig,
) -> io::Result<Sequencer> {
    match data {
        _ if fleet.redis.is_some() => {
            Sequencer::with_fleet(fleet, hub).map_err(named("fleet", &fleet.name))
        }
        None => Ok(Sequencer::in_memory(hub)),
        Some(data) => {
            let folder = data.join("journal");
            Sequencer::with_journal(&folder, journal, hub)
                .map_err(named("journal", &folder.display()))
        }
    }
}

type Shards = (Vec<ShardHandle>, Vec<JoinHandle<()>>);

fn shards(
    jobs: &Sequencer,
    count: usize,
    config: &ShardConfig,
    counted: &Counted,
) -> io::Result<Shards> {
    let mut shards = Shards::default();
    for _ in 0..count.max(1) {
        let (shard, thread) = ShardHandle::start(jobs, config.clone(), counted.clone())?;
        shards.0.push(shard);
        shards.1.push(thread);
    }
    Ok(shards)
}

/// Where uploads arrive, and what becomes of them.
#[cfg(feature = "uploads")]
fn uploads(
    data: &Path,
    pipeline: PipelineConfig,
    spool: SpoolConfig,
    jobs: &Sequencer,
) -> io::Result<(Pipeline, Spool)> {
    let pipeline = Pipeline::start(pipeline, jobs.clone(), data)
        .map_err(named("pipeline", &data.display()))?;
    let spool = open_spool(data, spool, jobs, &pipeline)?;
    Ok((pipeline, spool))
}

/// Puts what an error is about before it.
fn named(what: &'static str, address: &dyn Display) -> impl FnOnce(io::Error) -> io::Error {
    let place = format!("{what} {address}");
    move |error| io::Error::new(error.kind(), format!("{place}: {error}"))
}

/// The same of a listener, and which flag would help.
fn unbound(
    (what, flag): (&'static str, &'static str),
    address: &Address,
) -> impl FnOnce(io::Error) -> io::Error {
    let place = format!("{what} {address}");
    let is_low = address.tcp().is_some_and(|address| address.port() < 1024);
    move |error| {
        let help = match error.kind() {
            io::ErrorKind::AddrInUse => format!(": give another with {flag}"),
            io::ErrorKind::PermissionDenied if is_low => {
                format!(": give a port above 1023 with {flag}")
            }
            _ => String::new(),
        };
        io::Error::new(error.kind(), format!("{place}: {error}{help}"))
    }
}

/// The place for uploads, with what an earlier life left there.
#[cfg(feature = "uploads")]
fn open_spool(
    data: &Path,
    config: SpoolConfig,
    jobs: &Sequencer,
    pipeline: &Pipeline,
) -> io::Result<Spool> {
    let open = || {
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
///
/// # Errors
/// It is, or a key can't be read.
pub fn gate(config: AuthConfig, publish: &Address) -> io::Result<Gate> {
    let (is_local, is_unix) = match publish {
        Address::Tcp(address) => (address.ip().to_canonical().is_loopback(), false),
        Address::Host(_) => (false, false),
        Address::Unix(_) | Address::Off => (true, true),
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
        warn!("publishing listener {publish}: everybody who reaches it can publish");
    }
    Ok(gate)
}

fn warn_of_open_jobs(ops: &Address) {
    let is_open = |ops: SocketAddr| !ops.ip().to_canonical().is_loopback();
    if ops.tcp().is_some_and(is_open) {
        warn!("monitoring listener {ops}: /jobs shows the names of all jobs to everybody");
    }
}

/// Asks for as many open files as the process may have: each stream is one.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            warn!("the limit on open files stays as it is: {error}");
        }
    }
}
