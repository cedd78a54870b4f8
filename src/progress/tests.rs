use super::*;

/// Output of the real tools, abridged in the middle.
const FFMPEG_ERR: &str =
    "ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'in.mp4':
  Metadata:
    title           : 50% off
  Duration: 00:00:10.00, start: 0.000000, bitrate: 315 kb/s
Output #0, matroska, to 'out.mkv':
frame=    1 fps=0.0 q=0.0 size=       1kB time=00:00:00.00 bitrate=N/A speed=   0x    \r\
frame=   71 fps=0.0 q=28.0 size=       1kB time=00:00:00.44 bitrate=  13.2kbits/s speed=2.17x    \r\
frame=  118 fps=0.0 q=28.0 size=       1kB time=00:00:02.32 bitrate=   2.5kbits/s speed=7.58x    \r\
frame=  250 fps=0.0 q=-1.0 Lsize=      49kB time=00:00:09.88 bitrate=  40.8kbits/s speed=14.9x    
video:47kB audio:0kB subtitle:0kB other streams:0kB global headers:0kB muxing overhead: 4.926088%
[libx264 @ 0x5602589841c0] mb I  I16..4: 74.0%  6.0% 20.0%
[libx264 @ 0x5602589841c0] kb/s:37.87
";
const FFMPEG_BLOCKS: &str = "frame=71\nfps=0.00\nstream_0_0_q=28.0\nbitrate=  13.2kbits/s\n\
    total_size=727\nout_time_us=440000\nout_time_ms=440000\nout_time=00:00:00.440000\n\
    dup_frames=0\ndrop_frames=0\nspeed=2.17x\nprogress=continue\n\
    frame=250\nout_time_us=9881000\nout_time_ms=9881000\nout_time=00:00:09.881000\n\
    speed=14.9x\nprogress=end\n";
const RSYNC: &str = "\r         32,768   0%    0.00kB/s    0:00:00  \
    \r     10,944,512  36%   10.02MB/s    0:00:01  \
    \r     30,000,000 100%   10.14MB/s    0:00:02 (xfr#1, to-chk=0/1)\n";
const WGET_DOTS: &str =
    " 28900K .......... .......... .......... .......... .......... 98%  755M 0s
 29000K .......... .......... .......... .......... .......... 99%  410M 0s
 29250K .......... .......... .......... .......... ......    100%  908M=2.7s

2026-11-24 00:17:46 (10.7 MB/s) - ‘/dev/null’ saved [30000000/30000000]
";
const WGET_BAR: &str = "\r/dev/null            49%[========>           ]  14.27M  9.97MB/s               \
    \r/dev/null            56%[==========>         ]  16.31M  9.97MB/s               \
    \r/dev/null           100%[===================>]  28.61M  9.99MB/s    in 2.9s    \n";
const CURL_METER: &str =
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current
                                 Dload  Upload   Total   Spent    Left  Speed
\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0\
\r 32 28.6M   32 9663k    0     0   9.9M      0  0:00:02 --:--:--  0:00:02  9.9M\
\r100 28.6M  100 28.6M    0     0  12.8M      0  0:00:02  0:00:02 --:--:-- 12.8M\n";
const CURL_BAR: &str = "\r#########                                                                 13.1%\
    \r##################################################################        92.6%\
    \r######################################################################## 100.0%\n";
const SEVENZIP: &str = "Creating archive: a.7z\n\n  0%\x08\x08\x08\x08    \x08\x08\x08\x08\
      3% + big\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08          \x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\
     99% 1 + big\x08\x08\x08\x08            \x08\x08\x08\x08\nFiles read from disk: 1\n";
const PV_BAR: &str = "6.00MiB 0:00:00 [16.2MiB/s] [=====>                            ] 20% ETA 0:00:00\r\
    28.6MiB 0:00:01 [19.5MiB/s] [================================>] 100%            \n";
const DD: &str = "29296+1 records in\n29296+1 records out\n\
    30000000 bytes (30 MB, 29 MiB) copied, 0.0329109 s, 912 MB/s\n";
const WGET2: &str = "\x1b[s\x1b[2A\x1b[1Gdl      3% [>         ]    2.00M       0 B/s\x1b[u\
    \x1b[s\x1b[2A\x1b[1Gdl     93% [=========>]   56.00M   16.61MB/s\x1b[u\
    \x1b[s\x1b[1A\x1b[1G\x1b[27G[Files: 1  Bytes: 60.00]\x1b[u";
const ARIA2: &str = " *** Download Progress Summary as of Sat Nov 28 23:34:36 2026 *** \n\
    =====================================================================\n\
    [#b9cca4 16MiB/60MiB(26%) CN:1 DL:15MiB ETA:2s]\nFILE: /tmp/Sale 50% off\n\n\
    [#b9cca4 49MiB/60MiB(81%) CN:1 DL:16MiB]\n11/28 23:34:39 [NOTICE] Download complete\n";
const ARIA2_TWO: &str = "11/29 08:07:47 [\x1b[1;32mNOTICE\x1b[0m] Downloading 2 item(s)\n\
    [#cd8984 240KiB/0.9MiB(24%) CN:1 DL:246KiB ETA:2s]\nFILE: d/90% a\n-----\n\
    [#e522c9 752KiB/2.8MiB(26%) CN:1 DL:741KiB ETA:2s]\nFILE: d/b\n-----\n\n\
    [DL:0.9MiB][#cd8984 752KiB/0.9MiB(76%)][#e522c9 1.4MiB/2.8MiB(51%)]\n\
    11/29 08:07:51 [\x1b[1;32mNOTICE\x1b[0m] Download complete: d/90% a\n\
    [#e522c9 2.1MiB/2.8MiB(75%) CN:1 DL:733KiB]\n";
const YT_DLP_PARTS: &str = "[youtube] x: Downloading webpage\n\
    [info] x: Downloading 1 format(s): 137+140\n[download] Destination: 100% real.f137.mp4\n\
    \r[download]   1.0% of   60.00MiB at    2.53MiB/s ETA 00:23  \
    \r[download] 100% of   60.00MiB in 00:00:03 at 16.19MiB/s  \n\
    [download] Destination: 100% real.f140.m4a\n\
    \r[download]   1.0% of    6.00MiB at    2.53MiB/s ETA 00:23  \
    \r[download] 100% of    6.00MiB in 00:00:03 at 16.19MiB/s  \n\
    [Merger] Merging formats into \"100% real.mp4\"\n";
const ZSTD: &str = "\r                          \rRead:   512 KiB /  60.0 MiB ==> 100%\
    \r                         \rRead:  54.5 MiB /  60.0 MiB ==> 50%\
    \r                         \rbig.bin      : 50.00%   (  60.0 MiB =>   30.0 MiB, z.zst) \n";
const YT_DLP: &str = "[download] Destination: Ten tools - 80% off.mp4\n\
    \r[download]   0.0% of   60.00MiB at    2.53MiB/s ETA 00:23  \
    \r[download]  93.3% of   60.00MiB at   16.36MiB/s ETA 00:00\
    \r[download] 100% of   60.00MiB in 00:00:03 at 16.19MiB/s  \n\
    [Merger] Merging into 99% perfect.mkv\n";
const HANDBRAKE: &str = "\rEncoding: task 1 of 2, 20.20 %\rEncoding: task 2 of 2, 99.80 %\n";
const RCLONE: &str = "Transferred:   \t   15.035 MiB / 60.477 MiB, 25%, 0 B/s, ETA -\n\
    Checks:                 5 / 5, 100%\nTransferred:            1 / 2, 50%\n\
    Elapsed time:         0.6s\nTransferring:\n *   Sale 50% off.bin: 24% /60Mi, 0/s, -\
    Transferred:   \t   30.035 MiB / 60.477 MiB, 50%, 0 B/s, ETA -\n";
const CARGO: &str = "   Compiling a1 v0.1.0 (/tmp/cr/a1)\n\
    \x1b[1m\x1b[96m    Building\x1b[0m [                             ] 0/6: a1, a3     \r\x1b[K\
    \x1b[1m\x1b[96m    Building\x1b[0m [=======================>     ] 5/6: a4         \r\x1b[K";
const X264: &str = "x264 [info]: 8x8 transform intra:16.6% inter:28.0%\n\
    x264 [info]: i16 v,h,dc,p: 65%  8%  2% 25%\nx264 [info]: ref P L0: 73.0%  4.8%\n";
const REPORTS: &str = "   Compiling a\n\x1b]9;4;3;\x1b\\\x1b]9;4;1;10\x1b\\    Building [=>   ] 50/340\r\
    \x1b]9;4;1;25\x07    Building [==>  ] 90/340\rdisk: 97%\n\x1b]9;4;4;40\x07\x1b]9;4;4;100\x07\
    \x1b]9;4;2\x07\x1b]9;4;1;101\x07\x1b]9;4;1;100\x1b\\\x1b]9;4;0;\x1b\\    Done [=====] 20%\n";
const PARTCLONE: &str = "\r\n\rElapsed: 00:00:02, Remaining: 00:00:08, Completed:  20.00%, \
    Rate: 568.78MB/min,\n\r\ncurrent block:     135699, total block:     204800, Complete:  66.26%\
    \x1b[A\n\rElapsed: 00:00:04, Remaining: 00:00:06, Completed:  40.00%, Rate: 568.78MB/min,\n";
const JSON: &str = "{\"percent\":0,\"stage\":\"scanning\"}\nsome text\n\
    {\"stage\":\"storing\",\"percent\":50.5,\"file\":\"a\"}\n{\"percent\":1000}\n{\"percent\":100}\n";

const TORCH: &str = "Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300\n\
    Train Epoch: 1 [6400/60000 (11%)]\tLoss: 0.5\nTrain Epoch: 1 [57600/60000 (96%)]\tLoss: 0.4\n\
    Test set: Average loss: 0.0487, Accuracy: 9842/10000 (98%)\n\
    Train Epoch: 2 [0/60000 (0%)]\tLoss: 0.1\n";
const WEBPACK: &str = "<s> [webpack.Progress] 0% \n<s> [webpack.Progress] 10% building 0/1 entries\n\
    <s> [webpack.Progress] 65% building 10/12 modules\n<s> [webpack.Progress] 98% emitting\n";

type Parts<'a> = &'a [(Source, &'a [u8])];

fn updates(format: Format, parts: Parts<'_>) -> Vec<Update> {
    let mut reader = Reader::new(format);
    let mut seen = Vec::new();
    for (source, bytes) in parts {
        reader.feed(*source, bytes, |update| seen.push(update));
    }
    reader.finish(|update| seen.push(update));
    seen
}

fn percents(format: Format, text: &str) -> Vec<f64> {
    let seen = updates(format, &[(Source::Stderr, text.as_bytes())]);
    seen.into_iter()
        .filter_map(|update| update.percent)
        .collect()
}

#[test]
fn each_tool_is_understood_without_being_told_which() {
    for (tool, text, expected) in [
        ("ffmpeg", FFMPEG_ERR, &[0.0, 4.4, 23.2, 98.8][..]),
        ("rsync", RSYNC, &[0.0, 36.0, 99.9]),
        ("wget to a file", WGET_DOTS, &[98.0, 99.0, 99.9]),
        ("wget in a terminal", WGET_BAR, &[49.0, 56.0, 99.9]),
        ("curl", CURL_METER, &[32.0, 99.9]),
        ("curl -#", CURL_BAR, &[13.1, 92.6, 99.9]),
        ("7z", SEVENZIP, &[0.0, 3.0, 99.0]),
        ("pv", PV_BAR, &[20.0, 99.9]),
        ("dd", DD, &[]),
        ("wget2", WGET2, &[3.0, 93.0]),
        ("aria2", ARIA2, &[26.0, 81.0]),
        ("aria2 of two", ARIA2_TWO, &[12.0, 25.0, 63.5, 87.5]),
        ("yt-dlp of two", YT_DLP_PARTS, &[0.5, 50.0, 50.5, 99.9]),
        ("zstd", ZSTD, &[0.8, 90.8]),
        ("yt-dlp", YT_DLP, &[0.0, 93.3, 99.9]),
        ("HandBrake", HANDBRAKE, &[10.1, 99.9]),
        ("rclone", RCLONE, &[25.0, 50.0]),
        ("cargo", CARGO, &[0.0, 83.3]),
        ("x264", X264, &[]),
        ("PyTorch", TORCH, &[11.0, 96.0, 0.0]),
        ("webpack", WEBPACK, &[0.0, 10.0, 65.0, 98.0]),
        (
            "a terminal that is told",
            REPORTS,
            &[10.0, 25.0, 40.0, 99.9, 20.0],
        ),
        ("partclone", PARTCLONE, &[20.0, 40.0]),
        ("JSON", JSON, &[0.0, 50.5, 100.0]),
    ] {
        assert_eq!(percents(Format::Auto, text), expected, "{tool}");
        assert_eq!(
            percents(Format::Number, text),
            expected,
            "{tool} with numbers believed"
        );
    }
}

#[test]
fn progress_blocks_on_stdout_are_measured_against_the_duration_on_stderr() {
    let log = FFMPEG_ERR.split_inclusive('\n').take(6).collect::<String>();
    let parts = [
        (Source::Stderr, log.as_bytes()),
        (Source::Stdout, FFMPEG_BLOCKS.as_bytes()),
    ];
    let seen = updates(Format::Auto, &parts);
    let seen: Vec<_> = seen
        .iter()
        .map(|it| {
            (
                it.percent,
                it.extra["speed"].as_f64(),
                it.extra["etaMs"].as_u64(),
            )
        })
        .collect();
    let expected = [
        (Some(4.4), Some(2.17), Some(4405)),
        (Some(98.8), Some(14.9), Some(7)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_bare_number_is_believed_only_where_that_is_asked_for() {
    let pv = "20\n41\n62\n83\n100\n";
    assert_eq!(percents(Format::Number, pv), [20.0, 41.0, 62.0, 83.0, 99.9]);
    assert!(percents(Format::Auto, pv).is_empty());
    assert!(percents(Format::Number, "6291456\n").is_empty());
}

#[test]
fn cutting_the_input_anywhere_changes_nothing() {
    for text in [
        FFMPEG_ERR,
        FFMPEG_BLOCKS,
        RSYNC,
        WGET_DOTS,
        WGET_BAR,
        CURL_METER,
        CURL_BAR,
        SEVENZIP,
        WGET2,
        ARIA2_TWO,
        YT_DLP_PARTS,
        RCLONE,
        CARGO,
        REPORTS,
        JSON,
    ] {
        let bytes = text.as_bytes();
        let whole = updates(Format::Auto, &[(Source::Stderr, bytes)]);
        for at in 0..=bytes.len() {
            let parts = [
                (Source::Stderr, &bytes[..at]),
                (Source::Stderr, &bytes[at..]),
            ];
            assert_eq!(updates(Format::Auto, &parts), whole, "cut at {at}");
        }
        let single: Vec<_> = bytes.chunks(1).map(|byte| (Source::Stderr, byte)).collect();
        assert_eq!(updates(Format::Auto, &single), whole);
    }
}

#[test]
fn the_two_outputs_do_not_run_into_each_other() {
    let seen = updates(
        Format::Auto,
        &[
            (Source::Stdout, b"1"),
            (Source::Stderr, b"2"),
            (Source::Stdout, b"0%\n"),
            (Source::Stderr, b"5%\n"),
        ],
    );
    assert_eq!(seen, [Update::percent(10.0), Update::percent(25.0)]);
}

#[test]
fn a_line_left_open_is_read_in_a_pause_and_only_where_it_is_sure() {
    let mut reader = Reader::new(Format::Number);
    let mut seen = Vec::new();
    let stdout = b"\r     10,944,512  36%   10.02MB/s";
    reader.feed(Source::Stdout, stdout, |update| seen.push(update));
    // The number is not known to have ended.
    reader.feed(Source::Stderr, b"1", |update| seen.push(update));
    assert!(seen.is_empty());
    reader.pause(|update| seen.push(update));
    assert_eq!(seen, [Update::percent(36.0)]);
    assert_eq!(reader.last_error_line(), "");
}

#[test]
fn bars_that_are_drawn_at_once_are_told_as_one_and_never_fall() {
    let mut said = String::new();
    for step in 0..9 {
        let bar = |done: usize| format!("[{}{}]", "#".repeat(done), ".".repeat(10 - done));
        let (a, b) = (bar(step), bar(step / 2));
        said += &format!("\x1b[2A\ra.bin {a} {}%\r\n", step * 10);
        said += &format!("\rb.bin {b} {}%\r\n", step * 5);
    }
    let seen = updates(Format::Auto, &[(Source::Stderr, said.as_bytes())]);
    let percents: Vec<f64> = seen.iter().filter_map(|it| it.percent).skip(2).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(percents.last(), Some(&60.0));
}

#[test]
fn a_json_line_carries_its_stage_and_its_other_fields() {
    let seen = updates(Format::Auto, &[(Source::Stdout, JSON.as_bytes())]);
    assert_eq!(seen[1].stage.as_deref(), Some("storing"));
    assert_eq!(seen[1].extra["file"], "a");
    assert_eq!(
        seen[1].to_json(),
        r#"{"stage":"storing","percent":50.5,"file":"a"}"#
    );
    assert_eq!(Update::percent(100.0).to_json(), r#"{"percent":100}"#);
}

#[test]
fn the_last_line_on_stderr_is_kept_clean_and_short() {
    let mut reader = Reader::new(Format::Auto);
    reader.feed(
        Source::Stderr,
        b"first\nNo such \x1b[31mfile\x07\xff\n \r\n",
        |_| {},
    );
    reader.feed(Source::Stdout, b"unrelated\n", |_| {});
    assert_eq!(reader.last_error_line(), "No such file \u{fffd}");
    reader.feed(Source::Stderr, "ä".repeat(4000).as_bytes(), |_| {});
    reader.finish(|_| {});
    assert_eq!(
        reader.last_error_line(),
        "ä".repeat(ERROR_LINE_MAX_BYTES / 2)
    );
}

#[test]
fn garbage_neither_panics_nor_grows_memory() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let alphabet = b"0159.,:%{}\"=[]@-/ \r\n\x08\x1b\xff\xc3time=Duration: frame bitrate";
    let mut reader = Reader::new(Format::Number);
    for _ in 0..2000 {
        let chunk: Vec<u8> = (0..97)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                alphabet[(state >> 33) as usize % alphabet.len()]
            })
            .collect();
        let in_range = |u: Update| assert!(u.percent.is_none_or(|p| (0.0..=100.0).contains(&p)));
        reader.feed(Source::Stderr, &chunk, in_range);
        reader.pause(in_range);
        assert!(reader.last_error_line().len() <= ERROR_LINE_MAX_BYTES);
    }
}

#[test]
fn data_that_a_command_writes_to_stdout_is_not_progress() {
    let data = b"PK\0\x03\n20\n30%\n".as_slice();
    assert!(updates(Format::Number, &[(Source::Stdout, data)]).is_empty());
    // On stderr a command speaks, however oddly.
    assert_eq!(updates(Format::Number, &[(Source::Stderr, data)]).len(), 2);
}
