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

/// Connections that aren't streams.
const CONNECTIONS: usize = 1024;
/// File descriptors that are kept for what is neither a stream nor a connection.
const SPARE_DESCRIPTORS: u64 = 64;

crate::sys::config::config! {
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
    pub struct ServerConfig {
        /// The public listener. Default: 127.0.0.1:8080.
        pub listen: Address = local(8080),
        /// The publishing listener. Default: 127.0.0.1:8081.
        pub publish: Address = local(8081),
        /// The monitoring listener. Default: 127.0.0.1:8082.
        pub ops: Address = local(8082),
        /// The path below which both of the first are served, for a proxy that passes requests on
        /// as they are. Default: /.
        pub base_path: BasePath = BasePath::default(),
        /// The directory where what is kept on disk is kept. Default: none, and then nothing
        /// is, and uploads are refused.
        pub data: Option<PathBuf> = None,
        /// How events are kept there, below `journal/`.
        pub journal: JournalConfig = JournalConfig::default(),
        /// The servers that this is one of. Default: none, and it is by itself.
        pub fleet: FleetConfig = FleetConfig::default(),
        /// Who may do what.
        pub auth: AuthConfig = AuthConfig::default(),
        /// What one client may have.
        pub quotas: QuotaConfig = QuotaConfig::default(),
        /// What is kept.
        pub hub: HubConfig = HubConfig::default(),
        /// Lets whoever may follow a job download the file that it has come to. Default:
        /// false.
        pub downloads: bool = false,
        /// The most downloads at once: 503 beyond it. Each may hold 256 KiB. Default: 64.
        pub downloads_max: usize = 64,
        /// Those of one address, and those of one token: 503 beyond it. Default: 16.
        pub downloads_per_address: Option<u16> = Some(16),
        /// What uploads may be.
        #[cfg(feature = "uploads")]
        pub spool: SpoolConfig = SpoolConfig::default(),
        /// What becomes of them.
        #[cfg(feature = "uploads")]
        pub pipeline: PipelineConfig = PipelineConfig::default(),
        /// How streams are served.
        pub shard: ShardConfig = ShardConfig::default(),
        /// How requests are read.
        pub connection: ConnectionConfig = ConnectionConfig::default(),
        /// How many shards. Default: one a core, and 64 at most.
        pub shards: usize = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(64),
        /// The most streams. One that there is no room for gets 200, a `retry:` of
        /// `busy_retry`, and a close. Default: what the process may open files, less
        /// `connections`.
        pub streams: usize = streams_of_this_process(),
        /// The most connections that aren't streams, of which the public listener's may be
        /// three quarters: one too many with a request is answered with 503, one too many
        /// without takes the place of the one that has waited longest on its listener.
        /// Default: 1,024.
        pub connections: usize = CONNECTIONS,
        /// The largest body, in bytes: 413 beyond it. Default: 1 MiB.
        pub body_bytes: usize = 1024 * 1024,
        /// What the kernel holds for a client that reads slowly, in bytes. Default: 128 KiB.
        /// A stream that fills it waits for its client, up to the stall limit.
        pub send_buffer_bytes: usize = 128 * 1024,
        /// What the kernel holds of all streams together that their clients haven't taken, in
        /// bytes. Default: 256 MiB. While there is room, who reads and has filled a small buffer
        /// gets one of `send_buffer_bytes`; beyond it a stream that takes nothing for a second is
        /// closed, and resumes.
        pub send_memory_bytes: usize = 256 * 1024 * 1024,
        /// What a stream that there is no room for is asked to wait, before jitter.
        /// Default: 30 s.
        pub busy_retry: Duration = Duration::from_secs(30),
        /// How long [`Server::stop`](crate::Server::stop) waits for clients to take what is
        /// pending. Default: 10 s.
        pub drain: Duration = Duration::from_secs(10),
        /// The time over which [`Server::stop`](crate::Server::stop) ends the streams, one after
        /// the other, so that their clients don't come back together; at most half of `drain`.
        /// Default: 5 s.
        pub drain_spread: Duration = Duration::from_secs(5),
        /// How long a server that is started to take this one's place may take to be ready.
        /// Default: 60 s.
        pub handover: Duration = Duration::from_secs(60),
    }
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

fn local(port: u16) -> Address {
    Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn streams_of_this_process() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let others = SPARE_DESCRIPTORS + CONNECTIONS as u64;
    files.unwrap_or(1 << 20).saturating_sub(others).max(64) as usize
}
