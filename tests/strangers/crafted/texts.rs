//! Texts by which some demuxer of ffmpeg's, or another player's, opens others.

use super::{Bait, Tried};

/// All of them.
pub fn all(bait: &Bait) -> Vec<Tried> {
    [
        playlists(bait),
        other_playlists(bait),
        scripts(bait),
        descriptions(bait),
        subtitles(bait),
    ]
    .concat()
}

/// A playlist of the file.
pub fn playlist(bait: &Bait) -> Vec<u8> {
    playlists(bait).swap_remove(0).1
}

/// A picture that has the file in it.
pub fn svg(bait: &Bait) -> Vec<u8> {
    descriptions(bait).swap_remove(0).1
}

/// HLS.
fn playlists(bait: &Bait) -> Vec<Tried> {
    let media = bait.media.display();
    let url = &bait.url;
    let hls = |more: &str, what: &str| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n{more}#EXTINF:1.0,\n{what}\n\
             #EXT-X-ENDLIST\n"
        )
    };
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
            "m3u8-marked",
            text(format!("\u{feff}{}", hls("", &media.to_string()))),
        ),
        (
            "m3u8-rendition",
            text(format!(
                "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"{media}\"\n\
                 #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"{url}\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\n{media}\n"
            )),
        ),
    ]
}

/// Those that are only a list of what to play.
fn other_playlists(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.display(), &bait.url);
    vec![
        (
            "xspf",
            text(format!(
                "<?xml version=\"1.0\"?><playlist version=\"1\" \
                 xmlns=\"http://xspf.org/ns/0/\"><trackList><track><location>file://{media}\
                 </location></track></trackList></playlist>"
            )),
        ),
        (
            "asx-xml",
            text(format!(
                "<asx version=\"3.0\"><entry><ref href=\"{url}\"/></entry></asx>"
            )),
        ),
        (
            "pls",
            text(format!(
                "[playlist]\nFile1={media}\nFile2={url}\nNumberOfEntries=2\n"
            )),
        ),
        (
            "wpl",
            text(format!(
                "<?wpl version=\"1.0\"?><smil><body><seq><media src=\"{media}\"/></seq></body>\
                 </smil>"
            )),
        ),
        ("ram", text(format!("{url}\nfile://{media}\n"))),
        (
            "qtl",
            text(format!(
                "<?xml version=\"1.0\"?><?quicktime \
                 type=\"application/x-quicktime-media-link\"?><embed src=\"{url}\"/>"
            )),
        ),
        ("nsc", text(format!("[Address]\nName={url}\n"))),
        ("asf-http", text(format!("ASF {url}\n"))),
        (
            "segment-list",
            text(format!("{media},0.000000,1.000000\n{url},1.0,2.0\n")),
        ),
    ]
}

/// What ffmpeg takes for orders.
fn scripts(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.display(), &bait.url);
    vec![
        (
            "ffconcat",
            text(format!("ffconcat version 1.0\nfile '{media}'\n")),
        ),
        ("concat", text(format!("file '{media}'\nfile '{url}'\n"))),
        (
            "concat-options",
            text(format!("ffconcat version 1.0\nfile {url}\noption safe 0\n")),
        ),
    ]
}

/// Descriptions of pictures, sessions and programmes.
fn descriptions(bait: &Bait) -> Vec<Tried> {
    let (media, url, folder) = (bait.media.display(), &bait.url, bait.folder.display());
    let dash = |what: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
             type=\"static\" mediaPresentationDuration=\"PT1S\"><Period><AdaptationSet \
             contentType=\"audio\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{what}\
             </BaseURL></Representation></AdaptationSet></Period></MPD>\n"
        )
    };
    vec![
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
        (
            "dash-linked",
            text(format!(
                "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
                 xmlns:xlink=\"http://www.w3.org/1999/xlink\" type=\"static\">\
                 <Period xlink:href=\"{url}\" xlink:actuate=\"onLoad\"/></MPD>\n"
            )),
        ),
    ]
}

/// Subtitles, which have fonts and pictures of their own.
fn subtitles(bait: &Bait) -> Vec<Tried> {
    let (media, url) = (bait.media.display(), &bait.url);
    vec![
        (
            "ass",
            text(format!(
                "[Script Info]\nScriptType: v4.00+\nAudio URI: {media}\nVideo File: {url}\n\
                 [V4+ Styles]\n[Fonts]\nfontname: {media}\n[Events]\n\
                 Dialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,{{\\fn{media}}}x\n"
            )),
        ),
        (
            "srt",
            text(format!(
                "1\n00:00:00,000 --> 00:00:01,000\n<img src=\"{media}\"><font face=\"{url}\">x\n"
            )),
        ),
        (
            "webvtt",
            text(format!(
                "WEBVTT\n\nSTYLE\n::cue {{ background: url({url}) }}\n\n\
                 00:00.000 --> 00:01.000\nx\n"
            )),
        ),
        (
            "sami",
            text(format!("<SAMI><BODY><SYNC Start=0><P><img src=\"{url}\">")),
        ),
        (
            "sub",
            text(format!("{{1}}{{1}}25\n{{1}}{{25}}{{f:{media}}}x\n")),
        ),
        (
            "ttml",
            text(format!(
                "<tt xmlns=\"http://www.w3.org/ns/ttml\"><body><image src=\"{url}\"/></body></tt>"
            )),
        ),
    ]
}

fn text(text: String) -> Vec<u8> {
    text.into_bytes()
}
