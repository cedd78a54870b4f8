//! One client that wants everything, and a second one that is served all the same.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::at_end::StopAtEnd;
use super::support::{Client, House, PIECE, TUS, bytes, wait_until};

/// The addresses of this host count for themselves where no proxy is trusted.
const COUNTED: [&str; 2] = ["--trusted-proxy", "192.0.2.1"];
/// Who comes second.
const OTHER: &str = "127.0.0.2";

fn house(flags: &[&str]) -> House {
    House::start(&[&COUNTED, flags].concat())
}

fn begin_from(house: &House, source: &str) -> u16 {
    let mut client = Client::connect_from(source, house.public);
    let fields = [TUS, "Upload-Length: 100"];
    client.ask("POST", "/api/tus/", &fields, b"").status
}

#[test]
fn whoever_begins_uploads_without_end_leaves_resumable_ones_to_others() {
    let mut house = house(&[
        "--max-unfinished",
        "20",
        "--max-unfinished-per-address",
        "5",
    ]);
    let begun: Vec<_> = (0..30).map(|_| begin_from(&house, "127.0.0.1")).collect();
    assert_eq!(begun.iter().filter(|&&status| status == 201).count(), 5);
    let refused = house.ask("POST", "/api/tus/", &[TUS, "Upload-Length: 1"], b"");
    assert_eq!(refused.status, 503);
    assert!(refused.error().contains("--max-unfinished-per-address"));
    assert!(refused.field("retry-after").is_some());
    assert_eq!(begin_from(&house, OTHER), 201);
    assert_eq!(house.refusals("max-unfinished-per-address"), 26);
    // What is whole counts no more, and neither does what was ended.
    let whole = Client::connect_from(OTHER, house.public).ask(
        "POST",
        "/api/tus/",
        &[TUS, PIECE, "Upload-Length: 1"],
        b"x",
    );
    assert_eq!(whole.status, 201);
    let again = (0..10).map(|_| begin_from(&house, OTHER));
    assert_eq!(again.filter(|&status| status == 201).count(), 4);
    // A restart makes nobody's share another.
    house.kill();
    house.revive();
    for source in ["127.0.0.1", OTHER] {
        assert!((0..10).all(|_| begin_from(&house, source) == 503));
    }
    assert_eq!(house.refusals("max-unfinished-per-address"), 20);
    for source in ["127.0.0.3", "127.0.0.4"] {
        let begun = (0..10).map(|_| begin_from(&house, source));
        assert_eq!(begun.filter(|&status| status == 201).count(), 5);
    }
    assert_eq!(begin_from(&house, "127.0.0.5"), 503);
    assert_eq!(house.refusals("max-unfinished"), 1);
}

#[test]
fn whoever_waits_to_go_on_with_an_upload_takes_no_place_of_others() {
    let house = house(&["--max-uploads", "3", "--max-uploads-per-address", "2"]);
    let upload = house.begin(1000, &[]);
    let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 1000"];
    let mut held = house.send("PATCH", &upload, &fields, b"x");
    wait_until("it is held, and bytes of it are written", || {
        held.send(b"x");
        house.data_of(&upload) > 0
    });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&is_over);
        // It goes on, so nobody takes it over.
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                held.send(b"x");
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let _waiting: Vec<_> = (0..2)
            .map(|_| house.send("PATCH", &upload, &fields, b"x"))
            .collect();
        // A third is told at once, as soon as those two wait.
        wait_until("two wait for it", || {
            let mut third = house.send("PATCH", &upload, &fields, b"x");
            let patience = Some(Duration::from_millis(500));
            third.0.set_read_timeout(patience).unwrap();
            let mut start = [0; 12];
            third.0.read_exact(&mut start).is_ok() && &start == b"HTTP/1.1 423"
        });
        // None of this waits for what goes on until it is over.
        let mut other = Client::connect_from(OTHER, house.public);
        let answer = other.ask("POST", "/api/uploads?job=other", &[], b"hello");
        assert_eq!(answer.status, 201, "{}", answer.text());
        // Its own places are what it has.
        assert_eq!(house.post("mine", b"x").status, 201);
    });
}

#[test]
fn whoever_has_others_wait_behind_it_leaves_them_places_in_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let (config, gate) = (
        folder.path().join("landfall.toml"),
        folder.path().join("go"),
    );
    let script = format!("while ! test -e {}; do sleep 0.05; done", gate.display());
    let stage = format!("[[stage]]\nname = 'gate'\nrun = ['sh', '-c', \"{script}\"]\n");
    std::fs::write(&config, stage).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let limits = ["--max-waiting", "8", "--max-waiting-per-address", "5"];
    let mut house = house(&[&config[..], &limits].concat());
    let upload = house.begin(3, &[]);
    let posted: Vec<_> = (0..9)
        .map(|n| house.post(&format!("job-{n}"), b"").status)
        .collect();
    assert_eq!(posted, [201, 201, 201, 201, 201, 503, 503, 503, 503]);
    let refused = house.post("more", b"");
    assert!(refused.error().contains("--max-waiting-per-address"));
    assert!(refused.field("retry-after").is_some());
    // Neither does one end up in the line that began before.
    assert_eq!(house.patch(&upload, 0, &[], b"abc").status, 503);
    let post = |source: &str| {
        let mut client = Client::connect_from(source, house.public);
        client.ask("POST", "/api/uploads", &[], b"").status
    };
    assert_eq!([OTHER; 4].map(post), [201, 201, 201, 503]);
    assert_eq!(house.refusals("max-waiting-per-address"), 6);
    assert_eq!(house.refusals("max-waiting"), 1);
    // What waits has its place after a restart, too.
    house.kill();
    house.revive();
    assert_eq!(house.post("after", b"").status, 503);
    std::fs::write(gate, "").unwrap();
    wait_until("there is room again", || {
        house.patch(&upload, 0, &[], b"abc").status == 204
    });
    house.ended("job-4");
    wait_until("all have gone", || house.spooled().is_empty());
    wait_until("their places are free", || {
        house.post("after", b"").status == 201
    });
}

#[test]
fn whoever_downloads_without_reading_leaves_downloads_to_others() {
    let limits = ["--max-downloads", "6", "--max-downloads-per-address", "3"];
    let house = house(&[&limits[..], &["--send-buffer", "8KiB"]].concat());
    let body = bytes(1, 4 << 20);
    assert_eq!(house.post("a", &body).status, 201);
    house.ended("a");
    let target = "/api/jobs/a/file";
    let mut stalled: Vec<_> = (0..3)
        .map(|_| house.send("GET", target, &[], b""))
        .collect();
    for client in &mut stalled {
        let mut start = [0; 12];
        client.0.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    let refused = house.ask("GET", target, &[], b"");
    assert_eq!(refused.status, 503);
    assert!(refused.error().contains("--max-downloads-per-address"));
    assert!(refused.field("retry-after").is_some());
    assert_eq!(house.refusals("max-downloads-per-address"), 1);
    let other = Client::connect_from(OTHER, house.public).ask("GET", target, &[], b"");
    assert!(other.status == 200 && other.body == body);
    drop(stalled);
    wait_until("there is a place again", || {
        house.ask("GET", target, &[], b"").status == 200
    });
}

#[test]
fn whoever_fills_its_share_of_the_spool_leaves_room_to_others() {
    let limits = ["--max-spool", "1000", "--max-spool-per-address", "600"];
    let house = house(&limits);
    let mut held = house.send(
        "POST",
        "/api/uploads?job=held",
        &["Content-Length: 500"],
        b"x",
    );
    house.wait_for("held", "it has begun", |_| true);
    let refused = house.post("more", &[b'x'; 101]);
    assert_eq!(refused.status, 507);
    assert!(refused.error().contains("--max-spool-per-address"));
    assert_eq!(house.refusals("max-spool-per-address"), 1);
    let mut other = Client::connect_from(OTHER, house.public);
    let answer = other.ask("POST", "/api/uploads?job=other", &[], &[b'x'; 500]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    held.send(&[b'x'; 499]);
    assert_eq!(held.answer().status, 201);
}

#[test]
fn whoever_begins_too_often_lets_others_begin() {
    let house = house(&["--upload-rate", "20", "--upload-rate-per-address", "5"]);
    let posted: Vec<_> = (0..8)
        .map(|n| house.post(&format!("job-{n}"), b"").status)
        .collect();
    assert_eq!(posted, [201, 201, 201, 201, 201, 429, 429, 429]);
    let refused = house.post("more", b"");
    assert!(refused.error().contains("--upload-rate-per-address"));
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=13).contains(&seconds), "{seconds}");
    let mut other = Client::connect_from(OTHER, house.public);
    assert_eq!(other.ask("POST", "/api/uploads", &[], b"").status, 201);
    assert_eq!(house.refusals("upload-rate-per-address"), 4);
}

#[test]
fn whoever_uploads_without_end_pushes_out_no_history_but_its_own() {
    let limits = ["--max-jobs", "10", "--journal-jobs", "8"];
    let share = ["--max-jobs-per-address", "4"];
    let mut house = house(&[&limits[..], &share].concat());
    let publish = |job: &str| {
        let mut client = Client::connect(house.publish);
        let target = format!("/api/jobs/{job}/events");
        let kind = ["Content-Type: application/json"];
        let event = br#"{"event":"done","data":{}}"#;
        assert_eq!(client.ask("POST", &target, &kind, event).status, 201);
    };
    publish("work-1");
    publish("work-2");
    let mut other = Client::connect_from(OTHER, house.public);
    let answer = other.ask("POST", "/api/uploads?job=others", &[], b"hello");
    assert_eq!(answer.status, 201);
    house.ended("others");
    let greedy = |house: &House, jobs: std::ops::Range<usize>| {
        for n in jobs {
            assert_eq!(house.post(&format!("greedy-{n}"), b"x").status, 201);
            house.ended(&format!("greedy-{n}"));
        }
    };
    let there = |house: &House, jobs: std::ops::Range<usize>| {
        let of_greedy = jobs.map(|n| format!("greedy-{n}"));
        for job in ["work-1", "work-2", "others"]
            .map(str::to_owned)
            .into_iter()
            .chain(of_greedy)
        {
            let answer = house.ask("GET", &format!("/api/jobs/{job}"), &[], b"");
            assert_eq!(answer.status, 200, "{job}");
        }
    };
    greedy(&house, 0..12);
    there(&house, 8..12);
    assert_eq!(house.ask("GET", "/api/jobs/greedy-7", &[], b"").status, 404);
    assert_eq!(house.metric("landfall_jobs_displaced_total"), 8);
    // A restart makes nobody's share another.
    house.kill();
    house.revive();
    greedy(&house, 12..20);
    there(&house, 16..20);
    assert_eq!(house.metric("landfall_jobs_displaced_total"), 8);
    // What goes on isn't forgotten.
    let fields = [TUS, "Upload-Length: 100"];
    let begun: Vec<_> = (0..6)
        .map(|_| house.ask("POST", "/api/tus/", &fields, b"").status)
        .collect();
    assert_eq!(begun, [201, 201, 201, 201, 503, 503]);
    let refused = house.ask("POST", "/api/tus/", &fields, b"");
    assert!(
        refused.error().contains("--max-jobs-per-address"),
        "{}",
        refused.error()
    );
    assert!(refused.field("retry-after").is_some());
    assert_eq!(house.refusals("max-jobs-per-address"), 3);
    there(&house, 0..0);
    assert_eq!(begin_from(&house, OTHER), 201);
}
