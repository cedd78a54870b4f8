//! What has to hold for any input, a function for each fuzz target. They panic where it
//! doesn't. The fuzz targets call them, and so does an ordinary test, with every file of the
//! corpora.

// Each target takes of this what it needs.
#![allow(dead_code)]

pub mod body;
mod chunks;
pub mod config;
pub mod connection;
pub mod cookie;
pub mod event;
mod event_stream;
pub mod head;
pub mod journal;
pub mod last_event_id;
pub mod media;
mod multipart;
pub mod name;
pub mod progress;
pub mod query;
mod range;
pub mod shown;
mod sse;
pub mod token;
mod tus;
pub mod upload;

/// The longest input that is cut at every byte: it costs its square.
const EVERY_CUT_MAX_BYTES: usize = 256;

/// Calls `check` with the input whole, in single bytes, and cut in two at every byte.
fn each_cut(input: &[u8], mut check: impl FnMut(&[&[u8]])) {
    check(&[input]);
    check(&input.chunks(1).collect::<Vec<_>>());
    if input.len() <= EVERY_CUT_MAX_BYTES {
        for at in 0..=input.len() {
            let (front, back) = input.split_at(at);
            check(&[front, back]);
        }
    }
}
