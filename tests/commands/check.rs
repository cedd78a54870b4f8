//! The configuration, read and not acted upon.

use std::fs;

use super::hub::{landfall, text};

#[test]
fn a_configuration_that_is_right_is_said_to_be_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("own.toml");
    fs::write(&config, "[[stage]]\nname = 'storing'\n").unwrap();
    let mut check = landfall(["check", "--config", "own.toml", "--data", "data"]);
    let output = check.current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("all is well\n", "")
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // As serve does, it finds the file that is called so.
    fs::rename(config, folder.path().join("landfall.toml")).unwrap();
    fs::write(
        folder.path().join("landfall.toml"),
        "[[stage]]\nname = 'thumb'\n",
    )
    .unwrap();
    let output = landfall(["check"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).starts_with("landfall check: landfall.toml:2: "),
        "{output:?}"
    );
}

#[test]
fn what_is_wrong_is_said_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "a = \n").unwrap();
    let mut check = landfall(["check", "--config=a.toml", "--publish=0.0.0.0:0"]);
    check.args(["--token-key=none", "--data=a.toml"]);
    let output = check.current_dir(folder.path()).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    let parts = ["key file none: ", "data directory a.toml: ", "a.toml:1: "];
    assert_eq!(lines.len(), parts.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(
            line.starts_with(&format!("landfall check: {part}")),
            "{line}"
        );
    }
    for (arguments, variable, part) in [
        (&["--config=none"][..], "", "none: No such file"),
        (&["--ring-events=0"], "", "--ring-events 0: "),
        (&[], "LANDFALL_RING_EVENTS", "LANDFALL_RING_EVENTS=x: "),
        (
            &[],
            "LANDFALL_RING_EVENT",
            "the nearest is LANDFALL_RING_EVENTS",
        ),
        (&["--ring-event=1"], "", "the nearest is --ring-events"),
    ] {
        let mut check = landfall(["check"]);
        check.args(arguments).current_dir(folder.path());
        if !variable.is_empty() {
            check.env(variable, "x");
        }
        let output = check.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?} {variable}");
        assert!(text(&output.stderr).contains(part), "{output:?}");
    }
}
