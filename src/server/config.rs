//! What a server is like.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::connection::ConnectionConfig;
use crate::http::{Address, BasePath};
use crate::hub::HubConfig;
#[cfg(feature = "uploads")]
use crate::pipeline::PipelineConfig;
use crate::routes::{AuthConfig, QuotaConfig, Rules};
use crate::sequencer::FleetConfig;
use crate::sequencer::journal::JournalConfig;
use crate::stream::ShardConfig;
#[cfg(feature = "uploads")]
use crate::upload::spool::SpoolConfig;

/// File descriptors that are kept for what is neither a stream nor a connection.
const SPARE_DESCRIPTORS: u64 = 64;

/// Where a server listens, and its limits. Each listener may be [`Address::Off`].
///
/// ```
/// use std::time::Duration;
/// use landfall::ServerConfig;
/// let mut config = ServerConfig::default();
/// config.listen = "0.0.0.0:80".parse().unwrap();
/// config.publish = "unix:/run/landfall/publish".parse().unwrap();
/// config.data = Some("/var/lib/landfall".into());
/// config.auth.token_keys = vec!["/etc/landfall/token.key".into()];
/// config.quotas.event_rate = Some(1_000);
/// config.shard.heartbeat = Duration::from_secs(30);
/// config.spool.upload_bytes = 1 << 30;
/// config.pipeline.file = Some("/etc/landfall/landfall.toml".into());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The public listener. Default: 127.0.0.1:8080.
    pub listen: Address,
    /// The publishing listener. Default: 127.0.0.1:8081.
    pub publish: Address,
    /// The monitoring listener. Default: 127.0.0.1:8082.
    pub ops: Address,
    /// The path below which both of the first are served, for a proxy that passes requests on
    /// as they are. Default: /.
    pub base_path: BasePath,
    /// The directory where what is kept on disk is kept. Default: none, and then nothing
    /// is, and uploads are refused.
    pub data: Option<PathBuf>,
    /// How events are kept there, below `journal/`.
    pub journal: JournalConfig,
    /// The servers that this is one of. Default: none, and it is by itself.
    pub fleet: FleetConfig,
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
    /// Those of one address, and those of one token: 503 beyond it. Default: 16.
    pub downloads_per_address: Option<u16>,
    /// What uploads may be.
    #[cfg(feature = "uploads")]
    pub spool: SpoolConfig,
    /// What becomes of them.
    #[cfg(feature = "uploads")]
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
    /// What the kernel holds of all streams together that their clients haven't taken, in bytes.
    /// Default: 256 MiB. While there is room, who reads and has filled a small buffer gets one
    /// of `send_buffer_bytes`; beyond it a stream that takes nothing for a second is closed, and
    /// resumes.
    pub send_memory_bytes: usize,
    /// What a stream that there is no room for is asked to wait, before jitter.
    /// Default: 30 s.
    pub busy_retry: Duration,
    /// How long [`Server::stop`](crate::Server::stop) waits for clients to take what is pending. Default: 10 s.
    pub drain: Duration,
    /// The time over which [`Server::stop`](crate::Server::stop) ends the streams, one after the other, so that
    /// their clients don't come back together; at most half of `drain`. Default: 5 s.
    pub drain_spread: Duration,
    /// How long a server that is started to take this one's place may take to be ready.
    /// Default: 60 s.
    pub handover: Duration,
}

impl ServerConfig {
    /// What of it may change while a server runs.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            streams_max: self.streams,
            body_bytes: self.body_bytes,
            busy_retry: self.busy_retry,
            has_downloads: self.downloads,
        }
    }
}

crate::sys::with::with!(ServerConfig);

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
            ops: Address::Tcp(local(8082)),
            base_path: BasePath::default(),
            data: None,
            journal: JournalConfig::default(),
            fleet: FleetConfig::default(),
            auth: AuthConfig::default(),
            quotas: QuotaConfig::default(),
            hub: HubConfig::default(),
            downloads: false,
            downloads_max: 64,
            downloads_per_address: Some(16),
            #[cfg(feature = "uploads")]
            spool: SpoolConfig::default(),
            #[cfg(feature = "uploads")]
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
            send_memory_bytes: 256 * 1024 * 1024,
            busy_retry: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            drain_spread: Duration::from_secs(5),
            handover: Duration::from_secs(60),
        }
    }
}
