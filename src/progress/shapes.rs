//! Which lines of a command tell how far it is: those like the ones that told it before.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::measure::Measure;
use super::place::Trust;

/// After so many lines without it, a shape has had its time.
const SILENT_MAX: u32 = 20;
/// How many shapes are remembered that were not believed at first sight.
const SEEN_MAX: usize = 8;

/// The shapes of lines that were seen, and the one that leads.
#[derive(Default)]
pub(super) struct Shapes {
    leader: Option<Leader>,
    seen: Vec<(u64, f64)>,
}

struct Leader {
    shape: u64,
    standing: Trust,
    percent: f64,
    /// It was seen more than once.
    is_sure: bool,
    /// How many lines have come since.
    silent: u32,
}

impl Shapes {
    /// Takes the best measure of a line, where it has one, and tells whether it is believed.
    /// `redrawn`: the line is drawn over another, or another over it.
    pub fn believe(&mut self, measure: Option<&Measure<'_>>, redrawn: bool) -> bool {
        let believed = measure.is_some_and(|it| self.would_believe(it, redrawn));
        if let Some(leader) = &mut self.leader {
            leader.silent += 1;
        }
        let Some(measure) = measure else {
            return false;
        };
        let shape = shape(measure);
        if believed {
            self.leader = Some(Leader {
                shape,
                standing: measure.standing,
                percent: measure.percent,
                is_sure: self.leads(shape),
                silent: 0,
            });
        } else if matches!(measure.standing, Trust::Labelled | Trust::Drawn) {
            self.seen.retain(|(seen, _)| *seen != shape);
            if self.seen.len() == SEEN_MAX {
                self.seen.remove(0);
            }
            self.seen.push((shape, measure.percent));
        }
        believed
    }

    /// The same without taking it.
    pub fn would_believe(&self, measure: &Measure<'_>, redrawn: bool) -> bool {
        let shape = shape(measure);
        if self.leads(shape) {
            return true;
        }
        let leader = self.leader.as_ref();
        let leader = leader.filter(|it| it.percent < 100.0 && it.silent < SILENT_MAX);
        if let Some(leader) = leader
            && (measure.standing < leader.standing || leader.is_sure && !redrawn)
        {
            return false;
        }
        let grew = |(seen, percent): &(u64, f64)| *seen == shape && *percent < measure.percent;
        match measure.standing {
            Trust::Prose => false,
            // It may end a name: what it tells has to grow.
            Trust::Drawn => redrawn && self.seen.iter().any(grew),
            // A label may be of anything.
            Trust::Labelled => redrawn || self.seen.iter().any(grew),
            Trust::Said | Trust::Named | Trust::First | Trust::Bar => true,
        }
    }

    fn leads(&self, shape: u64) -> bool {
        self.leader.as_ref().is_some_and(|it| it.shape == shape)
    }
}

/// What the lines have in common that tell one thing: the kind of measure, where it stands,
/// and the words before it, whatever numbers there are.
fn shape(measure: &Measure<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (measure.standing, measure.is_counter).hash(&mut hasher);
    if measure.standing < Trust::First {
        let words = measure.head.split_whitespace();
        for word in words.filter(|word| !word.contains(|c: char| c.is_ascii_digit())) {
            word.hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::measure::{TextLine, best};
    use super::*;

    const NOTHING: [f64; 0] = [];

    fn believed(lines: &[&str], redrawn: bool) -> Vec<f64> {
        let mut shapes = Shapes::default();
        let mut told = Vec::new();
        for text in lines {
            let row = TextLine {
                text,
                redrawn,
                continued: false,
            };
            let measure = best(row);
            if shapes.believe(measure.as_ref(), redrawn) {
                told.extend(measure.map(|it| it.percent));
            }
        }
        told
    }

    #[test]
    fn prose_moves_nothing() {
        let lines = [
            "disk is 97% full",
            "cache hit rate 12 %",
            "Progress: 10%",
            "memory at 55% of limit",
            "Progress: 20%",
            "load: 77%",
            "Progress: 30%",
        ];
        assert_eq!(believed(&lines, false), [10.0, 20.0, 30.0]);
    }

    #[test]
    fn a_shape_that_was_seen_before_wins_over_one_that_was_not() {
        let lines = [
            "[1/20] a",
            "[2/20] b",
            "  5% of 3 files",
            "[3/20] c",
            "in: 99%",
            "in: 100%",
        ];
        assert_eq!(believed(&lines, false), [5.0, 10.0, 15.0]);
        let mut late = lines[..2].to_vec();
        late.extend(["words"; SILENT_MAX as usize]);
        late.push("  5% of 3 files");
        assert_eq!(believed(&late, false), [5.0, 10.0, 5.0]);
    }

    #[test]
    fn a_label_that_stays_has_to_grow_before_it_is_believed() {
        assert_eq!(believed(&["a.bin: 40%"], false), NOTHING);
        assert_eq!(believed(&["a.bin: 40%", "a.bin: 39%"], false), NOTHING);
        assert_eq!(believed(&["a.bin: 40%", "a.bin: 50%"], false), [50.0]);
        assert_eq!(believed(&["a.bin: 40%"], true), [40.0]);
        assert_eq!(believed(&["a.bin 40%", "a.bin 50%"], true), [50.0]);
        assert_eq!(believed(&["1 N Sale 50%", "2 N Sale 50%"], true), NOTHING);
        let complete = ["resize image[a.png]: 123 of 456, 027% complete"];
        assert_eq!(believed(&complete, false), [27.0]);
    }

    #[test]
    fn the_next_part_of_the_work_may_have_another_shape() {
        let lines = [
            "Counting objects: 50%",
            "Counting objects: 100%",
            "Resolving deltas: 5%",
        ];
        assert_eq!(believed(&lines, false), [50.0, 100.0, 5.0]);
        let apt = [
            "Reading package lists... 93%",
            "Reading package lists... 98%",
            "0% [Working]",
        ];
        assert_eq!(believed(&apt, true), [93.0, 98.0, 0.0]);
    }
}
