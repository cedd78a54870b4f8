//! Bars that are drawn at once, each for a part of the work.

use super::measure::Measure;
use super::place::Trust;
use super::words;

/// How many are told apart: no screen has more.
const BARS_MAX: usize = 64;

/// The bars that a command draws, by what stands before each.
#[derive(Default)]
pub(super) struct Bars {
    bars: Vec<Bar>,
    /// The one that was drawn last.
    newest: usize,
    /// Two were seen to go on in turns, and not one after the other.
    are_at_once: bool,
    /// How far the bar is that says it is of all.
    of_all: Option<f64>,
    /// What was told last: it never falls, though more bars may come.
    told: f64,
}

struct Bar {
    label: String,
    percent: f64,
}

impl Bars {
    /// Takes a measure that is believed. Returns how far all bars are together, where there are
    /// several at once.
    pub fn take(&mut self, measure: &Measure<'_>) -> Option<f64> {
        let label = label(measure.head);
        if measure.standing != Trust::Bar || label.is_empty() {
            return None;
        }
        let percent = measure.percent;
        if words::speak_of_all(&label) {
            self.of_all = Some(percent);
        }
        match self.bars.iter().position(|bar| bar.label == label) {
            Some(at) => {
                let goes_on = |bar: &Bar| bar.percent < 100.0;
                let is_next = at != self.newest && goes_on(&self.bars[self.newest]);
                let bar = &mut self.bars[at];
                self.are_at_once |= is_next && goes_on(bar) && percent >= bar.percent;
                bar.percent = percent;
                self.newest = at;
            }
            None if self.bars.len() < BARS_MAX => {
                self.newest = self.bars.len();
                self.bars.push(Bar { label, percent });
            }
            None => {}
        }
        if !self.are_at_once {
            return None;
        }
        let sum: f64 = self.bars.iter().map(|bar| bar.percent).sum();
        let mean = (sum / self.bars.len() as f64 * 10.0).floor() / 10.0;
        self.told = self.told.max(self.of_all.unwrap_or(mean));
        Some(self.told)
    }
}

/// What stands before a bar, without its numbers.
fn label(head: &str) -> String {
    let head = head.split(['[', '(', '|']).next().unwrap_or_default();
    let is_name = |word: &&str| {
        let begins = word.starts_with(|c: char| c.is_ascii_digit());
        !begins && word.contains(char::is_alphabetic)
    };
    let words: Vec<&str> = head.split_whitespace().filter(is_name).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::measure::{TextLine, best};
    use super::*;

    fn told(lines: &[&str]) -> Vec<Option<f64>> {
        let mut bars = Bars::default();
        let take = |text: &&str| {
            let row = TextLine {
                text,
                redrawn: true,
                continued: false,
            };
            bars.take(&best(row).unwrap())
        };
        lines.iter().map(take).collect()
    }

    #[test]
    fn bars_that_go_on_in_turns_are_told_as_one() {
        let lines = [
            "a.bin  10% [#.......]",
            "b.bin  20% [##......]",
            "a.bin  20% [##......]",
            "b.bin 100% [########]",
            "c.bin   0% [........]",
            "a.bin 100% [########]",
        ];
        let expected = [None, None, Some(20.0), Some(60.0), Some(60.0), Some(66.6)];
        assert_eq!(told(&lines), expected);
        let lines = [
            "total [#.......] 10%",
            "a.bin [####....] 50%",
            "total [##......] 20%",
            "a.bin [#####...] 60%",
        ];
        assert_eq!(told(&lines), [None, None, Some(20.0), Some(20.0)]);
    }

    #[test]
    fn bars_that_follow_each_other_are_not_at_once() {
        for lines in [
            ["a 50% [####....]", "a 100% [########]", "b 10% [#.......]"],
            ["a 100% [########]", "b 100% [########]", "a 10% [#.......]"],
            ["50% [####....]", "10% [#.......]", "60% [####....]"],
        ] {
            assert_eq!(told(&lines), [None; 3], "{lines:?}");
        }
    }
}
