//! Films as QuickTime and MPEG-4 have them.

use super::{Bait, Tried, texts};

/// Those that have their samples, or more of themselves, elsewhere.
pub fn files(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.to_string_lossy(), &bait.url);
    let playlist = texts::playlist(bait);
    let svg = texts::svg(bait);
    vec![
        ("mov-alias", movie(&alias(&media, false))),
        ("mov-alias-relative", movie(&alias("../../secret.ts", true))),
        (
            "mov-url",
            movie(&atom(
                b"url ",
                &[b"\0\0\0\0", url.as_bytes(), b"\0"].concat(),
            )),
        ),
        ("mov-url-file", {
            movie(&atom(
                b"url ",
                format!("\0\0\0\0file://{media}\0").as_bytes(),
            ))
        }),
        (
            "mov-urn",
            movie(&atom(b"urn ", format!("\0\0\0\0x\0{media}\0").as_bytes())),
        ),
        (
            "mov-resource",
            movie(&atom(b"rsrc", &[b"\0\0\0\0", media.as_bytes()].concat())),
        ),
        ("mov-reference-movie", {
            let reference = [b"\0\0\0\0url ", &(media.len() as u32).to_be_bytes()[..]].concat();
            let reference = atom(b"rdrf", &[&reference, media.as_bytes()].concat());
            atom(b"moov", &atom(b"rmra", &atom(b"rmda", &reference)))
        }),
        ("mov-in-mov", {
            let inner = movie(&alias(&media, false));
            [
                atom(b"ftyp", b"qt  \0\0\x02\0qt  "),
                atom(b"wide", b""),
                atom(b"mdat", &inner),
            ]
            .concat()
        }),
        ("mov-cover-svg", {
            let data = atom(b"data", &[b"\0\0\0\x0d\0\0\0\0", &svg[..]].concat());
            let list = atom(b"ilst", &atom(b"covr", &data));
            let meta = atom(b"meta", &[b"\0\0\0\0", &list[..]].concat());
            [
                atom(b"ftyp", b"M4A \0\0\x02\0isom"),
                atom(b"moov", &atom(b"udta", &meta)),
            ]
            .concat()
        }),
        ("mov-compressed", {
            let body = [atom(b"dcom", b"zlib"), atom(b"cmvd", &playlist)].concat();
            atom(b"moov", &atom(b"cmov", &body))
        }),
        ("mov-sequence", {
            let name = format!("{}/%03d.png", bait.folder.display());
            movie(&alias(&name, false))
        }),
        ("mp4-url", {
            let reference = atom(b"url ", format!("\0\0\0\0{media}\0").as_bytes());
            [
                atom(b"ftyp", b"isom\0\0\x02\0isomiso2mp41"),
                movie(&reference).split_off(20),
            ]
            .concat()
        }),
        ("mp4-session", {
            let sdp = format!("rtp sdp v=0\r\nm=audio 40000 RTP/AVP 0\r\na=control:{url}\r\n");
            let hints = atom(b"udta", &atom(b"hnti", &atom(b"sdp ", sdp.as_bytes())));
            [atom(b"ftyp", b"mp42\0\0\0\0mp42"), atom(b"moov", &hints)].concat()
        }),
        ("heif-external-item", {
            let reference = atom(b"url ", format!("\0\0\0\0{url}\0").as_bytes());
            let references = [&b"\0\0\0\0\0\0\0\x01"[..], &reference].concat();
            let location = b"\0\0\0\0\x44\0\0\x01\0\x01\0\x01\0\x01\0\0\0\0\0\0\0\x10";
            let parts = [
                &b"\0\0\0\0"[..],
                &atom(b"dinf", &atom(b"dref", &references)),
                &atom(b"iloc", location),
            ];
            [
                atom(b"ftyp", b"heic\0\0\0\0mif1heic"),
                atom(b"meta", &parts.concat()),
            ]
            .concat()
        }),
        ("mp4-fragment-of-another", {
            let index = format!("\0\0\0\0{media}\0");
            [
                atom(b"styp", b"msdh\0\0\0\0msdhmsix"),
                atom(b"sidx", index.as_bytes()),
                atom(b"ftyp", b"dash\0\0\0\0iso6"),
            ]
            .concat()
        }),
    ]
}

pub fn atom(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
}

/// A Macintosh alias record to a path, as the reference of a track.
pub fn alias(path: &str, is_relative: bool) -> Vec<u8> {
    let mut record = b"\0\0\0\0".to_vec();
    record.extend([0; 10]);
    record.push(4);
    record.extend(b"disk");
    record.resize(record.len() + 23, 0);
    record.extend([0; 12]);
    let name = path.rsplit('/').next().unwrap_or_default();
    record.push(name.len().min(63) as u8);
    record.extend(&name.as_bytes()[..name.len().min(63)]);
    record.resize(record.len() + 63 - name.len().min(63), 0);
    record.extend([0; 16]);
    let levels: [u8; 4] = match is_relative {
        true => [0, 1, 0, 1],
        false => [0xff, 0xff, 0xff, 0xff],
    };
    record.extend(levels);
    record.extend([0; 16]);
    for kind in [2u16, 18] {
        record.extend(kind.to_be_bytes());
        record.extend((path.len() as u16).to_be_bytes());
        record.extend(path.as_bytes());
        record.resize(record.len() + path.len() % 2, 0);
    }
    record.extend(b"\xff\xff\0\0");
    atom(b"alis", &record)
}

/// A film with one track of sound, whose samples are where `reference` says.
pub fn movie(reference: &[u8]) -> Vec<u8> {
    let number = |number: u32| number.to_be_bytes().to_vec();
    let zeros = |count: usize| vec![0; count];
    let references = [number(0), number(1), reference.to_vec()].concat();
    let description = [
        zeros(6),
        vec![0, 1],
        zeros(8),
        vec![0, 1, 0, 16],
        zeros(4),
        number(8000 << 16),
    ];
    let description = [number(0), number(1), atom(b"sowt", &description.concat())].concat();
    let samples = atom(
        b"stbl",
        &[
            atom(b"stsd", &description),
            atom(
                b"stts",
                &[number(0), number(1), number(1000), number(1)].concat(),
            ),
            atom(
                b"stsc",
                &[number(0), number(1), number(1), number(1000), number(1)].concat(),
            ),
            atom(b"stsz", &[number(0), number(2), number(1000)].concat()),
            atom(b"stco", &[number(0), number(1), number(64)].concat()),
        ]
        .concat(),
    );
    let information = atom(
        b"minf",
        &[
            atom(b"smhd", &zeros(8)),
            atom(b"dinf", &atom(b"dref", &references)),
            samples,
        ]
        .concat(),
    );
    let handler = [&[0; 8], &b"soun"[..], &[0; 13]].concat();
    let track_media = atom(
        b"mdia",
        &[
            atom(
                b"mdhd",
                &[zeros(12), number(8000), number(1000), zeros(4)].concat(),
            ),
            atom(b"hdlr", &handler),
            information,
        ]
        .concat(),
    );
    let track_head = [
        number(1),
        zeros(8),
        number(1),
        zeros(4),
        number(1000),
        zeros(60),
    ]
    .concat();
    let track = atom(b"trak", &[atom(b"tkhd", &track_head), track_media].concat());
    let head = [zeros(12), number(8000), number(1000), zeros(80)].concat();
    let film = atom(b"moov", &[atom(b"mvhd", &head), track].concat());
    [atom(b"ftyp", b"qt  \0\0\x02\0qt  "), film].concat()
}
