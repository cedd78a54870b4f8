//! A pipeline on a folder of its own, and what it tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall::JournalConfig;
use landfall::Sequencer;
use landfall::internals::event::frame::unchunk;
use landfall::internals::event::ring::Batch;
use landfall::internals::pipeline::{Pipeline, PipelineConfig, RetryError, StoredRecord};
use landfall::internals::upload::disk::Disk;
use landfall::internals::upload::spool::{Spool, SpoolConfig};
use landfall::internals::upload::{Info, Landed, Landing, UploadId, UploadState};
use landfall::{After, HubConfig, Owner};
use landfall::{JobId, LifeId};
use serde_json::Value;
use tempfile::TempDir;

pub use crate::http::{PATIENCE, wait_until};

/// A pipeline and its jobs.
pub struct Plant {
    pub jobs: Sequencer,
    pub pipeline: Pipeline,
    pub data: PathBuf,
    has_journal: bool,
    folder: Option<TempDir>,
}

/// An event.
#[derive(Clone, Debug)]
pub struct Told {
    pub id: u64,
    pub event: String,
    pub data: Value,
}

impl Plant {
    /// One whose landfall.toml is `toml`.
    pub fn new(toml: &str) -> Plant {
        Plant::with(toml, PipelineConfig::default())
    }

    /// One that is configured so besides.
    pub fn with(toml: &str, config: PipelineConfig) -> Plant {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut plant = Plant::on(&data, toml, config);
        plant.folder = Some(folder);
        plant
    }

    /// One on a folder that may have seen another before.
    pub fn on(data: &Path, toml: &str, config: PipelineConfig) -> Plant {
        let jobs = Sequencer::in_memory(hub_config());
        Plant::with_jobs(data, toml, config, jobs)
    }

    /// One whose jobs may have seen another before as well.
    pub fn with_jobs(
        data: &Path,
        toml: &str,
        mut config: PipelineConfig,
        jobs: Sequencer,
    ) -> Plant {
        fs::create_dir_all(data).unwrap();
        if !toml.is_empty() {
            let file = data.join("landfall.toml");
            fs::write(&file, toml).unwrap();
            config.file = Some(file);
        }
        Plant::of(data, config, jobs, false)
    }

    /// One whose events are in a journal.
    pub fn journaled(data: &Path, toml: &str) -> Plant {
        fs::create_dir_all(data).unwrap();
        let file = data.join("landfall.toml");
        fs::write(&file, toml).unwrap();
        let config = PipelineConfig::with(|config| {
            config.file = Some(file);
        });
        let journal = data.join("journal");
        let jobs = Sequencer::with_journal(&journal, JournalConfig::default(), hub_config());
        Plant::of(data, config, jobs.unwrap(), true)
    }

    fn of(data: &Path, config: PipelineConfig, jobs: Sequencer, has_journal: bool) -> Plant {
        Plant {
            pipeline: Pipeline::start(config, jobs.clone(), data).unwrap(),
            jobs,
            data: data.to_owned(),
            has_journal,
            folder: None,
        }
    }

    /// Stops it, and starts another on the same folder, which takes up what had landed.
    pub fn restart(self, toml: &str) -> Plant {
        self.restart_with(toml, PipelineConfig::default())
    }

    /// The same, configured so besides where there is no journal.
    pub fn restart_with(mut self, toml: &str, config: PipelineConfig) -> Plant {
        assert!(self.pipeline.stop(Instant::now() + PATIENCE));
        let folder = self.folder.take();
        let mut plant = match self.has_journal {
            true => {
                self.jobs.close();
                Plant::journaled(&self.data, toml)
            }
            false => Plant::with_jobs(&self.data, toml, config, self.jobs.clone()),
        };
        plant.folder = folder;
        plant.recover();
        plant
    }

    /// Takes up what had landed, as the spool does.
    pub fn recover(&self) {
        let (config, jobs) = (SpoolConfig::default(), self.jobs.clone());
        let landing = Arc::new(self.pipeline.clone());
        let disk = Disk::start(1).unwrap();
        Spool::open(&self.data, config, jobs, disk, landing).unwrap();
    }

    /// The life that a job has.
    pub fn life(&self, job: &JobId) -> LifeId {
        landfall::internals::hub(&self.jobs).life(job).unwrap().id()
    }

    /// Deletes a job, as DELETE does, and returns the life that was ended.
    pub fn delete(&self, job: &JobId) -> LifeId {
        loop {
            let life = self.life(job);
            if self.jobs.delete(job, Some(life)).is_ok() {
                self.pipeline.cancel(job, life);
                return life;
            }
        }
    }

    /// Tries a job again, and returns the attempt's number.
    pub fn retry(&self, job: &JobId) -> Result<u32, RetryError> {
        self.pipeline.retry(job).map(|retried| retried.attempt)
    }

    /// What is on record of a job's life.
    pub fn record(&self, job: &JobId, life: LifeId) -> Option<StoredRecord> {
        StoredRecord::read(&self.data, job, life).unwrap()
    }

    /// Lets a file land.
    pub fn land(&self, job: &str, name: &str, bytes: &[u8]) -> JobId {
        self.land_as(job, name, None, bytes)
    }

    /// Lets a file land that was declared to be of a type.
    pub fn land_as(&self, job: &str, name: &str, kind: Option<&str>, bytes: &[u8]) -> JobId {
        let job: JobId = job.parse().unwrap();
        let life = begin(&self.jobs, &job);
        self.pipeline
            .land(land_on(&self.data, &job, life, name, kind, bytes), None);
        job
    }

    /// Every event of a job's life that is kept.
    pub fn told(&self, job: &JobId) -> Vec<Told> {
        let mut batch = Batch::default();
        if let Some(job) = landfall::internals::hub(&self.jobs).find(job) {
            let core = job.lock();
            let before = core.life().map_or(0, |life| life.previous_end.0);
            core.copy_after(before, usize::MAX, &mut batch);
        }
        let mut text = Vec::new();
        unchunk(&batch.bytes, &mut text);
        let text = String::from_utf8(text).unwrap();
        let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
        frames.map(Told::read).collect()
    }

    /// The number of a job's newest event.
    pub fn newest(&self, job: &JobId) -> u64 {
        self.told(job).last().unwrap().id
    }

    /// Waits for an event, and returns all up to now.
    pub fn wait(&self, job: &JobId, is_it: impl Fn(&Told) -> bool) -> Vec<Told> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.told(job);
            if told.iter().any(&is_it) {
                return told;
            }
            assert!(Instant::now() < deadline, "{job}: {told:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end, which is `event`, and returns all events; the end is the last.
    pub fn end(&self, job: &JobId, event: &str) -> Vec<Told> {
        let told = self.wait(job, |told| ["done", "error"].contains(&&*told.event));
        assert_eq!(told.last().unwrap().event, event, "{told:#?}");
        told
    }

    /// Waits until nothing is left of uploads but those that are expected, and of stages.
    pub fn is_clean(&self, uploads: usize) {
        let count = |folder: &str| match fs::read_dir(self.data.join(folder)) {
            Ok(entries) => entries.count(),
            Err(_) => 0,
        };
        wait_until("the pipeline is clean", || {
            count("uploads") == uploads && count("work") == 0 && count("files/tmp") == 0
        });
    }

    /// The text that a job which ended so has stored.
    pub fn stored(&self, done: &Told) -> String {
        let digest = done.data["digest"].as_str().unwrap();
        let digest = digest.strip_prefix("sha256:").unwrap();
        let made = self.read(&format!("files/{}/{digest}", &digest[..2]));
        String::from_utf8(made).unwrap()
    }

    /// What lies at a path below the data folder.
    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.data.join(path)).unwrap()
    }
}

fn hub_config() -> HubConfig {
    HubConfig::with(|config| {
        config.ring.events = 10_000;
        config.ring.bytes = 1 << 20;
    })
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.pipeline.stop(Instant::now() + PATIENCE);
    }
}

impl Told {
    fn read(frame: &str) -> Told {
        let mut lines = frame.lines();
        let mut field = |name: &str| {
            let line = lines.next().expect(frame);
            line.strip_prefix(name).expect(frame).to_owned()
        };
        let (event, data, id) = (field("event: "), field("data: "), field("id: "));
        Told {
            id: id.parse().unwrap(),
            event,
            data: serde_json::from_str(&data).unwrap(),
        }
    }

    pub fn stage(&self) -> &str {
        self.data["stage"].as_str().unwrap_or_default()
    }

    pub fn percent(&self) -> Option<f64> {
        self.data["percent"].as_f64()
    }

    pub fn message(&self) -> &str {
        self.data["message"].as_str().unwrap_or_default()
    }
}

/// Begins a job's life, as an upload does whose client may publish to it.
pub fn begin(jobs: &Sequencer, job: &JobId) -> LifeId {
    jobs.begin(job, Owner::Upload, After::Ended).unwrap()
}

/// A file that has landed, in the spool's way.
pub fn land_on(
    data: &Path,
    job: &JobId,
    life: LifeId,
    name: &str,
    kind: Option<&str>,
    bytes: &[u8],
) -> Landed {
    let upload = UploadId::random().unwrap();
    let folder = data.join("uploads").join(upload.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("data"), bytes).unwrap();
    let info = Info {
        job: job.clone(),
        life: Some(life),
        retried_after: None,
        name: name.to_owned(),
        declared_type: kind.map(str::to_owned),
        size: Some(bytes.len() as u64),
        state: UploadState::Landed,
        client: Default::default(),
        created: 1,
        resumable: None,
    };
    info.write(&folder, true).unwrap();
    info.landed(upload, &folder).unwrap()
}

/// Whether a process is there and not only waits to be collected.
pub fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}
