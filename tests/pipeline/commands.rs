//! Stages that are commands, and all that commands do.

use std::fs;
use std::time::Instant;

use crate::support::{Plant, is_alive, wait_until};

/// A stage that runs a line of shell, with more options.
fn shell(script: &str, more: &str) -> String {
    let script = serde_json::Value::from(script);
    format!(
        "[[stage]]\nname = \"mine\"\nrun = [\"sh\", \"-c\", {script}, \"sh\", \"{{input}}\", \"{{output}}\", \"{{job}}\"]\n{more}\n"
    )
}

const STORING: &str = "[[stage]]\nname = \"storing\"\n";

#[test]
fn a_command_makes_the_next_stages_file_and_tells_how_far_it_is() {
    let script = "echo 10%; tr a-z A-Z <\"$1\" >\"$2\"; echo \"$3\" >>\"$2\"; echo 60%";
    let toml = shell(script, "output = \"out.txt\"") + STORING;
    let plant = Plant::new(&toml);
    let job = plant.land("job_1", "a/../notes.md", b"hello");
    let told = plant.end(&job, "done");
    let done = &told.last().unwrap().data;
    assert_eq!(done["name"], "a/../notes.txt");
    assert_eq!(done["size"], 11);
    assert_eq!(done["contentType"], "text/plain");
    assert_eq!(done["attempt"], 1);
    assert_eq!(done["overall"], 100);
    assert!(done["durations"]["mineMs"].is_u64() && done["durations"]["storingMs"].is_u64());
    let digest = done["digest"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let path = format!("files/{}/{digest}", &digest[..2]);
    assert_eq!(plant.read(&path), b"HELLOjob_1\n");

    let mine: Vec<_> = told.iter().filter(|told| told.stage() == "mine").collect();
    let percents: Vec<_> = mine.iter().filter_map(|told| told.percent()).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!((percents[0], *percents.last().unwrap()), (0.0, 100.0));
    let is_told_twice = told.windows(2).any(|two| two[0].data == two[1].data);
    assert!(!is_told_twice, "{told:?}");
    assert!(percents.contains(&60.0), "{percents:?}");
    assert_eq!(told[0].stage(), "queued");
    assert_eq!(told[0].data["position"], 1);
    let overall: Vec<_> = told
        .iter()
        .filter_map(|t| t.data["overall"].as_f64())
        .collect();
    assert!(overall.is_sorted(), "{overall:?}");
    assert!(told.iter().all(|told| told.data["attempt"] == 1));

    let record = plant.record(&job, plant.life(&job)).unwrap();
    assert_eq!(record.path.unwrap().to_str().unwrap(), path);
    assert_eq!((record.name.as_str(), record.size), ("a/../notes.txt", 11));
    assert_eq!(record.digest, done["digest"]);
    plant.is_clean(0);
}

#[test]
fn a_command_that_makes_nothing_leaves_the_file_as_it_was() {
    let toml = shell(
        "test \"$LANDFALL_JOB $LANDFALL_STAGE $LANDFALL_NAME\" = 'j mine a'",
        "",
    );
    let plant = Plant::new(&(toml + STORING));
    let job = plant.land("j", "a", b"same");
    let told = plant.end(&job, "done");
    assert_eq!(told.last().unwrap().data["size"], 4);
    plant.is_clean(0);
}

#[test]
fn a_file_is_put_under_the_name_that_its_client_gave_it_and_no_other() {
    let shelf = tempfile::tempdir().unwrap();
    let place = shelf.path().display();
    let toml = format!(
        "[[stage]]\nname = \"mine\"\nwrite = [\"{place}\"]\n\
         run = [\"sh\", \"-c\", \"mkdir {place}/{{stem}} && cp $0 {place}/{{stem}}/{{name}}\", \"{{input}}\"]\n"
    );
    let plant = Plant::new(&toml);
    let hostile = "-f x;touch $HOME`id`.mp4";
    for (job, name, kept) in [
        ("a", "clip 1.mp4", "clip_1/clip_1.mp4"),
        (
            "b",
            hostile,
            "_-f_x_touch__HOME_id_/_-f_x_touch__HOME_id_.mp4",
        ),
        ("c", "..", "_./_.."),
    ] {
        let job = plant.land(job, name, name.as_bytes());
        plant.end(&job, "done");
        let kept = fs::read(shelf.path().join(kept)).unwrap();
        assert_eq!(kept, name.as_bytes());
    }
    assert_eq!(fs::read_dir(shelf.path()).unwrap().count(), 3);
}

#[test]
fn a_crash_is_an_error_with_what_was_said_last_and_the_upload_stays() {
    let plant = Plant::new(&shell("echo doing; echo 'bad pixel' >&2; exit 3", ""));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "error");
    let error = told.last().unwrap();
    assert_eq!(error.message(), "sh: exit status 3: bad pixel");
    assert_eq!(error.data["name"], "a");
    assert_eq!(
        (error.stage(), &error.data["retryable"]),
        ("mine", &true.into())
    );
    plant.is_clean(1);

    let plant = Plant::new(&shell("kill -SEGV $$", ""));
    let job = plant.land("j", "a", b"x");
    assert_eq!(
        plant.end(&job, "error").last().unwrap().message(),
        "sh: killed by SIGSEGV"
    );
}

#[test]
fn what_is_shown_of_a_failure_names_no_path_of_the_server() {
    for (script, shown) in [
        ("cat \"$1/x\"", "x: Not a directory"),
        (
            "echo \"can't open '$1'\" >&2; exit 1",
            "can't open 'the file'",
        ),
        ("echo \"$LANDFALL_WORK/a/b: bad\" >&2; exit 1", "a/b: bad"),
        ("ls /no/such/folder", "folder': No such file or directory"),
        ("/no/such/program", "program: not found"),
    ] {
        let plant = Plant::new(&shell(script, "retries = 1"));
        let job = plant.land("j", "a", b"x");
        let told = plant.end(&job, "error");
        let message = told.last().unwrap().message();
        assert!(message.ends_with(shown), "{message}");
        // What is told of the tries before is no different.
        let told = format!("{told:?}");
        let path = plant.data.to_str().unwrap();
        assert!(!told.contains(path) && !told.contains("/no/such"), "{told}");
    }
}

#[test]
fn whether_another_try_may_come_to_more_is_told() {
    for (toml, retryable) in [
        ("name = 'scanning'\nmax_size = '1B'\n", false),
        ("name = 'scanning'\ntypes = ['image/*']\n", false),
        (
            "name = 'scanning'\nclamd = 'unix:/no/such'\nretries = 0\n",
            true,
        ),
        ("name = 'x'\nrun = ['no-such-command-here']\n", true),
        (
            "name = 'x'\nrun = ['sleep', '60']\ntimeout = '50ms'\n",
            true,
        ),
        ("name = 'x'\nrun = ['sh', '-c', 'kill -9 $$']\n", true),
    ] {
        let plant = Plant::new(&format!("[[stage]]\n{toml}"));
        let job = plant.land("j", "a", b"hello");
        let told = plant.end(&job, "error");
        let end = told.last().unwrap();
        assert_eq!(end.data["retryable"], retryable, "{toml}: {end:?}");
        for noise in ["os error", "/no/such"] {
            assert!(!end.message().contains(noise), "{toml}: {end:?}");
        }
    }
    let script = "head -c 300000 /dev/zero >\"$2\"; exec sleep 1000";
    let plant = Plant::new(&shell(script, "max_output = \"100KiB\""));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "error");
    assert_eq!(told.last().unwrap().data["retryable"], false);
}

#[test]
fn a_command_that_is_not_there_says_what_would_be_right() {
    let plant = Plant::new("[[stage]]\nname = 'mine'\nrun = ['no-such-command-here']\n");
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(
        message.contains("isn't installed") && message.contains("run"),
        "{message}"
    );
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let script = "trap '' TERM; sleep 1000 & setsid sleep 1000 & \
                  echo $$ >\"$LANDFALL_WORK/../../../pids\"; \
                  echo $! >>\"$LANDFALL_WORK/../../../pids\"; while :; do sleep 1000; done";
    let plant = Plant::new(&shell(script, "timeout = \"1s\"\ngrace = \"200ms\""));
    let begun = Instant::now();
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(
        message.contains("longer than 1s") && message.contains("timeout"),
        "{message}"
    );
    assert!(begun.elapsed().as_secs() >= 1);
    let pids = String::from_utf8(plant.read("pids")).unwrap();
    assert_eq!(pids.lines().count(), 2);
    wait_until("both are gone", || pids.lines().all(|pid| !is_alive(pid)));
    plant.is_clean(1);
}

#[test]
fn what_a_command_leaves_running_is_killed_when_it_ends_well() {
    let script = "(setsid sh -c 'echo $$ >\"$1\"; exec sleep 1000' sh \
                  \"$LANDFALL_WORK/../../../pid\" &) ; \
                  while ! test -s \"$LANDFALL_WORK/../../../pid\"; do sleep 0.01; done";
    let plant = Plant::new(&shell(script, ""));
    let job = plant.land("j", "a", b"x");
    plant.end(&job, "done");
    let pid = String::from_utf8(plant.read("pid")).unwrap();
    wait_until("it is gone", || !is_alive(&pid));
}

#[test]
fn garbage_and_a_flood_are_read_in_bounded_memory_and_told_ten_times_a_second() {
    let script = "head -c 3000000 /dev/urandom >&2; \
                  i=0; while test $i -lt 20000; do echo $((i / 200))%; i=$((i + 1)); done; \
                  head -c 20000000 /dev/zero | tr '\\0' x; echo '{\"percent\":1e999}'";
    let plant = Plant::new(&shell(script, ""));
    let begun = Instant::now();
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "done");
    let most = begun.elapsed().as_secs() * 10 + 15;
    assert!((told.len() as u64) < most, "{} in {most}", told.len());
}

#[test]
fn a_command_without_progress_is_told_at_its_beginning_and_its_end() {
    let plant = Plant::new(&shell("exec sleep 0.2", ""));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "done");
    let percents: Vec<_> = told.iter().filter_map(|told| told.percent()).collect();
    assert_eq!(percents, [0.0, 100.0]);
}

#[test]
fn a_failure_is_tried_again_as_often_as_is_said_and_each_is_told() {
    let script = "tried=\"$LANDFALL_WORK/../../../tried\"; test -e \"$tried\" && exit; \
                  echo x >\"$tried\"; exit 1";
    let plant = Plant::new(&shell(script, "retries = 3"));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "done");
    let again: Vec<_> = told
        .iter()
        .filter(|told| !told.data["retry"].is_null())
        .collect();
    assert_eq!(again.len(), 1, "{told:#?}");
    assert_eq!(again[0].data["retry"], 1);
    assert_eq!(again[0].data["reason"], "sh: exit status 1");
    plant.is_clean(0);
}

#[test]
fn no_shell_reads_an_argument_and_the_name_is_none() {
    let toml = "[[stage]]\nname = 'mine'\nrun = ['cp', '{input}', '{output}']\n\
                output = '$(touch x); a b'\n";
    let plant = Plant::new(&(toml.to_owned() + STORING));
    let job = plant.land("j", "$(touch y)", b"x");
    plant.end(&job, "done");
    plant.is_clean(0);
}

#[test]
fn a_command_that_writes_more_than_max_output_is_ended() {
    let script = "head -c 300000 /dev/zero >\"$2\"; exec sleep 1000";
    let plant = Plant::new(&shell(script, "max_output = \"100KiB\""));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(message.contains("more than 102400 bytes"), "{message}");
    plant.is_clean(1);
}

#[test]
fn a_command_has_no_stdin_a_nice_level_and_none_of_the_servers_flags() {
    let script = "test -z \"$(cat)\" && test -z \"$LANDFALL_TEST_FLAG\" && test $(nice) = 7";
    let plant = Plant::new(&shell(script, "nice = 7"));
    let job = plant.land("j", "a", b"x");
    plant.end(&job, "done");
}

#[test]
fn a_command_gets_nothing_of_the_servers_environment_but_what_it_needs_or_is_passed_on() {
    // Whoever runs this has more than that.
    let passed = "CARGO_PKG_NAME";
    assert!(std::env::var_os(passed).is_some() && std::env::var_os("CARGO").is_some());
    let script = "env | sed 's/=.*//' >\"$2\"";
    let plant = Plant::new(&(shell(script, &format!("env = [{passed:?}]")) + STORING));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "done");
    let names = plant.stored(told.last().unwrap());
    let is_known = |name: &str| {
        // The first is its folder, and the last three are the shell's.
        let known = [
            "TMPDIR", "PATH", "HOME", "LANG", "LANGUAGE", passed, "PWD", "SHLVL", "_",
        ];
        name.starts_with("LANDFALL_") || name.starts_with("LC_") || known.contains(&name)
    };
    assert!(names.lines().all(is_known), "{names}");
    for needed in ["PATH", "LANDFALL_JOB", "LANDFALL_WORK", passed] {
        assert!(names.lines().any(|name| name == needed), "{names}");
    }
}

#[test]
fn stages_may_work_elsewhere_and_nothing_stays_there() {
    let elsewhere = tempfile::tempdir().unwrap();
    let script = "pwd >\"$2\"";
    let more = format!("output_dir = {:?}", elsewhere.path());
    let plant = Plant::new(&(shell(script, &more) + STORING));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "done");
    let made = plant.stored(told.last().unwrap());
    assert!(
        made.starts_with(elsewhere.path().to_str().unwrap()),
        "{made}"
    );
    plant.is_clean(0);
    let own = fs::read_dir(elsewhere.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    wait_until("nothing stays", || {
        fs::read_dir(own.path()).unwrap().count() == 0
    });
}

#[test]
fn the_guides_shelf_keeps_two_files_of_one_name() {
    let guide = include_str!("../../src/docs/uploads.md");
    let block = guide
        .split("```toml\n")
        .find(|block| block.contains("\"shelving\""));
    let toml = block.unwrap().split("```").next().unwrap();
    let shelf = tempfile::tempdir().unwrap();
    let plant = Plant::new(&toml.replace("/srv/videos", shelf.path().to_str().unwrap()));
    for job in ["a", "b"] {
        let job = plant.land(job, "my clip.mp4", job.as_bytes());
        plant.end(&job, "done");
    }
    let kept = |name: &str| fs::read_to_string(shelf.path().join(name)).unwrap();
    assert_eq!(kept("my_clip.mp4.~1~") + &kept("my_clip.mp4"), "ab");
}

#[test]
fn the_guides_landfall_toml_is_one() {
    let guide = include_str!("../../src/docs/uploads.md");
    let example = guide
        .split("```toml\n")
        .find(|block| block.contains("[[stage]]\nname = \"scanning\""))
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let plan = landfall::internals::pipeline::config::StagePlan::parse(example, &[]).unwrap();
    let names: Vec<_> = plan
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    assert_eq!(names, ["scanning", "denoise", "transcoding", "storing"]);
}
