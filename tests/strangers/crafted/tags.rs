//! ID3 tags.

use super::{Bait, Tried, texts};

/// Sound with tags that name other files, and pictures that are no pictures.
pub fn files(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.to_string_lossy(), &bait.url);
    let playlist = texts::playlist(bait);
    let svg = texts::svg(bait);
    let tag = |id: &[u8; 4], body: &[u8]| tagged(&frame(id, body));
    let sound = b"\xff\xfb\x90\0".repeat(200);
    let picture = |kind: &str, bytes: &[u8]| [b"\0", kind.as_bytes(), b"\0\x03\0", bytes].concat();
    vec![
        ("mp3-linked-picture", {
            [
                tag(b"APIC", &picture("-->", media.as_bytes())),
                sound.clone(),
            ]
            .concat()
        }),
        ("mp3-svg-picture", {
            [tag(b"APIC", &picture("image/svg+xml", &svg)), sound.clone()].concat()
        }),
        ("mp3-playlist-picture", {
            [
                tag(b"APIC", &picture("image/png", &playlist)),
                sound.clone(),
            ]
            .concat()
        }),
        (
            "mp3-linked-frame",
            [tag(b"LINK", url.as_bytes()), sound.clone()].concat(),
        ),
        ("mp3-url", [tag(b"WOAF", url.as_bytes()), sound].concat()),
        ("flac-linked-picture", flac_picture("-->", url.as_bytes())),
        ("flac-svg-picture", flac_picture("image/svg+xml", &svg)),
    ]
}

/// FLAC with a picture.
fn flac_picture(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let mut block = 3u32.to_be_bytes().to_vec();
    for part in [kind.as_bytes(), b""] {
        block.extend((part.len() as u32).to_be_bytes());
        block.extend(part);
    }
    block.extend([0; 16]);
    block.extend((bytes.len() as u32).to_be_bytes());
    block.extend(bytes);
    let mut file = b"fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0a\xc4\x40\xf0".to_vec();
    file.resize(4 + 4 + 0x22, 0);
    file.extend([0x86, 0, (block.len() >> 8) as u8, block.len() as u8]);
    file.extend(block);
    file
}

/// An ID3 tag with a frame before it.
pub fn id3(bytes: &[u8]) -> Vec<u8> {
    [tagged(&frame(b"TIT2", b"\0title")), bytes.to_vec()].concat()
}

pub fn tagged(frames: &[u8]) -> Vec<u8> {
    let length = frames.len();
    let seven = |shift: usize| (length >> shift & 127) as u8;
    let head = [
        b'I',
        b'D',
        b'3',
        3,
        0,
        0,
        seven(21),
        seven(14),
        seven(7),
        seven(0),
    ];
    [&head, frames].concat()
}

pub fn frame(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [id, &(body.len() as u32).to_be_bytes()[..], b"\0\0", body].concat()
}
