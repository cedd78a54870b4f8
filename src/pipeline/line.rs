//! The stages of a while, and who is in them. Files go through the stages that there were when
//! they came: where others are put in their place, a new line begins, and the old one ends with
//! its last file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::PipelineConfig;
use super::config::{Stage, StageKind, StagePlan};
use super::queue;
use super::scratch::Scratches;
use super::state::FileState;
use super::tally::Tally;
use crate::http::Address;
use crate::sys::headcount::{Headcount, Presence};

/// Stages, and what waits for each.
pub struct Line {
    /// In their order.
    pub stages: Vec<Stage>,
    /// Where they work.
    pub scratches: Scratches,
    /// One a stage.
    pub queues: Vec<queue::Queue<Ticket>>,
    /// One a stage. What has the same name in another line has the same one.
    pub tallies: Vec<Arc<Tally>>,
    files: Headcount,
}

/// A file on its way through a line.
pub type Work = queue::Work<Ticket>;

/// A file's place in a line, which doesn't end before the file has left.
pub struct Ticket {
    line: Arc<Line>,
    _counted: Presence,
}

impl Line {
    /// The one that a configuration asks for; `before` is the one that it comes after. Blocks
    /// for the disk.
    ///
    /// # Errors
    /// The file says something that can't be, or a directory can't be made.
    pub fn new(config: &PipelineConfig, data: &Path, before: Option<&Line>) -> io::Result<Line> {
        let plan = match &config.file {
            Some(file) => StagePlan::read(file, &config.beside)
                .map_err(|wrong| io::Error::new(io::ErrorKind::InvalidInput, wrong.join("; ")))?,
            None => StagePlan::default(),
        };
        let mut stages = plan.stages;
        for stage in &mut stages {
            if let StageKind::Scan(options) = &mut stage.kind {
                let clamd = options.clamd.take().or_else(|| config.clamd.clone());
                options.clamd = clamd.filter(|address| *address != Address::Off);
            }
        }
        if let Some(stage) = stages.iter().find(|stage| stage.cage.may_leave_in(data)) {
            warn!(
                "what stage {} runs may write over files in {}, which is where temporary files are: \
                 put the data elsewhere, or say with write where the stage may write",
                stage.name,
                data.display()
            );
        }
        let known = |name: &str| {
            let before = before?;
            let at = before.stages.iter().position(|stage| stage.name == name)?;
            before.tallies.get(at).cloned()
        };
        Ok(Line {
            scratches: Scratches::open(&stages, data, before.map(|line| &line.scratches))?,
            queues: stages.iter().map(|_| queue::Queue::default()).collect(),
            tallies: stages
                .iter()
                .map(|stage| known(&stage.name).unwrap_or_default())
                .collect(),
            stages,
            files: Headcount::default(),
        })
    }

    /// A place in it for one more file.
    pub fn ticket(self: &Arc<Self>) -> Ticket {
        Ticket {
            line: self.clone(),
            _counted: self.files.one(),
        }
    }

    /// Whether a file that has come so far can go on in it.
    pub fn leads_on_from(&self, state: &FileState) -> bool {
        let mut both = self.stages.iter().zip(&state.completed);
        state.completed.len() < self.stages.len() && both.all(|(stage, name)| stage.name == *name)
    }

    /// Whether no file goes through it.
    pub fn is_empty(&self) -> bool {
        self.files.get() == 0
    }

    /// Whether it is the same as another, but for what goes through it.
    pub fn is_like(&self, other: &Line) -> bool {
        format!("{:?}", self.stages) == format!("{:?}", other.stages)
    }

    /// Lets its workers go when they have done what they are at.
    pub fn close(&self) {
        self.queues.iter().for_each(queue::Queue::close);
    }
}

impl Ticket {
    /// The line.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }
}
