//! What an ffmpeg reads and doesn't say how long it is: files that it reads one after another
//! (`-f concat -i list.txt`, `-i 'concat:a.ts|b.ts'`), and any file where it says less
//! (`-v error`).

use std::sync::{Arc, OnceLock};

use super::time;

/// How many files are read of a list: more are not looked at.
const FILES_MAX: usize = 1000;

/// What the name of files begins with that are read one after another.
const CHAIN: &str = "concat:";

/// What is to be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {
    /// Its path.
    pub path: String,
    /// It is a list of files.
    pub is_list: bool,
    us: Arc<OnceLock<u64>>,
}

/// A file in a list, or the part of it that is played.
#[derive(Clone, Debug, Default, PartialEq)]
struct PlayedPart {
    /// Its path, as it is written there.
    path: String,
    duration: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
}

impl Material {
    /// That at this path.
    pub(super) fn at(path: &str, is_list: bool) -> Material {
        Material {
            path: path.to_owned(),
            is_list,
            ..Material::default()
        }
    }

    /// Whether this names files that are read one after another: `concat:a.ts|b.ts`.
    pub(super) fn is_chain(name: &str) -> bool {
        name.starts_with(CHAIN)
    }

    /// The files of such a name.
    pub fn chained(&self) -> Option<impl Iterator<Item = &str>> {
        Some(self.path.strip_prefix(CHAIN)?.split('|'))
    }

    /// How long a list of this text is, in microseconds, where it is known, or `of_file` knows, how
    /// long each of its files is.
    pub fn length_of_list(text: &str, of_file: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        length(&pieces(text)?, of_file)
    }

    /// Says how long it is, in microseconds, to whoever reads what its ffmpeg prints.
    pub fn put(&self, us: u64) {
        let _ = self.us.set(us);
    }

    /// How long it is, once that is known.
    pub(super) fn us(&self) -> Option<u64> {
        self.us.get().copied()
    }
}

/// The files of a list. `None`: it is none, or one of too many files.
fn pieces(text: &str) -> Option<Vec<PlayedPart>> {
    let mut pieces: Vec<PlayedPart> = Vec::new();
    for line in text.lines() {
        let mut words = words(line).into_iter();
        let (Some(key), Some(value)) = (words.next(), words.next()) else {
            continue;
        };
        if key == "file" {
            if pieces.len() == FILES_MAX {
                return None;
            }
            pieces.push(PlayedPart {
                path: value,
                ..PlayedPart::default()
            });
            continue;
        }
        let Some(piece) = pieces.last_mut() else {
            continue;
        };
        match key.as_str() {
            "duration" => piece.duration = time::argument(&value),
            "inpoint" => piece.from = time::argument(&value),
            "outpoint" => piece.to = time::argument(&value),
            _ => {}
        }
    }
    (!pieces.is_empty()).then_some(pieces)
}

/// How long all of them are, in microseconds. A last picture that says nothing of it doesn't count.
fn length(pieces: &[PlayedPart], of_file: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let lengths = pieces.iter().enumerate().map(|(at, piece)| {
        let from = piece.from.unwrap_or(0);
        let limit = piece
            .duration
            .or(piece.to.map(|to| to.saturating_sub(from)));
        let is_last = at > 0 && at + 1 == pieces.len();
        limit
            .or_else(|| Some(of_file(&piece.path)?.saturating_sub(from)))
            .or(is_last.then_some(0))
    });
    lengths
        .reduce(|all, length| Some(all?.saturating_add(length?)))
        .flatten()
        .filter(|us| *us > 0)
}

/// The words of a line, without the quotes and backslashes that hold them together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.trim_start().chars();
    while let Some(c) = chars.next() {
        match c {
            '#' if words.is_empty() && word.is_none() => break,
            '\'' => {
                let quoted = chars.by_ref().take_while(|inner| *inner != '\'');
                word.get_or_insert_default().extend(quoted);
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn seconds(text: &str) -> Option<u64> {
        let of_file = |path: &str| match path {
            "a" => Some(10 * SECOND),
            "it's b" => Some(20 * SECOND),
            _ => None,
        };
        Some(Material::length_of_list(text, of_file)? / SECOND)
    }

    #[test]
    fn a_list_is_as_long_as_its_files_together() {
        for (text, expected) in [
            ("file a\nfile 'it'\\''s b'\n", Some(30)),
            ("ffconcat version 1.0\n# a\n  file it\\'s\\ b\n", Some(20)),
            ("file a\ninpoint 4\nfile a\noutpoint 00:00:03\n", Some(9)),
            ("file a\ninpoint 4\noutpoint 6\n", Some(2)),
            ("file x\nduration 7.5\nfile y\nduration 2.5\n", Some(10)),
            // Pictures, of which the last is named twice.
            ("file x.png\nduration 5\nfile x.png\n", Some(5)),
            ("file a\nfile x\nfile a\n", None),
            ("file x\n", None),
            ("stream\nduration 5\n", None),
            ("file\nfile 'a", Some(10)),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        assert_eq!(pieces(&"file a\n".repeat(FILES_MAX + 1)), None);
    }
}
