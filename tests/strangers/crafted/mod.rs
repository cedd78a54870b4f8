//! Files that name other files, or hosts, in the hope that whoever reads them opens those.

mod matroska;
mod movie;
mod names;
mod others;
mod riff;
mod tags;
mod texts;
mod wrappings;

use std::path::PathBuf;

/// What the files name.
pub struct Bait {
    /// Sound that ffmpeg would read.
    pub media: PathBuf,
    /// A folder in which such files are.
    pub folder: PathBuf,
    /// A URL at which somebody listens.
    pub url: String,
}

/// A file, and what it tries.
pub struct Crafted {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What is tried, and the bytes that do.
type Tried = (&'static str, Vec<u8>);

/// All of them: each text as it is, behind tags and heads of several formats, and within
/// containers; and containers that refer to others by their own means.
pub fn all(bait: &Bait) -> Vec<Crafted> {
    let mut all = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| all.push(Crafted { name, bytes });
    let wrappings = wrappings::all();
    for (index, (name, text)) in texts::all(bait).into_iter().enumerate() {
        // Each in three: with an ID3 tag always, and the others in turn.
        for (turn, at) in [0, 1 + index, 8 + index].into_iter().enumerate() {
            let at = match turn {
                0 => 0,
                _ => 1 + at % (wrappings.len() - 1),
            };
            let (wrapping, wrap) = wrappings[at];
            add(format!("{name}-{wrapping}"), wrap(&text));
        }
        add(name.to_owned(), text);
    }
    let containers = [
        movie::files(bait),
        matroska::files(bait),
        riff::files(bait),
        tags::files(bait),
        others::files(bait),
    ];
    for (name, bytes) in containers.into_iter().flatten() {
        add(format!("tagged-{name}"), tags::id3(&bytes));
        add(name.to_owned(), bytes);
    }
    all
}

/// Good sound under names that mean something to ffmpeg or to a shell.
pub fn named(bait: &Bait, sound: &[u8]) -> Vec<Crafted> {
    let named = names::all(bait).into_iter().map(|name| Crafted {
        name,
        bytes: sound.to_vec(),
    });
    named.collect()
}
