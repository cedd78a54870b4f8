//! Calls that are wrong, and what the program says of them.

use std::process::{Command, Output, Stdio};

use super::hub::{Hub, landfall, text};

/// What a wrong call is answered: its exit code is 2, and it prints nothing.
fn complaint(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{command:?}");
    text(&output.stderr).to_owned()
}

fn wrong(arguments: &[&str]) -> String {
    complaint(landfall([""; 0]).args(arguments))
}

#[test]
fn every_command_complains_in_one_way() {
    for (arguments, what) in [
        (
            &["serve", "--retry", "5"][..],
            "--retry 5: not a duration: use a number above 0 and a unit, as 500ms, 5s or 15m",
        ),
        (
            &["run", "--hub-wait", "5", "true"],
            "--hub-wait 5: not a duration: use a number above 0 and a unit, as 500ms, 5s or 15m",
        ),
        (
            &["token", "--ttl", "5"],
            "--ttl 5: not a duration: use a number above 0 and a unit, as 500ms, 5s or 15m",
        ),
        (
            &["serve", "--max-upload", "2Q"],
            "--max-upload 2Q: not a size: use bytes above 0, or a number with a unit, as 64KiB, 2MB or 4G",
        ),
        (
            &["serve", "--shards", "65"],
            "--shards 65: too much: give 64 at most",
        ),
        (
            &["serve", "--publish", "off"],
            "--publish off: only --ops can be off: give IP:PORT or unix:PATH",
        ),
        (
            &["serve", "--insecure=maybe"],
            "--insecure maybe: neither on nor off: use true or false",
        ),
        (&["watch", "--hub"], "--hub has no value: give it one"),
        (
            &["publish", "--key=", "a", "done"],
            "--key has no value: give it one",
        ),
        (
            &["publish", "a", "done", "{}", "x"],
            "x is one word too many: leave it out",
        ),
        (
            &["publish"],
            "no job and no event: give them, as landfall publish JOB EVENT",
        ),
        (
            &["publish", "a", "done", "[]"],
            "JSON []: data must be a JSON object, for example {\"percent\":30}",
        ),
        (
            &["publish", "--key", "/no/such", "a", "done"],
            "--key /no/such: No such file or directory (os error 2)",
        ),
        (
            &["watch"],
            "no job: name one or more, as landfall watch JOB, or give --prefix or --all",
        ),
        (
            &["run"],
            "no command to run: give it behind --, as landfall run -- CMD",
        ),
        (
            &["token", "--jobs", "a"],
            "no key to sign with: name the file with it, as --token-key FILE",
        ),
    ] {
        let command = arguments[0];
        let expected = format!("landfall {command}: {what}; see landfall {command} --help\n");
        assert_eq!(wrong(arguments), expected);
    }
}

#[test]
fn what_was_mistyped_is_named_with_the_nearest_that_there_is() {
    for (arguments, what) in [
        (
            &["serv"][..],
            "landfall: there is no command serv: the nearest is serve; see landfall --help\n",
        ),
        (
            &["help", "wacth"],
            "landfall: there is no command wacth: the nearest is watch; see landfall --help\n",
        ),
        (
            &["frobnicate"],
            "landfall: there is no command frobnicate; see landfall --help\n",
        ),
        (
            &["--lisen", "x"],
            "landfall serve: there is no flag --lisen: the nearest is --listen; see landfall serve --help\n",
        ),
        (
            &["run", "--jb=a", "true"],
            "landfall run: there is no flag --jb: the nearest is --job; see landfall run --help\n",
        ),
        (
            &["watch", "--retry", "5s"],
            "landfall watch: there is no flag --retry here: landfall serve has it; see landfall watch --help\n",
        ),
        (
            &["publish", "-x"],
            "landfall publish: there is no flag -x; see landfall publish --help\n",
        ),
    ] {
        assert_eq!(wrong(arguments), what);
    }
}

#[test]
fn a_variable_that_is_nearly_a_flags_is_refused_by_every_command() {
    for (arguments, variable, nearest) in [
        (
            &["serve", "--memory-only"][..],
            "LANDFALL_RING_EVENT",
            "LANDFALL_RING_EVENTS",
        ),
        (&["watch", "a"], "LANDFALL_HBU", "LANDFALL_HUB"),
        (&["token"], "LANDFALL_TOKEN_KYE", "LANDFALL_TOKEN_KEY"),
    ] {
        let said = complaint(landfall([""; 0]).args(arguments).env(variable, "5"));
        let command = arguments[0];
        let expected = format!(
            "landfall {command}: no flag has the variable {variable}: the nearest is {nearest}; \
             see landfall {command} --help\n"
        );
        assert_eq!(said, expected);
    }
}

#[test]
fn a_variable_that_is_somebody_elses_is_only_told_of() {
    let hub = Hub::start();
    let publish = |variable: &str| {
        let mut publish = hub.command(["publish", "a", "note"]);
        let output = publish.env(variable, "5").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        text(&output.stderr).to_owned()
    };
    let said = publish("LANDFALL_IMAGE_DIGEST");
    assert!(said.contains("LANDFALL_IMAGE_DIGEST"), "{said}");
    // What the server tells the commands of stages.
    for variable in [
        "LANDFALL_WORK",
        "LANDFALL_NAME",
        "LANDFALL_ATTEMPT",
        "LANDFALL_CONTENT_TYPE",
    ] {
        assert_eq!(publish(variable), "");
    }
}

#[test]
fn an_empty_variable_is_refused_by_every_command() {
    for (arguments, variable) in [
        (&["serve", "--memory-only"][..], "LANDFALL_TOKEN_KEY"),
        (&["serve", "--memory-only"], "LANDFALL_INSECURE"),
        (&["run", "true"], "LANDFALL_JOB"),
        (&["watch", "a"], "LANDFALL_HUB"),
        (&["publish", "a", "done"], "LANDFALL_KEY"),
        (&["token"], "LANDFALL_JOBS"),
    ] {
        let said = complaint(landfall([""; 0]).args(arguments).env(variable, ""));
        let expected = format!("{variable} is empty: give it a value, or unset it; ");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn every_flag_of_a_token_has_a_twin_and_the_flag_wins() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    let token = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = landfall(["token"]);
        command.args(arguments).env("LANDFALL_TOKEN_KEY", &key);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        claims(&output)
    };
    let variables = [
        ("LANDFALL_JOBS", "a,b*"),
        ("LANDFALL_TOKEN_PUBLISH", "c"),
        ("LANDFALL_SUB", "me"),
        ("LANDFALL_TTL", "1h"),
        // The server's.
        ("LANDFALL_PUBLISH", "127.0.0.1:8081"),
    ];
    let claims = token(&["--sub", "you"], &variables);
    assert_eq!(claims["jobs"], serde_json::json!(["a", "b*"]));
    assert_eq!(claims["publish"], serde_json::json!(["c"]));
    assert_eq!(claims["sub"], "you");
    let seconds = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(seconds, 3600);
}

fn claims(output: &Output) -> serde_json::Value {
    use base64::Engine;
    let payload = text(&output.stdout).split('.').nth(1).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload);
    serde_json::from_slice(&json.unwrap()).unwrap()
}

#[test]
fn a_hub_that_is_away_is_asked_after() {
    let directory = tempfile::tempdir().unwrap();
    let hub = format!("unix:{}", directory.path().join("none").display());
    let output = landfall(["publish", "--hub", &hub, "a", "done"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("landfall publish: "), "{said}");
    let asked = format!(": is landfall serve running? (--hub {hub})\n");
    assert!(said.ends_with(&asked), "{said}");
}

#[test]
fn who_has_to_show_a_key_is_told_the_flag_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "0123456789abcdef").unwrap();
    let key = key.to_str().unwrap();
    let other = directory.path().join("other");
    std::fs::write(&other, "fedcba9876543210").unwrap();
    let other = other.to_str().unwrap();
    let hub = Hub::with(&["--publish-key", key]);
    for (arguments, part) in [
        (&["publish", "a", "note"][..], "as --key FILE"),
        (&["watch", "a"], "as --key FILE"),
        (&["publish", "--key", other, "a", "note"], other),
    ] {
        let mut command = hub.command(["--"; 0]);
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(
            said.starts_with(&format!("landfall {}: ", arguments[0])),
            "{said}"
        );
        assert!(said.contains("401") && said.contains(part), "{said}");
    }
    let output = hub.output(["publish", "--key", key, "a", "note"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn who_publishes_at_the_public_listener_is_told_which_one_it_is() {
    let hub = Hub::start();
    let output = landfall(["publish", "--hub", &hub.public, "a", "note"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("public listener"), "{said}");
    assert!(said.contains("--hub"), "{said}");
}
