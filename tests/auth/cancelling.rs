//! Who may cancel a job.

use landfall::Claims;

use super::support::*;

const CANCEL: &str = "/api/jobs/a/cancel";

fn cancelling(jobs: &[&str]) -> String {
    sign(&Claims {
        exp: now() + 60,
        cancel: scope(jobs),
        ..Claims::default()
    })
}

#[test]
fn on_the_public_listener_it_takes_a_token_whose_claim_cancel_covers_the_job() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let (public, publish) = (public(&server), publish(&server));
    assert_eq!(post(publish, "/api/jobs/a/events", "", EVENT).status, 201);
    let status = |fields: &str| post(public, CANCEL, fields, "").status;
    assert_eq!(status(""), 401);
    assert_eq!(status(&bearer("x")), 401);
    for wrong in [
        token(&["*"], &["*"]),
        cancelling(&["b", "aa*"]),
        cancelling(&[]),
    ] {
        assert_eq!(status(&bearer(&wrong)), 403, "{wrong}");
    }
    assert_eq!(status(&bearer(&cancelling(&["b", "a*"]))), 202);
    // A page of another origin can't have its visitor's browser do it.
    let cookie = cookie(&cancelling(&["*"]));
    assert_eq!(status(&cookie), 403);
    let foreign = format!("{cookie}Origin: http://evil.example\r\n");
    assert_eq!(status(&foreign), 403);
    let own = format!("{cookie}Origin: http://{public}\r\n");
    assert_eq!(status(&own), 202);
}

#[test]
fn on_the_publishing_listener_whoever_may_publish_to_a_job_may_cancel_it() {
    let files = KeyFiles::new();
    let server = start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.auth.publish_key = Some(files.path("publish"));
    });
    let publish = publish(&server);
    let key = bearer(PUBLISH_KEY);
    assert_eq!(post(publish, "/api/jobs/a/events", &key, EVENT).status, 201);
    let status = |fields: &str| post(publish, CANCEL, fields, "").status;
    assert_eq!(status(""), 401);
    assert_eq!(status(&bearer(&token(&["*"], &["b"]))), 403);
    assert_eq!(status(&bearer(&token(&[], &["a"]))), 202);
    assert_eq!(status(&bearer(&cancelling(&["a"]))), 202);
    assert_eq!(status(&key), 202);
    // What a token may cancel it may not publish to.
    let only = bearer(&cancelling(&["a"]));
    assert_eq!(
        post(publish, "/api/jobs/a/events", &only, EVENT).status,
        403
    );
}
