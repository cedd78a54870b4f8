//! What is known of a command before it says anything: by its arguments.

use super::ffmpeg::{FfmpegPlan, Material};
use super::words::is_in;

/// Programs that run another, whose words follow theirs.
const RUNNERS: &str = "chrt doas env flock ionice nice nocache nohup prlimit setsid stdbuf sudo systemd-inhibit \
     systemd-run taskset time timeout";

/// How much there is to copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    /// In bytes.
    pub bytes: u64,
    /// What tar counts.
    pub record_bytes: u64,
}

/// What is known of a command beforehand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// What each ffmpeg is asked for, in their order.
    pub(super) ffmpegs: Vec<FfmpegPlan>,
    /// It is an rsync: whether it tells how far each file is, and there are several.
    pub rsync_tells_files: Option<bool>,
    /// It is a tar.
    pub is_tar: bool,
    /// What it has to copy, where it is a dd or a tar.
    pub amount: Option<Amount>,
}

impl Known {
    /// What commands tell by their words, each with its program's name first. One that runs
    /// another, as `nice` does, is looked through.
    pub fn of_commands(commands: &[Vec<String>]) -> Known {
        let ffmpegs = commands.iter().filter_map(|it| arguments(it, "ffmpeg"));
        Known {
            ffmpegs: ffmpegs.map(FfmpegPlan::of_arguments).collect(),
            ..Known::default()
        }
    }

    /// What its ffmpegs read and won't say how long it is.
    pub fn unmeasured(&self) -> Vec<Material> {
        let unmeasured = self.ffmpegs.iter().flat_map(FfmpegPlan::unmeasured);
        unmeasured.cloned().collect()
    }
}

/// The arguments of a program of this name, where it is what the words run.
pub fn arguments<'a>(words: &'a [String], name: &str) -> Option<&'a [String]> {
    let base = |word: &'a String| word.rsplit('/').next().unwrap_or_default();
    let first = base(words.first()?);
    let at = if is_in(RUNNERS, first) {
        words.iter().position(|word| base(word) == name)?
    } else if first == name {
        0
    } else {
        return None;
    };
    Some(&words[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(words: &'a [String], name: &str) -> Option<Vec<&'a str>> {
        let arguments = arguments(words, name)?;
        Some(arguments.iter().map(String::as_str).collect())
    }

    #[test]
    fn a_program_is_known_wherever_it_lies_and_whatever_runs_it() {
        for text in [
            "ffmpeg -i a",
            "/usr/bin/ffmpeg -i a",
            "nice -n 10 ffmpeg -i a",
            "timeout 1h ./ffmpeg -i a",
        ] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let expected = Some(vec!["-i", "a"]);
            assert_eq!(found(&words, "ffmpeg"), expected, "{text}");
        }
        for text in ["", "echo ffmpeg -i a", "ffmpeg2 -i a", "nice true"] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            assert_eq!(found(&words, "ffmpeg"), None, "{text}");
        }
    }
}
