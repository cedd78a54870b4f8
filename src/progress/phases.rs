//! The phases of a command that tells how far each of them is, one after another:
//! `Receiving objects: 100%`, `Resolving deltas: 0%`.

use super::measure::Measure;
use super::place::Trust;
use super::words;

/// The longest name of a phase, in characters: it is a label.
const NAME_MAX_CHARS: usize = 48;

/// Which phase a command is in.
#[derive(Default)]
pub(super) struct Phases {
    /// The stage that the command is in while it names none itself.
    home: Option<String>,
    newest: Option<Phase>,
    /// There was more than one.
    are_several: bool,
}

struct Phase {
    name: Option<String>,
    percent: f64,
}

impl Phases {
    /// Takes the name of the stage that the whole command is.
    pub fn belong_to(&mut self, home: Option<String>) {
        self.home = home;
    }

    /// The stage of the whole command.
    pub fn home(&self) -> Option<String> {
        self.home.clone()
    }

    /// Takes a measure that is believed, and returns the stage that it is of: that of the whole
    /// command for as long as there was one phase, and each further one's name after that.
    pub fn stage(&mut self, measure: &Measure<'_>) -> Option<String> {
        let name = name(measure);
        let is_next = self.newest.as_ref().is_some_and(|newest| {
            // What has no name goes on with the one before for as long as it rises.
            newest.name != name && (name.is_some() || measure.percent <= newest.percent)
        });
        self.are_several |= is_next;
        let percent = measure.percent;
        match &mut self.newest {
            Some(newest) if !is_next => newest.percent = percent,
            newest => *newest = Some(Phase { name, percent }),
        }
        let newest = self.newest.as_ref().filter(|_| self.are_several)?;
        newest.name.clone().or_else(|| self.home.clone())
    }
}

/// The name of the phase that a measure is of: the end of its label, or else what that says is
/// being done: `Encoding: task 1 of 1`.
fn name(measure: &Measure<'_>) -> Option<String> {
    let label = measure.head.trim_end_matches([':', '.', '…', ' ']);
    let label = label.trim_end_matches(',');
    let Some(at) = label.rfind([':', ',']) else {
        return name_in(label, measure);
    };
    name_in(&label[at + 1..], measure).or_else(|| {
        let first = label.split([':', ',', ' ']).next()?;
        words::is_doing(first).then(|| first.to_owned())
    })
}

/// What a label says without the numbers, the bar and the brackets, where it may be a name. A
/// file's is none.
fn name_in(label: &str, measure: &Measure<'_>) -> Option<String> {
    let label = label.split(['[', '(', '|', '<']).next()?;
    let mut named = Vec::new();
    for word in label.split_whitespace() {
        let inner = word.trim_end_matches([':', ',', '-', '.', '…']);
        if inner
            .chars()
            .all(|c| c.is_alphabetic() || "-'’".contains(c))
        {
            named.extend(Some(inner).filter(|it| it.contains(char::is_alphabetic)));
        } else if inner.contains(['.', '/', '\\', '_', '%', '=', '@']) {
            return None;
        }
    }
    // `Progress: 5%`, and `noise: 5%`, which is a file.
    let is_plain = match named[..] {
        [] => true,
        [word] => {
            words::is_progress(word)
                || words::is_begun(word)
                || measure.standing < Trust::Named && !words::is_doing(word)
        }
        _ => measure.standing < Trust::Said,
    };
    let name = named.join(" ");
    (!is_plain && name.chars().count() <= NAME_MAX_CHARS).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::measure::{TextLine, best};
    use super::*;

    fn stages(lines: &[&str]) -> Vec<Option<String>> {
        let mut phases = Phases::default();
        phases.belong_to(Some("home".into()));
        let measure = |text: &&str| {
            let row = TextLine {
                text,
                redrawn: true,
                continued: false,
            };
            phases.stage(&best(row).unwrap())
        };
        lines.iter().map(measure).collect()
    }

    #[test]
    fn from_the_second_phase_on_each_is_a_stage() {
        for (lines, expected) in [
            (
                &[
                    "remote: Counting objects:  50% (1/2)",
                    "remote: Counting objects: 100% (2/2), done.",
                    "remote: Compressing objects:  10% (1/10)",
                    "Receiving objects:  10% (1/10), 1.2 MiB | 3 MiB/s",
                    "Receiving objects:  20% (2/10), 1.2 MiB | 3 MiB/s",
                ][..],
                &[
                    None,
                    None,
                    Some("Compressing objects"),
                    Some("Receiving objects"),
                    Some("Receiving objects"),
                ][..],
            ),
            (
                &[
                    "load image[plasma:]: 450 of 500, 90% complete",
                    "resize image[out 5.png]: 10 of 500, 02% complete",
                    "save image[out 5.png]: 10 of 500, 02% complete",
                ],
                &[None, Some("resize image"), Some("save image")],
            ),
            (
                &[
                    "Reading package lists... 50%",
                    "Building dependency tree... 0%",
                    "0% [Working]",
                    "Progress: [ 20%] [####........]",
                ],
                &[
                    None,
                    Some("Building dependency tree"),
                    Some("home"),
                    Some("home"),
                ],
            ),
            (
                &[
                    "Scanning title 1 of 1, preview 1, 10.00 %",
                    "Scanning title 1 of 1, preview 3, 30.00 %",
                    "Encoding: task 1 of 1, 5.00 %",
                ],
                &[None, None, Some("Encoding")],
            ),
            (
                &[
                    "Encoding: task 1 of 1, Searching for start time, 60.00 %",
                    "Encoding: task 1 of 1, 5.00 %",
                    "Encoding: task 1 of 1, 9.00 %",
                ],
                &[None, Some("Encoding"), Some("Encoding")],
            ),
            (
                &["Empfange Objekte: 100%", "Löse Unterschiede auf: 5%"],
                &[None, Some("Löse Unterschiede auf")],
            ),
        ] {
            let expected: Vec<_> = expected.iter().map(|it| it.map(str::to_owned)).collect();
            assert_eq!(stages(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn files_and_steps_are_no_phases() {
        for lines in [
            ["a.bin: 40%", "b.bin: 5%"],
            ["Extracting a.zip: 40%", "Extracting b.zip: 5%"],
            ["noise: 40%", "other: 5%"],
            ["Step 1 of 4: fetch", "Step 2 of 4: unpack"],
            ["40% 2 + a", "5% 3 + b"],
            ["[=====>    ] 40%", "[=>        ] 5%"],
            [
                "[#aaaaaa 4MiB/9MiB(40%) CN:1]",
                "[#bbbbbb 1MiB/9MiB(5%) CN:1]",
            ],
        ] {
            assert_eq!(stages(&lines), [None, None], "{lines:?}");
        }
    }
}
