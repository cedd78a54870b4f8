//! An upload is of one life of its job: what is done for it ends with that, whenever it does.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use landfall::PublishError;
use landfall::internals::pipeline::RetryError;
use landfall::internals::upload::{Info, Landing};
use landfall::{After, Owner, Refusal};
use landfall::{Event, Saying, Sequencer};
use landfall::{EventId, JobId, LifeId};

use crate::support::{PATIENCE, Plant, begin, is_alive, land_on, wait_until};

const STORING: &str = "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'storing'\n";
/// Every file fails at once.
const REFUSING: &str = "[[stage]]\nname = 'scanning'\ntypes = ['image/*']\n";
const SLEEPING: &str = "[[stage]]\nname = 'gate'\nrun = ['sh', '-c', \
    'echo $$ >>$LANDFALL_WORK/../../../pids; echo 1%; exec sleep 1000']\n";

fn name(number: usize) -> JobId {
    format!("j{number}").parse().unwrap()
}

/// Waits for so long to the microsecond.
fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Waits for an instant of a job's life, another for every number: after so many events,
/// and a little more.
fn wait_for_instant(plant: &Plant, job: &JobId, number: usize) {
    let is_over = || {
        landfall::internals::hub(&plant.jobs)
            .life(job)
            .is_some_and(|life| life.is_over())
    };
    while plant.told(job).len() < number % 10 && !is_over() {
        std::hint::spin_loop();
    }
    spin(Duration::from_micros(30 * (number / 10 % 16) as u64));
}

/// What is on record of results: the names of the files.
fn records(plant: &Plant) -> Vec<String> {
    let entries = fs::read_dir(plant.data.join("files/jobs"));
    let entries = entries.into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// How long a job that fails takes from landing to its end.
fn typical(plant: &Plant) -> Duration {
    let begun = Instant::now();
    for number in 0..10 {
        let job = plant.land(&format!("typical{number}"), "a", b"x");
        plant.end(&job, "error");
    }
    let each = begun.elapsed() / 10;
    (0..10).for_each(|number| {
        plant.delete(&format!("typical{number}").parse().unwrap());
    });
    each
}

/// Runs `round` for every number below `rounds`, on some threads at once.
fn hammer(rounds: usize, round: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        number if number < rounds => round(number),
                        _ => return,
                    }
                }
            });
        }
    });
}

#[test]
fn a_delete_at_any_instant_from_the_landing_to_the_end_is_final() {
    let plant = Plant::new(STORING);
    let ended = AtomicUsize::new(0);
    hammer(600, |number| {
        let job = name(number);
        let life = begin(&plant.jobs, &job);
        let landed = land_on(&plant.data, &job, life, "a", None, job.as_str().as_bytes());
        std::thread::scope(|scope| {
            scope.spawn(|| plant.pipeline.land(landed, None));
            wait_for_instant(&plant, &job, number);
            let state = landfall::internals::hub(&plant.jobs)
                .life(&job)
                .unwrap()
                .is_over();
            ended.fetch_add(usize::from(state), Ordering::Relaxed);
            assert_eq!(plant.delete(&job), life);
            let last = landfall::internals::hub(&plant.jobs)
                .life(&job)
                .unwrap()
                .last;
            spin(Duration::from_micros(500));
            assert_eq!(
                landfall::internals::hub(&plant.jobs)
                    .life(&job)
                    .unwrap()
                    .last,
                last
            );
        });
    });
    println!("{} had ended before", ended.load(Ordering::Relaxed));
    assert!((1..600).contains(&ended.load(Ordering::Relaxed)));
    assert!(plant.pipeline.stop(Instant::now() + PATIENCE));
    assert_eq!(records(&plant), Vec::<String>::new());
    plant.is_clean(0);
}

#[test]
fn an_upload_that_lands_after_its_job_was_deleted_goes_at_once() {
    let plant = Plant::new(SLEEPING);
    let first = plant.land("first", "a", b"x");
    plant.wait(&first, |told| told.percent() == Some(1.0));
    for (is_deleted, is_there) in [(false, true), (true, false)] {
        let job = format!("second-{is_deleted}").parse().unwrap();
        let life = begin(&plant.jobs, &job);
        let landed = land_on(&plant.data, &job, life, "a", None, b"x");
        let folder = landed.folder().to_owned();
        if is_deleted {
            plant.delete(&job);
        }
        plant.pipeline.land(landed, None);
        assert_eq!(folder.exists(), is_there);
    }
}

#[test]
fn a_name_that_is_begun_anew_at_any_instant_gets_nothing_of_the_upload_before() {
    let plant = Plant::new(STORING);
    hammer(300, |number| {
        let job = name(number);
        let old = plant.land(job.as_str(), "a", job.as_str().as_bytes());
        wait_for_instant(&plant, &old, number);
        let new = plant
            .jobs
            .begin(&old, Owner::Worker, After::Running)
            .unwrap();
        let event = Event::new("progress", r#"{"mine":true}"#).unwrap();
        let saying = Saying {
            life: Some(new),
            ..Saying::of(job.clone(), event)
        };
        plant.jobs.say(saying).unwrap();
        spin(Duration::from_micros(500));
        let told = plant.told(&job);
        assert!(
            told.iter().all(|told| told.data["mine"] == true),
            "{told:#?}"
        );
        assert_eq!(plant.record(&job, new), None);
    });
    // Nobody has cancelled anything: the attempts notice, or what looks after them.
    plant.is_clean(0);
}

#[test]
fn a_command_ends_with_the_life_that_it_works_for_though_it_says_nothing() {
    let plant = Plant::new(SLEEPING);
    let job = plant.land("j", "a", b"1");
    plant.wait(&job, |told| told.percent() == Some(1.0));
    let pid = String::from_utf8(plant.read("pids")).unwrap();
    assert!(is_alive(&pid));
    plant
        .jobs
        .begin(&job, Owner::Worker, After::Running)
        .unwrap();
    wait_until("the command is gone", || !is_alive(&pid));
    plant.is_clean(0);
}

#[test]
fn a_retry_and_a_delete_at_once_leave_nothing() {
    let plant = Plant::new(REFUSING);
    let each = typical(&plant);
    let retried = AtomicUsize::new(0);
    hammer(400, |number| {
        let job = plant.land(name(number).as_str(), "a", b"x");
        plant.end(&job, "error");
        std::thread::scope(|scope| {
            let retry = scope.spawn(|| plant.retry(&job));
            spin(each * (number % 20) as u32 / 10);
            plant.delete(&job);
            let deleted_at = landfall::internals::hub(&plant.jobs)
                .life(&job)
                .unwrap()
                .last;
            match retry.join().unwrap() {
                Ok(attempt) => {
                    assert_eq!(attempt, 2);
                    retried.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => assert!(
                    [RetryError::Deleted, RetryError::NotKept].contains(&error),
                    "{error:?}"
                ),
            }
            let life = landfall::internals::hub(&plant.jobs).life(&job).unwrap();
            assert_eq!((life.is_deleted(), life.last), (true, deleted_at));
            assert_eq!(plant.retry(&job), Err(RetryError::Deleted));
        });
    });
    println!(
        "{} were tried again before",
        retried.load(Ordering::Relaxed)
    );
    assert!((1..400).contains(&retried.load(Ordering::Relaxed)));
    plant.is_clean(0);
}

#[test]
fn of_two_retries_at_once_one_is_a_retry() {
    let plant = Plant::new(REFUSING);
    hammer(200, |number| {
        let job = plant.land(name(number).as_str(), "a", b"x");
        plant.end(&job, "error");
        let before = plant.life(&job);
        let both = std::thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| plant.retry(&job)));
            both.map(|retry| retry.join().unwrap())
        });
        // The second may come when the first has failed again.
        match both.iter().filter(|retry| retry.is_ok()).count() {
            1 => assert!(both.contains(&Ok(2)) && both.contains(&Err(RetryError::Running))),
            2 => assert!(both.contains(&Ok(2)) && both.contains(&Ok(3))),
            _ => panic!("{both:?}"),
        }
        assert!(plant.life(&job) > before);
        plant.end(&job, "error");
        plant.delete(&job);
    });
    plant.is_clean(0);
}

#[test]
fn an_upload_in_the_place_of_a_failed_one_and_a_retry_of_that_are_not_mixed() {
    let plant = Plant::new(REFUSING);
    let taken = AtomicUsize::new(0);
    hammer(200, |number| {
        let job = plant.land(name(number).as_str(), "old", b"x");
        plant.end(&job, "error");
        let failed = plant.life(&job);
        std::thread::scope(|scope| {
            let retry = scope.spawn(|| plant.retry(&job));
            spin(Duration::from_micros(20 * (number % 20) as u64));
            let begin = || plant.jobs.begin(&job, Owner::Upload, After::FailedUpload);
            match plant.pipeline.take_over(&job, &begin) {
                Ok(life) => {
                    taken.fetch_add(1, Ordering::Relaxed);
                    assert!(life > failed);
                    let landed = land_on(&plant.data, &job, life, "new", None, b"y");
                    let folder = landed.folder().to_owned();
                    plant.pipeline.land(landed, None);
                    plant.end(&job, "error");
                    assert!(folder.exists(), "the new one is kept");
                }
                Err(error) => {
                    assert_eq!(error, PublishError::Refused(Refusal::Running));
                    assert_eq!(retry.join().unwrap(), Ok(2));
                    plant.end(&job, "error");
                }
            }
        });
        // Whichever was tried again at last.
        plant.end(&job, "error");
    });
    println!("{} were taken over", taken.load(Ordering::Relaxed));
    // Of each job one upload is kept, whoever won.
    plant.is_clean(200);
    (0..200).for_each(|number| {
        plant.delete(&name(number));
    });
    plant.is_clean(0);
}

#[test]
fn a_worker_that_takes_a_failed_uploads_name_has_the_upload_let_go_of() {
    let plant = Plant::new(REFUSING);
    let job = plant.land("j", "a", b"x");
    plant.end(&job, "error");
    plant.is_clean(1);
    plant.jobs.begin(&job, Owner::Worker, After::Ended).unwrap();
    plant.is_clean(0);
    plant
        .jobs
        .publish(&job, Event::new("error", "{}").unwrap())
        .unwrap();
    assert_eq!(plant.retry(&job), Err(RetryError::NotKept));
}

#[test]
fn a_job_that_was_forgotten_takes_its_upload_and_its_record_with_it() {
    let plant = Plant::new(STORING);
    let job = plant.land("j", "a", b"x");
    plant.end(&job, "done");
    plant.is_clean(0);
    let life = plant.life(&job);
    assert!(plant.record(&job, life).is_some());
    // What keeps records looks at the start, and once a minute.
    let plant = plant.restart(STORING);
    assert!(plant.record(&job, life).is_some());
    let plant = with_other_jobs(plant, STORING);
    wait_until("nothing is on record", || records(&plant).is_empty());
}

#[test]
fn an_upload_on_disk_whose_life_is_over_goes_at_the_start() {
    let plant = Plant::new(SLEEPING);
    let job = plant.land("j", "a", b"x");
    plant.wait(&job, |told| told.percent() == Some(1.0));
    let plant = with_other_jobs(plant, SLEEPING);
    plant.recover();
    plant.is_clean(0);
    assert_eq!(landfall::internals::hub(&plant.jobs).life(&job), None);
}

/// Another on the same folder, that knows of no job.
fn with_other_jobs(mut plant: Plant, toml: &str) -> Plant {
    plant.jobs = Sequencer::in_memory(Default::default());
    plant.restart(toml)
}

#[test]
fn an_upload_of_a_version_without_lives_is_the_running_jobs() {
    let plant = Plant::new(STORING);
    let running = Event::new("progress", r#"{"stage":"uploading"}"#).unwrap();
    for (job, has_ended) in [("a", false), ("b", true)] {
        let job = job.parse().unwrap();
        plant.jobs.publish(&job, running.clone()).unwrap();
        let landed = land_on(&plant.data, &job, LifeId(EventId(0)), "a", None, b"x");
        let mut info = Info::read(landed.folder()).unwrap();
        info.life = None;
        info.write(landed.folder(), true).unwrap();
        let text = fs::read_to_string(landed.folder().join("info.json")).unwrap();
        assert!(!text.contains("life"), "{text}");
        if has_ended {
            plant.jobs.publish(&job, Event::done()).unwrap();
        }
    }
    plant.recover();
    let a = "a".parse().unwrap();
    plant.end(&a, "done");
    plant.is_clean(0);
    assert!(plant.record(&a, plant.life(&a)).is_some());
    let b = "b".parse().unwrap();
    assert_eq!(plant.record(&b, plant.life(&b)), None);
}

#[test]
fn a_record_of_a_version_without_lives_is_carried_over_where_done_said_the_same() {
    let plant = Plant::new(STORING);
    let jobs = ["same", "other"].map(|job| plant.land(job, "a", job.as_bytes()));
    for job in &jobs {
        plant.end(job, "done");
    }
    plant.is_clean(0);
    let folder = plant.data.join("files/jobs");
    let [same, other] = &jobs;
    let of = |job: &JobId| folder.join(format!("{job}@{}.json", plant.life(job).0));
    fs::rename(of(same), folder.join("same.json")).unwrap();
    fs::copy(of(other), folder.join("none.json")).unwrap();
    fs::remove_file(of(other)).unwrap();
    fs::copy(folder.join("same.json"), folder.join("other.json")).unwrap();
    let plant = plant.restart(STORING);
    assert!(plant.record(same, plant.life(same)).is_some());
    assert_eq!(plant.record(other, plant.life(other)), None);
    assert_eq!(records(&plant).len(), 1);
}

/// What the process may leave that is killed while it begins to try a job again.
#[test]
fn a_retry_that_is_cut_off_anywhere_has_begun_or_hasnt() {
    for (is_begun, is_state_kept) in [(false, false), (true, false), (true, true)] {
        let plant = Plant::new(REFUSING);
        let job = plant.land("j", "a", b"x");
        plant.end(&job, "error");
        plant.is_clean(1);
        assert!(plant.pipeline.stop(Instant::now() + PATIENCE));
        let failed = landfall::internals::hub(&plant.jobs).life(&job).unwrap();
        let folder = upload(&plant);
        let mut info = Info::read(&folder).unwrap();
        info.retried_after = Some(failed.last);
        info.write(&folder, true).unwrap();
        if is_begun {
            let after = After::Failed(failed.id());
            let life = plant.jobs.begin(&job, Owner::Upload, after).unwrap();
            if is_state_kept {
                let state = serde_json::json!({
                    "attempt": 2,
                    "life": life.0.0,
                    "current": folder.join("data"),
                    "facts": {"name": "a"},
                });
                fs::write(folder.join("state.json"), state.to_string()).unwrap();
            }
        }
        let plant = plant.restart(REFUSING);
        let told = plant.end(&job, "error");
        let attempt = if is_begun { 2 } else { 1 };
        assert_eq!(told.last().unwrap().data["attempt"], attempt, "{told:#?}");
        assert!(told.last().unwrap().message().contains("image/*"));
        let info = Info::read(&folder).unwrap();
        let life = Some(plant.life(&job));
        assert_eq!((info.life, info.retried_after), (life, None));
        assert_eq!(plant.retry(&job), Ok(attempt + 1));
    }
}

fn upload(plant: &Plant) -> std::path::PathBuf {
    let mut entries = fs::read_dir(plant.data.join("uploads")).unwrap();
    entries.next().unwrap().unwrap().path()
}

#[test]
fn another_upload_that_was_cut_off_at_its_beginning_gets_nothing_of_the_failed_one() {
    let plant = Plant::new(REFUSING);
    let job = plant.land("j", "a", b"x");
    plant.end(&job, "error");
    plant
        .jobs
        .begin(&job, Owner::Upload, After::FailedUpload)
        .unwrap();
    let plant = plant.restart(REFUSING);
    let told = plant.end(&job, "error");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].stage(), "uploading");
    assert_eq!(told[0].data["retryable"], true);
    assert!(told[0].message().contains("cut off"), "{told:#?}");
    plant.is_clean(0);
}
