//! The phases of a command that tells how far each of them is, one after another:
//! `Receiving objects: 100%`, `Resolving deltas: 0%`.

use super::measure::{Measure, tenths};
use super::place::Trust;
use super::update::Update;
use super::words;

/// The longest name of a phase, in characters: it is a label.
const NAME_MAX_CHARS: usize = 48;

/// How many stages are remembered: most programs go through fewer.
const STAGES_MAX: usize = 16;

/// A phase that came so far, in percent, and falls back by more than [`FALL_MIN`], begins again.
const ENDED_MIN: f64 = 95.0;
const FALL_MIN: f64 = 5.0;

/// Which phase a command is in.
#[derive(Default)]
pub(super) struct Phases {
    /// The stage that the command is in while it names none itself.
    home: Option<String>,
    newest: Option<Phase>,
    /// There was more than one.
    are_several: bool,
    /// The part of the whole that a line of its own announced.
    part: Option<Announced>,
    /// The stages that were told of, the newest last.
    told: Vec<Told>,
}

struct Phase {
    name: Option<String>,
    percent: f64,
}

/// What was told of a stage last.
#[derive(Default)]
struct Told {
    stage: Option<String>,
    percent: f64,
    /// How often it has begun again.
    again: u32,
}

/// `Epoch 2/3`, and how far it has come.
struct Announced {
    number: f64,
    of: f64,
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

    /// Takes a measure that is believed, and returns how far what it is of has come, and which
    /// stage that is: that of the whole command for as long as there was one phase, and each
    /// further one's name after that.
    pub fn take(&mut self, measure: &Measure<'_>) -> (Option<String>, f64) {
        let name = name(measure);
        let percent = self.of_whole(measure, name.is_some());
        let is_next = self.newest.as_ref().is_some_and(|newest| {
            // What has no name goes on with the one before for as long as it rises.
            newest.name != name && (name.is_some() || percent <= newest.percent)
        });
        self.are_several |= is_next;
        match &mut self.newest {
            Some(newest) if !is_next => newest.percent = percent,
            newest => *newest = Some(Phase { name, percent }),
        }
        let newest = self.newest.as_ref().filter(|_| self.are_several);
        let stage = newest.and_then(|newest| newest.name.clone().or_else(|| self.home.clone()));
        (stage, percent)
    }

    /// Tells what begins again apart by a number, as the bars of several files, or a program in a
    /// loop.
    pub fn number(&mut self, update: &mut Update) {
        let Some(percent) = update.percent else {
            return;
        };
        let stage = update.stage.clone().or_else(|| self.home());
        let at = self.told.iter().position(|it| it.stage == stage);
        // What another came after has ended, however far it was told.
        let is_left = at.is_some_and(|at| at + 1 < self.told.len());
        let mut told = at.map_or_else(Told::default, |at| self.told.remove(at));
        let has_ended = is_left || told.percent >= ENDED_MIN;
        told.again += u32::from(has_ended && percent < told.percent - FALL_MIN);
        if told.again > 0
            && let Some(name) = &stage
        {
            update.stage = Some(format!("{name} {}", told.again + 1));
        }
        (told.stage, told.percent) = (stage, percent);
        if self.told.len() == STAGES_MAX {
            self.told.remove(0);
        }
        self.told.push(told);
    }

    /// How far the whole is: within the part that was announced, what has no name of its own is
    /// how far that is.
    fn of_whole(&mut self, measure: &Measure<'_>, is_named: bool) -> f64 {
        if let Some((number, of)) = measure.part {
            self.part = Some(Announced {
                number,
                of,
                percent: 0.0,
            });
        } else if let Some(part) = self.part.as_mut().filter(|_| !is_named) {
            part.percent = part.percent.max(measure.percent);
            return tenths((part.number - 1.0 + part.percent / 100.0) / part.of);
        }
        measure.percent
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

    fn taken(lines: &[&str]) -> impl Iterator<Item = (Option<String>, f64)> {
        let mut phases = Phases::default();
        phases.belong_to(Some("home".into()));
        lines.iter().map(move |text| {
            let row = TextLine {
                text,
                redrawn: true,
                continued: false,
            };
            phases.take(&best(row).unwrap())
        })
    }

    fn stages(lines: &[&str]) -> Vec<Option<String>> {
        taken(lines).map(|it| it.0).collect()
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

    fn told(lines: &[&str]) -> Vec<f64> {
        taken(lines).map(|it| it.1).collect()
    }

    #[test]
    fn what_begins_again_is_told_apart_by_a_number() {
        let mut phases = Phases::default();
        phases.belong_to(Some("home".into()));
        let mut stage_of = |stage: Option<&str>, percent| {
            let stage = stage.map(str::to_owned);
            let mut update = Update {
                stage,
                ..Update::percent(percent)
            };
            phases.number(&mut update);
            update.stage
        };
        for (stage, percent, expected) in [
            (None, 50.0, None),
            (None, 20.0, None),
            (None, 100.0, None),
            (None, 95.0, None),
            (None, 0.0, Some("home 2")),
            (None, 99.0, Some("home 2")),
            (None, 10.0, Some("home 3")),
            (Some("Receiving objects"), 100.0, Some("Receiving objects")),
            (Some("Receiving objects"), 1.0, Some("Receiving objects 2")),
            (Some("Comparing"), 80.0, Some("Comparing")),
            (Some("Receiving objects"), 3.0, Some("Receiving objects 2")),
            (Some("Comparing"), 0.0, Some("Comparing 2")),
            (Some("home"), 0.0, Some("home 4")),
        ] {
            assert_eq!(stage_of(stage, percent).as_deref(), expected, "{percent}");
        }
    }

    #[test]
    fn what_follows_the_announcement_of_a_part_is_told_of_the_whole() {
        let lines = [
            "Epoch 1/2",
            "25/100 [==>.......] - loss: 1.25",
            "100/100 [==========] - loss: 1.25",
            "Epoch 2/2",
            "50/100 [====>.....] - loss: 1.25",
            "10/100 [>.........] - loss: 1.25",
        ];
        assert_eq!(told(&lines), [0.0, 12.5, 50.0, 50.0, 75.0, 75.0]);
        let lines = ["Epoch 1/4:  50%|#####     |", "Epoch 2/4:  0%|          |"];
        assert_eq!(told(&lines), [12.5, 25.0]);
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
            ["[20/20] a", "[19/20] b"],
            [
                "[#aaaaaa 4MiB/9MiB(40%) CN:1]",
                "[#bbbbbb 1MiB/9MiB(5%) CN:1]",
            ],
        ] {
            assert_eq!(stages(&lines), [None, None], "{lines:?}");
        }
    }
}
