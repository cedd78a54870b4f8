//! What ffmpeg and ffprobe say when they fail, in words for whoever sent the file.

use crate::pipeline::task::{Crash, StageFailure};
use crate::sys::durable;

/// What they call a failure that is the file's.
const OF_THE_FILE: [&str; 7] = [
    "Invalid data found when processing input",
    "Invalid argument",
    "End of file",
    // That is what they call an end that comes too early, in some formats.
    "Input/output error",
    "Not yet implemented in FFmpeg, patches welcome",
    "Decoder not found",
    "Numerical result out of range",
];
/// And one that is the host's, and may pass.
const OF_THE_HOST: [&str; 4] = [
    "Cannot allocate memory",
    "No space left on device",
    "Resource temporarily unavailable",
    "Too many open files",
];

/// Who says what is to be made of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Landfall, for what every file of its type can be made into.
    Here,
    /// The configuration.
    There,
}

/// A failure of either on a file of this type.
pub fn failure(asked: Asker, kind: &str, crash: &Crash) -> StageFailure {
    if crash.disk_is_full {
        return StageFailure::Passing(durable::DISK_FULL.to_owned());
    }
    // Each line ends with what it comes to.
    let said = crash.last_line.rsplit(": ").next().unwrap_or_default();
    let said = said.trim();
    if let Some(why) = OF_THE_HOST.iter().find(|why| **why == said) {
        return StageFailure::Passing(format!("the server can't read it now: {why}"));
    }
    if crash.is_killed {
        return StageFailure::Passing(format!("what reads it was ended: {}", crash.how));
    }
    let family = kind.split('/').next().unwrap_or_default();
    let unfit = format!("this can't be read as {family}");
    match (OF_THE_FILE.iter().find(|why| **why == said), asked) {
        (Some(why), _) => StageFailure::Unfit(format!("{unfit}: {why}")),
        (None, Asker::Here) => StageFailure::Unfit(unfit),
        // It may be what is asked for that is wrong.
        (None, Asker::There) => StageFailure::Lasting(format!(
            "what is asked for can't be made of this {family}: the server's log says why"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_bad_stays_bad_and_a_host_may_get_better() {
        let fails = |asked, last_line: &str, is_killed| {
            let crash = Crash {
                how: "killed by SIGKILL".to_owned(),
                is_killed,
                last_line: last_line.to_owned(),
                disk_is_full: false,
            };
            format!("{:?}", failure(asked, "video/mp4", &crash))
        };
        let invalid = "Invalid data found when processing input";
        let unfit = format!("Unfit(\"this can't be read as video: {invalid}\")");
        for line in [
            format!("/srv/data/uploads/1/data: {invalid}"),
            format!("[in#0 @ 0x55d0] Error opening input: {invalid}"),
        ] {
            assert_eq!(fails(Asker::Here, &line, false), unfit);
            assert_eq!(fails(Asker::There, &line, false), unfit);
        }
        let noise = "[mov,mp4,m4a @ 0x55d0] moov atom not found";
        assert_eq!(
            fails(Asker::Here, noise, false),
            "Unfit(\"this can't be read as video\")"
        );
        assert!(fails(Asker::There, "Unknown encoder 'x'", false).starts_with("Lasting"));
        assert!(fails(Asker::There, "x: Cannot allocate memory", false).starts_with("Passing"));
        assert!(fails(Asker::Here, "", true).starts_with("Passing"));
    }
}
