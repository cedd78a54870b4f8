//! What is wrong with webhooks is found before anything starts.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::toml_file;

/// What `landfall check` and `landfall serve` say of a configuration, and that neither goes on.
fn said(toml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = toml_file(folder.path(), toml);
    let data = folder.path().join("data");
    let run = |command: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args([command, "--config", config.to_str().unwrap()])
            .args(["--data", data.to_str().unwrap()])
            .args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"])
            .args(["--ops", "127.0.0.1:0"])
            .output()
            .unwrap();
        assert!(!output.status.success(), "{command}");
        String::from_utf8(output.stderr).unwrap()
    };
    let (check, serve) = (run("check"), run("serve"));
    let what = check
        .trim_end()
        .strip_prefix("landfall check: ")
        .expect(&check);
    assert!(serve.contains(what), "{check}\n{serve}");
    what.to_owned()
}

#[test]
fn both_check_and_serve_name_the_line_and_the_nearest_key() {
    let what =
        said("listen = \"127.0.0.1:0\"\n\n[[webhook]]\nurl = \"http://a/\"\nevent = [\"done\"]\n");
    assert!(
        what.ends_with("landfall.toml:5: there is no event here: the nearest is events"),
        "{what}"
    );
    let what = said("[[webhok]]\nurl = \"http://a/\"\n");
    assert!(what.contains("the nearest is webhook"), "{what}");
}

#[test]
#[cfg(not(feature = "https"))]
fn without_the_feature_an_https_url_is_refused_by_its_name() {
    let what = said("[[webhook]]\nurl = \"https://ntfy.sh/topic\"\n");
    assert!(
        what.contains("landfall.toml:2: ") && what.contains("--features https"),
        "{what}"
    );
}

#[test]
fn what_the_guide_shows_is_right() {
    let guide = include_str!("../../src/docs/webhooks.md");
    let blocks = guide.split("```toml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let shown: Vec<&str> = blocks.filter(|it| it.contains("[[webhook]]")).collect();
    assert_eq!(
        shown.len(),
        2,
        "one that explains it, and one with services"
    );
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    for toml in shown {
        // In every build, and where no such key is.
        let toml = toml.replace("https://", "http://");
        let toml = toml.replace("/etc/landfall/webhook.key", key.to_str().unwrap());
        let output = check(&toml_file(folder.path(), &toml));
        assert!(output.status.success(), "{toml}: {output:?}");
    }
}

#[test]
fn webhooks_and_stages_and_flags_stand_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "max-streams = 10\n[[stage]]\nname = \"storing\"\n\
                [[webhook]]\nurl = \"http://127.0.0.1:9000/\"\n";
    let config = toml_file(folder.path(), toml);
    let output = check(&config);
    assert!(output.status.success(), "{output:?}");
    assert!(!folder.path().join("data").exists(), "it makes nothing");
}

/// What `landfall check` says of a file.
fn check(config: &Path) -> Output {
    let data = config.with_file_name("data");
    Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["check", "--config", config.to_str().unwrap()])
        .args([
            "--listen=127.0.0.1:0",
            "--publish=127.0.0.1:0",
            "--ops=127.0.0.1:0",
        ])
        .args(["--data", data.to_str().unwrap()])
        .output()
        .unwrap()
}
