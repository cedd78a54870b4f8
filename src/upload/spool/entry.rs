//! An upload among the others: what is known of it in memory.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::Value;

use super::{HOLD_POLL, HOLD_WAIT, NewUpload, STAGE, SpoolError};
use crate::access::places::{Occupant, Place};
use crate::event::job::{JobId, LifeId};
use crate::progress;
use crate::upload::{Info, Resumable, UploadId, UploadState};

/// Whoever holds an upload and heard nothing for so long gives it to who wants to go on.
const SILENCE: Duration = Duration::from_secs(2);
/// Requests that wait for one upload: one more is a client that has tried again and again.
const WAITING_MAX: usize = 2;
/// A job is told of its upload's progress this often at most.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// An upload.
pub struct UploadEntry {
    pub id: UploadId,
    pub job: JobId,
    pub name: String,
    pub declared_type: Option<String>,
    pub created: u64,
    /// Its `Upload-Metadata`; none where it can't go on after it was cut off.
    pub metadata: Option<String>,
    /// Whom it is counted for.
    pub client: Occupant,
    estimate: Option<u64>,
    pub core: Mutex<UploadCore>,
}

/// What changes of it.
pub struct UploadCore {
    /// The life of its job that it is of. None until that has begun.
    pub life: Option<LifeId>,
    pub size: Option<u64>,
    /// The bytes that count: of a piece with a checksum none do before it has matched.
    pub offset: u64,
    /// The bytes that have been written: those that count, and those of such a piece.
    pub written: u64,
    /// What it takes of the spool: more than it has, while more is to come.
    pub reserved: u64,
    pub phase: UploadPhase,
    /// A request holds it, to go on with it.
    pub is_held: bool,
    /// Another would like to.
    pub is_wanted: bool,
    /// How many wait for that.
    waiting: usize,
    /// When something was last heard of it, for one that would go on, and for its expiry.
    pub heard: Instant,
    pub touched: SystemTime,
    /// Its place among the resumable uploads that aren't whole.
    pub unfinished: Option<Place>,
    /// Bytes from here on are a piece whose checksum hasn't been compared yet.
    pub unverified_from: Option<u64>,
    /// The file that says what is known of it may say something else.
    pub is_info_due: bool,
    reported: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadPhase {
    /// Bytes are missing.
    Receiving,
    /// None is, and it is being made sure that they stay.
    Landing,
    /// It is the pipeline's.
    Landed,
    /// The pipeline is done with it, and this is a memory.
    Done,
    /// It was removed.
    Gone,
}

impl UploadEntry {
    /// An upload that begins, held by whoever begins it.
    pub fn new(
        id: UploadId,
        order: NewUpload,
        unfinished: Option<Place>,
        is_checked: bool,
    ) -> UploadEntry {
        let now = SystemTime::now();
        let core = UploadCore {
            life: None,
            size: order.size,
            offset: 0,
            written: 0,
            reserved: order.size.or(order.estimate).unwrap_or(0),
            phase: UploadPhase::Receiving,
            is_held: true,
            is_wanted: false,
            waiting: 0,
            heard: Instant::now(),
            touched: now,
            unfinished,
            unverified_from: is_checked.then_some(0),
            is_info_due: false,
            reported: Instant::now(),
        };
        UploadEntry {
            id,
            job: order.job,
            name: order.name,
            declared_type: order.declared_type,
            created: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            metadata: order.metadata,
            client: order.client,
            estimate: order.estimate,
            core: Mutex::new(core),
        }
    }

    /// An upload of an earlier life, of which `length` bytes are there.
    pub fn recovered(
        id: UploadId,
        info: &Info,
        unfinished: Option<Place>,
        length: u64,
        touched: SystemTime,
    ) -> UploadEntry {
        let unverified_from = info.resumable.as_ref().and_then(|r| r.unverified_from);
        let offset = unverified_from.map_or(length, |from| from.min(length));
        UploadEntry {
            id,
            job: info.job.clone(),
            name: info.name.clone(),
            declared_type: info.declared_type.clone(),
            created: info.created,
            metadata: info.resumable.as_ref().map(|r| r.metadata.clone()),
            client: info.client,
            estimate: None,
            core: Mutex::new(UploadCore {
                life: info.life,
                size: info.size,
                offset,
                written: offset,
                reserved: offset,
                phase: match info.state {
                    UploadState::Receiving => UploadPhase::Receiving,
                    UploadState::Landed => UploadPhase::Landed,
                },
                is_held: false,
                is_wanted: false,
                waiting: 0,
                heard: Instant::now(),
                touched,
                unfinished,
                unverified_from,
                is_info_due: false,
                reported: Instant::now(),
            }),
        }
    }

    pub fn life(&self) -> Option<LifeId> {
        self.core.lock().life
    }

    pub fn phase(&self) -> UploadPhase {
        self.core.lock().phase
    }

    /// What it takes of the spool.
    pub fn reserved(&self) -> u64 {
        self.core.lock().reserved
    }

    /// What it will still take of the disk.
    pub fn promised(&self) -> u64 {
        let core = self.core.lock();
        match core.phase {
            UploadPhase::Receiving => core.reserved.saturating_sub(core.written),
            UploadPhase::Landing | UploadPhase::Landed | UploadPhase::Done | UploadPhase::Gone => 0,
        }
    }

    /// Takes hold of an upload, from who heard nothing for a while if need be.
    pub fn hold(&self) -> Result<(), SpoolError> {
        let deadline = Instant::now() + HOLD_WAIT;
        let mut is_waiting = false;
        let held = loop {
            {
                let mut core = self.core.lock();
                if !core.is_held {
                    core.is_held = true;
                    core.is_wanted = false;
                    core.heard = Instant::now();
                    break Ok(());
                }
                if !is_waiting && core.waiting == WAITING_MAX {
                    break Err(SpoolError::Locked);
                }
                core.waiting += usize::from(!is_waiting);
                is_waiting = true;
                core.is_wanted |= core.heard.elapsed() > SILENCE;
            }
            if Instant::now() > deadline {
                break Err(SpoolError::Locked);
            }
            crate::sys::coroutine::pause(HOLD_POLL);
        };
        self.core.lock().waiting -= usize::from(is_waiting);
        held
    }

    /// Lets go of it: what was set aside for bytes that didn't come isn't any more.
    pub fn release(&self) {
        let mut core = self.core.lock();
        core.is_held = false;
        core.is_wanted = false;
        core.reserved = match core.phase {
            UploadPhase::Gone | UploadPhase::Done => 0,
            UploadPhase::Receiving | UploadPhase::Landing | UploadPhase::Landed => core.offset,
        };
    }

    /// Ends an upload that is being received; returns what it was.
    pub fn end(&self) -> UploadPhase {
        let mut core = self.core.lock();
        let before = core.phase;
        if before == UploadPhase::Receiving {
            core.phase = UploadPhase::Gone;
            core.unfinished = None;
        }
        before
    }

    /// What its `info.json` says.
    pub fn info(&self, state: UploadState, core: &UploadCore) -> Info {
        Info {
            job: self.job.clone(),
            life: core.life,
            retried_after: None,
            name: self.name.clone(),
            declared_type: self.declared_type.clone(),
            size: core.size,
            state,
            created: self.created,
            client: self.client,
            resumable: self.metadata.as_ref().map(|metadata| Resumable {
                metadata: metadata.clone(),
                unverified_from: core.unverified_from,
            }),
        }
    }

    /// What its job is told, if it is time to tell it.
    pub fn report(&self, is_due: bool, stages: usize) -> Option<String> {
        let mut core = self.core.lock();
        if !is_due && core.reported.elapsed() < REPORT_INTERVAL {
            return None;
        }
        core.reported = Instant::now();
        let mut data = format!(r#"{{"stage":"{STAGE}""#);
        if let Some(whole) = core.size.or(self.estimate) {
            // Whole percents: 100 is the end.
            let percent = match whole {
                0 => 100,
                _ => u128::from(core.written.min(whole)) * 100 / u128::from(whole),
            };
            let overall = progress::overall(0, percent as f64 / 100.0, stages + 1);
            let _ = write!(data, r#","percent":{percent},"overall":{overall}"#);
        }
        let _ = write!(data, r#","bytes":{}"#, core.written);
        if let Some(size) = core.size {
            let _ = write!(data, r#","size":{size}"#);
        }
        let _ = write!(data, r#","name":{}}}"#, Value::from(self.name.as_str()));
        Some(data)
    }
}
