//! Clients come, read, go, and come back.

use super::World;
use crate::simulation::reader::{Follows, Reader};

impl World<'_> {
    pub(super) fn new_reader(&mut self) -> Reader {
        let follows = match self.random.below(4) {
            0 | 1 => Follows::One(self.job()),
            2 => {
                let mut listed = Vec::new();
                for job in 0..self.options.names.len() {
                    if self.random.one_in(2) || listed.is_empty() {
                        listed.push((job, None));
                    }
                }
                Follows::Listed(listed)
            }
            _ => Follows::Matching(self.random.pick(&["", "a.", "b."]).into()),
        };
        let replay = self.random.pick(&["", "", "", "latest", "none"]);
        let is_slow = self.random.one_in(4);
        let rate = [None, None, Some("0.5"), Some("2"), Some("20")];
        let rate = self.random.pick(&rate);
        Reader::new(follows, replay, is_slow).paced(rate)
    }

    pub(super) fn reader(&mut self) -> usize {
        self.random.below(self.readers.len() as u64) as usize
    }

    pub(super) fn connect(&mut self) {
        let index = self.reader();
        if self.readers[index].is_connected() {
            return;
        }
        if self.random.one_in(10) {
            self.readers[index] = self.new_reader();
        }
        if self.random.one_in(30) {
            let strange =
                self.random
                    .pick(&["x", "-1", "9007199254740991", "99999999999999999999"]);
            self.readers[index].last = Some(strange.into());
        }
        self.resume(index);
    }

    /// A reader asks for its stream.
    pub fn resume(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        let said = reader.connect(&self.server, &self.model, self.step);
        self.note(|| format!("reader {index} asks for {said}"));
    }

    /// Adds a reader, and has it connect.
    pub fn follow(&mut self, follows: Follows) -> usize {
        self.readers.push(Reader::new(follows, "", false));
        let index = self.readers.len() - 1;
        self.resume(index);
        index
    }

    pub(super) fn disconnect(&mut self) {
        let index = self.reader();
        self.drop_reader(index);
    }

    /// A reader goes away.
    pub fn drop_reader(&mut self, index: usize) {
        self.note(|| format!("reader {index} goes away"));
        self.readers[index].drop_connection();
    }

    pub(super) fn read_slowly(&mut self) {
        let index = self.reader();
        let most = self.random.between(1, 3000) as usize;
        self.read(index, most);
    }

    /// Whether anything came.
    pub(super) fn read(&mut self, index: usize, most: usize) -> bool {
        let reader = &mut self.readers[index];
        let before = reader.bytes();
        let said = reader.read(most, self.step);
        for said in &said {
            self.note(|| {
                let follows = &self.readers[index].follows;
                format!("reader {index} ({follows:?}) gets {said:?}")
            });
        }
        self.readers[index].take(&said, &self.server, &self.model);
        self.readers[index].bytes() != before
    }

    /// Who reads all that comes does.
    pub(super) fn read_all(&mut self) {
        for index in 0..self.readers.len() {
            if !self.readers[index].is_slow {
                self.read(index, usize::MAX);
            }
        }
    }
}
