//! Bars that are drawn at once, each for a part of the work.

use super::measure::Measure;
use super::place::Trust;
use super::{number, words};

/// How many are told apart: no screen has more.
const BARS_MAX: usize = 64;

/// The bars that a command draws, by what stands before each and in which row it is.
#[derive(Default)]
pub(super) struct Bars {
    bars: Vec<Bar>,
    /// The one that was drawn last.
    newest: usize,
    /// It had grown.
    has_grown: bool,
    /// Two were seen to grow in turns, and not one after the other.
    are_at_once: bool,
    /// How far the bar is that says it is of all.
    of_all: Option<f64>,
    /// What was told last: it never falls while there are several, though more bars may come.
    told: f64,
}

struct Bar {
    label: String,
    /// How many rows below the first it is.
    depth: usize,
    percent: f64,
    /// How many of something it counts.
    total: Option<f64>,
    /// It begins again whenever one before it has grown.
    is_inner: bool,
}

/// What a bar tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BarReading {
    /// How far it is.
    Itself,
    /// How far all bars are together that are drawn at once.
    Together(f64),
    /// Nothing: it is of a part of what another is of.
    Inner,
}

impl Bars {
    /// Takes a measure that is believed and stands so many rows below the first.
    pub fn take(&mut self, measure: &Measure<'_>, depth: usize) -> BarReading {
        if measure.standing != Trust::Bar {
            return BarReading::Itself;
        }
        let (percent, total) = (measure.percent, total(measure.tail));
        // One that has ended leaves its row to what it was drawn below, and says so there.
        let is_one = |bar: &Bar| bar.depth > 0 && bar.total == total;
        if depth == 0 && percent == 100.0 && self.bars.iter().any(is_one) {
            return BarReading::Inner;
        }
        let label = label(measure.head);
        if words::speak_of_all(&label) {
            self.of_all = Some(percent);
        }
        let is_it = |bar: &Bar| bar.depth == depth && bar.label == label;
        let at = match self.bars.iter().position(is_it) {
            Some(at) => at,
            None if self.bars.len() < BARS_MAX => {
                self.bars.push(Bar {
                    label,
                    depth,
                    percent,
                    total,
                    is_inner: depth > 0,
                });
                self.bars.len() - 1
            }
            None => return BarReading::Itself,
        };
        let bar = &mut self.bars[at];
        let stays = at == self.newest && percent == bar.percent;
        let has_grown = percent > bar.percent || stays && self.has_grown;
        // A part falls back where the whole has grown; what are parts alike grow in turns.
        let follows = self.has_grown && self.newest < at;
        bar.is_inner |= follows && percent < bar.percent;
        self.are_at_once |= follows && has_grown;
        (bar.percent, bar.total) = (percent, total);
        (self.newest, self.has_grown) = (at, has_grown);
        if self.are_at_once {
            let sum: f64 = self.bars.iter().map(|bar| bar.percent).sum();
            let mean = (sum / self.bars.len() as f64 * 10.0).floor() / 10.0;
            self.told = self.told.max(self.of_all.unwrap_or(mean));
            return BarReading::Together(self.told);
        }
        if self.bars[at].is_inner && self.bars[..at].iter().any(|bar| bar.percent < 100.0) {
            return BarReading::Inner;
        }
        self.told = percent;
        BarReading::Itself
    }
}

/// The second number of the counter behind a bar.
fn total(tail: &str) -> Option<f64> {
    let (_, total) = tail.split_once('/')?;
    number::starting_at(total, 0).map(|it| it.value)
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

    use BarReading::*;

    fn told(lines: &[&str]) -> Vec<BarReading> {
        let mut bars = Bars::default();
        let take = |text: &&str| {
            let depth = text.len() - text.trim_start_matches('\n').len();
            let row = TextLine {
                text: &text[depth..],
                redrawn: true,
                continued: false,
            };
            bars.take(&best(row).unwrap(), depth)
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
        let expected = [
            Itself,
            Itself,
            Itself,
            Together(60.0),
            Together(60.0),
            Together(66.6),
        ];
        assert_eq!(told(&lines), expected);
        let lines = [
            "total [#.......] 10%",
            "a.bin [####....] 50%",
            "total [##......] 20%",
            "a.bin [#####...] 60%",
        ];
        assert_eq!(told(&lines), [Itself, Itself, Itself, Together(20.0)]);
        let lines = [
            "  0%|        | 0/9 [00:00<?]",
            "\n  0%|        | 0/9 [00:00<?]",
            " 33%|##      | 3/9 [00:00<?]",
            "\n 11%|#       | 1/9 [00:00<?]",
        ];
        assert_eq!(told(&lines), [Itself, Inner, Itself, Together(33.0)]);
    }

    #[test]
    fn bars_that_follow_each_other_are_not_at_once() {
        for lines in [
            ["a 50% [####....]", "a 100% [########]", "b 10% [#.......]"],
            ["a 100% [########]", "b 100% [########]", "a 10% [#.......]"],
            ["50% [####....]", "10% [#.......]", "60% [####....]"],
        ] {
            assert_eq!(told(&lines), [Itself; 3], "{lines:?}");
        }
    }

    #[test]
    fn a_bar_within_another_tells_nothing_of_the_whole() {
        let lines = [
            "  0%|        | 0/2 [00:00<?]",
            "\n  0%|        | 0/20 [00:00<?]",
            "\n 75%|######  | 15/20 [00:01<?]",
            "100%|########| 20/20 [00:01<?]",
            " 50%|####    | 1/2 [00:01<?]",
            "\n  0%|        | 0/20 [00:00<?]",
            "100%|########| 2/2 [00:02<?]",
            "\n  0%|        | 0/20 [00:00<?]",
        ];
        let expected = [Itself, Inner, Inner, Inner, Itself, Inner, Itself, Itself];
        assert_eq!(told(&lines), expected);
        let lines = [
            "outer 0%|        | 0/2",
            "inner 90%|####### | 18/20",
            "outer 50%|####    | 1/2",
            "outer 50%|####    | 1/2",
            "inner 0%|        | 0/20",
            "inner 50%|####    | 10/20",
        ];
        let expected = [Itself, Itself, Itself, Itself, Inner, Inner];
        assert_eq!(told(&lines), expected);
    }
}
