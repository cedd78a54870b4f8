//! What the server counts, and how Prometheus reads it.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use super::histogram::Histogram;
use super::limit::Limit;
use super::notice::{Notice, times};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Its jobs have ended.
    Ended,
    /// The client went away.
    ClientGone,
    /// The client took nothing for the stall limit, or too many clients took nothing.
    Stalled,
    /// The server is stopping.
    Drained,
    /// Its token ended.
    TokenExpired,
    /// It has lasted as long as a stream may.
    Aged,
    /// What it has had last is lost.
    Lost,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Streams that wait for their replay.
    pub replays_waiting: Gauge,
    /// What the kernel may hold of streams, in bytes.
    pub send_memory: Gauge,
    /// Connections that were accepted.
    pub connections_accepted: Counter,
    /// Failures to accept one, for want of file descriptors among others.
    pub accept_errors: Counter,
    /// Events that were accepted.
    pub events_published: Counter,
    /// Ended jobs that went for others of the same client.
    pub jobs_displaced: Counter,
    /// Frames that were sent whole.
    pub frames_sent: Counter,
    /// Bytes that were sent on streams.
    pub stream_bytes_sent: Counter,
    /// Calls to send or sendmsg on streams.
    pub sends: Counter,
    /// `reset` frames.
    pub resets_sent: Counter,
    /// Comments on idle streams.
    pub heartbeats_sent: Counter,
    /// Bytes of uploads that were written.
    pub upload_bytes_received: Counter,
    /// Uploads that have landed.
    pub uploads_landed: Counter,
    /// Uploads that broke off, were cancelled or expired.
    pub uploads_failed: Counter,
    /// Panics that cost a connection.
    pub panics: Counter,
    closes: [Counter; Close::ALL.len()],
    refusals: [Notice; Limit::ALL.len()],
    /// Requests that were refused for who makes them: 401 and 403.
    pub(crate) unwelcome: Notice,
    /// How long publishers wait for what they have published to be accepted.
    pub(crate) publish_latency: Histogram,
}

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Adds `n`.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Close {
    const ALL: [Close; 7] = [
        Close::Ended,
        Close::ClientGone,
        Close::Stalled,
        Close::Drained,
        Close::TokenExpired,
        Close::Aged,
        Close::Lost,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Close::Ended => "ended",
            Close::ClientGone => "client_gone",
            Close::Stalled => "stalled",
            Close::Drained => "drained",
            Close::TokenExpired => "token_expired",
            Close::Aged => "aged",
            Close::Lost => "lost",
        }
    }
}

impl Metrics {
    /// Counts a stream's end.
    pub fn closed(&self, why: Close) {
        self.closes[why as usize].add(1);
    }

    /// Counts what was refused at a limit.
    pub(crate) fn refused(&self, limit: Limit) {
        self.refusals[limit as usize].add();
    }

    /// Logs what was refused lately, each once a minute, and at last what wasn't told yet.
    pub(crate) fn tell_refusals(&self, now: Instant, at_last: bool) {
        for limit in Limit::ALL {
            if let Some((count, _)) = self.refusals[limit as usize].take(now, at_last) {
                let flag = limit.flag();
                let what = limit.what().split(':').next().unwrap_or_default();
                warn!("refused by --{flag}, {}: {what}", times(count));
            }
        }
        if let Some((count, what)) = self.unwelcome.take(now, at_last) {
            let what = what.unwrap_or_default();
            warn!("refused with 401 or 403, {}, first {what}", times(count));
        }
    }

    /// Appends everything in Prometheus' text format, version 0.0.4.
    pub fn write(&self, out: &mut String) {
        gauge(
            out,
            "replays_waiting",
            "Event streams whose replay waits for its turn.",
            self.replays_waiting.get(),
        );
        gauge(
            out,
            "send_memory_bytes",
            "What the kernel may hold of event streams that clients haven't taken.",
            self.send_memory.get(),
        );
        for (name, help, counter) in self.counters() {
            head(out, &format!("{name}_total"), help, "counter");
            let _ = writeln!(out, "landfall_{name}_total {}", counter.get());
        }
        head(
            out,
            "stream_closes_total",
            "Event streams closed, by reason.",
            "counter",
        );
        for why in Close::ALL {
            let count = self.closes[why as usize].get();
            let reason = why.as_str();
            let _ = writeln!(
                out,
                "landfall_stream_closes_total{{reason=\"{reason}\"}} {count}"
            );
        }
        head(
            out,
            "refusals_total",
            "What was refused at a limit, by the flag that sets it.",
            "counter",
        );
        for limit in Limit::ALL {
            let count = self.refusals[limit as usize].count();
            let flag = limit.flag();
            let _ = writeln!(out, "landfall_refusals_total{{limit=\"{flag}\"}} {count}");
        }
    }

    /// Appends how long publishing takes.
    pub(crate) fn write_latency(&self, out: &mut String) {
        let name = "publish_duration_seconds";
        let help = "Time from an event, or several sent together, to its answer.";
        head(out, name, help, "histogram");
        self.publish_latency.write(out, name, "");
    }

    /// Names without their ends, and what they mean.
    #[rustfmt::skip]
    fn counters(&self) -> [(&'static str, &'static str, &Counter); 13] {
        [
            ("connections_accepted", "Connections accepted.", &self.connections_accepted),
            ("accept_errors", "Failures to accept a connection.", &self.accept_errors),
            ("events_published", "Events accepted.", &self.events_published),
            (
                "jobs_displaced",
                "Ended jobs that were forgotten for others of the same client.",
                &self.jobs_displaced,
            ),
            ("frames_sent", "Frames sent whole to subscribers.", &self.frames_sent),
            ("stream_sent_bytes", "Bytes sent on event streams.", &self.stream_bytes_sent),
            ("stream_sends", "System calls that sent them.", &self.sends),
            ("resets_sent", "Reset frames sent to subscribers with a gap.", &self.resets_sent),
            ("heartbeats_sent", "Comments sent on idle event streams.", &self.heartbeats_sent),
            ("upload_received_bytes", "Bytes of uploads written to disk.", &self.upload_bytes_received),
            ("uploads_landed", "Uploads that are whole and on disk.", &self.uploads_landed),
            ("uploads_failed", "Uploads that broke off, were cancelled or expired.", &self.uploads_failed),
            ("panics", "Panics that cost a connection.", &self.panics),
        ]
    }
}

/// Appends one gauge.
pub fn gauge(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    head(out, name, help, "gauge");
    let _ = writeln!(out, "landfall_{name} {value}");
}

/// Appends the lines that introduce a metric.
pub fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(
        out,
        "# HELP landfall_{name} {help}\n# TYPE landfall_{name} {kind}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = Metrics::default();
        metrics.events_published.add(3);
        metrics.closed(Close::Stalled);
        let mut text = String::new();
        metrics.write(&mut text);
        assert!(text.contains("\nlandfall_events_published_total 3\n"));
        assert!(text.contains("\nlandfall_stream_closes_total{reason=\"stalled\"} 1\n"));
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("landfall_"), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
