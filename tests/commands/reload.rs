//! SIGHUP: what a server that runs reads again.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::hub::{text, wait_until};
use super::served::Served;

fn stored(served: &Served, job: &str) -> Value {
    let done = served.upload(job);
    assert_eq!(done["stored"], true, "{done}");
    done
}

const STORING: &str = "[[stage]]\nname = 'storing'\n";

#[test]
fn limits_stages_and_keys_are_read_again_and_what_needs_a_restart_is_told() {
    let served = Served::start(&format!("max-body = '1KiB'\nring-events = 100\n{STORING}"));
    assert!(!served.takes(2000));
    let done = stored(&served, "b");
    assert_eq!(done["durations"]["echoMs"], Value::Null, "{done}");

    let echo = "[[stage]]\nname = 'echo'\nrun = ['echo', '5%']\n";
    let config = format!("max-body = '1MiB'\nring-events = 200\nretry = '7s'\n{echo}{STORING}");
    let said = served.reload(&config, "restart");
    assert!(said.contains("changed: max-body\n"), "{said}");
    assert!(
        said.contains("restart, and are what they were: ring-events, retry\n"),
        "{said}"
    );
    assert!(served.takes(2000));
    let done = stored(&served, "c");
    assert!(done["durations"]["echoMs"].is_u64(), "{done}");

    let hooked = format!("{config}[[webhook]]\nurl = 'http://127.0.0.1:9/'\n");
    let said = served.reload(&hooked, "restart");
    assert!(
        said.contains(": ring-events, retry, [[webhook]]\n"),
        "{said}"
    );

    // Told again for as long as it is so, and no longer.
    let config = format!("max-body = '1MiB'\nring-events = 100\n{STORING}");
    let said = served.reload(&config, "read again");
    assert!(
        !said.contains("changed") && !said.contains("restart"),
        "{said}"
    );
    assert_eq!(stored(&served, "d")["durations"]["echoMs"], Value::Null);

    fs::write(served.path("key"), "k".repeat(40)).unwrap();
    let said = served.reload("publish-key = 'key'\n", "read again");
    assert!(said.contains("changed: publish-key, max-body"), "{said}");
    let refused = served.hub.output(["publish", "a", "progress"]);
    assert!(text(&refused.stderr).contains("status 401"), "{refused:?}");
    let key = format!("--key={}", served.path("key").display());
    let taken = served.hub.output(["publish", &key, "a", "progress"]);
    assert!(taken.status.success(), "{taken:?}");
}

#[test]
fn a_broken_file_changes_nothing_and_all_that_is_wrong_is_told() {
    let served = Served::start("max-body = '1KiB'\n");
    let broken = "max-body = '1MiB'\nretyr = '5s'\n[[stage]]\nname = 'x'\nnice = 1\n";
    let said = served.reload(broken, "nothing has changed");
    for part in [
        "own.toml:5: there is no retyr: the nearest is retry",
        "own.toml:7: \"x\" is none of scanning, transcoding and storing",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(!served.takes(2000));
    // Nor does a key that can't be read, or a folder that can't be made.
    for (bad, part) in [
        ("publish-key = 'none'\n", "key file none: No such file"),
        (
            "[[stage]]\nname = 'x'\nrun = ['true']\noutput_dir = '/dev/null/x'\n",
            "output_dir /dev/null/x: ",
        ),
        ("", "own.toml: "),
    ] {
        let config = format!("max-body = '1MiB'\n{bad}");
        if bad.is_empty() {
            fs::remove_file(served.path("own.toml")).unwrap();
            served.hub.signal(Signal::HUP);
            wait_until(part, || served.log().contains("own.toml: No such file"));
        } else {
            let said = served.reload(&config, "nothing has changed");
            assert!(said.contains(part), "{said}");
        }
        assert!(!served.takes(2000), "{bad}");
    }
    served.reload("max-body = '1MiB'\n", "changed: max-body");
    assert!(served.takes(2000));
}
