//! A server with a configuration file and a log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::hub::{Hub, landfall, text, wait_until};

/// A server whose file can be written anew.
pub struct Served {
    pub hub: Hub,
    folder: tempfile::TempDir,
}

impl Served {
    pub fn start(config: &str) -> Served {
        Served::start_with(config, |_, _| {})
    }

    /// One whose command is changed first; it logs into the file that the other is.
    pub fn start_with(config: &str, change: impl FnOnce(&mut Command, &fs::File)) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut serve = landfall(["serve", "--config=own.toml", "--data=data"]);
        write(folder.path(), config);
        serve.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        change(&mut serve, &log);
        serve.current_dir(folder.path()).stderr(log);
        let hub = Hub::started_by(serve);
        Served { hub, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Has the file read again, and waits for what is said of that. Returns all that is.
    pub fn reload(&self, config: &str, said: &str) -> String {
        write(self.folder.path(), config);
        let before = self.log().len();
        self.hub.signal(Signal::HUP);
        wait_until(said, || {
            let log = self.log();
            log[before..].contains(said) && log.ends_with('\n')
        });
        self.log()[before..].to_owned()
    }

    /// Whether an event with so many bytes of data is taken.
    pub fn takes(&self, bytes: usize) -> bool {
        let data = format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
        let output = self.hub.output(["publish", "a", "progress", &data]);
        output.status.success()
    }

    /// What an upload comes to.
    pub fn upload(&self, job: &str) -> Value {
        let file = self.path("file");
        fs::write(&file, "text").unwrap();
        let mut command = self.hub.command(["upload", "--job", job]);
        command.arg(file).env("XDG_STATE_HOME", self.path("state"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        self.hub.events(job).pop().unwrap().1
    }
}

const PORTS: &str = "listen = '127.0.0.1:0'\npublish = '127.0.0.1:0'\nops = '127.0.0.1:0'\n";

fn write(folder: &Path, config: &str) {
    fs::write(folder.join("own.toml"), format!("{PORTS}{config}")).unwrap();
}
