//! Files that name other files, or hosts, in the hope that whoever reads them opens those.

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

/// All of them: each text as it is, behind tags and heads of several formats, and within
/// containers; and containers that refer to others by their own means.
pub fn all(bait: &Bait) -> Vec<Crafted> {
    let mut all = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| all.push(Crafted { name, bytes });
    let wrappings = wrappings();
    for (index, (name, text)) in texts(bait).into_iter().enumerate() {
        // Each in four: with an ID3 tag always, and the others in turn.
        let turns = [0, 1 + index, 6 + index, 11 + index];
        for (turn, at) in turns.into_iter().enumerate() {
            let at = match turn {
                0 => 0,
                _ => 1 + at % (wrappings.len() - 1),
            };
            let (wrapping, wrap) = wrappings[at];
            add(format!("{name}-{wrapping}"), wrap(&text));
        }
        add(name.to_owned(), text);
    }
    for (name, bytes) in containers(bait) {
        add(format!("tagged-{name}"), id3(&bytes));
        add(name.to_owned(), bytes);
    }
    all
}

/// Texts by which some demuxer of ffmpeg's opens others.
fn texts(bait: &Bait) -> Vec<(&'static str, Vec<u8>)> {
    let media = bait.media.display();
    let (folder, url) = (bait.folder.display(), &bait.url);
    let hls = |more: &str, what: &str| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n{more}#EXTINF:1.0,\n{what}\n\
             #EXT-X-ENDLIST\n"
        )
    };
    let dash = |what: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
             type=\"static\" mediaPresentationDuration=\"PT1S\"><Period><AdaptationSet \
             contentType=\"audio\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{what}\
             </BaseURL></Representation></AdaptationSet></Period></MPD>\n"
        )
    };
    let text = |text: String| text.into_bytes();
    vec![
        ("m3u8", text(hls("", &media.to_string()))),
        ("m3u8-url", text(hls("", url))),
        ("m3u8-file", text(hls("", &format!("file://{media}")))),
        (
            "m3u8-subfile",
            text(hls("", &format!("subfile,,start,0,end,0,,:{media}"))),
        ),
        (
            "m3u8-key",
            text(hls(
                &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{media}\"\n"),
                url,
            )),
        ),
        (
            "m3u8-map",
            text(hls(&format!("#EXT-X-MAP:URI=\"{media}\"\n"), "data:,x")),
        ),
        (
            "m3u8-master",
            text(format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n")),
        ),
        (
            "m3u8-concat",
            text(hls("", &format!("concat:{media}|{media}"))),
        ),
        (
            "ffconcat",
            text(format!("ffconcat version 1.0\nfile '{media}'\n")),
        ),
        ("concat", text(format!("file '{media}'\nfile '{url}'\n"))),
        (
            "concat-options",
            text(format!("ffconcat version 1.0\nfile {url}\noption safe 0\n")),
        ),
        (
            "svg",
            text(format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\
                 \"http://www.w3.org/1999/xlink\" width=\"9\" height=\"9\">\
                 <image xlink:href=\"file://{media}\" width=\"9\" height=\"9\"/></svg>\n"
            )),
        ),
        (
            "svg-entity",
            text(format!(
                "<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY x SYSTEM \"file://{media}\">]>\
                 <svg xmlns=\"http://www.w3.org/2000/svg\"><text>&x;</text></svg>\n"
            )),
        ),
        (
            "sdp",
            text(
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
                    .to_owned(),
            ),
        ),
        ("dash", text(dash(&media.to_string()))),
        ("dash-url", text(dash(url))),
        (
            "vobsub",
            text(format!(
                "# VobSub index file, v7 (do not modify this line!)\nsize: 720x576\n\
                 id: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n# {media}\n"
            )),
        ),
        (
            "xbin",
            [b"XBIN\x1a\x50\0\x19\0\x10\0", media.to_string().as_bytes()].concat(),
        ),
        ("ansi", text(format!("\x1b[2J\x1b[1;1H#EXTM3U\n{media}\n"))),
        ("ffmetadata", text(format!(";FFMETADATA1\ntitle={media}\n"))),
        (
            "asx",
            text(format!("[Reference]\nRef1={url}\nRef2=file://{media}\n")),
        ),
        (
            "imf",
            text(format!(
                "<CompositionPlaylist><Path>{media}</Path></CompositionPlaylist>"
            )),
        ),
        ("lavfi", text(format!("amovie={media}"))),
        ("sequence", text(format!("{folder}/%03d.png\n"))),
        (
            "smil",
            text(format!("<smil><body><audio src=\"{url}\"/></body></smil>")),
        ),
        (
            "rtsp",
            text(format!(
                "RTSPtextRTSP://{}\r\n",
                url.trim_start_matches("http://")
            )),
        ),
        (
            "cue",
            text(format!("FILE \"{media}\" WAVE\n  TRACK 01 AUDIO\n")),
        ),
        ("avisynth", text(format!("DirectShowSource(\"{media}\")\n"))),
        (
            "mpjpeg",
            text(format!(
                "--x\r\nContent-Type: image/jpeg\r\n\r\n{media}\r\n"
            )),
        ),
    ]
}

type Wrap = fn(&[u8]) -> Vec<u8>;

/// What makes bytes look like media; the first is an ID3 tag.
fn wrappings() -> Vec<(&'static str, Wrap)> {
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

/// Containers that refer to others, hold them, or have them attached.
fn containers(bait: &Bait) -> Vec<(&'static str, Vec<u8>)> {
    let (media, url) = (bait.media.to_string_lossy(), &bait.url);
    let (_, playlist) = texts(bait).swap_remove(0);
    let (_, svg) = texts(bait)
        .into_iter()
        .find(|(name, _)| *name == "svg")
        .unwrap();
    let tag = |id: &[u8; 4], body: &[u8]| tagged(&[frame(id, body)].concat());
    let sound = b"\xff\xfb\x90\0".repeat(200);
    let picture = |kind: &str, bytes: &[u8]| [b"\0", kind.as_bytes(), b"\0\x03\0", bytes].concat();
    let flac_picture = |kind: &str, bytes: &[u8]| {
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
    };
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
        (
            "mkv-attached-playlist",
            matroska(&attached(&media, "text/plain", &playlist)),
        ),
        ("mkv-attached-font", {
            matroska(&attached(
                &format!("../../../{media}"),
                "application/x-truetype-font",
                b"x",
            ))
        }),
        (
            "mkv-attached-svg",
            matroska(&attached("cover.svg", "image/svg+xml", &svg)),
        ),
        (
            "mkv-attached-png",
            matroska(&attached("cover.png", "image/png", &playlist)),
        ),
        ("mkv-next-segment", {
            let next = [
                ebml(b"\x73\xa4", b"0123456789abcdef"),
                ebml(b"\x3e\xb9\x23", b"fedcba9876543210"),
                ebml(b"\x3e\x83\xbb", media.as_bytes()),
                ebml(b"\x3c\x83\xab", url.as_bytes()),
                ebml(b"\x73\x84", media.as_bytes()),
            ];
            matroska(&ebml(b"\x15\x49\xa9\x66", &next.concat()))
        }),
        ("mkv-linked-chapters", {
            let chapter = [
                ebml(b"\x73\xc4", b"\x01"),
                ebml(b"\x91", b"\0"),
                ebml(b"\x6e\x67", b"fedcba9876543210"),
            ];
            let edition = [ebml(b"\x45\xdd", b"\x01"), ebml(b"\xb6", &chapter.concat())];
            matroska(&ebml(
                b"\x10\x43\xa7\x70",
                &ebml(b"\x45\xb9", &edition.concat()),
            ))
        }),
        ("mkv-subtitle-playlist", {
            let track = [
                ebml(b"\xd7", b"\x01"),
                ebml(b"\x73\xc5", b"\x01"),
                ebml(b"\x83", b"\x11"),
                ebml(b"\x86", b"S_VOBSUB"),
                ebml(b"\x63\xa2", &playlist),
            ];
            matroska(&ebml(b"\x16\x54\xae\x6b", &ebml(b"\xae", &track.concat())))
        }),
        ("avi-nested-playlist", avi_with_subtitles(&playlist)),
        ("avi-nested-concat", {
            avi_with_subtitles(format!("ffconcat version 1.0\nfile '{media}'\n").as_bytes())
        }),
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
        ("wav-tagged-playlist", {
            let format = b"\x55\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\0\0";
            let parts = [
                chunk(b"fmt ", format),
                chunk(b"id3 ", &id3(b"")),
                chunk(b"data", &playlist),
            ];
            riff(b"WAVE", &parts.concat())
        }),
    ]
}

/// An ID3 tag with a frame before it.
fn id3(bytes: &[u8]) -> Vec<u8> {
    [tagged(&frame(b"TIT2", b"\0title")), bytes.to_vec()].concat()
}

fn tagged(frames: &[u8]) -> Vec<u8> {
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

fn frame(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [id, &(body.len() as u32).to_be_bytes()[..], b"\0\0", body].concat()
}

fn atom(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
}

fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let padding = &[0][..body.len() % 2];
    [name, &(body.len() as u32).to_le_bytes()[..], body, padding].concat()
}

fn riff(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    chunk(b"RIFF", &[kind, body].concat())
}

/// An element of EBML: its length in eight bytes.
fn ebml(id: &[u8], body: &[u8]) -> Vec<u8> {
    let mut length = (body.len() as u64).to_be_bytes();
    length[0] = 1;
    [id, &length, body].concat()
}

fn ebml_head() -> Vec<u8> {
    // The name of the type has to have its length in one byte to be recognised.
    let kind = b"\x42\x82\x88matroska\x42\x87\x81\x04\x42\x85\x81\x02";
    let padding = ebml(b"\xec", &[0; 300]);
    [ebml(b"\x1a\x45\xdf\xa3", kind), padding].concat()
}

fn matroska(body: &[u8]) -> Vec<u8> {
    let scale = ebml(b"\x2a\xd7\xb1", &1_000_000u32.to_be_bytes());
    let info = ebml(b"\x15\x49\xa9\x66", &scale);
    let sound = [
        ebml(b"\xd7", b"\x02"),
        ebml(b"\x73\xc5", b"\x02"),
        ebml(b"\x83", b"\x02"),
        ebml(b"\x86", b"A_PCM/INT/LIT"),
        ebml(
            b"\xe1",
            &[ebml(b"\x9f", b"\x01"), ebml(b"\x62\x64", b"\x10")].concat(),
        ),
    ];
    let track = ebml(b"\xae", &sound.concat());
    let tracks = ebml(b"\x16\x54\xae\x6b", &track);
    let block = [&b"\x82\0\0\x80"[..], &[0; 2000]].concat();
    let cluster = [ebml(b"\xe7", b"\0"), ebml(b"\xa3", &block)].concat();
    let cluster = ebml(b"\x1f\x43\xb6\x75", &cluster);
    let segment = [info, body.to_vec(), tracks, cluster].concat();
    [ebml_head(), ebml(b"\x18\x53\x80\x67", &segment)].concat()
}

fn attached(name: &str, kind: &str, bytes: &[u8]) -> Vec<u8> {
    let file = [
        ebml(b"\x46\x6e", name.as_bytes()),
        ebml(b"\x46\x60", kind.as_bytes()),
        ebml(b"\x46\x5c", bytes),
        ebml(b"\x46\xae", b"\x07"),
    ];
    ebml(b"\x19\x41\xa4\x69", &ebml(b"\x61\xa7", &file.concat()))
}

/// A Macintosh alias record to a path, as the reference of a track.
fn alias(path: &str, is_relative: bool) -> Vec<u8> {
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
fn movie(reference: &[u8]) -> Vec<u8> {
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

/// Subtitles in AVI are a file within it, whose format is found out by ffmpeg.
fn avi_with_subtitles(text: &[u8]) -> Vec<u8> {
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
