//! Where a stream begins: what the client said, held against what is kept.

use std::fmt;
use std::ops::Range;

/// The longest part of a malformed id that a `reset` repeats, in characters.
const ECHO_MAX_CHARS: usize = 64;

/// What a client asks a stream to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest event kept: the default.
    Oldest,
    /// The newest event: `?replay=latest`.
    Newest,
    /// The next event to come: `?replay=none`.
    Next,
    /// What follows the event of this id: Last-Event-ID.
    After(LastEventId),
}

/// The last id that a client has seen, as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastEventId {
    /// Decimal digits, as this server writes ids.
    Number(u64),
    /// Anything else; shortened, and with U+FFFD for what isn't UTF-8.
    Malformed(String),
}

/// Why a `reset` frame is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// Events after the client's id are no longer kept.
    Expired,
    /// The id is malformed, from another life of the server, or ahead of anything sent.
    Unknown,
}

/// What is kept of a job, or of a hub, as far as a beginning needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// The id before the first that this life gave.
    pub base: u64,
    /// The id before the oldest event kept.
    pub before_oldest: u64,
    /// The id before the newest event; equal to `newest` where there is none.
    pub before_newest: u64,
    /// The newest id given, or `base`.
    pub newest: u64,
    /// Ids that may have been given, and are lost.
    pub lost: &'a [Range<u64>],
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The stream's first event is the one after this id.
    pub after: u64,
    /// What the stream has to say before that.
    pub reset: Option<ResetReason>,
}

impl LastEventId {
    /// Reads the value of `Last-Event-ID` or `lastEventId`. An empty one says nothing.
    pub fn parse(value: &[u8]) -> Option<LastEventId> {
        if value.is_empty() {
            return None;
        }
        let number = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        Some(match number {
            Some(number) => LastEventId::Number(number),
            None => {
                let text = String::from_utf8_lossy(value);
                LastEventId::Malformed(text.chars().take(ECHO_MAX_CHARS).collect())
            }
        })
    }
}

impl fmt::Display for LastEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LastEventId::Number(number) => number.fmt(f),
            LastEventId::Malformed(text) => text.fmt(f),
        }
    }
}

impl ResetReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ResetReason::Expired => "expired",
            ResetReason::Unknown => "unknown",
        }
    }
}

impl Kept<'_> {
    /// Where a stream begins that was asked to begin with `start`.
    pub fn begin(&self, start: &Start) -> Beginning {
        let plain = |after| Beginning { after, reset: None };
        let reset = |reason| Beginning {
            after: self.before_oldest,
            reset: Some(reason),
        };
        match start {
            Start::Oldest => plain(self.before_oldest),
            Start::Newest => plain(self.before_newest),
            Start::Next => plain(self.newest),
            Start::After(LastEventId::Malformed(_)) => reset(ResetReason::Unknown),
            Start::After(LastEventId::Number(id)) => match *id {
                id if id > self.newest || id < self.base => reset(ResetReason::Unknown),
                id if self.is_lost(id) => reset(ResetReason::Unknown),
                id if id < self.before_oldest => reset(ResetReason::Expired),
                id => plain(id),
            },
        }
    }

    fn is_lost(&self, id: u64) -> bool {
        self.lost.iter().any(|ids| ids.contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept {
        base: 100,
        before_oldest: 110,
        before_newest: 119,
        newest: 120,
        lost: &[],
    };

    fn begin(start: Start) -> (u64, Option<ResetReason>) {
        let beginning = KEPT.begin(&start);
        (beginning.after, beginning.reset)
    }

    fn after(id: u64) -> (u64, Option<ResetReason>) {
        begin(Start::After(LastEventId::Number(id)))
    }

    #[test]
    fn a_stream_begins_where_it_was_asked_to() {
        assert_eq!(begin(Start::Oldest), (110, None));
        assert_eq!(begin(Start::Newest), (119, None));
        assert_eq!(begin(Start::Next), (120, None));
        assert_eq!(after(110), (110, None));
        assert_eq!(after(120), (120, None));
    }

    #[test]
    fn a_gap_is_a_reset_that_tells_an_old_id_from_a_strange_one() {
        assert_eq!(after(109), (110, Some(ResetReason::Expired)));
        assert_eq!(after(100), (110, Some(ResetReason::Expired)));
        assert_eq!(after(99), (110, Some(ResetReason::Unknown)));
        assert_eq!(after(0), (110, Some(ResetReason::Unknown)));
        assert_eq!(after(121), (110, Some(ResetReason::Unknown)));
        assert_eq!(after(u64::MAX), (110, Some(ResetReason::Unknown)));
        let malformed = Start::After(LastEventId::Malformed("x".into()));
        assert_eq!(begin(malformed), (110, Some(ResetReason::Unknown)));
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn an_id_that_was_lost_with_the_power_is_unknown_also_when_newer_ones_were_given() {
        let kept = Kept {
            lost: &[112..115],
            ..KEPT
        };
        for (id, reason) in [
            (111, None),
            (112, Some(ResetReason::Unknown)),
            (114, Some(ResetReason::Unknown)),
            (115, None),
        ] {
            let start = Start::After(LastEventId::Number(id));
            assert_eq!(kept.begin(&start).reset, reason, "{id}");
        }
    }

    #[test]
    fn an_id_is_digits_and_nothing_else() {
        assert_eq!(LastEventId::parse(b""), None);
        assert_eq!(LastEventId::parse(b"0"), Some(LastEventId::Number(0)));
        assert_eq!(LastEventId::parse(b"007"), Some(LastEventId::Number(7)));
        let forty = "9".repeat(40);
        for bad in ["-1", "+1", "1 ", "1e3", "0x1", "a", "é", "1\0", &forty] {
            let id = LastEventId::parse(bad.as_bytes()).unwrap();
            assert_eq!(id, LastEventId::Malformed(bad.into()), "{bad}");
        }
        assert!(matches!(
            LastEventId::parse(b"\xff\x80"),
            Some(LastEventId::Malformed(_))
        ));
        let long = LastEventId::parse("x".repeat(5000).as_bytes()).unwrap();
        assert_eq!(long.to_string().len(), ECHO_MAX_CHARS);
    }
}
