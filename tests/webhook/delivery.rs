//! Who is told of what.

use crate::receiver::{Receiver, Reply};
use crate::support::Hooked;

#[test]
fn a_webhook_is_told_of_the_ends_of_jobs_and_of_nothing_else() {
    let receiver = Receiver::start();
    let url = receiver.url("/landfall?a=b");
    let server = Hooked::start(&format!("[[webhook]]\nurl = '{url}'\n"));
    server.publish("a", "progress", r#"{"percent":1}"#);
    let done = server.publish("a", "done", r#"{"size":7}"#);
    let error = server.publish("b", "error", r#"{"message":"no \"room\""}"#);
    server.publish("c", "progress", "{}");
    let deleted = server.delete("c");
    let mut received = receiver.wait_for(3);
    received.sort_by_key(|it| it.id());
    assert_eq!(received.len(), 3);
    for (it, (kind, id, job)) in received.iter().zip([
        ("job.done", done, "a"),
        ("job.error", error, "b"),
        ("job.deleted", deleted, "c"),
    ]) {
        assert_eq!(it.line, "POST /landfall?a=b HTTP/1.1");
        assert_eq!(it.field("Host"), Some(&*receiver.address.to_string()));
        assert_eq!(it.field("Content-Type"), Some("application/json"));
        assert!(it.field("User-Agent").unwrap().starts_with("landfall/"));
        assert!(it.field("webhook-signature").is_none(), "it has no secret");
        let json = it.json();
        assert_eq!(
            (&json["type"], it.id(), &*it.job()),
            (&kind.into(), id, job)
        );
        let time = json["timestamp"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
    assert_eq!(received[0].json()["data"]["size"], 7);
    assert_eq!(received[1].json()["data"]["message"], "no \"room\"");
    server.wait_for_count(&receiver.address.to_string(), "delivered", 3);
}

#[test]
fn events_and_jobs_are_chosen_by_name_and_jobs_by_how_they_begin() {
    let some = Receiver::start();
    let all = Receiver::start();
    let server = Hooked::start(&format!(
        "[[webhook]]\nurl = '{}'\nevents = ['progress', 'done']\njobs = ['up_*', 'x']\n\
         [[webhook]]\nurl = '{}'\nevents = ['*']\n",
        some.url("/"),
        all.url("/")
    ));
    let mut expected = Vec::new();
    for job in ["up_1", "up_2", "x", "xy", "u"] {
        let progress = server.publish(job, "progress", "{}");
        server.publish(job, "stage", "{}");
        let done = server.done(job);
        if job.starts_with("up_") || job == "x" {
            expected.extend([progress, done]);
        }
    }
    let mut ids: Vec<u64> = some.wait_for(6).iter().map(|it| it.id()).collect();
    ids.sort_unstable();
    assert_eq!(ids, expected);
    all.wait_for(15);
    assert_eq!(some.received().len(), 6);
}

#[test]
fn what_a_job_had_is_not_told_any_more_once_it_is_deleted() {
    let (open, is_open) = crossbeam_channel::bounded(1);
    let receiver = Receiver::answering(move |received| {
        if is_open.is_empty() && received.json()["type"] != "job.deleted" {
            return Reply::Status(503);
        }
        Reply::Status(200)
    });
    let server = Hooked::start(&format!(
        "[[webhook]]\nname = 'h'\nurl = '{}'\nevents = ['*']\nretry_first = '20ms'\n\
         retry_most = '20ms'\n",
        receiver.url("/")
    ));
    server.publish("a", "progress", r#"{"n":1}"#);
    server.publish("a", "progress", r#"{"n":2}"#);
    receiver.wait_for(2);
    let deleted = server.delete("a");
    server.wait_for_count("h", "delivered", 1);
    open.send(()).unwrap();
    let begun = server.publish("b", "progress", "{}");
    server.wait_for_count("h", "delivered", 2);
    let taken: Vec<u64> = receiver.received().iter().map(|it| it.id()).collect();
    assert_eq!(taken[taken.len() - 2..], [deleted, begun]);
    let of_life = receiver
        .received()
        .into_iter()
        .filter(|it| it.id() < deleted);
    assert!(of_life.clone().count() >= 2);
    assert!(
        of_life.clone().all(|it| it.json()["data"]["n"] == 1),
        "the first is tried first"
    );
    assert_eq!(server.count("h", "lost"), 0, "that was meant");
    assert_eq!(server.count("h", "deleted"), 2);
}

#[test]
fn a_webhook_that_is_new_begins_with_the_next_event() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let server = Hooked::on(folder.path(), "");
    server.done("a");
    server.stop();
    let toml = format!("[[webhook]]\nurl = '{}'\n", receiver.url("/"));
    let server = Hooked::on(folder.path(), &toml);
    let id = server.done("b");
    assert_eq!(receiver.wait_for(1)[0].id(), id);
}

#[test]
fn a_webhook_is_no_stream_that_somebody_watches() {
    let receiver = Receiver::start();
    let server = Hooked::start(&format!("[[webhook]]\nurl = '{}'\n", receiver.url("/")));
    server.publish("a", "progress", "{}");
    assert_eq!(
        server.server().jobs().streams(&crate::support::job_id("a")),
        0
    );
}
