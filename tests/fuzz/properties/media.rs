//! Files: what their bytes say they are, and what ffmpeg may read them with.

use std::io::Write;

use landfall::internals::pipeline::kind;
use landfall::internals::pipeline::stage::demuxer::Demuxer;

/// None of them opens what a file names.
const HARMLESS: [&str; 17] = [
    "mov",
    "matroska",
    "avi",
    "asf",
    "flv",
    "ogg",
    "mp3",
    "aac",
    "flac",
    "wav",
    "aiff",
    "ape",
    "dsf",
    "amr",
    "mpeg",
    "mpegvideo",
    "m4v",
];
/// Texts by which another file is opened begin so, and no media.
const SCRIPTS: [&[u8]; 5] = [b"#EXTM3U", b"ffconcat", b"file '", b"<?xml", b"[Reference]"];

/// The input is a file.
pub fn check(input: &[u8]) {
    let kind = kind::of_bytes(input);
    assert!(kind.contains('/') && kind.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(kind::agrees(kind, kind) && kind::matches(kind, kind) && kind::matches("*/*", kind));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(input).unwrap();
    if input.len() <= 8 * 1024 {
        assert_eq!(kind::of_file(file.path()).unwrap(), kind);
    }
    let demuxer = Demuxer::of_file(kind, file.path()).unwrap();
    assert_eq!(Demuxer::of_file(kind, file.path()).unwrap(), demuxer);
    let Some(demuxer) = demuxer else { return };
    assert!(kind.starts_with("audio/") || kind.starts_with("video/"));
    assert!(!SCRIPTS.iter().any(|script| input.starts_with(script)));
    let mut command = std::process::Command::new("ffprobe");
    demuxer.put_on(&mut command);
    let arguments: Vec<_> = command.get_args().map(|it| it.to_str().unwrap()).collect();
    let of = |flag: &str| {
        let at = arguments.iter().position(|argument| *argument == flag);
        arguments[at.expect(flag) + 1]
    };
    assert!(HARMLESS.contains(&of("-f")));
    assert_eq!(of("-format_whitelist"), of("-f"));
    assert_eq!(of("-protocol_whitelist"), "file");
}
