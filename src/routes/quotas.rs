//! What one client may have of what there is.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::access::network::{Block, Network};
use crate::access::quota::{Rates, Share, Shares};
use crate::sys::limit::Limit;

/// How many streams may begin at once after a quiet while, in seconds of their rate: a
/// household whose browsers all come back isn't an attack.
const STREAM_BURST: Duration = Duration::from_secs(10);
/// The same for events.
const EVENT_BURST: Duration = Duration::from_secs(2);

crate::sys::config::config! {
    /// What one client, job, token or publisher may have. None is no limit.
    ///
    /// See [`ServerConfig`](crate::ServerConfig).
    pub struct QuotaConfig {
        /// Connections of one address, streams and others: beyond it a stream gets 200, a
        /// `retry:` of `busy_retry`, and a close, and all else 429. IPv6 is counted by /64.
        /// Default: 256.
        pub connections_per_address: Option<u16> = Some(256),
        /// Streams that begin in a second from one address, over ten seconds: one too many
        /// gets 200, the same `retry:`, and a close. Default: 50.
        pub stream_rate: Option<u32> = Some(50),
        /// Addresses that aren't counted, since many clients have them: proxies. Default:
        /// those of this host.
        pub trusted_proxies: Vec<Block> = Block::LOOPBACK.to_vec(),
        /// Streams of one job: one more gets 200, the same `retry:`, and a close. A stream of
        /// every job is none of any. Default: 65,536.
        pub streams_per_job: Option<usize> = Some(65_536),
        /// Streams of one token: the same. Default: 1,024.
        pub streams_per_token: Option<u16> = Some(1024),
        /// Events that one publisher may publish in a second, over two seconds: 429 with
        /// Retry-After beyond it. A publisher is a token; an address with the publishing key;
        /// or, where nothing is shown, an address. Default: 10,000.
        pub event_rate: Option<u32> = Some(10_000),
    }
}

/// What clients have, and what they may have.
pub struct Quotas {
    trusted_proxies: RwLock<Vec<Block>>,
    streams_per_job: AtomicUsize,
    addresses: Arc<Shares>,
    tokens: Arc<Shares>,
    streams: Rates,
    events: Rates,
}

/// Who is at the other end of a connection.
pub struct Peer {
    /// None where many are behind it.
    network: Option<Network>,
    /// None where its address has all the connections that it may have.
    share: Option<Share>,
}

/// Whose events are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedPublisher {
    /// Whoever shows this token.
    Token(u64),
    /// Whoever shows the publishing key from this address.
    Key(Option<Network>),
    /// Whoever comes from this address.
    Address(Network),
}

impl Quotas {
    /// Nobody has anything yet.
    pub fn new(config: QuotaConfig) -> Quotas {
        Quotas {
            trusted_proxies: RwLock::new(config.trusted_proxies),
            streams_per_job: AtomicUsize::new(config.streams_per_job.unwrap_or(usize::MAX)),
            addresses: Shares::new(config.connections_per_address),
            tokens: Shares::new(config.streams_per_token),
            streams: Rates::new(config.stream_rate, STREAM_BURST),
            events: Rates::new(config.event_rate, EVENT_BURST),
        }
    }

    /// These hold from now on. What clients have already they keep.
    pub fn set(&self, config: QuotaConfig) {
        *self.trusted_proxies.write() = config.trusted_proxies;
        let streams_per_job = config.streams_per_job.unwrap_or(usize::MAX);
        self.streams_per_job
            .store(streams_per_job, Ordering::Relaxed);
        self.addresses.limit(config.connections_per_address);
        self.tokens.limit(config.streams_per_token);
        let second = Duration::from_secs(1);
        self.streams.limit(config.stream_rate, second);
        self.events.limit(config.event_rate, second);
    }

    /// A new connection from `address`; none of a unix socket.
    pub fn peer(&self, address: Option<IpAddr>) -> Peer {
        let trusted = self.trusted_proxies.read();
        let is_counted = |address: &IpAddr| !trusted.iter().any(|b| b.contains(*address));
        let network = address.filter(is_counted).map(Network::of);
        Peer {
            network,
            share: match network {
                Some(network) => self.addresses.take(network),
                None => Some(self.addresses.uncounted()),
            },
        }
    }

    /// A stream that `peer` asks for, with the token of that fingerprint.
    ///
    /// # Errors
    /// It has had its share: at which limit.
    pub fn stream(&self, peer: &Peer, token: Option<u64>) -> Result<Share, Limit> {
        if peer.is_over() {
            return Err(Limit::ConnectionsPerAddress);
        }
        let token = match token {
            Some(token) => self.tokens.take(token).ok_or(Limit::StreamsPerToken)?,
            None => self.tokens.uncounted(),
        };
        if let Some(network) = peer.network {
            let taken = self.streams.take(network, Instant::now());
            taken.map_err(|_| Limit::StreamRate)?;
        }
        Ok(token)
    }

    /// The most streams that a job may have.
    pub fn streams_per_job(&self) -> usize {
        self.streams_per_job.load(Ordering::Relaxed)
    }

    /// One more event of `publisher`.
    ///
    /// # Errors
    /// It was too fast: how long to wait.
    pub fn event(&self, publisher: CountedPublisher) -> Result<(), Duration> {
        self.events.take(publisher, Instant::now())
    }

    /// The connections by address.
    pub fn addresses(&self) -> &Arc<Shares> {
        &self.addresses
    }

    /// The streams by token.
    pub fn tokens(&self) -> &Arc<Shares> {
        &self.tokens
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Some(network) => network.fmt(f),
            None => f.write_str("a trusted proxy or a unix socket"),
        }
    }
}

impl Peer {
    /// Whether its address has more connections than it may have.
    pub fn is_over(&self) -> bool {
        self.share.is_none()
    }

    /// What its address is counted by. None where it isn't.
    pub fn network(&self) -> Option<Network> {
        self.network
    }

    /// The connection's share, to be kept for as long as it is open.
    pub fn into_share(self) -> Option<Share> {
        self.share
    }
}
