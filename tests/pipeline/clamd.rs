//! Scanning by a real clamd, whose signatures are made for the test.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use landfall::config::PipelineConfig;

use crate::support::{Plant, Told, wait_until};

/// The test string of eicar.org, in two parts so that this file doesn't hold it.
const EICAR: [&str; 2] = [
    "X5O!P%@AP[4\\PZX54(P^)7CC)7}$",
    "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
];
const EICAR_MD5: &str = "44d88612fea8a8f36de82e1278abb02f";

struct Clamd {
    child: Child,
    socket: PathBuf,
}

impl Clamd {
    fn start(folder: &Path) -> Clamd {
        let socket = folder.join("clamd.sock");
        let database = folder.join("db");
        fs::create_dir_all(&database).unwrap();
        let signature = format!("{EICAR_MD5}:68:Eicar-Test-Signature\n");
        fs::write(database.join("test.hdb"), signature).unwrap();
        let config = folder.join("clamd.conf");
        let text = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nStreamMaxLength 1M\n\
             SelfCheck 0\n",
            socket.display(),
            database.display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("clamd")
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("clamd is missing: scripts/test installs it");
        let clamd = Clamd { child, socket };
        wait_until("clamd answers", || {
            UnixStream::connect(&clamd.socket).is_ok()
        });
        clamd
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stage(socket: &Path, more: &str) -> String {
    let socket = socket.display();
    format!(
        "[[stage]]\nname = \"scanning\"\nclamd = \"unix:{socket}\"\n{more}\n[[stage]]\nname = \"storing\"\n"
    )
}

fn last(told: &[Told]) -> &Told {
    told.last().unwrap()
}

#[test]
fn what_clamd_finds_ends_the_job_and_goes_to_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let clamd = Clamd::start(folder.path());
    let plant = Plant::new(&stage(&clamd.socket, ""));

    let job = plant.land("bad", "a.txt", EICAR.concat().as_bytes());
    let told = plant.end(&job, "error");
    let error = last(&told);
    assert_eq!(error.stage(), "scanning");
    assert!(
        error.message().contains("Eicar-Test-Signature"),
        "{error:?}"
    );
    assert_eq!(error.data["retryable"], false);
    plant.is_clean(0);
    assert!(!plant.data.join("files").exists());
    let quarantined = fs::read_dir(plant.data.join("quarantine")).unwrap();
    let quarantined: Vec<_> = quarantined.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(quarantined.len(), 1);
    assert_eq!(fs::read(quarantined[0].join("data")).unwrap().len(), 68);
    assert!(plant.retry(&job).is_err());

    let job = plant.land("good", "a.txt", b"nothing bad");
    assert_eq!(last(&plant.end(&job, "done")).data["malware"], "none found");
}

#[test]
fn a_finding_in_quarantine_goes_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let clamd = Clamd::start(folder.path());
    let config = PipelineConfig::with(|config| {
        config.clamd = Some(format!("unix:{}", clamd.socket.display()).parse().unwrap());
        config.keep_quarantined = std::time::Duration::ZERO;
    });
    let plant = Plant::with("", config.clone());
    let job = plant.land("bad", "a.txt", EICAR.concat().as_bytes());
    plant.end(&job, "error");
    plant.is_clean(0);
    // Another life looks at its beginning.
    let other = Plant::on(&plant.data, "", config);
    let quarantine = other.data.join("quarantine");
    wait_until("it is gone", || {
        fs::read_dir(&quarantine).unwrap().count() == 0
    });
}

#[test]
fn a_file_larger_than_clamd_scans_is_never_taken_for_clean() {
    let folder = tempfile::tempdir().unwrap();
    let clamd = Clamd::start(folder.path());
    let plant = Plant::new(&stage(&clamd.socket, ""));
    let job = plant.land("large", "a", &vec![b'x'; 5 << 20]);
    let told = plant.end(&job, "error");
    assert!(
        last(&told).message().contains("StreamMaxLength"),
        "{told:#?}"
    );
    assert!(!plant.data.join("files").exists());
}

#[test]
fn without_clamd_the_stage_tries_again_and_then_fails_until_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("clamd.sock");
    let plant = Plant::new(&stage(&socket, "retries = 1"));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "error");
    assert!(told.iter().any(|told| told.data["retry"] == 1), "{told:#?}");
    let message = last(&told).message();
    assert!(message.contains("clamd can't be reached"), "{message}");
    assert!(message.contains("nobody knows"), "{message}");

    let clamd = Clamd::start(folder.path());
    assert_eq!(clamd.socket, socket);
    assert_eq!(plant.retry(&job), Ok(2));
    let told = plant.end(&job, "done");
    assert_eq!(last(&told).data["attempt"], 2);
}

#[test]
fn a_clamd_that_never_answers_costs_the_timeout_and_a_cancel_ends_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("clamd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let plant = Plant::new(&stage(
        &socket,
        "timeout = \"1s\"\nretries = 0\nconcurrency = 2",
    ));
    let job = plant.land("j", "a", b"x");
    let told = plant.end(&job, "error");
    assert!(
        last(&told).message().contains("doesn't answer"),
        "{told:#?}"
    );

    let plant = Plant::new(&stage(&socket, "timeout = \"1h\""));
    let job = plant.land("j", "a", &vec![0; 10 << 20]);
    plant.wait(&job, |told| told.stage() == "scanning");
    plant.delete(&job);
    plant.is_clean(0);
    drop(listener);
}

#[test]
fn a_clamd_that_says_something_else_or_goes_away_is_never_taken_for_clean() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("clamd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answers = std::thread::spawn(move || {
        for answer in [
            &b"stream: Can't allocate memory ERROR\0"[..],
            b"",
            b"stream: OK",
        ] {
            use std::io::{Read, Write};
            let (mut socket, _) = listener.accept().unwrap();
            let mut asked = [0; 10];
            socket.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"zINSTREAM\0");
            let _ = socket.write_all(answer);
        }
    });
    let plant = Plant::new(&stage(&socket, "retries = 0"));
    for (job, part) in [("1", "allocate memory"), ("2", "clamd"), ("3", "clamd")] {
        let job = plant.land(job, "a", b"x");
        let told = plant.end(&job, "error");
        assert!(last(&told).message().contains(part), "{told:#?}");
    }
    answers.join().unwrap();
}
