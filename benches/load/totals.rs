//! What all subscribers together have seen.

use crate::sequence::Tally;

/// Counts over all of them.
#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    pub tally: Tally,
    /// Streams whose response head has arrived, and was a 200.
    pub streaming: usize,
    /// Answers other than 200.
    pub refused: usize,
    /// Streams that ended although nobody had cut them.
    pub closed: usize,
    pub bytes: u64,
    pub reads: u64,
    /// When the last event arrived.
    pub last_event_ns: u64,
}

impl Totals {
    /// Every error seen, in words; empty if all events came once and in order.
    pub fn errors(&self) -> String {
        let counted = [
            (self.tally.missing, "events missing"),
            (self.tally.repeated, "events repeated"),
            (self.refused as u64, "streams refused"),
            (self.closed as u64, "streams closed"),
        ];
        let said: Vec<String> = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        said.join(", ")
    }
}
