//! The commands in the script of a `sh -c`, as far as they are written out: nothing is expanded.

use super::known::arguments;
use super::words::is_in;

/// The shells whose scripts are read.
const SHELLS: &str = "sh bash dash zsh ksh ash";
/// The longest script that is read, in bytes: one by hand is shorter.
const SCRIPT_MAX_BYTES: usize = 64 * 1024;

/// The commands that these words run: those of the script, where they run a shell with one, or
/// the words themselves.
pub fn commands(words: &[String]) -> Vec<Vec<String>> {
    let shell = SHELLS.split(' ').find_map(|name| {
        let arguments = arguments(words, name)?;
        let at = arguments.iter().position(|word| takes_script(word))?;
        arguments.get(at + 1)
    });
    match shell {
        Some(script) if script.len() <= SCRIPT_MAX_BYTES => split(script),
        _ => vec![words.to_vec()],
    }
}

/// `-c`, also among other letters: `-ec`.
fn takes_script(word: &str) -> bool {
    let letters = word.strip_prefix('-').unwrap_or_default();
    letters.ends_with('c') && letters.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The commands of a script, as words without their quotes.
fn split(script: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                    let is_escape = c == '"' && inner == '\\';
                    let escaped = chars.next_if(|next| is_escape && "\"\\$`".contains(*next));
                    word.push(escaped.unwrap_or(inner));
                }
            }
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            '#' if word.is_none() => while chars.next_if(|next| *next != '\n').is_some() {},
            ' ' | '\t' => end_word(&mut commands, &mut word),
            // What is behind it, as in `2>&1`, is taken for a command of its own, and is none.
            '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>' | '{' | '}' if is_apart(c, &word) => {
                end_word(&mut commands, &mut word);
                commands.push(Vec::new());
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut commands, &mut word);
    commands.retain(|command| !command.is_empty());
    commands
}

/// A brace within a word, as in `${name}`, is of the word.
fn is_apart(c: char, word: &Option<String>) -> bool {
    word.is_none() || !matches!(c, '{' | '}' | '(')
}

/// A word ends. One of the shell's own, or a setting of a variable, before a command is left out.
fn end_word(commands: &mut [Vec<String>], word: &mut Option<String>) {
    const OWN: &str = "if then else do while until ! exec command";
    let (Some(word), Some(command)) = (word.take(), commands.last_mut()) else {
        return;
    };
    let is_setting = word
        .split_once('=')
        .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    if !command.is_empty() || !(is_in(OWN, &word) || is_setting) {
        command.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_script_is_read_as_the_commands_that_it_runs() {
        for (script, expected) in [
            ("ffmpeg -i a b", &[&["ffmpeg", "-i", "a", "b"][..]][..]),
            (
                "cd /x && ffmpeg -i 'a b' \"c \\\"d\\$\" 2>&1 | tee log; true",
                &[
                    &["cd", "/x"],
                    &["ffmpeg", "-i", "a b", "c \"d$", "2"],
                    &["1"],
                    &["tee", "log"],
                    &["true"],
                ],
            ),
            (
                "# a\nif X=1 exec ffmpeg \\\n  -i ${a}.mkv b\\ c\nthen (echo);fi",
                &[&["ffmpeg", "-i", "${a}.mkv", "b c"], &["echo"], &["fi"]],
            ),
            ("'", &[&[""]]),
            (" ; ", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|command| words(command)).collect();
            assert_eq!(split(script), expected, "{script}");
        }
    }

    #[test]
    fn a_shell_is_known_by_its_script_and_whatever_runs_it() {
        for call in [
            &["sh", "-c", "a b"][..],
            &["/bin/bash", "-ec", "a b"],
            &["nice", "-n", "5", "bash", "-e", "-c", "a b", "name"],
        ] {
            assert_eq!(commands(&words(call)), [words(&["a", "b"])], "{call:?}");
        }
        for call in [&["a", "-c", "b"][..], &["sh", "b.sh"], &["sh", "-c"]] {
            assert_eq!(commands(&words(call)), [words(call)], "{call:?}");
        }
    }
}
