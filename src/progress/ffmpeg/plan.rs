//! What an ffmpeg is asked for: how long its output will be is told by its arguments and by
//! how long its inputs are.

use super::super::words::is_in;
use super::filters::{LengthChange, change, source};
use super::material::Material;
use super::time::argument;

/// Options without a value.
const FLAGS: &str = "y n an vn sn dn re shortest copyts start_at_zero stats nostats nostdin stdin hide_banner \
     benchmark benchmark_all accurate_seek noaccurate_seek autorotate noautorotate autoscale \
     noautoscale copy_unknown ignore_unknown xerror dump hex debug_ts report bitexact intra \
     deinterlace psnr vstats qphist fix_sub_duration";
/// How many inputs and outputs are looked at; no call by hand has more.
const FILES_MAX: usize = 64;

/// What it is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::progress) struct FfmpegPlan {
    inputs: Vec<InputFile>,
    outputs: Vec<OutputFile>,
    /// What the graph of filters does that is for all outputs.
    graph: Option<LengthChange>,
    /// It is to say so little that it won't describe its inputs.
    is_quiet: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct InputFile {
    name: String,
    cut: TimeCut,
    times: Times,
    /// When it begins in the output, in microseconds.
    offset: u64,
    /// It is made by filters, which say so of it.
    made: Option<u64>,
    /// It has to be asked how long it is: where it is a list, or ffmpeg is to say less.
    material: Option<Material>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct OutputFile {
    cut: TimeCut,
    frames: Option<u64>,
    is_shortest: bool,
    /// The inputs that it names; where it names none it may be of all.
    of: Vec<usize>,
    picture: MediaStream,
    sound: MediaStream,
}

/// What is made of the pictures, or of the sound.
#[derive(Clone, Debug, PartialEq)]
struct MediaStream {
    is_left_out: bool,
    change: LengthChange,
}

/// Which part of a file is taken, in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
struct TimeCut {
    from: Option<u64>,
    from_end: Option<u64>,
    length: Option<u64>,
    to: Option<u64>,
    /// A part of it is said in a way that isn't understood, as by a variable.
    is_unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Times {
    Count(u64),
    Forever,
}

/// How long something is, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Length {
    Known(u64),
    Unknown,
    Endless,
}

/// How much of its work an ffmpeg will have to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct WholeWork {
    /// What it will write, in microseconds.
    pub us: Option<u64>,
    /// How many frames that is.
    pub frames: Option<u64>,
}

impl Default for Times {
    fn default() -> Times {
        Times::Count(1)
    }
}

impl Default for MediaStream {
    fn default() -> MediaStream {
        MediaStream {
            is_left_out: false,
            change: LengthChange::Times(1.0),
        }
    }
}

impl FfmpegPlan {
    /// Reads the arguments that follow `ffmpeg`.
    pub fn of_arguments(arguments: &[String]) -> FfmpegPlan {
        let mut plan = FfmpegPlan::default();
        let mut options: Vec<(&str, &str)> = Vec::new();
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let name = word.strip_prefix('-').filter(|name| !name.is_empty());
            match name {
                Some("i") => {
                    let name = words.next().unwrap_or_default().to_owned();
                    if plan.inputs.len() < FILES_MAX {
                        plan.inputs.push(InputFile::of_options(name, &options));
                    }
                    options.clear();
                }
                Some(name) if is_in(FLAGS, name) => options.push((name, "")),
                Some(name) => {
                    let value = words.next().unwrap_or_default();
                    match name {
                        "filter_complex" | "lavfi" => plan.graph = Some(change(value)),
                        "v" | "loglevel" => plan.is_quiet = is_quiet(value),
                        "filter_complex_script" => plan.graph = Some(LengthChange::Unknown),
                        _ => options.push((name, value)),
                    }
                }
                None => {
                    if plan.outputs.len() < FILES_MAX {
                        plan.outputs.push(OutputFile::of_options(&options));
                    }
                    options.clear();
                }
            }
        }
        plan
    }

    /// Whether its first input has this name, or one that only a shell knows.
    pub(super) fn begins_with(&self, name: &str) -> bool {
        let first = self.inputs.first().map_or("", |input| &input.name);
        first == name || first.contains(['$', '`', '*', '?'])
    }

    /// What it reads and won't say how long it is.
    pub fn unmeasured(&self) -> impl Iterator<Item = &Material> {
        let all = self.inputs.iter().filter_map(|it| it.material.as_ref());
        all.filter(|material| material.is_list || self.is_quiet)
    }

    /// How much the output will be, where its inputs last so long.
    pub(super) fn whole(&self, durations: &[Option<u64>]) -> WholeWork {
        let inputs: Vec<Length> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(at, input)| input.length(durations.get(at).copied().flatten()))
            .collect();
        // What ffmpeg tells is the time of the longest.
        let lengths = self.outputs.iter().map(|it| it.length(&inputs, self.graph));
        let longest = lengths.reduce(Length::max);
        let frames = match &self.outputs[..] {
            [output] => output.frames,
            _ => None,
        };
        WholeWork {
            us: longest.and_then(Length::known),
            frames,
        }
    }
}

impl InputFile {
    fn of_options(name: String, options: &[(&str, &str)]) -> InputFile {
        let mut input = InputFile::default();
        let mut has_format = false;
        for (option, value) in options {
            match *option {
                "f" => {
                    let is_list = *value == "concat";
                    input.material = is_list.then(|| Material::at(&name, true));
                    input.made = source(&name).filter(|_| *value == "lavfi");
                    has_format = true;
                }
                "stream_loop" => {
                    input.times = match value.parse::<i64>() {
                        Ok(more @ 0..) => Times::Count(more as u64 + 1),
                        _ => Times::Forever,
                    };
                }
                "loop" if *value != "0" => input.times = Times::Forever,
                "itsoffset" if !value.starts_with('-') => {
                    input.offset = argument(value).unwrap_or_default();
                }
                option => input.cut.take(option, value),
            }
        }
        if Material::is_chain(&name) {
            input.material = Some(Material::at(&name, true));
        } else if !has_format {
            input.material = Some(Material::at(&name, false));
        }
        InputFile { name, ..input }
    }

    fn length(&self, duration: Option<u64>) -> Length {
        let of_material = || self.material.as_ref()?.us();
        // What ffmpeg says of files one behind the other is the length of one of them.
        let said = duration.filter(|_| !Material::is_chain(&self.name));
        let once = said.or_else(of_material).or(self.made);
        let once = once.map_or(Length::Unknown, Length::Known);
        let all = match (self.times, once) {
            (Times::Forever, _) => Length::Endless,
            (Times::Count(times), Length::Known(us)) => Length::Known(us.saturating_mul(times)),
            (Times::Count(_), length) => length,
        };
        self.cut.of(all).plus(Length::Known(self.offset))
    }
}

impl OutputFile {
    fn of_options(options: &[(&str, &str)]) -> OutputFile {
        let mut output = OutputFile::default();
        let (mut names_all, mut has_graph) = (false, false);
        for (name, value) in options {
            let kind = name.split_once(':').map(|(_, kind)| kind);
            match name.split(':').next().unwrap_or_default() {
                "vf" => output.picture.change = change(value),
                "af" => output.sound.change = change(value),
                "filter" if kind.is_some_and(|it| it.starts_with('v')) => {
                    output.picture.change = change(value);
                }
                "filter" if kind.is_some_and(|it| it.starts_with('a')) => {
                    output.sound.change = change(value);
                }
                "filter" | "filter_script" => output.picture.change = LengthChange::Unknown,
                "vn" => output.picture.is_left_out = true,
                "an" => output.sound.is_left_out = true,
                "shortest" => output.is_shortest = true,
                "vframes" => output.frames = value.parse().ok(),
                "frames" if kind.is_none_or(|it| it.starts_with('v')) => {
                    output.frames = value.parse().ok();
                }
                "map" => match value.split(':').next().unwrap_or_default().parse() {
                    Ok(input) => output.of.push(input),
                    Err(_) if value.starts_with('-') => {}
                    Err(_) => (names_all, has_graph) = (true, true),
                },
                name => output.cut.take(name, value),
            }
        }
        if names_all || has_graph {
            output.of.clear();
        }
        output
    }

    fn length(&self, inputs: &[Length], graph: Option<LengthChange>) -> Length {
        let used = inputs.iter().enumerate();
        let used = used.filter(|(at, _)| self.of.is_empty() || self.of.contains(at));
        let used: Vec<Length> = used.map(|(_, length)| *length).collect();
        let together = match graph {
            Some(LengthChange::Unknown) => Length::Unknown,
            Some(LengthChange::Sum) => used
                .iter()
                .copied()
                .reduce(Length::plus)
                .unwrap_or(Length::Unknown),
            _ if self.is_shortest => shortest(&used),
            _ => used
                .iter()
                .copied()
                .reduce(Length::max)
                .unwrap_or(Length::Unknown),
        };
        let graph = match graph {
            Some(LengthChange::Times(factor)) => together.times(factor),
            _ => together,
        };
        let streams = [&self.picture, &self.sound].into_iter();
        let kept = streams.filter(|stream| !stream.is_left_out);
        let kept = kept.map(|stream| match stream.change {
            LengthChange::Times(factor) => graph.times(factor),
            LengthChange::Sum | LengthChange::Unknown => Length::Unknown,
        });
        let length = kept.reduce(|a, b| match (a, b) {
            // One of the two may not be there, and then the other is told of.
            (Length::Unknown, _) | (_, Length::Unknown) => Length::Unknown,
            _ if self.is_shortest => shortest(&[a, b]),
            _ => a.max(b),
        });
        self.cut.of(length.unwrap_or(graph))
    }
}

impl TimeCut {
    fn take(&mut self, name: &str, value: &str) {
        let part = match name {
            "ss" => &mut self.from,
            "sseof" => &mut self.from_end,
            "t" => &mut self.length,
            "to" => &mut self.to,
            _ => return,
        };
        *part = argument(value);
        self.is_unknown |= part.is_none();
    }

    fn of(&self, whole: Length) -> Length {
        if self.is_unknown {
            return Length::Unknown;
        }
        let from = self.from.unwrap_or(0);
        let rest = match (whole, self.from_end) {
            (Length::Known(us), Some(end)) => Length::Known(us.min(end)),
            (Length::Known(us), None) => Length::Known(us.saturating_sub(from)),
            (other, _) => other,
        };
        let to = self.to.map(|to| to.saturating_sub(from));
        let limit = match (self.length, to) {
            // ffmpeg, too, lets -t win.
            (Some(length), _) => Some(length),
            (None, to) => to,
        };
        match (rest, limit) {
            (Length::Known(us), Some(limit)) => Length::Known(us.min(limit)),
            (_, Some(limit)) => Length::Known(limit),
            (rest, None) => rest,
        }
    }
}

impl Length {
    fn known(self) -> Option<u64> {
        match self {
            Length::Known(us) if us > 0 => Some(us),
            _ => None,
        }
    }

    /// The longer of two. One that isn't known is left out: it is a picture laid over the
    /// other, or a source that ends with it.
    fn max(self, other: Length) -> Length {
        match (self, other) {
            (Length::Endless, _) | (_, Length::Endless) => Length::Endless,
            (Length::Known(a), Length::Known(b)) => Length::Known(a.max(b)),
            (known @ Length::Known(_), _) | (_, known) => known,
        }
    }

    fn plus(self, other: Length) -> Length {
        match (self, other) {
            (Length::Known(a), Length::Known(b)) => Length::Known(a.saturating_add(b)),
            (Length::Endless, _) | (_, Length::Endless) => Length::Endless,
            _ => Length::Unknown,
        }
    }

    fn times(self, factor: f64) -> Length {
        match self {
            Length::Known(us) => Length::Known((us as f64 * factor) as u64),
            other => other,
        }
    }
}

/// Whether a level of the log, as `error` or `level+16`, is below the one that describes inputs.
fn is_quiet(level: &str) -> bool {
    const QUIET: &str = "quiet panic fatal error warning";
    let level = level.rsplit('+').next().unwrap_or_default();
    is_in(QUIET, level) || level.parse().is_ok_and(|level: i32| level < 32)
}

fn shortest(lengths: &[Length]) -> Length {
    let known = lengths.iter().filter_map(|length| match length {
        Length::Known(us) => Some(*us),
        Length::Unknown | Length::Endless => None,
    });
    known.min().map_or(Length::Unknown, Length::Known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn plan(arguments: &str) -> FfmpegPlan {
        let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        FfmpegPlan::of_arguments(&words)
    }

    #[test]
    fn how_long_the_output_will_be_is_read_from_the_arguments() {
        for (arguments, inputs, expected) in [
            ("-i a o.mp4", &[60][..], Some(60)),
            ("-y -ss 20 -i a -t 20 -s 1280x960 o.mp4", &[60], Some(20)),
            ("-ss 20 -i a o.mp4", &[60], Some(40)),
            ("-ss 5 -to 12 -i a o.mp4", &[60], Some(7)),
            ("-i a -ss 5 -to 12 o.mp4", &[60], Some(7)),
            ("-t 10 -i a o.mp4", &[60], Some(10)),
            ("-i a -t 90 o.mp4", &[60], Some(60)),
            ("-sseof -10 -i a o.mp4", &[60], Some(10)),
            ("-stream_loop -1 -i a -t 40 o.mp4", &[3], Some(40)),
            ("-stream_loop 2 -i a o.mp4", &[5], Some(15)),
            ("-stream_loop -1 -i a o.mp4", &[3], None),
            (
                "-loop 1 -i a.png -i b.mp3 -shortest o.mp4",
                &[0, 30],
                Some(30),
            ),
            ("-loop 1 -i a.png -t 4 o.mp4", &[0], Some(4)),
            ("-loop 1 -framerate 25 -i a.png o.mp4", &[0], None),
            (
                "-f lavfi -i anullsrc -i b -shortest o.mp4",
                &[0, 9],
                Some(9),
            ),
            ("-i a -i b o.mp4", &[10, 20], Some(20)),
            ("-i a -i b -map 0:v -map 0:a o.mp4", &[10, 20], Some(10)),
            (
                "-i a -i b -filter_complex concat=n=2[o] -map [o] o.mp4",
                &[10, 20],
                Some(30),
            ),
            (
                "-i a -i l.png -filter_complex overlay o.mp4",
                &[10, 0],
                Some(10),
            ),
            ("-f lavfi -i testsrc=d=6:r=5 o.mp4", &[0], Some(6)),
            (
                "-f lavfi -i sine=f=9:duration=90,volume=2 o.wav",
                &[0],
                Some(90),
            ),
            ("-f lavfi -i testsrc=d=6,setpts=2*PTS o.mp4", &[0], Some(12)),
            ("-f lavfi -i color=red:d=6,trim=0:2 o.mp4", &[0], None),
            (
                "-f lavfi -i sine=d=6[out0];sine=d=9[out1] o.wav",
                &[0],
                None,
            ),
            ("-f lavfi -i testsrc o.mp4", &[0], None),
            ("-itsoffset 2 -i a o.mp4", &[6], Some(8)),
            ("-itsoffset -2 -i a o.mp4", &[6], Some(6)),
            ("-i concat:a|b o.mp4", &[6], None),
            ("-i a -vf setpts=2*PTS o.mp4", &[10], Some(20)),
            ("-i a -an -filter:v setpts=0.5*PTS o.mp4", &[10], Some(5)),
            ("-i a -vf setpts=0.5*PTS o.mp4", &[10], Some(10)),
            ("-i a -vf setpts=0.5*PTS -af atempo=2 o.mp4", &[10], Some(5)),
            ("-i a -vf trim=2:5 o.mp4", &[10], None),
            ("-i a -vf trim=2:5 -t 3 o.mp4", &[10], Some(3)),
            ("-i a -t 5 o.mp4 -t 8 p.mp4", &[10], Some(8)),
            ("-i a -f null -", &[10], Some(10)),
            ("-i a -t $T o.mp4", &[10], None),
            ("-i a", &[10], None),
            ("-i", &[], None),
            ("-t", &[], None),
        ] {
            let inputs: Vec<_> = inputs
                .iter()
                .map(|seconds| (*seconds > 0).then_some(seconds * SECOND))
                .collect();
            let us = expected.map(|seconds: u64| seconds * SECOND);
            assert_eq!(plan(arguments).whole(&inputs).us, us, "{arguments}");
        }
    }

    #[test]
    fn a_list_is_as_long_as_is_found_out_meanwhile() {
        let plan = plan("-f concat -safe 0 -i list.txt -i b -ss 5 o.mp4");
        assert_eq!(plan.whole(&[None, None]).us, None);
        let [list] = plan.unmeasured().collect::<Vec<_>>()[..] else {
            panic!("{plan:?}");
        };
        assert!(list.is_list && list.path == "list.txt");
        list.put(30 * SECOND);
        assert_eq!(plan.whole(&[None, None]).us, Some(25 * SECOND));
        assert_eq!(plan.whole(&[Some(10 * SECOND), None]).us, Some(5 * SECOND));
    }

    #[test]
    fn inputs_that_a_quiet_ffmpeg_does_not_describe_have_to_be_asked() {
        for (arguments, expected) in [
            ("-v error -i a -f lavfi -i b o.mp4", &["a"][..]),
            ("-i a -i b -loglevel level+16 o.mp4", &["a", "b"]),
            ("-v info -i a o.mp4", &[]),
            ("-v repeat+verbose -i a o.mp4", &[]),
        ] {
            let plan = plan(arguments);
            let paths: Vec<_> = plan.unmeasured().map(|it| it.path.as_str()).collect();
            assert_eq!(paths, expected, "{arguments}");
        }
    }

    #[test]
    fn frames_that_are_asked_for_are_counted() {
        for arguments in ["-i a -frames:v 50 o.mp4", "-i a -vframes 50 o.mp4"] {
            assert_eq!(
                plan(arguments).whole(&[None]).frames,
                Some(50),
                "{arguments}"
            );
        }
        let two = "-i a -frames:v 50 o.mp4 p.mp4";
        assert_eq!(plan(two).whole(&[None]).frames, None);
    }
}
