//! Files as a process may have left them.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::event::job::{EventId, JobId};
use crate::event::resume::{LastEventId, ResetReason, Start};
use crate::hub::keyed::KeyedChanges;
use crate::hub::{HubConfig, Life, LifeState, Owner, Terms};
use crate::sequencer::journal::checkpoint::{CheckpointPart, JobPart};
use crate::sequencer::journal::record::{ChangeRecord, EntryRecord};
use crate::sequencer::journal::{Directory, JournalConfig, record};

const SEGMENT: SegmentNumber = SegmentNumber(1);

fn write_segment(folder: &Path, entries: &[(u64, u64, ChangeRecord<'_>)]) {
    let mut content = MAGIC.to_vec();
    let open = Record::Open {
        boot: [0; 16],
        reserved: EventId(100),
        newest: EventId(0),
        is_carried_over: false,
    };
    record::encode(&mut content, SEGMENT, &open);
    for (id, time_ms, change) in entries {
        let entry = EntryRecord {
            id: EventId(*id),
            time_ms: *time_ms,
            job: "a",
            change: change.clone(),
        };
        record::encode(&mut content, SEGMENT, &Record::Entry(entry));
    }
    record::encode(&mut content, SEGMENT, &Record::Close);
    std::fs::write(folder.join(file_name(SEGMENT)), content).unwrap();
}

fn event() -> ChangeRecord<'static> {
    ChangeRecord::Event {
        previous: EventId(0),
        name: "progress",
        data: "{}",
        names_its_job: false,
        terms: Terms::default(),
    }
}

/// A checkpoint tells of a life that began after its head was written: so that doesn't say that
/// the deletion before it had been forgotten by then.
#[test]
fn who_has_seen_a_life_whose_deletion_was_forgotten_while_a_checkpoint_was_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let delete = ChangeRecord::Delete { until_ms: 2_000 };
    write_segment(
        folder.path(),
        &[(1, 1_000, event()), (2, 1_000, delete), (3, 5_000, event())],
    );
    let mut content = checkpoint::MAGIC.to_vec();
    let head = CheckpointHead {
        newest: EventId(2),
        time_ms: 1_000,
        first: SEGMENT,
        ..CheckpointHead::default()
    };
    let life = Life {
        began: EventId(3),
        owner: Owner::Worker,
        state: LifeState::Running,
        previous_end: EventId(0),
        last: EventId(3),
        created_ms: 5_000,
        updated_ms: 5_000,
        lease: None,
        cancelled: None,
        client: Default::default(),
    };
    let part = JobPart {
        job: "a",
        life,
        keys: KeyedChanges::default(),
        before: EventId(0),
        gone: EventId(0),
        event: None,
    };
    for part in [
        CheckpointPart::Head(head),
        CheckpointPart::Job(part),
        CheckpointPart::End(1),
    ] {
        checkpoint::encode(&mut content, 1, &part);
    }
    std::fs::write(folder.path().join(checkpoint::file_name(1)), content).unwrap();

    let hub = Hub::new(HubConfig::default(), EventId(0));
    let files = Arc::new(Directory::new(folder.path()).unwrap());
    let shared = JournalShared::new(JournalConfig::default(), files);
    restore(&shared, &hub).unwrap();
    let job: JobId = "a".parse().unwrap();
    let there = hub.find(&job).unwrap();
    let begin = |last| {
        let start = Start::After(LastEventId::Number(last));
        let begun = hub.begin(&there, &start, shared.history(&job), false);
        (begun.after.0, begun.reset)
    };
    assert_eq!(begin(1), (2, Some(ResetReason::Expired)));
    assert_eq!(begin(2), (2, None));
    // What else was forgotten up to there nobody knows.
    assert_eq!(hub.forgotten(), EventId(2));
}
