//! Parts of a whole, each with a name.

/// No image has as many layers, and no build by hand as many stages.
pub(super) const PARTS_MAX: usize = 1024;

/// How far each part is.
#[derive(Default)]
pub(super) struct Parts(Vec<Part>);

struct Part {
    name: String,
    done: f64,
    of: f64,
}

impl Parts {
    /// So much of a part is done, or more. Returns its place; none where there are too many.
    pub fn note(&mut self, name: &str, done: f64, of: f64) -> Option<usize> {
        let place = self.find(name).unwrap_or(self.0.len());
        if place == PARTS_MAX {
            return None;
        }
        if place == self.0.len() {
            let name = name.to_owned();
            self.0.push(Part { name, done, of });
        }
        self.0[place].of = of;
        self.advance(place, done);
        Some(place)
    }

    /// So much of the part at a place is done, or more.
    pub fn advance(&mut self, place: usize, done: f64) {
        let part = &mut self.0[place];
        part.done = part.done.max(done);
    }

    /// The place of a part.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|part| part.name == name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much of all together is done, of 1.
    pub fn done(&self) -> f64 {
        let sum = |each: fn(&Part) -> f64| self.0.iter().map(each).sum::<f64>();
        sum(|it| it.done) / sum(|it| it.of).max(1.0)
    }
}
