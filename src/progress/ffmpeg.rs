//! What ffmpeg prints: its banner, its status line, and `-progress` blocks.

use super::{Source, Update};

/// What has been learned from an ffmpeg's output so far.
pub(super) struct Ffmpeg {
    /// How long the longest input is, in microseconds: ffmpeg stops with it.
    duration_us: Option<u64>,
    /// It has described its inputs and not yet summed up. Meanwhile a percentage
    /// on stderr is a title or a statistic, not progress.
    running: bool,
    /// Its outputs are described: a duration that comes now is not an input's.
    inputs_known: bool,
    /// It writes `-progress` blocks, so its status line has nothing to add.
    writes_blocks: bool,
    /// What the block being read says was written so far.
    block: Option<Block>,
}

/// Whether a line was ffmpeg's, and what it told.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    NotMine,
    Mine(Option<Update>),
}

#[derive(Default)]
struct Block {
    out_time_us: Option<u64>,
}

impl Ffmpeg {
    pub(super) fn new() -> Ffmpeg {
        Ffmpeg {
            duration_us: None,
            running: false,
            inputs_known: false,
            writes_blocks: false,
            block: None,
        }
    }

    /// One whose input lasts so long, where that is known.
    pub(super) fn of_input(duration_seconds: Option<f64>) -> Ffmpeg {
        Ffmpeg {
            duration_us: duration_seconds.map(|seconds| (seconds * 1_000_000.0) as u64),
            running: true,
            ..Ffmpeg::new()
        }
    }

    /// Reads one whole line without the blanks around it.
    pub(super) fn read(&mut self, source: Source, line: &str) -> Reading {
        if source == Source::Stderr
            && let Some(reading) = self.read_log(line)
        {
            return reading;
        }
        match line.split_once('=') {
            Some((key, value)) if is_block_key(key) => self.read_block(key, value.trim()),
            _ if is_noise(line) => Reading::Mine(None),
            _ if self.running && source == Source::Stderr => Reading::Mine(None),
            _ => Reading::NotMine,
        }
    }

    /// Whether an ffmpeg has begun and not yet summed up.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    fn read_log(&mut self, line: &str) -> Option<Reading> {
        if line.starts_with("ffmpeg version ") || line.starts_with("Input #0,") {
            *self = Ffmpeg {
                running: true,
                ..Ffmpeg::new()
            };
        } else if line.starts_with("Output #0,") {
            self.inputs_known = true;
        } else if let Some(rest) = line.strip_prefix("Duration: ") {
            let duration_us = rest.split_once(',').and_then(|(time, _)| time_us(time));
            if !self.inputs_known {
                self.duration_us = self.duration_us.max(duration_us);
            }
        } else if let Some(time) = status_time(line) {
            let update = time_us(time).map(|us| self.update(us));
            return Some(Reading::Mine(update.filter(|_| !self.writes_blocks)));
        } else if line.contains("muxing overhead") || line.starts_with("Conversion failed") {
            self.running = false;
        } else {
            return None;
        }
        Some(Reading::Mine(None))
    }

    fn read_block(&mut self, key: &str, value: &str) -> Reading {
        if key == "progress" {
            let Some(block) = self.block.take() else {
                return Reading::NotMine;
            };
            self.writes_blocks = true;
            return Reading::Mine(block.out_time_us.map(|us| self.update(us)));
        }
        let block = self.block.get_or_insert_default();
        match key {
            // out_time_ms has always been in microseconds, too.
            "out_time_us" | "out_time_ms" => {
                // Some streams start before zero.
                let us = value.parse::<i64>().ok().map(|us| us.max(0).unsigned_abs());
                block.out_time_us = us.or(block.out_time_us);
            }
            "out_time" => block.out_time_us = block.out_time_us.or(time_us(value)),
            _ => {}
        }
        Reading::Mine(None)
    }

    /// A percentage where the duration is known, otherwise the time written so far.
    fn update(&self, written_us: u64) -> Update {
        match self.duration_us {
            Some(duration_us) if duration_us > 0 => {
                // Rounded down, so that 100 is not told before the end.
                let percent = (written_us as f64 / duration_us as f64 * 1000.0).floor() / 10.0;
                Update::percent(percent.min(100.0))
            }
            _ => {
                let seconds = (written_us as f64 / 100_000.0).floor() / 10.0;
                let mut update = Update::default();
                update.extra.insert("timeSeconds".into(), seconds.into());
                update
            }
        }
    }
}

fn is_block_key(key: &str) -> bool {
    const KEYS: [&str; 11] = [
        "frame",
        "fps",
        "bitrate",
        "total_size",
        "out_time_us",
        "out_time_ms",
        "out_time",
        "dup_frames",
        "drop_frames",
        "speed",
        "progress",
    ];
    KEYS.contains(&key) || (key.starts_with("stream_") && key.ends_with("_q"))
}

/// The time in a status line: `frame=  1 fps=0.0 ... time=00:00:03.20 bitrate=...`,
/// or `size=...` where there is no picture.
fn status_time(line: &str) -> Option<&str> {
    if !(line.starts_with("frame=") || line.starts_with("size=")) || !line.contains(" bitrate=") {
        return None;
    }
    let (_, rest) = line.split_once(" time=")?;
    rest.split_ascii_whitespace().next()
}

/// Statistics that encoders print at the end, which are full of percentages:
/// `[libx264 @ 0x5602589841c0] mb I  I16..4: 74.0%` and the like.
fn is_noise(line: &str) -> bool {
    let in_context = line.starts_with('[') && line.contains(" @ 0x");
    in_context || line.starts_with("x265 [") || line.starts_with("Svt[")
}

/// `HH:MM:SS.ffffff` in microseconds; a time before zero is zero.
fn time_us(text: &str) -> Option<u64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut fields = clock.split(':');
    let (hours, minutes, seconds) = (fields.next()?, fields.next()?, fields.next()?);
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if fields.next().is_some() || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let number = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|_| digits(text))
            .map(u64::from)
    };
    let whole = number(hours)? * 3600 + number(minutes)? * 60 + number(seconds)?;
    let micros = format!("{fraction:0<6}").parse::<u64>().ok()?;
    Some(if negative {
        0
    } else {
        whole * 1_000_000 + micros
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(duration: &str) -> Ffmpeg {
        let mut ffmpeg = Ffmpeg::new();
        ffmpeg.read(Source::Stderr, "Input #0, mov, from 'in.mp4':");
        ffmpeg.read(
            Source::Stderr,
            &format!("Duration: {duration}, start: 0.0, bitrate: 1 kb/s"),
        );
        ffmpeg
    }

    fn told(percent: f64) -> Reading {
        Reading::Mine(Some(Update::percent(percent)))
    }

    const STATUS: &str =
        "frame=  80 fps=0.0 q=28.0 size=  1kB time=00:00:03.20 bitrate=  1.4kbits/s";

    #[test]
    fn times_are_read_to_the_microsecond() {
        assert_eq!(time_us("00:00:10.00"), Some(10_000_000));
        assert_eq!(time_us("01:02:03.000004"), Some(3_723_000_004));
        assert_eq!(time_us("100:00:00"), Some(360_000_000_000));
        assert_eq!(time_us("-00:00:00.04"), Some(0));
        for bad in [
            "N/A",
            "",
            "1:2",
            "1:2:3:4",
            "::",
            "00:00:1e5",
            "00:00:00.1234567",
            "+1:0:0",
        ] {
            assert_eq!(time_us(bad), None, "{bad}");
        }
        assert_eq!(time_us("99999999999:00:00"), None);
    }

    #[test]
    fn the_status_line_is_measured_against_the_longest_input() {
        let mut ffmpeg = after("00:00:10.00");
        ffmpeg.read(Source::Stderr, "Duration: 00:00:03.00, start: 0.0");
        ffmpeg.read(Source::Stderr, "Output #0, matroska, to 'out.mkv':");
        ffmpeg.read(Source::Stderr, "Duration: 09:00:03.00, start: 0.0");
        assert_eq!(ffmpeg.read(Source::Stderr, STATUS), told(32.0));
    }

    #[test]
    fn the_status_line_is_left_alone_where_there_are_progress_blocks() {
        let mut ffmpeg = after("00:00:10.00");
        ffmpeg.read(Source::Stdout, "out_time_us=5000000");
        assert_eq!(ffmpeg.read(Source::Stdout, "progress=continue"), told(50.0));
        assert_eq!(ffmpeg.read(Source::Stderr, STATUS), Reading::Mine(None));
    }

    #[test]
    fn each_way_of_saying_the_time_will_do() {
        for line in [
            "out_time_us=5000000",
            "out_time_ms=5000000",
            "out_time=00:00:05.000000",
        ] {
            let mut ffmpeg = after("00:00:10.00");
            assert_eq!(ffmpeg.read(Source::Stdout, line), Reading::Mine(None));
            ffmpeg.read(Source::Stdout, "out_time_us=N/A");
            assert_eq!(
                ffmpeg.read(Source::Stdout, "progress=end"),
                told(50.0),
                "{line}"
            );
        }
    }

    #[test]
    fn more_than_the_duration_is_100_percent_and_less_than_nothing_is_0() {
        let mut ffmpeg = after("00:00:10.00");
        ffmpeg.read(Source::Stdout, "out_time_us=11000000");
        assert_eq!(
            ffmpeg.read(Source::Stdout, "progress=continue"),
            told(100.0)
        );
        ffmpeg.read(Source::Stdout, "out_time_us=-9223372036854775808");
        assert_eq!(ffmpeg.read(Source::Stdout, "progress=continue"), told(0.0));
    }

    #[test]
    fn without_a_duration_the_time_written_is_told() {
        let mut ffmpeg = after("N/A");
        let Reading::Mine(Some(update)) = ffmpeg.read(Source::Stderr, STATUS) else {
            panic!("the status line was not read");
        };
        assert_eq!(update.percent, None);
        assert_eq!(update.extra["timeSeconds"], 3.2);
    }

    #[test]
    fn a_duration_that_is_known_beforehand_will_do() {
        let mut ffmpeg = Ffmpeg::of_input(Some(10.0));
        assert_eq!(
            ffmpeg.read(Source::Stderr, "[mp4 @ 0x1] 7% lost"),
            Reading::Mine(None)
        );
        ffmpeg.read(Source::Stdout, "out_time_us=5000000");
        assert_eq!(ffmpeg.read(Source::Stdout, "progress=continue"), told(50.0));
    }

    #[test]
    fn a_second_ffmpeg_starts_afresh() {
        let mut ffmpeg = after("00:00:10.00");
        ffmpeg.read(Source::Stderr, "Output #0, matroska, to 'out.mkv':");
        ffmpeg.read(Source::Stderr, "Input #0, mov, from 'in2.mp4':");
        ffmpeg.read(Source::Stderr, "Duration: 00:00:06.40, start: 0.0");
        assert_eq!(ffmpeg.read(Source::Stderr, STATUS), told(50.0));
    }

    #[test]
    fn statistics_and_titles_are_not_progress() {
        let mut ffmpeg = after("00:00:10.00");
        for line in [
            "title : 50% off",
            "video:47kB audio:0kB subtitle:0kB muxing overhead: 4.926088%",
            "[libx264 @ 0x5602589841c0] mb I  I16..4: 74.0%  6.0% 20.0%",
        ] {
            assert_eq!(
                ffmpeg.read(Source::Stderr, line),
                Reading::Mine(None),
                "{line}"
            );
        }
        // It has summed up, so what comes now may be another tool's.
        assert_eq!(ffmpeg.read(Source::Stderr, "copied 50%"), Reading::NotMine);
    }

    #[test]
    fn other_settings_files_are_not_taken_for_blocks() {
        let mut ffmpeg = Ffmpeg::new();
        assert_eq!(
            ffmpeg.read(Source::Stdout, "progress=50%"),
            Reading::NotMine
        );
        assert_eq!(ffmpeg.read(Source::Stdout, "name=50%"), Reading::NotMine);
    }
}
