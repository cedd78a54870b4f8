//! A stage that runs a command.

use std::path::Path;

use crate::pipeline::config::Running;
use crate::pipeline::kind;
use crate::pipeline::task::{Outcome, Ran, StageFailure, Task};
use crate::progress::Reader;
use crate::sys::durable;

/// The most characters of a name, of up to four bytes each, that stand in a command line.
const STEM_CHARACTERS: usize = 50;
/// The most of its extension, with the point.
const EXTENSION_CHARACTERS: usize = 12;

/// Runs the command on the task's input. Where it makes `{output}`, the next stage works on
/// that.
pub fn run(options: &Running, task: &mut Task<'_>) -> Result<Outcome, StageFailure> {
    let output = task.folder.join(&options.output);
    let job = task.passage.attempt.landed.job.as_str();
    let name = plain(&task.facts.name);
    let stem = stem(&name).to_owned();
    let mut words = options.run.iter();
    let mut word = || {
        let word = words.next()?;
        Some(fill(
            word,
            &[
                ("{input}", &task.input.to_string_lossy()),
                ("{output}", &output.to_string_lossy()),
                ("{job}", job),
                ("{name}", &name),
                ("{stem}", &stem),
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
            return Err(StageFailure::Lasting(format!(
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
            return Err(StageFailure::Passing(message));
        }
    }
    if !output.symlink_metadata().is_ok_and(|there| there.is_file()) {
        return Ok(Outcome::Same);
    }
    let kind = kind::of_file(&output).map_err(|error| {
        let why = durable::in_words(&error);
        StageFailure::Passing(format!("what {name} made can't be read: {why}"))
    })?;
    task.facts.content_type = Some(kind.to_owned());
    if let Some(extension) = Path::new(&options.output).extension() {
        task.facts.name = renamed(&task.facts.name, &extension.to_string_lossy());
    }
    Ok(Outcome::Made(output))
}

/// A name with another extension.
pub fn renamed(name: &str, extension: &str) -> String {
    format!("{}.{extension}", stem(name))
}

/// A name without its extension.
fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// A client's name for a file as it may stand in a command line: one part of a path, no option,
/// and nothing that a shell or another language would read as more than a word. What else there
/// is in it becomes underscores.
fn plain(name: &str) -> String {
    let plain = |character: char| match character {
        '.' | '-' | '_' => character,
        _ if character.is_alphanumeric() => character,
        _ => '_',
    };
    let (stem, extension) = name.split_at(stem(name).len());
    // A file's name has 255 bytes at most.
    let cut = |text: &str, most: usize| text.chars().map(plain).take(most).collect::<String>();
    let mut plain = cut(stem, STEM_CHARACTERS) + &cut(extension, EXTENSION_CHARACTERS);
    if plain.is_empty() || plain.starts_with(['-', '.']) {
        plain.insert(0, '_');
    }
    plain
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

    #[test]
    fn a_name_in_a_command_line_is_one_word_and_no_option() {
        for (name, word) in [
            ("clip.mp4", "clip.mp4"),
            ("Ferien \u{fc}ber (1).mp4", "Ferien_\u{fc}ber__1_.mp4"),
            ("-rf.mp4", "_-rf.mp4"),
            ("..", "_.."),
            (".htaccess", "_.htaccess"),
            ("", "_"),
            (
                "a;rm -r $HOME`id`'\"\n{job}.mp4",
                "a_rm_-r__HOME_id_____job_.mp4",
            ),
            ("x.$(id)", "x.__id_"),
        ] {
            assert_eq!(plain(name), word, "{name}");
        }
        let long = plain(&format!("{}.{}", "\u{20000}".repeat(300), "y".repeat(300)));
        assert!(
            long.len() <= 255 && long.ends_with(".yyyyyyyyyyy"),
            "{long}"
        );
    }
}
