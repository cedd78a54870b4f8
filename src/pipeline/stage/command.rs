//! A stage that runs a command.

use std::path::Path;

use crate::pipeline::config::Running;
use crate::pipeline::kind;
use crate::pipeline::task::{Failure, Outcome, Ran, Task};
use crate::progress::Reader;
use crate::sys::durable;

/// Runs the command on the task's input. Where it makes `{output}`, the next stage works on
/// that.
pub fn run(options: &Running, task: &mut Task<'_>) -> Result<Outcome, Failure> {
    let output = task.folder.join(&options.output);
    let job = task.attempt.landed.job.as_str();
    let mut words = options.run.iter();
    let mut word = || {
        let word = words.next()?;
        Some(fill(
            word,
            &[
                ("{input}", &task.input.to_string_lossy()),
                ("{output}", &output.to_string_lossy()),
                ("{job}", job),
            ],
        ))
    };
    let mut command = std::process::Command::new(word().unwrap_or_default());
    command.args(std::iter::from_fn(word));
    let reader = Reader::new(options.format);
    let name = Path::new(&options.run[0]).file_name();
    let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    match task.run(command, reader, 0, options.max_output)? {
        Ran::Well(_) => {}
        Ran::Missing => {
            return Err(Failure::Lasting(format!(
                "{name} isn't installed: install it, or correct run in landfall.toml"
            )));
        }
        Ran::Badly(crash) => {
            let mut message = format!("{name}: {}", crash.how);
            let disk = crash.disk_is_full.then_some(durable::DISK_FULL);
            for part in [crash.last_line.as_str(), disk.unwrap_or_default()] {
                if !part.is_empty() {
                    message = format!("{message}: {part}");
                }
            }
            return Err(Failure::Passing(message));
        }
    }
    if !output.symlink_metadata().is_ok_and(|there| there.is_file()) {
        return Ok(Outcome::Same);
    }
    let kind = kind::of_file(&output).map_err(|error| {
        let why = durable::in_words(&error);
        Failure::Passing(format!("what {name} made can't be read: {why}"))
    })?;
    task.facts.content_type = Some(kind.to_owned());
    if let Some(extension) = Path::new(&options.output).extension() {
        task.facts.name = renamed(&task.facts.name, &extension.to_string_lossy());
    }
    Ok(Outcome::Made(output))
}

/// A name with another extension.
pub fn renamed(name: &str, extension: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => format!("{stem}.{extension}"),
        _ => format!("{name}.{extension}"),
    }
}

/// Puts values in the place of their names, in one pass: what a value says is not read again.
fn fill(word: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        if let Some((name, value)) = values.iter().find(|(name, _)| rest.starts_with(name)) {
            filled.push_str(value);
            rest = &rest[name.len()..];
        } else {
            let end = rest.chars().next().map_or(0, char::len_utf8);
            filled.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_whole_arguments_or_parts_of_one_and_are_not_read_again() {
        let values = [("{input}", "/a/{job}"), ("{job}", "j{input}")];
        for (word, filled) in [
            ("{input}", "/a/{job}"),
            ("file:{input}:{job}\u{e9}", "file:/a/{job}:j{input}\u{e9}"),
            ("{inputs} {} {{job}}", "{inputs} {} {j{input}}"),
            ("", ""),
        ] {
            assert_eq!(fill(word, &values), filled);
        }
    }

    #[test]
    fn a_name_gets_the_extension_of_what_was_made() {
        assert_eq!(renamed("clip.mov", "mp4"), "clip.mp4");
        assert_eq!(renamed("clip", "mp4"), "clip.mp4");
        assert_eq!(renamed(".mov", "mp4"), ".mov.mp4");
        assert_eq!(renamed("a.b.c", "d"), "a.b.d");
    }
}
