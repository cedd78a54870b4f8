//! `landfall.toml`: a plan that can be run, or a line and what would be right.

use std::collections::HashSet;

use landfall::internals::pipeline::config::{StageKind, StagePlan};

/// The input is the file.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for wrong in landfall::internals::wrong_flags("x", text) {
        is_at_a_line(wrong.strip_prefix("x:").expect("no file"), text);
    }
    match StagePlan::parse(text, &[]) {
        Ok(plan) => {
            assert!((1..=32).contains(&plan.stages.len()));
            let names: HashSet<&str> = plan.stages.iter().map(|stage| &*stage.name).collect();
            assert_eq!(names.len(), plan.stages.len(), "two stages have one name");
            let last = plan.stages.len() - 1;
            for (index, stage) in plan.stages.iter().enumerate() {
                let fits =
                    |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
                assert!((1..=64).contains(&stage.name.len()) && stage.name.bytes().all(fits));
                assert!((1..=64).contains(&stage.concurrency));
                assert!(stage.retries <= 100 && stage.nice <= 19);
                assert!(
                    stage
                        .output_dir
                        .as_ref()
                        .is_none_or(|path| path.is_absolute())
                );
                assert!(!matches!(stage.kind, StageKind::Store(_)) || index == last);
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for (line, message) in errors {
                is_at_a_line(&format!("{line}: {message}"), text);
            }
        }
    }
}

/// A number of a line that is there, and what is wrong with it.
fn is_at_a_line(message: &str, text: &str) {
    let (line, rest) = message.split_once(": ").expect("no message");
    let line: usize = line.parse().expect("no line");
    assert!((1..=text.split('\n').count()).contains(&line), "{message}");
    assert!(!rest.is_empty());
}
