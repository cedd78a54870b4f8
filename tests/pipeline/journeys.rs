//! What becomes of jobs on their way: they wait, are cancelled, are tried again, and go on
//! after a restart.

use std::fs;

use landfall::Event;
use landfall::internals::pipeline::{PipelineConfig, RetryError};
use serde_json::Value;

use crate::support::{Plant, Told, begin, is_alive, land_on, wait_until};

/// A stage that waits until there is a file `go` in the data folder.
const GATE: &str = "[[stage]]\nname = \"gate\"\nconcurrency = 1\nrun = [\"sh\", \"-c\", \
    \"echo $$ >>$LANDFALL_WORK/../../../pids; echo 1%; \
    while ! test -e $LANDFALL_WORK/../../../go; do sleep 0.02; done\"]\n\
    [[stage]]\nname = \"storing\"\n";

fn open(plant: &Plant) {
    fs::write(plant.data.join("go"), "").unwrap();
}

fn in_gate(told: &Told) -> bool {
    told.stage() == "gate" && told.percent() == Some(1.0)
}

fn positions(told: &[Told]) -> Vec<u64> {
    let queued = told.iter().filter(|told| told.stage() == "queued");
    queued
        .map(|told| told.data["position"].as_u64().unwrap())
        .collect()
}

#[test]
fn who_waits_is_told_every_place_that_it_comes_forward() {
    let plant = Plant::new(GATE);
    let first = plant.land("first", "a", b"1");
    plant.wait(&first, in_gate);
    let second = plant.land("second", "a", b"2");
    let third = plant.land("third", "a", b"3");
    let told = plant.wait(&third, |told| told.data["position"] == 2);
    assert_eq!(told.last().unwrap().data["for"], "gate");
    assert_eq!(positions(&plant.told(&second)), [1]);
    plant.delete(&second);
    plant.wait(&third, |told| told.data["position"] == 1);
    open(&plant);
    let told = plant.end(&third, "done");
    assert_eq!(positions(&told), [2, 1]);
    // No position is told once the stage has begun.
    let last = told
        .iter()
        .rposition(|told| told.stage() == "queued")
        .unwrap();
    let begun = told.iter().position(|told| told.stage() == "gate").unwrap();
    assert!(last < begun);
    plant.end(&first, "done");
    plant.is_clean(0);
}

#[test]
fn stages_are_counted_by_what_they_are_at_and_have_done() {
    let plant = Plant::new(GATE);
    let counts = |stage: usize| {
        let counts = &plant.pipeline.counts()[stage];
        let (now, then) = (
            [counts.waiting, counts.working],
            [counts.done, counts.failed],
        );
        (now, then, counts.stopped)
    };
    let first = plant.land("first", "a", b"1");
    plant.wait(&first, in_gate);
    let second = plant.land("second", "a", b"2");
    let third = plant.land("third", "a", b"3");
    plant.wait(&third, |told| told.data["position"] == 2);
    assert_eq!(counts(0), ([2, 1], [0, 0], 0));
    plant.delete(&first);
    plant.wait(&second, in_gate);
    assert_eq!(counts(0), ([1, 1], [0, 0], 1));
    assert_eq!(counts(1), ([0, 0], [0, 0], 0));
    open(&plant);
    plant.end(&second, "done");
    plant.end(&third, "done");
    wait_until("the first stage has counted all", || {
        counts(0) == ([0, 0], [2, 0], 1)
    });
    wait_until("the last stage has let go", || {
        counts(1) == ([0, 0], [2, 0], 0)
    });
    assert!(plant.pipeline.counts()[0].took() > std::time::Duration::ZERO);
}

#[test]
fn a_cancel_ends_the_command_and_its_group_and_nothing_is_left() {
    let plant = Plant::new(GATE);
    let job = plant.land("j", "a", b"1");
    plant.wait(&job, in_gate);
    let pid = String::from_utf8(plant.read("pids")).unwrap();
    assert!(is_alive(&pid));
    plant.delete(&job);
    wait_until("the command is gone", || !is_alive(&pid));
    plant.is_clean(0);
    assert!(
        plant.jobs.snapshot(&job).is_none(),
        "{:?}",
        plant.told(&job)
    );
    // The name is free for another.
    open(&plant);
    let job = plant.land("j", "b", b"2");
    plant.end(&job, "done");
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_its_grace() {
    let stubborn = "[[stage]]\nname = \"gate\"\ngrace = \"300ms\"\nrun = [\"sh\", \"-c\", \
        \"trap '' TERM; echo $$ >$LANDFALL_WORK/../../../pids; echo 1%; \
        while :; do sleep 0.05; done\"]\n";
    let plant = Plant::new(stubborn);
    let job = plant.land("j", "a", b"1");
    plant.wait(&job, in_gate);
    let pid = String::from_utf8(plant.read("pids")).unwrap();
    plant.delete(&job);
    wait_until("the command is gone", || !is_alive(&pid));
    plant.is_clean(0);
}

#[test]
fn a_deleted_job_lets_go_of_its_result_which_stays_among_the_files() {
    let plant = Plant::new("[[stage]]\nname = 'storing'\n");
    let job = plant.land("j", "a", b"x");
    plant.end(&job, "done");
    let record = plant.record(&job, plant.life(&job)).unwrap();
    plant.is_clean(0);
    let life = plant.delete(&job);
    assert_eq!(plant.record(&job, life), None);
    assert!(plant.data.join(record.path.unwrap()).exists());
}

#[test]
fn a_retry_is_another_attempt_whose_events_are_all_new() {
    let toml = "[[stage]]\nname = \"gate\"\nrun = [\"sh\", \"-c\", \
        \"test -e $LANDFALL_WORK/../../../go\"]\n";
    let plant = Plant::new(toml);
    let job = plant.land("j", "a", b"1");
    let old = plant.end(&job, "error");
    assert!(old.iter().all(|told| told.data["attempt"] == 1));
    let old_last = old.last().unwrap().id;

    assert_eq!(plant.retry(&job), Ok(2));
    let second = plant.end(&job, "error");
    assert!(
        second.iter().all(|told| told.data["attempt"] == 2),
        "{second:#?}"
    );
    assert!(second[0].id > old_last);
    open(&plant);
    assert_eq!(plant.retry(&job), Ok(3));
    let third = plant.end(&job, "done");
    assert!(
        third.iter().all(|told| told.data["attempt"] == 3),
        "{third:#?}"
    );
    plant.is_clean(0);
    assert_eq!(plant.retry(&job), Err(RetryError::NotKept));
}

#[test]
fn a_job_on_its_way_or_unheard_of_is_not_tried_again() {
    let plant = Plant::new(GATE);
    let job = plant.land("j", "a", b"1");
    assert_eq!(plant.retry(&job), Err(RetryError::Running));
    let none = "none".parse().unwrap();
    assert_eq!(plant.retry(&none), Err(RetryError::NotKept));
    open(&plant);
    plant.end(&job, "done");
}

#[test]
fn a_failed_job_is_kept_over_a_restart_and_tried_again() {
    let toml = "[[stage]]\nname = \"gate\"\nrun = [\"sh\", \"-c\", \
        \"test -e $LANDFALL_WORK/../../../go\"]\n";
    let plant = Plant::new(toml);
    let job = plant.land("j", "a", b"1");
    let first = plant.end(&job, "error");
    let plant = plant.restart(toml);
    let told = plant.end(&job, "error");
    assert_eq!(told.len(), first.len(), "{told:#?}");
    open(&plant);
    assert_eq!(plant.retry(&job), Ok(2));
    plant.end(&job, "done");
    plant.is_clean(0);
}

#[test]
fn what_another_configuration_takes_is_tried_again_with_that_though_only_another_file_would_have_done()
 {
    let of_type = |types: &str| format!("[[stage]]\nname = 'scanning'\ntypes = ['{types}']\n");
    let plant = Plant::new(&of_type("image/*"));
    let job = plant.land("j", "a", b"hello");
    let told = plant.end(&job, "error");
    assert_eq!(told.last().unwrap().data["retryable"], false);
    let plant = plant.restart(&of_type("text/*"));
    plant.end(&job, "error");
    assert_eq!(plant.retry(&job), Ok(2));
    plant.end(&job, "done");
}

#[test]
fn a_failed_job_is_let_go_of_after_its_time() {
    let toml = "[[stage]]\nname = 'gate'\nrun = ['false']\n";
    let plant = Plant::new(toml);
    let job = plant.land("j", "a", b"1");
    plant.end(&job, "error");
    plant.is_clean(1);
    let config = PipelineConfig::with(|config| {
        config.keep_failed = std::time::Duration::ZERO;
    });
    // It is looked for at the start, and once a minute.
    let plant = plant.restart_with(toml, config);
    plant.is_clean(0);
    assert_eq!(plant.retry(&job), Err(RetryError::NotKept));
}

#[test]
fn what_can_not_be_read_in_quarantine_stays_as_long_as_what_can() {
    let plant = Plant::new("");
    let put = |name: &str, state: &str| {
        let folder = plant.data.join("quarantine").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("state.json"), state).unwrap();
        folder
    };
    let failure = r#"{"stage":"scanning","message":"","at":1,"isInfected":true}"#;
    let old = put("old", &format!(r#"{{"failure":{failure}}}"#));
    let [unread, unknown] = [put("unread", "{"), put("unknown", "{}")];
    // It is looked for at the start, and once a minute.
    let plant = plant.restart("");
    wait_until("what is old is gone", || !old.exists());
    assert!(unread.exists() && unknown.exists());
    drop(plant);
}

#[test]
fn after_a_restart_a_stage_begins_anew_and_says_so() {
    let toml = format!("[[stage]]\nname = 'scanning'\n{GATE}");
    let plant = Plant::new(&toml);
    let job = plant.land("j", "a", b"1");
    plant.wait(&job, in_gate);
    let waiting = plant.land("k", "a", b"2");
    plant.wait(&waiting, |told| {
        told.stage() == "queued" && told.data["for"] == "gate"
    });
    let pid = String::from_utf8(plant.read("pids")).unwrap();
    let before = plant.newest(&job);
    let plant = plant.restart(&toml);
    assert!(!is_alive(&pid));
    open(&plant);
    let told = plant.end(&job, "done");
    let told: Vec<_> = told.iter().filter(|told| told.id > before).collect();
    let begun: Vec<_> = told
        .iter()
        .filter(|told| told.data["restarted"] == true)
        .collect();
    assert_eq!(begun.len(), 1, "{told:#?}");
    assert_eq!(begun[0].stage(), "gate");
    // What was behind it isn't done again.
    assert!(
        told.iter().all(|told| told.stage() != "scanning"),
        "{told:#?}"
    );
    assert!(told.last().unwrap().data["durations"]["scanningMs"].is_u64());
    // Who only waited has nothing to begin anew.
    let told = plant.end(&waiting, "done");
    assert!(
        told.iter().all(|told| told.data["restarted"].is_null()),
        "{told:#?}"
    );
    plant.is_clean(0);
}

#[test]
fn after_a_restart_with_other_stages_everything_begins_anew() {
    let toml = format!("[[stage]]\nname = 'scanning'\n{GATE}");
    let plant = Plant::new(&toml);
    let job = plant.land("j", "a", b"1");
    plant.wait(&job, in_gate);
    let plant = plant.restart("[[stage]]\nname = 'storing'\n");
    let told = plant.end(&job, "done");
    assert!(told.last().unwrap().data["durations"]["scanningMs"].is_null());
    plant.is_clean(0);
}

#[test]
fn what_a_stage_made_is_there_after_a_restart() {
    let toml = format!(
        "[[stage]]\nname = 'upper'\nrun = ['sh', '-c', 'tr a-z A-Z <\"$1\" >\"$2\"', 'sh', \
         '{{input}}', '{{output}}']\n{GATE}"
    );
    let plant = Plant::new(&toml);
    let job = plant.land("j", "a", b"hello");
    plant.wait(&job, in_gate);
    let before = plant.newest(&job);
    let plant = plant.restart(&toml);
    open(&plant);
    let told = plant.end(&job, "done");
    let mut after = told.iter().filter(|told| told.id > before);
    assert!(after.all(|told| told.stage() != "upper"), "{told:#?}");
    let record = plant.record(&job, plant.life(&job)).unwrap();
    assert_eq!(plant.read(record.path.unwrap().to_str().unwrap()), b"HELLO");
    plant.is_clean(0);
}

#[test]
fn an_upload_whose_job_somebody_else_ends_is_let_go_of() {
    let plant = Plant::new(GATE);
    let job = plant.land("j", "a", b"1");
    plant.wait(&job, in_gate);
    plant.jobs.publish(&job, Event::done()).unwrap();
    open(&plant);
    plant.is_clean(0);
    assert_eq!(plant.record(&job, plant.life(&job)), None);
    assert_eq!(
        plant.end(&job, "done").last().unwrap().data["attempt"],
        Value::Null
    );
}

#[test]
fn state_that_can_not_be_read_begins_the_job_anew() {
    let plant = Plant::new("");
    for (job, state) in [("a", ""), ("b", "{"), ("c", "[]"), ("d", "{}")] {
        let job = job.parse().unwrap();
        let life = begin(&plant.jobs, &job);
        let landed = land_on(&plant.data, &job, life, "a", None, b"1");
        fs::write(landed.folder().join("state.json"), state).unwrap();
    }
    plant.recover();
    for job in ["a", "b", "c", "d"] {
        plant.end(&job.parse().unwrap(), "done");
    }
    plant.is_clean(0);
}

#[test]
fn with_a_journal_a_job_goes_on_after_a_restart_where_its_stream_was() {
    let folder = tempfile::tempdir().unwrap();
    let plant = Plant::journaled(folder.path(), GATE);
    let job = plant.land("j", "a", b"1");
    let before = plant.wait(&job, in_gate);
    let plant = plant.restart(GATE);
    open(&plant);
    let told = plant.end(&job, "done");
    assert!(told.is_sorted_by(|a, b| a.id < b.id), "{told:#?}");
    let kept = told
        .iter()
        .filter(|told| told.id <= before.last().unwrap().id);
    assert_eq!(kept.count(), before.len());
    assert_eq!(
        told.iter()
            .filter(|told| told.data["restarted"] == true)
            .count(),
        1
    );
    plant.is_clean(0);
}

#[test]
fn with_a_journal_an_end_is_told_once_and_a_retry_goes_on_above() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[[stage]]\nname = \"gate\"\nrun = [\"sh\", \"-c\", \
        \"test -e $LANDFALL_WORK/../../../go\"]\n";
    let plant = Plant::journaled(folder.path(), toml);
    let job = plant.land("j", "a", b"1");
    let first = plant.end(&job, "error");
    let plant = plant.restart(toml);
    assert_eq!(plant.end(&job, "error").len(), first.len());
    open(&plant);
    assert_eq!(plant.retry(&job), Ok(2));
    let told = plant.end(&job, "done");
    assert!(told[0].id > first.last().unwrap().id);
    assert!(
        told.iter().all(|told| told.data["attempt"] == 2),
        "{told:#?}"
    );
    plant.is_clean(0);
}

#[test]
fn a_file_goes_through_the_stages_that_there_were_when_it_came() {
    let first = "[[stage]]\nname = 'first'\nrun = ['sh', '-c', \"echo 1%; \
                 while ! test -e $LANDFALL_WORK/../../../go; do sleep 0.02; done\"]\n\
                 [[stage]]\nname = 'second'\nrun = ['true']\n";
    let plant = Plant::new(first);
    let old = plant.land("old", "a.txt", b"old");
    let waits = plant.land("waits", "a.txt", b"waits");
    plant.wait(&old, |told| told.data["percent"] == 1);

    let file = plant.data.join("landfall.toml");
    let reload = |toml: &str| {
        std::fs::write(&file, toml).unwrap();
        plant.pipeline.reload(PipelineConfig::with(|config| {
            config.file = Some(file.clone());
        }))
    };
    let wrong = reload("[[stage]]\nname = 'x'\n").unwrap_err();
    assert!(wrong.to_string().contains("landfall.toml:2: "), "{wrong}");
    reload("[[stage]]\nname = 'other'\nrun = ['true']\n").unwrap();

    let new = plant.land("new", "a.txt", b"new");
    let stages = |job| {
        let done = plant.end(job, "done").pop().unwrap();
        let durations = done.data["durations"].as_object().unwrap().clone();
        let names = durations.into_iter().map(|(name, _)| name);
        names.filter(|name| name != "queuedMs").collect::<Vec<_>>()
    };
    assert_eq!(stages(&new), ["otherMs"], "it waits for nobody of before");
    plant.delete(&waits);
    let late = plant.land("late", "a.txt", b"late");
    std::fs::write(plant.data.join("go"), "").unwrap();
    assert_eq!(stages(&old), ["firstMs", "secondMs"]);
    assert_eq!(stages(&late), ["otherMs"]);
    plant.is_clean(0);
    let counts: Vec<_> = plant
        .pipeline
        .counts()
        .into_iter()
        .map(|it| it.stage)
        .collect();
    assert_eq!(counts, ["other"]);
}
