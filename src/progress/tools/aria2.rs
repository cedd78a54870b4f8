//! aria2, which downloads several files at a time and tells how far each is.

use crate::progress::number;
use crate::progress::update::{LineReading, Update};

/// More it isn't asked for by hand.
const DOWNLOADS_MAX: usize = 1024;

/// What is known of its downloads.
#[derive(Default)]
pub(in crate::progress) struct Aria2 {
    /// How many there are to be.
    all: usize,
    /// How far each is that has begun, by its name.
    parts: Vec<(String, f64)>,
    /// It never falls, though more may come.
    told: f64,
}

impl Aria2 {
    /// Reads a line, which may not have ended yet.
    pub fn read(&mut self, line: &str, ended: bool) -> LineReading {
        if let Some((_, rest)) = line.split_once("[NOTICE] ") {
            if ended {
                self.read_notice(rest);
            }
            return LineReading::Mine(None);
        }
        if !self.parts.is_empty() && line.starts_with("FILE: ") {
            return LineReading::Mine(None);
        }
        if !(line.starts_with("[#") || line.starts_with("[DL:")) {
            return LineReading::NotMine;
        }
        let downloads = line.split("[#").skip(1).filter_map(download);
        let mut is_mine = false;
        for (name, part) in downloads {
            is_mine = true;
            if let Some((_, known)) = self.parts.iter_mut().find(|(it, _)| it == name) {
                *known = part.max(*known);
            } else if self.parts.len() < DOWNLOADS_MAX {
                self.parts.push((name.to_owned(), part));
            }
        }
        if is_mine {
            LineReading::Mine(self.tell())
        } else {
            LineReading::NotMine
        }
    }

    fn read_notice(&mut self, notice: &str) {
        let count = notice.strip_prefix("Downloading ");
        let count = count.and_then(|rest| rest.strip_suffix(" item(s)"));
        if let Some(count) = count.and_then(|count| count.parse().ok()) {
            *self = Aria2 {
                all: count,
                ..Aria2::default()
            };
        } else if notice.starts_with("Download complete: ") {
            // Which it was isn't said: the one that had come farthest.
            let parts = self.parts.iter_mut().map(|(_, part)| part);
            let farthest = parts.filter(|it| **it < 1.0).max_by(|a, b| a.total_cmp(b));
            if let Some(part) = farthest {
                *part = 1.0;
            }
        }
    }

    fn tell(&mut self) -> Option<Update> {
        let done: f64 = self.parts.iter().map(|(_, part)| part).sum();
        let part = done / self.all.max(self.parts.len()) as f64;
        self.told = self.told.max(part);
        Update::part(self.told)
    }
}

/// `b9cca4 16MiB/60MiB(26%) CN:1 DL:15MiB]`
fn download(text: &str) -> Option<(&str, f64)> {
    let (name, rest) = text.split_once(' ')?;
    let (amounts, rest) = rest.split_once('(')?;
    let (percent, _) = rest.split_once("%)")?;
    let is_name = name.bytes().all(|b| b.is_ascii_hexdigit());
    let percent = number::percentage(percent).filter(|_| is_name && amounts.contains('/'))?;
    Some((name, percent / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Vec<f64> {
        let mut aria2 = Aria2::default();
        let read = |line: &&str| match aria2.read(line, true) {
            LineReading::Mine(update) => update?.percent,
            LineReading::NotMine => panic!("{line}"),
        };
        lines.iter().filter_map(read).collect()
    }

    #[test]
    fn downloads_are_told_of_as_one() {
        let lines = [
            "11/29 08:07:47 [NOTICE] Downloading 4 item(s)",
            "[#cd8984 240KiB/1.0MiB(20%) CN:1 DL:246KiB ETA:2s]",
            "FILE: d/99% a.bin",
            "[DL:0.9MiB][#cd8984 496KiB/0.9MiB(40%)][#e522c9 1.4MiB/2.8MiB(60%)]",
            "11/29 08:07:51 [NOTICE] Download complete: d/30.bin",
            "11/29 08:07:51 [NOTICE] Download complete: d/10.bin",
            "[#97967e 112KiB/1.9MiB(20%) CN:1 DL:523KiB ETA:3s]",
        ];
        assert_eq!(told(&lines), [5.0, 25.0, 55.0]);
        assert_eq!(told(&lines[1..2]), [20.0]);
    }

    #[test]
    fn other_brackets_are_left_alone() {
        for line in ["[#8] 5%", "[# 5%", "[DL:1]", "[1/2]", "", "[#x 1/2(5%)]"] {
            assert_eq!(
                Aria2::default().read(line, true),
                LineReading::NotMine,
                "{line}"
            );
        }
    }
}
