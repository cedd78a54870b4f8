//! What a stage's commands may touch and take.

use std::path::{Path, PathBuf};

use crate::command::cage::Cage;
use crate::command::limits::Limits;
use crate::sys::toml::{Need, Spot, TomlTable};

/// How far a file may grow beyond what a stage may write in all: so it is the look at the
/// folder that ends the command, and says why.
const FILE_SLACK_BYTES: u64 = 64 * 1024;
const PROCESSES_MAX: i64 = 1 << 20;

/// What a stage's commands may touch, besides the file, their folder and the system, and what
/// they may take.
#[derive(Clone, Debug, Default)]
pub struct CageOptions {
    /// What they may read, and run programs of. Default: nothing.
    pub read: Vec<PathBuf>,
    /// Where they may do whatever they like. Default: nowhere.
    pub write: Vec<PathBuf>,
    /// Where they may leave new files, and read none. Default: for stages that name their
    /// command, the system's folder for temporary files.
    pub leave: Vec<PathBuf>,
    /// Whether they may use the network. Default: no.
    pub has_network: bool,
    /// The memory and the processes that they may have. Default: 4 GiB a process, and 1,024
    /// processes.
    pub limits: Limits,
}

impl CageOptions {
    pub(super) fn read(&mut self, table: &mut TomlTable<'_>) {
        if let Some((paths, at)) = paths(table, "read") {
            for path in &paths {
                table.need(at, Need::Readable(path.clone()));
            }
            self.read = paths;
        }
        if let Some((paths, at)) = paths(table, "write") {
            for path in &paths {
                table.need(at, Need::Place(path.clone()));
            }
            self.write = paths;
            // Who says where a command may write means there alone.
            self.leave = Vec::new();
        }
        if let Some(is_on) = table.switch("network") {
            self.has_network = is_on;
        }
        if let Some(size) = table.size("max_memory") {
            self.limits.memory = size;
        }
        if let Some(count) = table.integer("max_processes", 1, PROCESSES_MAX) {
            self.limits.processes = count as u64;
        }
    }

    /// Whether they may leave files in this folder, which has its whole path.
    pub fn may_leave_in(&self, folder: &Path) -> bool {
        let mut places = self.leave.iter().filter_map(|it| it.canonicalize().ok());
        places.any(|place| folder.starts_with(place))
    }

    /// The cage of a command that works in `folder` on `input`, and may write so much in all.
    pub fn of_command(&self, folder: &Path, input: &Path, max_output_bytes: u64) -> Cage {
        let mut own = vec![folder.to_owned()];
        own.extend_from_slice(&self.write);
        let mut read = vec![input.to_owned()];
        read.extend_from_slice(&self.read);
        Cage {
            own,
            read,
            leave: self.leave.clone(),
            has_network: self.has_network,
            limits: Limits {
                file: max_output_bytes.saturating_add(FILE_SLACK_BYTES),
                ..self.limits
            },
        }
    }
}

fn paths(table: &mut TomlTable<'_>, key: &'static str) -> Option<(Vec<PathBuf>, Spot)> {
    let (paths, at) = table.list(key)?;
    let paths: Vec<_> = paths.into_iter().map(PathBuf::from).collect();
    if !paths.iter().all(|path| path.is_absolute()) {
        let message = format!("{key} is a list of absolute paths, as [\"/srv/models\"]");
        table.refuse(at, message);
        return None;
    }
    Some((paths, at))
}
