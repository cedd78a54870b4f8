//! Uploads that somebody wants to have an end.

use std::fs;

use super::lives::publish;
use super::support::{Answer, Client, House, PIECE, TUS, wait_until};

fn cancel(house: &House, job: &str) -> Answer {
    let mut client = Client::connect(house.publish);
    let head = format!("POST /api/jobs/{job}/cancel HTTP/1.1\r\nHost: a\r\n");
    client.send(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
    client.answer()
}

fn assert_cancelled(house: &House, job: &str) {
    let snapshot = house.ended(job);
    assert_eq!(snapshot["state"], "error", "{snapshot}");
    assert_eq!(snapshot["lastEvent"]["data"]["reason"], "cancelled");
    assert_eq!(cancel(house, job).status, 409);
}

#[test]
fn an_upload_that_is_received_is_broken_off_and_its_job_ends_with_an_error() {
    let house = House::start(&[]);
    let metadata = "Upload-Metadata: job Yg==";
    let mut posted = house.send(
        "POST",
        "/api/uploads?job=a",
        &["Content-Length: 10"],
        b"123",
    );
    let upload = house.begin(10, &[metadata]);
    let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 10"];
    let mut piece = house.send("PATCH", &upload, &fields, b"123");
    for job in ["a", "b"] {
        house.wait_for(job, "it has begun", |snapshot| {
            !snapshot["lastEvent"].is_null()
        });
        assert_eq!(cancel(&house, job).status, 202);
        assert_cancelled(&house, job);
    }
    assert_eq!(posted.answer().status, 410);
    assert!([404, 410].contains(&piece.answer().status));
    house.wait_for_empty_spool();
    assert!([404, 410].contains(&house.ask("HEAD", &upload, &[TUS], b"").status));
    // Anybody may upload the file again.
    let again = house.post("a", b"123");
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(house.ended("a")["state"], "done");
    assert_eq!(cancel(&house, "a").status, 409);
}

#[test]
fn a_stage_that_is_at_work_is_stopped_and_nothing_is_left_to_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("landfall.toml");
    let run = "echo $$ >$LANDFALL_WORK/../../../pid; echo 1%; exec sleep 1000";
    let toml = format!("[[stage]]\nname = 'gate'\nrun = ['sh', '-c', '{run}']\n");
    fs::write(&config, toml).unwrap();
    let house = House::start(&["--config", config.to_str().unwrap()]);
    assert_eq!(house.post("a", b"123").status, 201);
    house.wait_for("a", "its stage works", |snapshot| {
        snapshot["lastEvent"]["data"]["percent"] == 1
    });
    let pid = fs::read_to_string(house.data.join("pid")).unwrap();
    let place = format!("/proc/{}", pid.trim());
    assert!(fs::exists(&place).unwrap());
    assert_eq!(cancel(&house, "a").status, 202);
    assert_cancelled(&house, "a");
    wait_until("the command is gone", || !fs::exists(&place).unwrap());
    house.wait_for_empty_spool();
    let mut client = Client::connect(house.publish);
    client.send(b"POST /api/jobs/a/retry HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status, 404);
    assert_eq!(publish(&house, "a", "progress"), 409);
}
