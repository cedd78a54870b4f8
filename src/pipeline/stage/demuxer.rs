//! What ffmpeg reads a file with: one demuxer, which is chosen here by the file's type and
//! never by ffmpeg. Those that open what a file names (playlists, scripts, image sequences,
//! descriptions of sessions) are none of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use crate::pipeline::kind;

/// More tags than this before the sound are taken for none of it.
const TAGS_MAX: usize = 8;
const TAG_HEAD_BYTES: usize = 10;
/// A tag's flag: it ends with a copy of its head.
const HAS_FOOTER: u8 = 0x10;

/// A demuxer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demuxer(&'static str);

impl Demuxer {
    /// The one for a file of this type, which is by its bytes; none where ffmpeg isn't to
    /// read such files. Blocks for the disk.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn of_file(kind: &str, path: &Path) -> io::Result<Option<Demuxer>> {
        let mut file = File::open(path)?;
        let mut head = [0; TAG_HEAD_BYTES];
        let length = read_most(&mut file, &mut head)?;
        match kind {
            "audio/mpeg" => behind_tags(&mut file, &head[..length]).map(Some),
            "video/mpeg" => Ok(Some(of_mpeg(head[3]))),
            _ => Ok(by_type(kind)),
        }
    }

    /// Says so to ffmpeg or ffprobe, before the input: it may use this demuxer alone, also
    /// for what lies within the file, and open nothing but files.
    pub fn put_on(self, command: &mut Command) {
        let name = self.0;
        command.args(["-f", name, "-format_whitelist", name]);
        command.args(["-protocol_whitelist", "file"]);
        if name == "mov" {
            // Tracks whose samples are in another file.
            command.args(["-enable_drefs", "0", "-use_absolute_path", "0"]);
        }
    }
}

fn by_type(kind: &str) -> Option<Demuxer> {
    Some(Demuxer(match kind {
        "video/mp4" | "video/x-m4v" | "video/quicktime" | "video/3gpp" | "audio/m4a" => "mov",
        "video/mp2t" => "mpegts",
        "audio/x-caf" => "caf",
        "video/x-matroska" | "video/webm" => "matroska",
        "video/x-msvideo" => "avi",
        "video/x-ms-wmv" => "asf",
        "video/x-flv" => "flv",
        "audio/ogg" | "audio/opus" => "ogg",
        "audio/mpeg" => "mp3",
        "audio/aac" => "aac",
        "audio/x-flac" => "flac",
        "audio/x-wav" => "wav",
        "audio/x-aiff" => "aiff",
        "audio/x-ape" => "ape",
        "audio/x-dsf" => "dsf",
        "audio/amr" => "amr",
        _ => return None,
    }))
}

/// Several formats begin with MPEG's start code; what follows it tells which.
fn of_mpeg(code: u8) -> Demuxer {
    Demuxer(match code {
        // Packs, system headers and packets.
        0xba..=0xbf => "mpeg",
        // What MPEG-4 has and MPEG-2 hasn't.
        0xb0 | 0xb1 | 0xb6 => "m4v",
        _ => "mpegvideo",
    })
}

/// An ID3 tag may stand before other sound than MPEG's. What is no sound behind it is left to
/// the demuxer of MPEG's, which finds none in it.
fn behind_tags(file: &mut File, head: &[u8]) -> io::Result<Demuxer> {
    let mut head = head.to_owned();
    let mut at = 0;
    for _ in 0..TAGS_MAX {
        let Some(length) = tag_length(&head) else {
            break;
        };
        at += length;
        file.seek(SeekFrom::Start(at))?;
        head.resize(TAG_HEAD_BYTES, 0);
        let length = read_most(file, &mut head)?;
        head.truncate(length);
    }
    // The longest signature that is asked for has twelve bytes.
    file.seek(SeekFrom::Start(at))?;
    head.resize(64, 0);
    let length = read_most(file, &mut head)?;
    let kind = kind::of_bytes(&head[..length]);
    let sound = kind.starts_with("audio/").then(|| by_type(kind)).flatten();
    Ok(sound.unwrap_or(Demuxer("mp3")))
}

/// How long the ID3 tag is that begins here, if one does.
fn tag_length(head: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', _, _, flags, a, b, c, d] = head else {
        return None;
    };
    let seven = |byte: u8| u64::from(byte & 0x7f);
    let body = seven(a) << 21 | seven(b) << 14 | seven(c) << 7 | seven(d);
    let footer = match flags & HAS_FOOTER {
        0 => 0,
        _ => TAG_HEAD_BYTES as u64,
    };
    Some(TAG_HEAD_BYTES as u64 + body + footer)
}

/// Reads until the buffer is full or the file ends.
fn read_most(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demuxer(bytes: &[u8]) -> Option<&'static str> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let demuxer = Demuxer::of_file(kind::of_bytes(bytes), file.path());
        demuxer.unwrap().map(|demuxer| demuxer.0)
    }

    fn tag(length: u8) -> Vec<u8> {
        let mut tag = b"ID3\x04\0\0\0\0\0".to_vec();
        tag.push(length);
        tag.resize(10 + usize::from(length), 0);
        tag
    }

    #[test]
    fn a_file_is_read_by_its_own_types_demuxer_or_by_none() {
        for (bytes, name) in [
            (&b"\0\0\0\x18ftypisom\0\0\0\0"[..], Some("mov")),
            (b"\0\0\0\x18ftypqt  \0\0\0\0", Some("mov")),
            (b"RIFF\0\0\0\0AVI LIST", Some("avi")),
            (b"RIFF\0\0\0\0WAVEfmt ", Some("wav")),
            (b"OggS\0\x02\0\0\0\0\0\0", Some("ogg")),
            (b"\xff\xfb\x90\0", Some("mp3")),
            (b"\xff\xf1\x50\x80", Some("aac")),
            (b"\0\0\x01\xba\x44\0", Some("mpeg")),
            (b"\0\0\x01\xb3\x16\0", Some("mpegvideo")),
            (b"\0\0\x01\xb0\x01\0", Some("m4v")),
            (b"\0\0\x01\xb0", Some("m4v")),
            (b"MThd\0\0\0\x06", None),
            (b"#EXTM3U\n", None),
            (b"ffconcat version 1.0\n", None),
            (b"", None),
        ] {
            assert_eq!(demuxer(bytes), name, "{bytes:?}");
        }
    }

    #[test]
    fn what_stands_behind_id3_tags_is_sound_or_is_read_as_mpegs() {
        for (behind, name) in [
            (&b"\xff\xfb\x90\0"[..], "mp3"),
            (b"fLaC\0\0\0\x22", "flac"),
            (b"\xff\xf1\x50\x80", "aac"),
            (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "mp3"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "mp3"),
            (b"RIFF\0\0\0\0AVI LIST", "mp3"),
            (b"", "mp3"),
        ] {
            for tags in [vec![5], vec![0, 0], vec![5, 9, 100]] {
                let mut bytes: Vec<u8> = tags.into_iter().flat_map(tag).collect();
                bytes.extend(behind);
                assert_eq!(demuxer(&bytes), Some(name), "{bytes:?}");
            }
        }
        let many: Vec<u8> = (0..1000).flat_map(|_| tag(0)).collect();
        assert_eq!(demuxer(&many), Some("mp3"));
        assert_eq!(demuxer(b"ID3\x04\0\x10\x7f\x7f\x7f\x7f"), Some("mp3"));
    }
}
