//! The environment that a stage's command gets: made for it, of nothing that the server has
//! but what any command needs.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::command::DEFAULT_PATH;

/// What a command gets of the server's besides the locale.
const PASSED: [&str; 2] = ["PATH", "HOME"];
/// What all variables begin with that Landfall gives a meaning.
const OWN: &str = "LANDFALL_";

/// Takes everything away from a command's environment but the paths, the locale, and the
/// variables that are named in `more`.
pub fn clear(command: &mut Command, more: &[String]) {
    command.env_clear().env("PATH", DEFAULT_PATH);
    command.envs(passed(std::env::vars_os(), more));
}

/// What is wrong with the name of a variable that is to be passed on.
pub fn check(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("env is a list of variables' names, as [\"TZ\", \"MODEL_DIR\"]".to_owned());
    }
    if name.starts_with(OWN) {
        return Err(format!(
            "{name} can't be passed on: what begins with {OWN} is the server's own"
        ));
    }
    Ok(())
}

fn passed(
    all: impl Iterator<Item = (OsString, OsString)>,
    more: &[String],
) -> impl Iterator<Item = (OsString, OsString)> {
    all.filter(|(name, _)| is_passed(name) || more.iter().any(|more| name == more.as_str()))
}

fn is_passed(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    PASSED.contains(&name) || name == "LANG" || name == "LANGUAGE" || name.starts_with("LC_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_the_locale_pass_and_what_is_named_and_nothing_else() {
        let all = [
            "PATH",
            "HOME",
            "LANG",
            "LC_ALL",
            "LC_TIME",
            "TZ",
            "AWS_SECRET_ACCESS_KEY",
            "NOTIFY_SOCKET",
            "LANDFALL_TOKEN_KEY",
            "LD_PRELOAD",
            "MODEL",
            "PATHS",
            "XHOME",
        ];
        let all = all.map(|name| (OsString::from(name), OsString::from("value")));
        let more = ["MODEL".to_owned(), "NOT_THERE".to_owned()];
        let names: Vec<_> = passed(all.into_iter(), &more)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            ["PATH", "HOME", "LANG", "LC_ALL", "LC_TIME", "MODEL"]
        );
    }

    #[test]
    fn a_name_that_can_not_be_passed_on_is_refused() {
        assert!(check("TZ").is_ok());
        for bad in ["", "A=b", "A\0", "LANDFALL_TOKEN_KEY"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
