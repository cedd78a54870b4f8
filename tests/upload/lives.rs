//! An upload is of one life of its job. Whoever ends that life, and whenever: nothing of it
//! is seen any more, and nothing is left of it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use landfall::{Claims, Key, Keys, Scope};

use super::support::{Answer, Client, House, PIECE, TUS, wait_until};

const MANY: &[&str] = &["--upload-rate", "100000", "--max-uploads-per-address", "32"];

/// Asks the publishing listener.
fn order(house: &House, method: &str, target: &str, body: &str) -> Answer {
    let mut client = Client::connect(house.publish);
    let length = body.len();
    client.send(
        format!(
            "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    client.answer()
}

fn delete(house: &House, job: &str) -> u16 {
    order(house, "DELETE", &format!("/api/jobs/{job}"), "").status
}

pub fn publish(house: &House, job: &str, event: &str) -> u16 {
    let body = format!(r#"{{"event":"{event}","data":{{"mine":true}}}}"#);
    order(house, "POST", &format!("/api/jobs/{job}/events"), &body).status
}

fn status(house: &House, target: &str) -> u16 {
    house.ask("GET", target, &[], b"").status
}

fn metadata(job: &str) -> String {
    use base64::Engine;
    let job = base64::engine::general_purpose::STANDARD.encode(job);
    format!("Upload-Metadata: job {job}")
}

/// Waits until nothing lies on disk for any upload.
fn wait_until_clean(house: &House) {
    let is_empty = |folder: &str| {
        let entries = fs::read_dir(house.data.join(folder));
        entries.map_or(0, Iterator::count) == 0
    };
    for folder in ["uploads", "work", "files/tmp", "files/jobs"] {
        wait_until(&format!("{folder} is empty"), || is_empty(folder));
    }
}

/// Runs `round` for every number below `rounds`, on some threads at once. Each gets a time
/// to wait for that differs from round to round, up to twice what `typical` takes.
fn hammer(rounds: usize, typical: impl Fn(), round: impl Fn(usize, Duration) + Sync) {
    let begun = Instant::now();
    (0..5).for_each(|_| typical());
    let step = begun.elapsed() / 5 / 16;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= rounds {
                        return;
                    }
                    round(number, step * (number % 32) as u32);
                }
            });
        }
    });
}

/// What an upload goes through that nobody disturbs, so that it is known how long that takes.
fn post_and_delete(house: &House, number: usize) {
    let job = format!("typical{number}");
    house.post(&job, b"hello");
    house.stored(&job);
    assert_eq!(delete(house, &job), 204);
}

fn pause(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::thread::yield_now();
    }
}

#[test]
fn a_delete_at_any_instant_of_a_posted_upload_is_final() {
    let house = House::start(MANY);
    let deleted = AtomicUsize::new(0);
    let number = AtomicUsize::new(0);
    let typical = || post_and_delete(&house, number.fetch_add(1, Ordering::Relaxed));
    hammer(300, typical, |number, wait| {
        let job = format!("j{number}");
        let (snapshot, file) = (format!("/api/jobs/{job}"), format!("/api/jobs/{job}/file"));
        std::thread::scope(|scope| {
            let post = scope.spawn(|| house.post(&job, job.as_bytes()).status);
            pause(wait);
            let first = delete(&house, &job);
            if first == 204 {
                deleted.fetch_add(1, Ordering::Relaxed);
                let seen = [status(&house, &snapshot), status(&house, &file)];
                assert_eq!(seen, [410, 410], "{job}");
            }
            let posted = post.join().unwrap();
            assert!([201, 410].contains(&posted), "{job}: {posted}");
            match first {
                204 => assert_eq!(delete(&house, &job), 410),
                404 => assert_eq!((posted, delete(&house, &job)), (201, 204)),
                other => panic!("{job}: {other}"),
            }
            let seen = [status(&house, &snapshot), status(&house, &file)];
            assert_eq!(seen, [410, 410], "{job}");
        });
    });
    assert!((1..300).contains(&deleted.load(Ordering::Relaxed)));
    wait_until_clean(&house);
    (0..300).for_each(|number| assert_eq!(status(&house, &format!("/api/jobs/j{number}")), 410));
}

#[test]
fn a_delete_at_any_instant_of_a_resumable_upload_is_final_and_its_client_told() {
    let house = House::start(MANY);
    let deleted = [(); 4].map(|()| AtomicUsize::new(0));
    let number = AtomicUsize::new(0);
    let typical = || {
        let job = format!("typical{}", number.fetch_add(1, Ordering::Relaxed));
        let upload = house.begin(6, &[&metadata(&job)]);
        house.patch(&upload, 0, &[], b"abc");
        house.patch(&upload, 3, &[], b"def");
        assert_eq!(delete(&house, &job), 204);
    };
    hammer(300, typical, |number, wait| {
        let job = format!("j{number}");
        std::thread::scope(|scope| {
            let tus = scope.spawn(|| {
                let fields = [TUS, "Upload-Length: 6", &metadata(&job)];
                let begun = house.ask("POST", "/api/tus/", &fields, b"");
                if begun.status != 201 {
                    return (0, begun.status, None);
                }
                let upload = begun.field("location").unwrap().to_owned();
                for (step, piece) in [b"abc", b"def"].into_iter().enumerate() {
                    let answer = house.patch(&upload, 3 * step, &[], piece);
                    if answer.status != 204 {
                        return (1 + step, answer.status, Some(upload));
                    }
                }
                (3, 204, Some(upload))
            });
            pause(wait);
            let first = delete(&house, &job);
            let (step, last, upload) = tus.join().unwrap();
            match first {
                204 => {
                    assert!([204, 404, 410].contains(&last), "{job}: {last} at {step}");
                    deleted[step].fetch_add(1, Ordering::Relaxed);
                }
                404 => assert_eq!((last, delete(&house, &job)), (204, 204), "{job}: {step}"),
                other => panic!("{job}: {other}"),
            }
            assert_eq!(status(&house, &format!("/api/jobs/{job}")), 410, "{job}");
            if let Some(upload) = upload {
                let head = house.ask("HEAD", &upload, &[TUS], b"").status;
                assert!([404, 410].contains(&head), "{job}: {head}");
                let piece = house.patch(&upload, 3, &[], b"def").status;
                assert!([404, 410].contains(&piece), "{job}: {piece}");
            }
        });
    });
    println!("deleted at each step: {deleted:?}");
    wait_until_clean(&house);
}

#[test]
fn a_job_that_is_begun_anew_at_any_instant_gets_nothing_of_the_upload() {
    let house = House::start(MANY);
    let replaced = AtomicUsize::new(0);
    let number = AtomicUsize::new(0);
    let typical = || post_and_delete(&house, number.fetch_add(1, Ordering::Relaxed));
    hammer(200, typical, |number, wait| {
        let job = format!("j{number}");
        std::thread::scope(|scope| {
            let post = scope.spawn(|| house.post(&job, job.as_bytes()).status);
            pause(wait);
            let target = format!("/api/jobs/{job}?replace=true");
            assert_eq!(order(&house, "PUT", &target, "").status, 201);
            assert_eq!(publish(&house, &job, "progress"), 201);
            let posted = post.join().unwrap();
            assert!([201, 409, 410].contains(&posted), "{job}: {posted}");
            replaced.fetch_add(usize::from(posted != 409), Ordering::Relaxed);
            let snapshot = house
                .ask("GET", &format!("/api/jobs/{job}"), &[], b"")
                .json();
            assert_eq!(snapshot["state"], "running", "{snapshot}");
            assert_eq!(snapshot["lastEvent"]["data"]["mine"], true, "{snapshot}");
            assert_eq!(status(&house, &format!("/api/jobs/{job}/file")), 404);
        });
    });
    assert!((1..=200).contains(&replaced.load(Ordering::Relaxed)));
    wait_until_clean(&house);
    for number in 0..200 {
        let job = format!("j{number}");
        assert_eq!(publish(&house, &job, "done"), 201);
        let events = house.events(&job);
        assert!(
            events.iter().all(|(_, data)| data["mine"] == true),
            "{events:?}"
        );
        assert_eq!(events.len(), 2);
    }
}

#[test]
fn an_upload_whose_client_says_nothing_more_is_broken_off_with_its_life() {
    let house = House::start(&[]);
    let fields = ["Content-Length: 10"];
    let mut posted = house.send("POST", "/api/uploads?job=a", &fields, b"123");
    let upload = house.begin(10, &[&metadata("b")]);
    let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 10"];
    let mut piece = house.send("PATCH", &upload, &fields, b"123");
    for job in ["a", "b"] {
        house.wait_for(job, "it has begun", |snapshot| {
            !snapshot["lastEvent"].is_null()
        });
        assert_eq!(
            order(&house, "PUT", &format!("/api/jobs/{job}"), "").status,
            409
        );
        let target = format!("/api/jobs/{job}?replace=true");
        assert_eq!(order(&house, "PUT", &target, "").status, 201);
    }
    assert_eq!(posted.answer().status, 410);
    assert!([404, 410].contains(&piece.answer().status));
    house.wait_for_empty_spool();
    assert!([404, 410].contains(&house.ask("HEAD", &upload, &[TUS], b"").status));
    // Nor does one go on whose job a worker has ended.
    let upload = house.begin(10, &[&metadata("c")]);
    assert_eq!(publish(&house, "c", "done"), 201);
    assert_eq!(house.patch(&upload, 0, &[], b"123").status, 410);
    assert_eq!(house.ended("c")["lastEvent"]["data"]["mine"], true);
    house.wait_for_empty_spool();
}

#[test]
fn an_upload_takes_a_name_without_a_job_or_whose_last_was_deleted_or_a_failed_upload() {
    let house = House::start(&[]);
    assert_eq!(publish(&house, "worker", "progress"), 201);
    let tus = |job: &str| {
        let fields = [TUS, "Upload-Length: 1", &metadata(job)];
        house.ask("POST", "/api/tus/", &fields, b"").status
    };
    let answer = house.post("worker", b"x");
    assert_eq!((answer.status, tus("worker")), (409, 409));
    assert!(answer.error().contains("is running"), "{}", answer.error());
    assert_eq!(publish(&house, "worker", "progress"), 201);
    for end in ["error", "done"] {
        assert_eq!(publish(&house, end, end), 201);
        let answer = house.post(end, b"x");
        assert_eq!((answer.status, tus(end)), (409, 409));
        let says = format!("has ended with {end}");
        assert!(answer.error().contains(&says), "{}", answer.error());
        assert_eq!(delete(&house, end), 204);
        assert_eq!(house.post(end, b"x").status, 201);
        assert_eq!(house.stored(end), b"x");
        // Its own result isn't begun anew either.
        assert_eq!(house.post(end, b"y").status, 409);
    }
    let upload = house.begin(3, &[&metadata("failed")]);
    assert_eq!(house.post("failed", b"x").status, 409);
    assert_eq!(house.ask("DELETE", &upload, &[TUS], b"").status, 204);
    assert_eq!(house.ended("failed")["state"], "error");
    assert_eq!(house.post("failed", b"x").status, 201);
    assert_eq!(house.stored("failed"), b"x");
}

#[test]
fn who_may_publish_to_a_job_that_has_ended_may_upload_into_it_and_nobody_into_a_running_one() {
    let house = House::start(&[]);
    let through_publishing = |job: &str| {
        let target = format!("/api/uploads?job={job}");
        order(&house, "POST", &target, "again").status
    };
    for end in ["done", "error"] {
        assert_eq!(publish(&house, end, "progress"), 201);
        assert_eq!(through_publishing(end), 409);
        assert_eq!(publish(&house, end, end), 201);
        assert_eq!(house.post(end, b"x").status, 409);
        assert_eq!(through_publishing(end), 201);
        assert_eq!(house.stored(end), b"again");
    }

    let key = tempfile::NamedTempFile::new().unwrap();
    fs::write(key.path(), "61".repeat(32)).unwrap();
    let house = House::start(&["--token-key", key.path().to_str().unwrap()]);
    let token = |publish: &[&str]| {
        let scope = |list: &[&str]| Scope::parse(list.iter().copied()).unwrap();
        let keys = Keys::new(vec![Key::from_file("61".repeat(32).as_bytes()).unwrap()]).unwrap();
        let claims = Claims {
            exp: 4_102_444_800,
            upload: scope(&["*"]),
            jobs: scope(&["*"]),
            publish: scope(publish),
            ..Claims::default()
        };
        format!("Authorization: Bearer {}", claims.sign(&keys))
    };
    let post = |field: &str| {
        let answer = house.ask("POST", "/api/uploads?job=a", &[field], b"x");
        answer.status
    };
    let is_done = || {
        let answer = house.ask("GET", "/api/jobs/a", &[&token(&[])], b"");
        answer.status == 200 && answer.json()["state"] == "done"
    };
    assert_eq!(post(&token(&[])), 201);
    wait_until("it is done", is_done);
    assert_eq!(post(&token(&[])), 409);
    assert_eq!(post(&token(&["b"])), 409);
    assert_eq!(post(&token(&["a"])), 201);
    wait_until("it is done again", is_done);
}

#[test]
fn a_file_is_of_the_life_that_made_it() {
    let house = House::start(&[]);
    let file = "/api/jobs/a/file";
    assert_eq!(house.post("a", b"first").status, 201);
    assert_eq!(house.stored("a"), b"first");
    assert_eq!(order(&house, "PUT", "/api/jobs/a", "").status, 201);
    assert_eq!(status(&house, file), 404);
    assert_eq!(publish(&house, "a", "done"), 201);
    assert_eq!(status(&house, file), 404);
    assert_eq!(delete(&house, "a"), 204);
    assert_eq!(status(&house, file), 410);
    assert_eq!(order(&house, "POST", "/api/jobs/a/retry", "").status, 410);
    assert_eq!(house.post("a", b"second").status, 201);
    assert_eq!(house.stored("a"), b"second");
    assert_eq!(delete(&house, "a"), 204);
    assert_eq!(delete(&house, "a"), 410);
    assert_eq!(delete(&house, "none"), 404);
    assert_eq!(status(&house, file), 410);
    wait_until_clean(&house);
}

#[test]
fn a_deletion_holds_over_a_kill_whatever_lies_on_disk() {
    let mut house = House::start(&["--downloads"]);
    let uploads = house.data.join("uploads");
    let aside = tempfile::tempdir().unwrap();
    let upload = house.begin(10, &[&metadata("a")]);
    assert_eq!(house.patch(&upload, 0, &[], b"123").status, 204);
    copy(&uploads, aside.path());
    assert_eq!(delete(&house, "a"), 204);
    house.wait_for_empty_spool();
    house.kill();
    copy(aside.path(), &uploads);
    house.revive();
    assert_eq!(house.spooled(), Vec::<String>::new());
    assert_eq!(status(&house, "/api/jobs/a"), 410);
    let head = house.ask("HEAD", &upload, &[TUS], b"").status;
    assert!([404, 410].contains(&head), "{head}");
}

#[test]
fn a_job_whose_upload_was_lost_with_the_process_ends_with_an_error() {
    let mut house = House::start(&[]);
    let upload = house.begin(10, &[&metadata("a")]);
    let kept = house.begin(10, &[&metadata("b")]);
    assert_eq!(publish(&house, "worker", "progress"), 201);
    house.kill();
    let id = upload.rsplit('/').next().unwrap();
    fs::remove_dir_all(house.data.join("uploads").join(id)).unwrap();
    house.revive();
    let ended = house.ended("a");
    let data = &ended["lastEvent"]["data"];
    assert_eq!(ended["state"], "error", "{ended}");
    assert_eq!(
        (&data["stage"], &data["retryable"]),
        (&"uploading".into(), &true.into())
    );
    assert!(
        data["message"].as_str().unwrap().contains("cut off"),
        "{data}"
    );
    assert_eq!(house.offset(&kept), 0);
    assert_eq!(publish(&house, "worker", "progress"), 201);
    assert_eq!(house.post("a", b"again").status, 201);
    assert_eq!(house.stored("a"), b"again");
}

/// Copies folders of files.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        fs::create_dir(&place).unwrap();
        for file in fs::read_dir(&path).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), place.join(file.file_name())).unwrap();
        }
    }
}
