//! `watch` in tmux: what a person sees there.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::hub::{Hub, text, wait_until};

/// A tmux of its own, with one pane.
pub struct Tmux {
    folder: TempDir,
}

impl Tmux {
    /// Runs a command in a pane of this size. The pane stays when it has ended.
    pub fn run(command: &str, columns: usize, rows: usize) -> Tmux {
        let tmux = Tmux {
            folder: tempfile::tempdir().unwrap(),
        };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let command = format!("{command}; echo ended with $?; exec sleep 600");
        let size = ["-x", &columns, "-y", &rows];
        tmux.ask(&[&["new-session", "-d"][..], &size, &[&command]].concat());
        tmux
    }

    pub fn ask(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.args(["-f", "/dev/null", "-S"]).arg(self.socket());
        let output = tmux.args(arguments).env_remove("TMUX").output();
        let output = output.expect("tmux isn't there: scripts/test installs it");
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("tmux")
    }

    /// What it shows, without the empty rows beneath.
    fn lines(&self) -> Vec<String> {
        let shown = self.ask(&["capture-pane", "-p"]).stdout;
        let lines = text(&shown).trim_end().lines();
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    pub fn wait_for(&self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let mut lines = Vec::new();
        let shown = std::panic::AssertUnwindSafe(|| {
            wait_until(what, || {
                lines = self.lines();
                holds(&lines)
            });
        });
        if let Err(panic) = std::panic::catch_unwind(shown) {
            eprintln!("{:#?}", self.lines());
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.ask(&["kill-server"]);
    }
}

fn watch(hub: &Hub, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_landfall");
    format!("LANDFALL_HUB={} {program} watch {arguments}", hub.address)
}

fn publish(hub: &Hub, job: &str, event: &str, data: &str) {
    assert!(hub.output(["publish", job, event, data]).status.success());
}

#[test]
fn the_last_of_many_quick_events_is_seen_and_no_job_stays_waiting() {
    let hub = Hub::start();
    let tmux = Tmux::run(&watch(&hub, "a b c d e f"), 80, 24);
    tmux.wait_for("six bars", |lines| {
        lines.len() == 6 && lines.iter().all(|line| line.ends_with("waiting"))
    });
    let jobs = ["a", "b", "c", "d", "e", "f"];
    let events: String = (1..=60)
        .flat_map(|percent| jobs.map(|job| (job, percent)))
        .map(|(job, percent)| {
            format!(
                "{{\"job\":\"{job}\",\"event\":\"progress\",\"data\":{{\"stage\":\"s\",\"percent\":{percent}}}}}\n"
            )
        })
        .collect();
    hub.post("/api/events", "application/x-ndjson", &events);
    tmux.wait_for("the newest of each", |lines| {
        lines.len() == 6 && lines.iter().all(|line| line.contains("]  60% "))
    });
    for job in jobs {
        publish(&hub, job, "done", "{}");
    }
    tmux.wait_for("the end", |lines| {
        lines.len() == 7
            && lines[..6].iter().all(|line| line.ends_with("✓ done"))
            && lines[6] == "ended with 0"
    });
}

#[test]
fn a_narrow_and_low_pane_shows_whole_rows_and_counts_the_rest_also_when_it_grows() {
    let hub = Hub::start();
    let names: Vec<String> = (0..20)
        .map(|n| format!("a-job-with-a-long-name-{n:02}"))
        .collect();
    let tmux = Tmux::run(&watch(&hub, &names.join(" ")), 40, 8);
    tmux.wait_for("the rest", |lines| {
        lines.len() == 7 && lines[6].starts_with("and 14 more")
    });
    let long = format!(r#"{{"stage":"{}","percent":7}}"#, "encoding".repeat(20));
    publish(&hub, &names[19], "progress", &long);
    tmux.wait_for("it above the others", |lines| {
        lines.len() == 7 && lines[0].contains("  7% ") && lines[6].starts_with("and 14 more")
    });
    // The window is another's to resize, once it is told so.
    tmux.ask(&["set-option", "-g", "window-size", "manual"]);
    tmux.ask(&["resize-window", "-x", "100", "-y", "30"]);
    tmux.wait_for("all of them", |lines| {
        let rows = lines
            .iter()
            .filter(|line| line.contains("a-job-with-a-long-name-"));
        rows.count() == 20 && !lines.iter().any(|line| line.starts_with("and "))
    });
}
