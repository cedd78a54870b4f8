use super::*;
use crate::event::{Content, IdempotencyKey};
use crate::hub::Once;

const NUMBER: u32 = 5;

fn head() -> CheckpointHead {
    CheckpointHead {
        newest: EventId(90),
        time_ms: 1_800_000_000_000,
        forgotten: EventId(17),
        first: SegmentNumber(4),
        lost: vec![20..30, 40..50],
    }
}

fn job(state: LifeState, event: Option<EventPart<'static>>, keys: u64) -> JobPart<'static> {
    JobPart {
        job: "job_8f3a",
        life: Life {
            began: EventId(31),
            owner: Owner::Upload,
            state,
            previous_end: EventId(30),
            last: EventId(88),
            created_ms: 1_700_000_000_000,
            updated_ms: 1_800_000_000_000,
            lease: matches!(state, LifeState::Running).then(|| "30s".parse().unwrap()),
            cancelled: (keys == 1).then_some(Cancellation {
                by: EventId(40),
                grace_ms: 30_000,
            }),
            client: Occupant {
                network: None,
                token: (keys > 0).then_some(keys),
            },
        },
        keys: (0..keys).map(keyed).collect(),
        before: EventId(60),
        gone: EventId(59),
        event,
    }
}

fn keyed(number: u64) -> Keyed {
    Keyed {
        once: Once {
            key: IdempotencyKey([number as u8; 16]),
            content: Content([9; 16]),
            until_ms: 1_800_000_000_000 + number,
        },
        id: EventId(32 + number),
    }
}

fn jobs() -> Vec<JobPart<'static>> {
    let event = EventPart {
        id: EventId(60),
        name: "progress",
        data: r#"{"jobId":"job_8f3a"}"#,
    };
    vec![
        job(LifeState::Running, Some(event), 2),
        job(LifeState::Done, None, 0),
        job(LifeState::Failed, None, 1),
        job(LifeState::Deleted { until_ms: 7 }, None, 0),
    ]
}

fn bytes() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    encode(&mut bytes, NUMBER, &CheckpointPart::Head(head()));
    for job in jobs() {
        encode(&mut bytes, NUMBER, &CheckpointPart::Job(job));
    }
    encode(&mut bytes, NUMBER, &CheckpointPart::End(4));
    bytes
}

#[test]
fn a_checkpoint_reads_back() {
    let bytes = bytes();
    let OpenedCheckpoint::Whole(whole) = open(&bytes, NUMBER) else {
        panic!("it isn't whole");
    };
    assert_eq!(whole.head, head());
    assert_eq!(whole.jobs().collect::<Vec<_>>(), jobs());
}

#[test]
fn a_cut_or_changed_checkpoint_is_none() {
    let whole = bytes();
    for end in 0..whole.len() {
        let opened = open(&whole[..end], NUMBER);
        assert!(matches!(opened, OpenedCheckpoint::Broken), "cut at {end}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let opened = open(&changed, NUMBER);
        assert!(
            matches!(opened, OpenedCheckpoint::Broken),
            "changed at {at}"
        );
    }
    assert!(matches!(open(&whole, NUMBER + 1), OpenedCheckpoint::Broken));
}

#[test]
fn a_frame_gives_its_event_back() {
    let job: JobId = "j".parse().unwrap();
    let event = crate::event::Event::new("stage", r#"{"id":"\nid: 4"}"#).unwrap();
    let frame = frame::Frame::new(&job, &event, EventId(77));
    let found = event_of(frame.bytes()).unwrap();
    assert_eq!((found.id, found.name), (EventId(77), "stage"));
    assert_eq!(found.data, r#"{"jobId":"j","id":"\nid: 4"}"#);
}
