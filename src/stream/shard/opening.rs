//! How a stream begins: the head of its response, and the lines that belong to it.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::access::cors::CorsLines;
use crate::access::quota::Share;
use crate::event::frame;
use crate::sys::headcount::Presence;

/// A stream's head, to which the lines for other origins are added.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\n\
    Cache-Control: no-store, no-transform\r\n\
    X-Accel-Buffering: no\r\n";
/// It ends with the stream.
const CLOSE: &[u8] = b"Connection: close\r\n";
/// For a client that understands them.
const CHUNKED: &[u8] = b"Transfer-Encoding: chunked\r\n";

/// What a stream begins with. It becomes bytes where they are sent: those of a herd that
/// waits for its shard would be more than all else that is kept of it.
#[derive(Debug, Default)]
pub struct Opening {
    /// The header lines for a page of another origin.
    pub cors: Option<CorsLines>,
    /// What the client is asked to wait before it reconnects, in milliseconds.
    pub retry_ms: u32,
    /// Whether the client doesn't know chunks: it speaks HTTP/1.0.
    pub is_plain: bool,
    /// Its place among the connections of its address.
    pub address: Option<Share>,
    /// Its place among the streams of its token.
    pub token: Option<Share>,
    /// Its place among all streams.
    pub open: Option<Presence>,
    /// The second of the unix clock at which its token ends.
    pub ends_at: Option<NonZeroU64>,
    /// The `reset` frame of a client that has missed events; mostly empty.
    pub reset: Box<[u8]>,
}

impl Opening {
    /// The opening with a `retry:` of `retry`, 49 days at most.
    pub fn new(cors: Option<CorsLines>, retry: Duration) -> Opening {
        Opening {
            cors,
            retry_ms: u32::try_from(retry.as_millis()).unwrap_or(u32::MAX),
            ..Opening::default()
        }
    }

    /// The response's head alone.
    pub fn head(&self) -> Vec<u8> {
        let cors = self.cors.as_deref().unwrap_or_default();
        let chunked: &[u8] = if self.is_plain { b"" } else { CHUNKED };
        let mut out = Vec::with_capacity(HEAD.len() + cors.len() + self.reset.len() + 64);
        for part in [HEAD, chunked, CLOSE, cors.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
        out
    }

    /// Everything that is sent before the first event.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut chunks = Vec::new();
        frame::write_retry(&mut chunks, Duration::from_millis(self.retry_ms.into()));
        chunks.extend_from_slice(&self.reset);
        let mut out = self.head();
        if self.is_plain {
            frame::unchunk(&chunks, &mut out);
        } else {
            out.extend_from_slice(&chunks);
        }
        out
    }

    /// A whole stream of which nothing follows.
    pub fn to_end(&self) -> Vec<u8> {
        let mut out = self.to_bytes();
        if !self.is_plain {
            out.extend_from_slice(frame::LAST_CHUNK);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_the_head_the_retry_and_the_reset() {
        let mut opening = Opening::new(Some("A: b\r\n".into()), Duration::from_millis(1500));
        opening.reset = b"event: reset\n".as_slice().into();
        let text = String::from_utf8(opening.to_bytes()).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"));
        assert!(
            text.ends_with("A: b\r\n\r\nc\r\nretry: 1500\n\r\nevent: reset\n"),
            "{text}"
        );
        assert!(opening.head().ends_with(b"A: b\r\n\r\n"));
    }

    #[test]
    fn a_client_of_http_1_0_gets_the_same_without_chunks() {
        let opening = Opening {
            is_plain: true,
            ..Opening::new(None, Duration::from_secs(1))
        };
        let text = String::from_utf8(opening.to_end()).unwrap();
        assert!(!text.contains("chunked"), "{text}");
        assert!(text.ends_with("close\r\n\r\nretry: 1000\n"), "{text}");
    }

    #[test]
    fn a_retry_for_ever_is_a_very_long_one() {
        let opening = Opening::new(None, Duration::MAX);
        assert!(opening.to_bytes().ends_with(b"retry: 4294967295\n\r\n"));
    }
}
