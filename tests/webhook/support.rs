//! A server with webhooks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall::{Event, JobId, Server, ServerConfig};

use crate::http::{metric, wait_until};

/// A server that is stopped when the test is over.
pub struct Hooked {
    server: Option<Server>,
    folder: Option<tempfile::TempDir>,
}

impl Hooked {
    /// One that keeps its events, and has these webhooks, as they stand in the file.
    pub fn start(toml: &str) -> Hooked {
        let folder = tempfile::tempdir().unwrap();
        let mut hooked = Hooked::on(folder.path(), toml);
        hooked.folder = Some(folder);
        hooked
    }

    /// The same in a folder that may have seen another before.
    pub fn on(folder: &Path, toml: &str) -> Hooked {
        Hooked::with(folder, toml, |_| {})
    }

    /// The same, configured so besides.
    pub fn with(folder: &Path, toml: &str, change: impl FnOnce(&mut ServerConfig)) -> Hooked {
        let mut config = ServerConfig::with(|config| {
            config.listen = "127.0.0.1:0".parse().unwrap();
            config.publish = "127.0.0.1:0".parse().unwrap();
            config.ops = "127.0.0.1:0".parse().unwrap();
            config.data = Some(folder.join("data"));
            config.drain_spread = Duration::ZERO;
        });
        config.pipeline.file = Some(toml_file(folder, toml));
        change(&mut config);
        Hooked {
            server: Some(Server::start(config).unwrap()),
            folder: None,
        }
    }

    /// Publishes an event, and returns its number.
    pub fn publish(&self, job: &str, name: &str, data: &str) -> u64 {
        let event = Event::new(name, data).unwrap();
        self.server().jobs().publish(&job_id(job), event).unwrap().0
    }

    /// Ends a job.
    pub fn done(&self, job: &str) -> u64 {
        self.publish(job, "done", "{}")
    }

    /// Deletes a job.
    pub fn delete(&self, job: &str) -> u64 {
        self.server().jobs().delete(&job_id(job), None).unwrap().0
    }

    /// How many events had this outcome.
    pub fn count(&self, hook: &str, outcome: &str) -> u64 {
        count(self.server().ops().tcp().unwrap(), hook, outcome)
    }

    /// Returns once it is so many.
    pub fn wait_for_count(&self, hook: &str, outcome: &str, count: u64) {
        wait_until(outcome, || self.count(hook, outcome) >= count);
        assert_eq!(self.count(hook, outcome), count, "{outcome}");
    }

    /// Stops it now.
    pub fn stop(mut self) {
        self.server.take().unwrap().stop();
    }

    /// The server.
    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// Writes the configuration, and returns where it is.
pub fn toml_file(folder: &Path, toml: &str) -> PathBuf {
    let path = folder.join("landfall.toml");
    std::fs::write(&path, toml).unwrap();
    path
}

/// How many events of a webhook had this outcome, where the server is monitored.
pub fn count(ops: std::net::SocketAddr, hook: &str, outcome: &str) -> u64 {
    let sample =
        format!("landfall_webhook_events_total{{webhook=\"{hook}\",outcome=\"{outcome}\"}}");
    metric(ops, &sample) as u64
}

/// The name of a job.
pub fn job_id(job: &str) -> JobId {
    job.parse().unwrap()
}
