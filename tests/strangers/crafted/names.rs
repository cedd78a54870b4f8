//! Names that some program takes for more than a name.

use super::Bait;

/// All of them, each of which has an extension that ffmpeg knows.
pub fn all(bait: &Bait) -> Vec<String> {
    let (media, folder) = (bait.media.display(), bait.folder.display());
    let mut names: Vec<String> = [
        "-i.mp3",
        "--help.mp3",
        "-f lavfi -i amovie=x.mp3",
        "%03d.mp3",
        "%d%s%n.mp3",
        "*?[a-z]{a,b}.mp3",
        "a:b|c.mp3",
        "pipe:0.mp3",
        "fd:3.mp3",
        "data:audio/mpeg;base64,AAAA.mp3",
        "unix:x.mp3",
        "$(id).mp3",
        "`id`;id|id&id.mp3",
        "{input}{output}.mp3",
        "../../../secret.ts",
        "a\\..\\b.mp3",
        "playlist.m3u8",
        "script.ffconcat",
        "x.sdp",
        "x.mpd",
    ]
    .map(str::to_owned)
    .into();
    names.extend([
        bait.url.clone(),
        media.to_string(),
        format!("file:{media}"),
        format!("concat:{media}|{media}"),
        format!("subfile,,start,0,end,0,,:{media}"),
        format!("crypto:{media}"),
        format!("async:cache:{media}"),
        format!("{folder}/%03d.png"),
    ]);
    names
}
