//! Matroska, and EBML of which it is made.

use super::{Bait, Tried, texts};

/// Those with attachments, and with parts in other files.
pub fn files(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.to_string_lossy(), &bait.url);
    let playlist = texts::playlist(bait);
    let svg = texts::svg(bait);
    vec![
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
        ("mkv-subtitles-with-fonts", {
            let script = format!(
                "[Script Info]\nScriptType: v4.00+\n[Fonts]\nfontname: {media}\n[Events]\n"
            );
            let track = [
                ebml(b"\xd7", b"\x01"),
                ebml(b"\x73\xc5", b"\x01"),
                ebml(b"\x83", b"\x11"),
                ebml(b"\x86", b"S_TEXT/ASS"),
                ebml(b"\x63\xa2", script.as_bytes()),
            ];
            let tracks = ebml(b"\x16\x54\xae\x6b", &ebml(b"\xae", &track.concat()));
            let font = attached(&media, "application/vnd.ms-opentype", script.as_bytes());
            matroska(&[font, tracks].concat())
        }),
        ("mkv-chapter-commands", {
            let command = [
                ebml(b"\x69\x22", b"\x01"),
                ebml(b"\x69\x33", format!("GotoAndPlay({media});").as_bytes()),
            ];
            let process = [
                ebml(b"\x69\x55", b"\0"),
                ebml(b"\x69\x11", &command.concat()),
            ];
            let chapter = [
                ebml(b"\x73\xc4", b"\x01"),
                ebml(b"\x91", b"\0"),
                ebml(b"\x69\x44", &process.concat()),
            ];
            let edition = ebml(b"\x45\xb9", &ebml(b"\xb6", &chapter.concat()));
            matroska(&ebml(b"\x10\x43\xa7\x70", &edition))
        }),
        ("mkv-tags", {
            let tag = [ebml(b"\x45\xa3", b"URL"), ebml(b"\x44\x87", url.as_bytes())];
            let tag = ebml(b"\x73\x73", &ebml(b"\x67\xc8", &tag.concat()));
            matroska(&ebml(b"\x12\x54\xc3\x67", &tag))
        }),
        ("mkv-real-media", {
            let track = [
                ebml(b"\xd7", b"\x01"),
                ebml(b"\x73\xc5", b"\x01"),
                ebml(b"\x83", b"\x01"),
                ebml(b"\x86", b"V_QUICKTIME"),
                ebml(b"\x63\xa2", &super::movie::alias(&media, false)),
            ];
            matroska(&ebml(b"\x16\x54\xae\x6b", &ebml(b"\xae", &track.concat())))
        }),
    ]
}

/// An element of EBML: its length in eight bytes.
pub fn ebml(id: &[u8], body: &[u8]) -> Vec<u8> {
    let mut length = (body.len() as u64).to_be_bytes();
    length[0] = 1;
    [id, &length, body].concat()
}

pub fn ebml_head() -> Vec<u8> {
    // The name of the type has to have its length in one byte to be recognised.
    let kind = b"\x42\x82\x88matroska\x42\x87\x81\x04\x42\x85\x81\x02";
    let padding = ebml(b"\xec", &[0; 300]);
    [ebml(b"\x1a\x45\xdf\xa3", kind), padding].concat()
}

pub fn matroska(body: &[u8]) -> Vec<u8> {
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

pub fn attached(name: &str, kind: &str, bytes: &[u8]) -> Vec<u8> {
    let file = [
        ebml(b"\x46\x6e", name.as_bytes()),
        ebml(b"\x46\x60", kind.as_bytes()),
        ebml(b"\x46\x5c", bytes),
        ebml(b"\x46\xae", b"\x07"),
    ];
    ebml(b"\x19\x41\xa4\x69", &ebml(b"\x61\xa7", &file.concat()))
}
