//! What the shells complete, by their own completion, each in a terminal; and the manual pages.

use std::path::Path;
use std::process::Command;

use super::hub::{landfall, text};
use super::tmux::Tmux;

/// What is typed, where | is a tab, and what stands behind the prompt then.
const TYPED: [(&str, &str); 9] = [
    ("landfall ca|", "landfall cancel"),
    ("landfall serve --memory-o|", "landfall serve --memory-only"),
    ("landfall --memory-o|", "landfall --memory-only"),
    ("landfall list --state e|", "landfall list --state error"),
    ("landfall list --state=ru|", "landfall list --state=running"),
    (
        "landfall token --token-key ke|",
        "landfall token --token-key key.txt",
    ),
    ("landfall upload ke|", "landfall upload key.txt"),
    ("landfall completions f|", "landfall completions fish"),
    (
        "landfall run --stage x --begin -- only-he|",
        "landfall run --stage x --begin -- only-here",
    ),
];

fn printed(arguments: &[&str]) -> String {
    let output = landfall([""; 0]).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    text(&output.stdout).to_owned()
}

/// A folder with a file, and with a program that is found by its name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.txt"), "").unwrap();
    let program = folder.path().join("bin/only-here");
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::os::unix::fs::symlink("/bin/true", program).unwrap();
    // fish completes nothing after what isn't there.
    let landfall = env!("CARGO_BIN_EXE_landfall");
    std::os::unix::fs::symlink(landfall, folder.path().join("bin/landfall")).unwrap();
    folder
}

/// Types into a shell that has been told what to complete.
fn complete_in(folder: &Path, shell: &str) {
    let path = format!(
        "{}/bin:{}",
        folder.display(),
        std::env::var("PATH").unwrap()
    );
    let folder = folder.display();
    let tmux = Tmux::run(
        &format!(
            "cd {folder} && HOME={folder} XDG_CONFIG_HOME={folder}/config ZDOTDIR={folder} PATH={path} {shell}"
        ),
        100,
        30,
    );
    let last = |lines: &[String]| lines.last().cloned().unwrap_or_default();
    tmux.wait_for("a prompt", |lines| last(lines) == "here>");
    for (typed, expected) in TYPED {
        let keys = typed.replace('|', "\t");
        tmux.ask(&["send-keys", "-l", &keys]);
        let expected = format!("here> {expected}");
        tmux.wait_for(&expected, |lines| {
            last(lines).trim_end_matches(' ') == expected
        });
        tmux.ask(&["send-keys", "C-u"]);
        tmux.wait_for("an empty line", |lines| last(lines) == "here>");
    }
}

#[test]
fn bash_completes_commands_flags_values_files_and_programs() {
    let folder = folder();
    let file = folder.path().join("rc");
    let script = printed(&["completions", "bash"]);
    std::fs::write(&file, format!("PS1='here> '\n{script}")).unwrap();
    complete_in(folder.path(), &format!("bash --rcfile {}", file.display()));
}

#[test]
fn zsh_completes_commands_flags_values_files_and_programs() {
    let folder = folder();
    let functions = folder.path().join("functions");
    std::fs::create_dir(&functions).unwrap();
    std::fs::write(
        functions.join("_landfall"),
        printed(&["completions", "zsh"]),
    )
    .unwrap();
    let start = "PS1='here> '\nfpath=($HOME/functions $fpath)\nautoload -U compinit\ncompinit -u\n";
    std::fs::write(folder.path().join(".zshrc"), start).unwrap();
    complete_in(folder.path(), "zsh --no-globalrcs");
}

#[test]
fn fish_completes_commands_flags_values_files_and_programs() {
    let folder = folder();
    let config = folder.path().join("config/fish");
    std::fs::create_dir_all(config.join("completions")).unwrap();
    let script = printed(&["completions", "fish"]);
    std::fs::write(config.join("completions/landfall.fish"), script).unwrap();
    let start = "function fish_prompt; echo -n 'here> '; end\nset fish_greeting\nset -g fish_autosuggestion_enabled 0\n";
    std::fs::write(config.join("config.fish"), start).unwrap();
    complete_in(folder.path(), "fish");
}

#[test]
fn a_shell_that_is_not_known_is_named() {
    let output = landfall(["completions", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("tcsh: not a shell that is known"));
    let output = landfall(["completions"]).output().unwrap();
    assert!(text(&output.stderr).contains("no shell: name bash, zsh or fish"));
}

#[test]
fn every_manual_page_is_faultless_and_says_what_the_help_says() {
    let folder = tempfile::tempdir().unwrap();
    let overview = printed(&["help", "--man"]);
    let names = overview
        .lines()
        .filter_map(|line| line.strip_prefix(".BR landfall\\-"));
    let mut names: Vec<&str> = names.map(|line| line.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 10, "{names:?}");
    let mut pages = vec![(folder.path().join("landfall.1"), overview.clone())];
    for name in names {
        let page = folder.path().join(format!("landfall-{name}.1"));
        pages.push((page, printed(&["help", "--man", name])));
    }
    for (path, page) in &pages {
        std::fs::write(path, page).unwrap();
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "base"])
            .arg(path)
            .output();
        let lint = lint.expect("mandoc isn't there: scripts/test installs it");
        let faults = text(&lint.stdout).lines();
        // A page has no date before it is packed.
        let faults: Vec<&str> = faults
            .filter(|line| !line.contains("missing date"))
            .collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
    let shown = |name: &str| {
        let page = folder.path().join(format!("landfall-{name}.1"));
        let man = Command::new("man")
            .args(["--warnings", "-E", "ascii", "-l"])
            .arg(page)
            .env("MANWIDTH", "500")
            .output()
            .unwrap();
        assert_eq!(text(&man.stderr), "");
        text(&man.stdout).to_owned()
    };
    for (name, parts) in [
        (
            "run",
            &[
                "--hub-wait DUR [10s]",
                "(?<done>...)",
                "{\"percent\":43,\"stage\":\"scanning\"}",
                "A-Z a-z 0-9 . _ ~ -.",
            ][..],
        ),
        (
            "upload",
            &["or ~/.local/state,", "landfall upload [FLAGS] FILE..."],
        ),
        ("serve", &["--base-path PATH [/]", "--memory-only"]),
    ] {
        let shown = shown(name).split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(shown.contains(part), "{name}: {part}: {shown}");
        }
    }
}
