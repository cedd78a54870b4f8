//! What ffmpeg prints: its banner, its status line, and `-progress` blocks.

mod filters;
mod material;
mod plan;
mod time;

pub use material::Material;
pub(super) use plan::FfmpegPlan;

use super::update::{LineReading, Source, Update};
use super::words::is_in;
use plan::WholeWork;

/// How many inputs' durations are kept.
const INPUTS_MAX: usize = 64;

/// What has been learned from an ffmpeg's output so far.
#[derive(Default)]
pub(super) struct Ffmpeg {
    /// What those are asked for that this process started, in their order.
    plans: Vec<FfmpegPlan>,
    /// Which of them it is.
    at: Option<usize>,
    /// Where its log is written.
    log: Option<Source>,
    /// How long its inputs are, in microseconds.
    durations: Vec<Option<u64>>,
    /// It has described its inputs and not yet summed up. Meanwhile a percentage
    /// on stderr is a title or a statistic, not progress.
    running: bool,
    /// Its outputs are described: a duration that comes now is not an input's.
    inputs_known: bool,
    /// It writes `-progress` blocks, so its status line has nothing to add.
    writes_blocks: bool,
    /// More was written than there was to be: what was known is no measure.
    went_beyond: bool,
    /// What the block being read says was written so far.
    block: Option<ProgressBlock>,
}

/// How far it is.
#[derive(Default, Debug, PartialEq)]
struct ProgressBlock {
    out_time_us: Option<u64>,
    frames: Option<u64>,
    /// How many times faster than it is played.
    speed: Option<f64>,
    /// It has ended.
    is_last: bool,
}

impl Ffmpeg {
    pub(super) fn new() -> Ffmpeg {
        Ffmpeg::default()
    }

    /// One whose input lasts so long, where that is known.
    pub(super) fn of_input(duration_seconds: Option<f64>) -> Ffmpeg {
        Ffmpeg {
            durations: vec![duration_seconds.map(|seconds| (seconds * 1_000_000.0) as u64)],
            running: true,
            log: Some(Source::Stderr),
            ..Ffmpeg::default()
        }
    }

    /// Those that are asked for this, one after another.
    pub(super) fn of_plans(plans: Vec<FfmpegPlan>) -> Ffmpeg {
        Ffmpeg {
            at: (plans.len() == 1).then_some(0),
            plans,
            ..Ffmpeg::default()
        }
    }

    /// Reads one whole line without the blanks around it.
    pub(super) fn read(&mut self, source: Source, line: &str) -> LineReading {
        let (is_leveled, line) = without_level(line);
        if let Some(reading) = self.read_log(source, line) {
            return reading;
        }
        match line.split_once('=') {
            Some((key, value)) if is_block_key(key) => self.read_block(key, value.trim()),
            _ if is_noise(line) => LineReading::Mine(None),
            _ if self.log == Some(source) && (self.running || is_leveled) => {
                LineReading::Mine(None)
            }
            _ => LineReading::NotMine,
        }
    }

    /// Whether an ffmpeg has begun and not yet summed up.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    fn read_log(&mut self, source: Source, line: &str) -> Option<LineReading> {
        if line.starts_with("ffmpeg version ") || line.starts_with("Input #0,") {
            self.begin(source, line);
        } else if self.log.is_some_and(|log| log != source) {
            return None;
        } else if line.starts_with("Output #0,") {
            self.inputs_known = true;
        }
        if line.starts_with("Input #") {
            if self.durations.len() < INPUTS_MAX {
                self.durations.push(None);
            }
        } else if let Some(rest) = line.strip_prefix("Duration: ") {
            let duration_us = rest.split_once(',').and_then(|(it, _)| time::clock(it));
            if let Some(last) = self.durations.last_mut()
                && !self.inputs_known
            {
                *last = duration_us.max(*last);
            }
        } else if let Some(state) = ProgressBlock::of_status(line) {
            let update = self.update(&state);
            return Some(LineReading::Mine(update.filter(|_| !self.writes_blocks)));
        } else if line.contains("muxing overhead") || line.starts_with("Conversion failed") {
            self.running = false;
        } else if !(line.starts_with("ffmpeg version ") || line.starts_with("Output #0,")) {
            return None;
        }
        Some(LineReading::Mine(None))
    }

    /// One begins, and says which by its first input.
    fn begin(&mut self, source: Source, line: &str) {
        let name = line.rsplit_once(", from '").map(|(_, name)| name);
        let name = name.and_then(|name| name.strip_suffix("':"));
        let mut at = self.at;
        if let Some(name) = name {
            let plans = self.plans.iter().enumerate();
            let mut fits = plans.filter(|(_, plan)| plan.begins_with(name));
            let next = fits.find(|(index, _)| self.at.is_none_or(|at| *index > at));
            // A loop in a shell runs one that is written once.
            at = next.map_or(at, |(index, _)| Some(index));
        }
        *self = Ffmpeg {
            plans: std::mem::take(&mut self.plans),
            at,
            log: Some(source),
            running: true,
            ..Ffmpeg::default()
        };
    }

    /// How much of all that is run one is that has come so far.
    fn of_all(&self, part: f64) -> f64 {
        match self.at {
            Some(at) => (at as f64 + part.min(1.0)) / self.plans.len() as f64,
            None => part,
        }
    }

    fn read_block(&mut self, key: &str, value: &str) -> LineReading {
        if key == "progress" {
            let Some(mut state) = self.block.take() else {
                return LineReading::NotMine;
            };
            self.writes_blocks = true;
            state.is_last = value == "end";
            return LineReading::Mine(self.update(&state));
        }
        let state = self.block.get_or_insert_default();
        match key {
            // out_time_ms has always been in microseconds, too.
            "out_time_us" | "out_time_ms" => {
                // Some streams start before zero.
                let us = value.parse::<i64>().ok().map(|us| us.max(0).unsigned_abs());
                state.out_time_us = us.or(state.out_time_us);
            }
            "out_time" => state.out_time_us = state.out_time_us.or(time::clock(value)),
            "frame" => state.frames = value.parse().ok(),
            "speed" => state.speed = speed(value),
            _ => {}
        }
        LineReading::Mine(None)
    }

    fn whole(&self) -> WholeWork {
        match self.at.and_then(|at| self.plans.get(at)) {
            Some(plan) => plan.whole(&self.durations),
            // It stops with the longest.
            None => WholeWork {
                us: self.durations.iter().copied().max().flatten(),
                frames: None,
            },
        }
    }

    /// A percentage where it is known how much there is to be, otherwise the time written so
    /// far; its speed; and, where both are known, how long the rest will take.
    fn update(&mut self, state: &ProgressBlock) -> Option<Update> {
        let whole = self.whole();
        let time = state
            .out_time_us
            .zip(whole.us)
            .filter(|_| !self.went_beyond);
        // What a container says of its length is not exact.
        let is_beyond = |(us, whole): &(u64, u64)| *us > whole + whole / 50 + 100_000;
        self.went_beyond |= time.is_some_and(|time| is_beyond(&time));
        let time = time.filter(|_| !self.went_beyond);
        let part = |(done, all): (u64, u64)| done as f64 / all.max(1) as f64;
        let frames = state.frames.zip(whole.frames);
        let done = time.map(part).into_iter().chain(frames.map(part));
        let done = done.reduce(f64::max);
        let mut update = Update::default();
        match done {
            Some(done) => {
                let all = self.of_all(done);
                // Rounded down, so that 100 is not told before the end.
                let most = if state.is_last { 100.0 } else { 99.9 };
                update.percent = Some((((all + 1e-9) * 1000.0).floor() / 10.0).min(most));
            }
            None => {
                let seconds = (state.out_time_us? as f64 / 100_000.0).floor() / 10.0;
                update.extra.insert("timeSeconds".into(), seconds.into());
            }
        }
        if let Some(speed) = state.speed {
            update.extra.insert("speed".into(), speed.into());
            // Before it has written anything, its speed means nothing.
            if let Some((us, whole)) = time.filter(|(us, _)| *us > 0) {
                let left_ms = whole.saturating_sub(us) as f64 / speed / 1000.0;
                update.extra.insert("etaMs".into(), (left_ms as u64).into());
            }
        }
        Some(update)
    }
}

impl ProgressBlock {
    /// What a status line tells: `frame=  1 fps=0.0 ... time=00:00:03.20 bitrate=... speed=2x`,
    /// or `size=...` where there is no picture.
    fn of_status(line: &str) -> Option<ProgressBlock> {
        if !(line.starts_with("frame=") || line.starts_with("size=")) || !line.contains(" bitrate=")
        {
            return None;
        }
        let value = |key: &str| {
            let (_, rest) = line.split_once(key)?;
            rest.split_ascii_whitespace().next()
        };
        Some(ProgressBlock {
            out_time_us: value(" time=").and_then(time::clock),
            frames: line
                .strip_prefix("frame=")
                .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()),
            speed: value(" speed=").and_then(speed),
            is_last: line.contains(" Lsize="),
        })
    }
}

/// `2.17x`; not zero, which it is before there is one.
fn speed(text: &str) -> Option<f64> {
    let speed: f64 = text.strip_suffix('x')?.parse().ok()?;
    (speed.is_finite() && speed > 0.0).then_some(speed)
}

/// The line without the level that `-loglevel level+info` puts before it, and whether it had
/// one.
fn without_level(line: &str) -> (bool, &str) {
    const LEVELS: &str = "panic fatal error warning info verbose debug trace";
    let level = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    match level {
        Some((level, rest)) if is_in(LEVELS, level) => (true, rest.trim_start()),
        _ => (false, line),
    }
}

fn is_block_key(key: &str) -> bool {
    const KEYS: &str = "frame fps bitrate total_size out_time_us out_time_ms out_time dup_frames drop_frames \
         speed progress";
    is_in(KEYS, key) || (key.starts_with("stream_") && key.ends_with("_q"))
}

/// Statistics that encoders print at the end, which are full of percentages:
/// `[libx264 @ 0x5602589841c0] mb I  I16..4: 74.0%` and the like.
fn is_noise(line: &str) -> bool {
    let in_context = line.starts_with('[') && line.contains(" @ 0x");
    in_context || line.starts_with("x265 [") || line.starts_with("Svt[")
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

    fn told(percent: f64) -> LineReading {
        LineReading::Mine(Some(Update::percent(percent)))
    }

    const STATUS: &str =
        "frame=  80 fps=0.0 q=28.0 size=  1kB time=00:00:03.20 bitrate=  1.4kbits/s";

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
        assert_eq!(ffmpeg.read(Source::Stderr, STATUS), LineReading::Mine(None));
    }

    #[test]
    fn each_way_of_saying_the_time_will_do() {
        for line in [
            "out_time_us=5000000",
            "out_time_ms=5000000",
            "out_time=00:00:05.000000",
        ] {
            let mut ffmpeg = after("00:00:10.00");
            assert_eq!(ffmpeg.read(Source::Stdout, line), LineReading::Mine(None));
            ffmpeg.read(Source::Stdout, "out_time_us=N/A");
            assert_eq!(
                ffmpeg.read(Source::Stdout, "progress=end"),
                told(50.0),
                "{line}"
            );
        }
    }

    fn block(ffmpeg: &mut Ffmpeg, out_time_us: &str, progress: &str) -> LineReading {
        ffmpeg.read(Source::Stdout, &format!("out_time_us={out_time_us}"));
        ffmpeg.read(Source::Stdout, &format!("progress={progress}"))
    }

    fn seconds(seconds: f64) -> LineReading {
        let mut update = Update::default();
        update.extra.insert("timeSeconds".into(), seconds.into());
        LineReading::Mine(Some(update))
    }

    #[test]
    fn a_little_more_than_the_duration_is_the_end_and_less_than_nothing_is_0() {
        let mut ffmpeg = after("00:00:10.00");
        let least = "-9223372036854775808";
        assert_eq!(block(&mut ffmpeg, least, "continue"), told(0.0));
        assert_eq!(block(&mut ffmpeg, "10050000", "continue"), told(99.9));
        assert_eq!(block(&mut ffmpeg, "10050000", "end"), told(100.0));
    }

    #[test]
    fn a_duration_that_was_gone_beyond_is_no_measure_any_more() {
        let mut ffmpeg = after("00:00:03.00");
        assert_eq!(block(&mut ffmpeg, "1500000", "continue"), told(50.0));
        assert_eq!(block(&mut ffmpeg, "9000000", "continue"), seconds(9.0));
        assert_eq!(block(&mut ffmpeg, "1500000", "continue"), seconds(1.5));
    }

    #[test]
    fn the_arguments_of_an_ffmpeg_go_before_the_length_of_its_input() {
        let words = ["-stream_loop", "-1", "-i", "a", "-t", "40", "o.mp4"].map(str::to_owned);
        let mut ffmpeg = Ffmpeg::of_plans(vec![FfmpegPlan::of_arguments(&words)]);
        ffmpeg.read(Source::Stderr, "Input #0, mov, from 'a':");
        ffmpeg.read(Source::Stderr, "Duration: 00:00:03.00, start: 0.0");
        assert_eq!(block(&mut ffmpeg, "20000000", "continue"), told(50.0));
        let words = ["-i", "a", "-frames:v", "160", "o.mp4"].map(str::to_owned);
        let mut ffmpeg = Ffmpeg::of_plans(vec![FfmpegPlan::of_arguments(&words)]);
        ffmpeg.read(Source::Stderr, "Input #0, mov, from 'a':");
        assert_eq!(ffmpeg.read(Source::Stderr, STATUS), told(50.0));
    }

    #[test]
    fn a_level_before_each_line_changes_nothing() {
        let mut ffmpeg = Ffmpeg::new();
        ffmpeg.read(Source::Stderr, "[info] Input #0, mov, from 'in.mp4':");
        ffmpeg.read(Source::Stderr, "[info]   Duration: 00:00:10.00, start: 0.0");
        let status = format!("[info] {STATUS}");
        assert_eq!(ffmpeg.read(Source::Stderr, &status), told(32.0));
        let noise = "[libx264 @ 0x5602589841c0] [info] mb I  I16..4: 74.0%";
        assert_eq!(ffmpeg.read(Source::Stderr, noise), LineReading::Mine(None));
    }

    #[test]
    fn the_speed_is_told_and_how_long_the_rest_will_take() {
        let mut ffmpeg = after("00:00:10.00");
        let status = format!("{STATUS} speed=2.5x");
        let LineReading::Mine(Some(update)) = ffmpeg.read(Source::Stderr, &status) else {
            panic!("the status line was not read");
        };
        let expected = r#"{"percent":32,"etaMs":2720,"speed":2.5}"#;
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        let told: serde_json::Value = serde_json::from_str(&update.to_json()).unwrap();
        assert_eq!(told, expected);
        for nothing in ["speed=   0x", "speed=N/A", "speed=0x"] {
            ffmpeg.read(Source::Stdout, nothing);
            let told = block(&mut ffmpeg, "5000000", "continue");
            assert_eq!(
                told,
                LineReading::Mine(Some(Update::percent(50.0))),
                "{nothing}"
            );
        }
    }

    #[test]
    fn without_a_duration_the_time_written_is_told() {
        let mut ffmpeg = after("N/A");
        let LineReading::Mine(Some(update)) = ffmpeg.read(Source::Stderr, STATUS) else {
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
            LineReading::Mine(None)
        );
        ffmpeg.read(Source::Stdout, "out_time_us=5000000");
        assert_eq!(ffmpeg.read(Source::Stdout, "progress=continue"), told(50.0));
    }

    #[test]
    fn two_that_are_known_beforehand_are_two_halves() {
        let plan = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            FfmpegPlan::of_arguments(&words)
        };
        let plans = vec![plan("-i a -f null -"), plan("-i a -t 5 o.mp4")];
        let mut ffmpeg = Ffmpeg::of_plans(plans);
        let mut told = Vec::new();
        for times in ["4", "8", "2", "4"] {
            if times != "8" && told.len() != 3 {
                ffmpeg.read(Source::Stderr, "ffmpeg version 7.1");
                ffmpeg.read(Source::Stderr, "Input #0, mov, from 'a':");
                ffmpeg.read(Source::Stderr, "Duration: 00:00:10.00, start: 0.0");
            }
            let us = format!("{times}000000");
            if let LineReading::Mine(Some(update)) = block(&mut ffmpeg, &us, "continue") {
                told.extend(update.percent);
            }
        }
        assert_eq!(told, [20.0, 40.0, 70.0, 90.0]);
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
                LineReading::Mine(None),
                "{line}"
            );
        }
        // It has summed up, so what comes now may be another tool's.
        assert_eq!(
            ffmpeg.read(Source::Stderr, "copied 50%"),
            LineReading::NotMine
        );
    }

    #[test]
    fn other_settings_files_are_not_taken_for_blocks() {
        let mut ffmpeg = Ffmpeg::new();
        assert_eq!(
            ffmpeg.read(Source::Stdout, "progress=50%"),
            LineReading::NotMine
        );
        assert_eq!(
            ffmpeg.read(Source::Stdout, "name=50%"),
            LineReading::NotMine
        );
    }
}
