//! What the program tells of itself.

use std::collections::HashMap;
use std::io::Read;
use std::process::Stdio;

use super::hub::{landfall, text};
use super::process::Start;

const COMMANDS: [&str; 10] = [
    "serve", "run", "watch", "publish", "list", "delete", "retry", "upload", "token", "check",
];

fn help(command: &str, columns: &str) -> String {
    let mut help = landfall([command, "--help"]);
    let output = help.env("COLUMNS", columns).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{command}");
    assert!(output.stderr.is_empty(), "{command}");
    text(&output.stdout).to_owned()
}

/// The flags of a help text, with their defaults.
fn flags(help: &str) -> HashMap<String, String> {
    let lines = help.lines().filter_map(|line| line.strip_prefix("  --"));
    let flag = |line: &str| {
        let (head, default) = line.split_once(" [").unwrap_or((line, ""));
        let name = head.split(' ').next().unwrap();
        (name.to_owned(), default.trim_end_matches(']').to_owned())
    };
    lines.map(flag).collect()
}

#[test]
fn every_command_tells_its_usage_and_its_flags_under_headings() {
    for command in COMMANDS {
        let help = help(command, "80");
        assert!(help.starts_with(&format!("landfall {command}: ")), "{help}");
        let usage = match command {
            "run" => "Usage: landfall run [FLAGS] [--] CMD [ARG]...".to_owned(),
            _ => format!("Usage: landfall {command} [FLAGS]"),
        };
        assert!(help.contains(&usage), "{help}");
        let mut lines = help.lines().skip_while(|line| !line.starts_with("  --"));
        assert!(lines.next().is_some(), "{help}");
        let heading = |line: &str| line.ends_with(':') && line.starts_with(char::is_uppercase);
        assert!(help.lines().any(heading), "{help}");
        assert!(help.contains("--help"), "{help}");
    }
    let serve = help("serve", "80");
    let headings = serve
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '));
    assert!(headings.count() >= 8, "{serve}");
}

#[test]
fn no_line_is_wider_than_the_terminal_and_without_one_than_80() {
    for command in COMMANDS {
        for (columns, width) in [("60", 60), ("80", 80), ("100", 100), ("", 80), ("x", 80)] {
            let help = help(command, columns);
            let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{command} at {columns:?}: {longest}");
            assert!(longest > width - 15, "{command} at {columns:?}: {longest}");
        }
    }
}

#[test]
fn help_is_to_be_had_in_every_way_that_one_tries() {
    let output = |arguments: &[&str]| {
        let output = landfall([""; 0]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        text(&output.stdout).to_owned()
    };
    for command in COMMANDS {
        assert_eq!(output(&["help", command]), output(&[command, "-h"]));
    }
    let overview = output(&["help"]);
    for command in COMMANDS {
        assert!(overview.contains(command), "{overview}");
    }
    for arguments in [&["--help"][..], &["-h"], &["help", "help"]] {
        assert_eq!(output(arguments), overview);
    }
    let version = output(&["version"]);
    assert_eq!(version, format!("landfall {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [&["--version"][..], &["-V"], &["run", "--version"]] {
        assert_eq!(output(arguments), version);
    }
}

#[test]
fn a_reader_who_has_had_enough_is_no_error() {
    for arguments in [
        &["serve", "--help"][..],
        &["token", "--help"],
        &["help"],
        &["version"],
    ] {
        let mut command = landfall([""; 0]);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.start();
        drop(child.stdout.take());
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(
            (child.wait().unwrap().code(), &*said),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

const GUIDES: [&str; 5] = [
    include_str!("../../src/docs/operating.md"),
    include_str!("../../src/docs/fleet.md"),
    include_str!("../../src/docs/security.md"),
    include_str!("../../src/docs/http.md"),
    include_str!("../../src/docs/uploads.md"),
];

#[test]
fn the_guides_name_every_flag_of_the_server_and_its_default() {
    let guides = GUIDES.concat();
    let mut serve = flags(&help("serve", "100"));
    serve.retain(|flag, _| !["help", "version"].contains(&&**flag));
    let bare = |text: &str| {
        let text = text.replace([' ', ','], "");
        text.replace("days", "d").replace("min", "m")
    };
    for (flag, default) in &serve {
        let named = [
            format!("--{flag}`"),
            format!("--{flag} "),
            format!("--{flag},"),
        ];
        assert!(named.iter().any(|it| guides.contains(it)), "--{flag}");
        let row = format!("| `--{flag}` |");
        if let Some((_, rest)) = guides.split_once(&row) {
            let told = bare(rest.split('|').next().unwrap());
            let is_told = default.contains(' ') || told.starts_with(&bare(default));
            assert!(is_told, "--{flag}: {told}, {default}");
        }
    }
    let rows = guides.split("| `--").skip(1);
    for name in rows.map(|rest| rest.split(['`', ' ']).next().unwrap()) {
        assert!(serve.contains_key(name), "--{name} is no flag");
    }
}
