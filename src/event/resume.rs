//! Where a stream begins: what the client said, held against what is kept.

use std::fmt;
use std::ops::Range;

use super::job::EventId;

/// The longest part of a malformed id that a `reset` repeats, in characters.
const ECHO_MAX_CHARS: usize = 64;

/// What a client asks a stream to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// What is kept of a job, as far as the beginning of a stream needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// The numbers that were given, of any job.
    pub given: Given<'a>,
    /// Where the life before this one ended, or the job was forgotten: who has less has
    /// seen another life.
    pub floor: EventId,
    /// The newest number of the job whose event is no longer kept.
    pub gone: EventId,
    /// The number before the oldest event kept of this life; not below `floor`.
    pub before_oldest: EventId,
    /// The number before the newest event of this life; equal to `newest` where there is
    /// none.
    pub before_newest: EventId,
    /// The number of the newest event of this life, or `floor`.
    pub newest: EventId,
}

/// The numbers that a server gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given<'a> {
    /// The number before the first.
    pub base: EventId,
    /// The newest.
    pub newest: EventId,
    /// Those that may have been given, and are lost.
    pub lost: &'a [Range<u64>],
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// The stream's first event is the one after this number.
    pub after: EventId,
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

impl Given<'_> {
    /// The number that a client names, where it was given and isn't lost.
    pub fn find(&self, id: &LastEventId) -> Option<EventId> {
        let LastEventId::Number(number) = *id else {
            return None;
        };
        let is_given = (self.base.0..=self.newest.0).contains(&number);
        let is_lost = self.lost.iter().any(|lost| lost.contains(&number));
        (is_given && !is_lost).then_some(EventId(number))
    }
}

impl Kept<'_> {
    /// Where a stream begins that was asked to begin with `start`.
    pub fn begin(&self, start: &Start) -> Resumption {
        let plain = |after| Resumption { after, reset: None };
        let reset = |reason| Resumption {
            after: self.before_oldest,
            reset: Some(reason),
        };
        match start {
            Start::Oldest => plain(self.before_oldest),
            Start::Newest => plain(self.before_newest),
            Start::Next => plain(self.newest),
            Start::After(id) => match self.given.find(id) {
                None => reset(ResetReason::Unknown),
                Some(id) if id < self.floor || id < self.gone => reset(ResetReason::Expired),
                Some(id) => plain(id),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept {
        given: Given {
            base: EventId(100),
            newest: EventId(130),
            lost: &[],
        },
        floor: EventId(105),
        gone: EventId(108),
        before_oldest: EventId(110),
        before_newest: EventId(119),
        newest: EventId(120),
    };

    fn begin(start: Start) -> (u64, Option<ResetReason>) {
        let beginning = KEPT.begin(&start);
        (beginning.after.0, beginning.reset)
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
        // Numbers of other jobs' events are as good as its own.
        assert_eq!(after(108), (108, None));
        assert_eq!(after(130), (130, None));
    }

    #[test]
    fn a_gap_is_a_reset_that_tells_an_old_number_from_a_strange_one() {
        assert_eq!(after(107), (110, Some(ResetReason::Expired)));
        assert_eq!(after(100), (110, Some(ResetReason::Expired)));
        assert_eq!(after(99), (110, Some(ResetReason::Unknown)));
        assert_eq!(after(0), (110, Some(ResetReason::Unknown)));
        assert_eq!(after(131), (110, Some(ResetReason::Unknown)));
        assert_eq!(after(u64::MAX), (110, Some(ResetReason::Unknown)));
        let malformed = Start::After(LastEventId::Malformed("x".into()));
        assert_eq!(begin(malformed), (110, Some(ResetReason::Unknown)));
    }

    #[test]
    fn a_number_of_an_earlier_life_has_expired_also_where_all_is_kept() {
        let kept = Kept {
            gone: EventId(0),
            before_oldest: EventId(105),
            ..KEPT
        };
        for (id, expected) in [
            (104, (105, Some(ResetReason::Expired))),
            (105, (105, None)),
            (107, (107, None)),
        ] {
            let beginning = kept.begin(&Start::After(LastEventId::Number(id)));
            assert_eq!((beginning.after.0, beginning.reset), expected, "{id}");
        }
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn a_number_that_was_lost_with_the_power_is_unknown_also_when_newer_ones_were_given() {
        let kept = Kept {
            given: Given {
                lost: &[112..115],
                ..KEPT.given
            },
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
