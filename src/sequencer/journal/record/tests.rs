use super::*;

const SEGMENT: SegmentNumber = SegmentNumber(7);

fn entry(change: ChangeRecord<'static>) -> Record<'static> {
    Record::Entry(EntryRecord {
        id: EventId(70_000),
        time_ms: 1_800_000_000_000,
        job: "job_8f3a",
        change,
    })
}

fn event(previous: u64, name: &'static str, names_its_job: bool) -> Record<'static> {
    entry(ChangeRecord::Event {
        previous: EventId(previous),
        name,
        data: r#"{"stage":"scanning","percent":30}"#,
        names_its_job,
        terms: Terms::default(),
    })
}

fn on(terms: Terms) -> Record<'static> {
    let Record::Entry(mut entry) = event(1, "progress", true) else {
        unreachable!("it is one")
    };
    if let ChangeRecord::Event { terms: of_it, .. } = &mut entry.change {
        *of_it = terms;
    }
    Record::Entry(entry)
}

fn terms(lease: &str, once: Option<Box<Once>>) -> Terms {
    let lease = lease.parse().ok();
    Terms {
        lease,
        once,
        ..Terms::default()
    }
}

fn of(address: &str, token: Option<u64>) -> Terms {
    let network = address.parse().ok().map(Network::of);
    Terms {
        client: Some(Box::new(Occupant { network, token })),
        ..terms("1s", once())
    }
}

fn once() -> Option<Box<Once>> {
    Some(Box::new(Once {
        key: IdempotencyKey([7; 16]),
        content: Content([9; 16]),
        until_ms: 1_800_000_600_000,
    }))
}

fn records() -> Vec<Record<'static>> {
    let begin = |owner, replaces, terms| {
        entry(ChangeRecord::Begin {
            owner,
            replaces,
            terms,
        })
    };
    let renew = |once| {
        entry(ChangeRecord::Renew {
            lease: "30s".parse().unwrap(),
            once,
        })
    };
    vec![
        event(69_999, "progress", false),
        event(1, "a-name", true),
        event(0, "done", false),
        on(terms("1s", None)),
        on(terms("24h", once())),
        on(terms("", once())),
        begin(Owner::Worker, false, Terms::default()),
        begin(Owner::Worker, false, terms("30s", None)),
        begin(Owner::Worker, true, terms("", once())),
        begin(Owner::Upload, true, terms("1500ms", once())),
        begin(Owner::Upload, false, of("192.0.2.7", None)),
        begin(Owner::Upload, true, of("2001:db8::", Some(u64::MAX))),
        begin(Owner::Upload, false, of("", Some(7))),
        renew(None),
        renew(once()),
        entry(ChangeRecord::Cancel { grace_ms: 30_000 }),
        entry(ChangeRecord::Delete {
            until_ms: 1_800_003_600_000,
        }),
        entry(ChangeRecord::Forget {
            last: EventId(69_000),
        }),
        Record::Open {
            boot: [9; 16],
            reserved: EventId(1 << 40),
            newest: EventId(3),
            is_carried_over: true,
        },
        Record::Close,
        Record::Gap {
            first: EventId(3),
            end: EventId::MAX,
        },
    ]
}

fn bytes_of(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, SEGMENT, record);
    bytes
}

#[test]
fn a_record_reads_back_whatever_stands_behind_it() {
    for record in records() {
        let mut bytes = bytes_of(&record);
        let length = bytes.len();
        bytes.extend_from_slice(b"more");
        assert_eq!(decode(&bytes, SEGMENT), Decoded::Record(record, length));
    }
}

#[test]
fn a_cut_record_is_incomplete_and_a_changed_one_is_nothing() {
    for record in records() {
        let bytes = bytes_of(&record);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end], SEGMENT), Decoded::Incomplete, "{end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = decode(&changed, SEGMENT);
            let is_none = matches!(found, Decoded::Nothing | Decoded::Incomplete);
            assert!(is_none, "bit {bit} of {record:?}");
        }
        assert_eq!(decode(&bytes, SegmentNumber(8)), Decoded::Nothing);
    }
}

#[test]
fn another_kind_or_flag_is_a_newer_versions_and_a_kind_of_the_first_format_is_nothing() {
    let found = |payload: &[u8]| {
        let mut bytes = Vec::new();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(payload);
        codec::put_record(&mut bytes, SEGMENT.0, write);
        match decode(&bytes, SEGMENT) {
            Decoded::Record(..) => Decoded::Record((), 0),
            Decoded::Newer => Decoded::Newer,
            Decoded::Incomplete => Decoded::Incomplete,
            Decoded::Nothing => Decoded::Nothing,
        }
    };
    for kind in (24..=255).filter(|kind| *kind != CANCEL) {
        assert_eq!(found(&[kind, 1, 2, 3]), Decoded::Newer, "{kind}");
    }
    for kind in 0..16 {
        assert_eq!(found(&[kind, 0, 1, 0, 1]), Decoded::Nothing, "{kind}");
    }
    for record in records() {
        let bytes = bytes_of(&record);
        let mut payload = bytes[HEADER_BYTES..].to_vec();
        if ![CLOSE, GAP].contains(&payload[0]) {
            payload[1] |= 16;
            assert_eq!(found(&payload), Decoded::Newer, "{record:?}");
        }
    }
}

#[test]
fn numbers_that_cannot_have_been_given_are_no_record() {
    let max = EventId::MAX.0;
    let forget = |id, last| {
        Record::Entry(EntryRecord {
            id: EventId(id),
            time_ms: 1,
            job: "j",
            change: ChangeRecord::Forget {
                last: EventId(last),
            },
        })
    };
    let gap = |first, end| Record::Gap {
        first: EventId(first),
        end: EventId(end),
    };
    for (record, is_one) in [
        (forget(max, max), true),
        (forget(max + 1, 1), false),
        (forget(1, max + 1), false),
        (forget(0, 1), false),
        (gap(1, max), true),
        (gap(2, 1), false),
        (gap(1, max + 1), false),
    ] {
        let bytes = bytes_of(&record);
        let found = matches!(decode(&bytes, SEGMENT), Decoded::Record(..));
        assert_eq!(found, is_one, "{record:?}");
    }
}

#[test]
fn a_lease_that_nobody_can_have_asked_for_is_no_record() {
    let bytes = bytes_of(&entry(ChangeRecord::Renew {
        lease: "24h".parse().unwrap(),
        once: None,
    }));
    let mut payload = bytes[HEADER_BYTES..].to_vec();
    let ms = Lease::MAX.as_millis() as u64;
    let mut written = Vec::new();
    put_number(&mut written, ms);
    let mut longer = Vec::new();
    put_number(&mut longer, ms + 1);
    let at = payload
        .windows(written.len())
        .position(|it| it == written)
        .unwrap();
    payload[at..at + written.len()].copy_from_slice(&longer);
    let mut changed = Vec::new();
    let write = |out: &mut Vec<u8>| out.extend_from_slice(&payload);
    codec::put_record(&mut changed, SEGMENT.0, write);
    assert_eq!(decode(&changed, SEGMENT), Decoded::Nothing);
}

#[test]
fn an_event_costs_so_many_bytes_more_than_its_names_and_data() {
    let bytes = bytes_of(&event(69_999, "progress", false));
    let own = "job_8f3a".len() + r#"{"stage":"scanning","percent":30}"#.len();
    assert_eq!(bytes.len() - own, 23);
}

#[test]
fn no_entry_is_shorter_than_the_shortest() {
    let changes = [
        ChangeRecord::Event {
            previous: EventId(0),
            name: "done",
            data: "{}",
            names_its_job: false,
            terms: Terms::default(),
        },
        ChangeRecord::Begin {
            owner: Owner::Worker,
            replaces: false,
            terms: Terms::default(),
        },
        ChangeRecord::Renew {
            lease: "1s".parse().unwrap(),
            once: None,
        },
        ChangeRecord::Cancel { grace_ms: 0 },
        ChangeRecord::Delete { until_ms: 0 },
        ChangeRecord::Forget { last: EventId(1) },
    ];
    for change in changes {
        let bytes = bytes_of(&Record::Entry(EntryRecord {
            id: EventId(1),
            time_ms: 0,
            job: "j",
            change,
        }));
        assert!(bytes.len() as u64 >= ENTRY_MIN_BYTES, "{}", bytes.len());
    }
}
