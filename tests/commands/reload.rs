//! SIGHUP: what a server that runs reads again.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use super::hub::{Hub, eventually, landfall, text};

/// A server whose file can be written anew.
struct Served {
    hub: Hub,
    folder: tempfile::TempDir,
}

impl Served {
    fn start(config: &str) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut serve = landfall(["serve", "--config=own.toml", "--data=data"]);
        write(folder.path(), config);
        serve.current_dir(folder.path()).stderr(log);
        let hub = Hub::started_by(serve);
        Served { hub, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Has the file read again, and waits for what is said of that. Returns all that is.
    fn reload(&self, config: &str, said: &str) -> String {
        write(self.folder.path(), config);
        let before = self.log().len();
        self.hub.signal(Signal::HUP);
        eventually(said, || self.log()[before..].contains(said));
        self.log()[before..].to_owned()
    }

    /// Whether an event with so many bytes of data is taken.
    fn takes(&self, bytes: usize) -> bool {
        let data = format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
        let output = self.hub.output(["publish", "a", "progress", &data]);
        output.status.success()
    }

    /// What an upload comes to.
    fn upload(&self, job: &str) -> Value {
        let file = self.path("file");
        fs::write(&file, "text").unwrap();
        let mut command = self.hub.command(["upload", "--job", job]);
        command.arg(file).env("XDG_STATE_HOME", self.path("state"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let (event, data) = self.hub.events(job).pop().unwrap();
        assert_eq!(event, "done", "{data}");
        data
    }
}

const PORTS: &str = "listen = '127.0.0.1:0'\npublish = '127.0.0.1:0'\nops = '127.0.0.1:0'\n";

fn write(folder: &Path, config: &str) {
    fs::write(folder.join("own.toml"), format!("{PORTS}{config}")).unwrap();
}

const STORING: &str = "[[stage]]\nname = 'storing'\n";

#[test]
fn limits_stages_and_keys_are_read_again_and_what_needs_a_restart_is_told() {
    let served = Served::start(&format!("max-body = '1KiB'\nring-events = 100\n{STORING}"));
    assert!(!served.takes(2000));
    let done = served.upload("b");
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
    let done = served.upload("c");
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
    assert_eq!(served.upload("d")["durations"]["echoMs"], Value::Null);

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
            eventually(part, || served.log().contains("own.toml: No such file"));
        } else {
            let said = served.reload(&config, "nothing has changed");
            assert!(said.contains(part), "{said}");
        }
        assert!(!served.takes(2000), "{bad}");
    }
    served.reload("max-body = '1MiB'\n", "changed: max-body");
    assert!(served.takes(2000));
}
