//! The server's front: streams are asked for as over HTTP, on sockets that nobody listens at.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::RwLock;

use crate::access::places::Places;
use crate::http::{BasePath, Head, HeadLimits, Status};
use crate::routes::{Access, AuthConfig, Context, Gate, Peer, Plan, QuotaConfig, Quotas, Rules};
use crate::sequencer::Sequencer;
use crate::stream::{Adoption, ShardHandle};
use crate::sys::headcount::Headcount;
use crate::sys::socket::Socket;

const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 8192,
    target_bytes: 4096,
};

/// What a client gets that asks for a stream.
pub enum Answer {
    /// It, with this end of its connection.
    Stream(UnixStream),
    /// 204: there is nothing more to come.
    NoContent,
    /// It is to ask again later.
    Busy,
}

/// The routes of one server.
pub struct Front {
    context: Arc<Context>,
    shard: ShardHandle,
}

impl Front {
    pub fn new(jobs: &Sequencer, shard: &ShardHandle) -> Front {
        let auth = AuthConfig::default();
        let gate = Gate::new(auth, true, true).expect("there are no keys to read");
        let context = Context {
            jobs: jobs.clone(),
            gate: RwLock::new(Arc::new(gate)),
            base: BasePath::default(),
            spool: None,
            pipeline: None,
            downloads: Places::new(0, None),
            data: None,
            quotas: Quotas::new(QuotaConfig::default()),
            streams: Headcount::default(),
            rules: RwLock::new(Rules {
                streams_max: 1000,
                body_bytes: 1 << 20,
                busy_retry: Duration::from_secs(30),
                has_downloads: false,
            }),
            retry: Duration::from_secs(5),
            draining: AtomicBool::new(false),
        };
        Front {
            context: Arc::new(context),
            shard: shard.clone(),
        }
    }

    /// Asks for a stream. The kernel holds about so many bytes of it for a client that
    /// doesn't read.
    pub fn get(&self, target: &str, last: Option<&str>, buffer_bytes: usize) -> Answer {
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        let text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
        let parsed = Head::parse(text.as_bytes(), LIMITS);
        let (head, _) = parsed.expect("it is right").expect("it is whole");
        let peer: Peer = self.context.quotas.peer(None);
        let (_, plan) = self.context.plan(&head, Access::Publish, &peer);
        match plan {
            Plan::Stream(opening, stream) => {
                let (theirs, ours) = UnixStream::pair().expect("there are sockets");
                theirs.set_nonblocking(true).expect("it is a socket");
                ours.set_nonblocking(true).expect("it is a socket");
                rustix::net::sockopt::set_socket_send_buffer_size(&ours, buffer_bytes)
                    .expect("it is a socket");
                let socket = Socket::new(OwnedFd::from(ours));
                self.shard.adopt(Adoption {
                    socket,
                    opening,
                    stream,
                });
                Answer::Stream(theirs)
            }
            Plan::Answer(response) if response.status == Status::NoContent => Answer::NoContent,
            Plan::EmptyStream(_) => Answer::Busy,
            Plan::Answer(response) => panic!("{target} was answered {:?}", response.status),
            _ => panic!("{target} is no stream's"),
        }
    }
}
