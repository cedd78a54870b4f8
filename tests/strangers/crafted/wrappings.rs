//! What makes bytes look like media.

use super::matroska::ebml_head;
use super::movie::atom;
use super::riff::{chunk, riff};
use super::tags::id3;

pub type Wrap = fn(&[u8]) -> Vec<u8>;

/// All of them; the first is an ID3 tag.
pub fn all() -> Vec<(&'static str, Wrap)> {
    vec![
        ("id3", id3),
        ("id3-twice", |it| id3(&id3(it))),
        ("id3-short", |it| [b"ID3\x03\0\0\0\0\0\0", it].concat()),
        ("mpeg-audio", |it| [b"\xff\xfb\x90\0", it].concat()),
        ("adts", |it| [b"\xff\xf1\x50\x80\x02\x1f\xfc", it].concat()),
        ("ftyp", |it| {
            [atom(b"ftyp", b"isom\0\0\x02\0isom"), it.to_vec()].concat()
        }),
        ("mdat", |it| {
            [atom(b"ftyp", b"isom\0\0\x02\0isom"), atom(b"mdat", it)].concat()
        }),
        ("quicktime", |it| atom(b"moov", &atom(b"udta", it))),
        ("matroska", |it| [ebml_head(), it.to_vec()].concat()),
        ("avi", |it| riff(b"AVI ", &chunk(b"JUNK", it))),
        ("wav", |it| {
            let format = b"\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0";
            riff(
                b"WAVE",
                &[chunk(b"fmt ", format), chunk(b"data", it)].concat(),
            )
        }),
        ("ogg", |it| {
            let mut page = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01".to_vec();
            page.push(it.len().min(254) as u8);
            page.extend(it);
            page
        }),
        ("flac", |it| [b"fLaC\x84\0\0\x20", it].concat()),
        ("flv", |it| [b"FLV\x01\x05\0\0\0\x09\0\0\0\0", it].concat()),
        ("aiff", |it| {
            [b"FORM\0\0\x10\0AIFFSSND\0\0\x08\0", it].concat()
        }),
        ("asf", |it| {
            let guid = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c";
            [&guid[..], it].concat()
        }),
        ("program-stream", |it| {
            [b"\0\0\x01\xba\x44\0\x04\0\x04\x01\0\0\x03\xf8", it].concat()
        }),
        ("elementary", |it| {
            [b"\0\0\x01\xb3\x16\0\xf0\xc4", it].concat()
        }),
        ("ape", |it| [b"MAC \x96\x0f", it].concat()),
        ("dsf", |it| [b"DSD \x1c\0\0\0\0\0\0\0", it].concat()),
        ("amr", |it| [b"#!AMR\n      ", it].concat()),
    ]
}
