//! What an answer says of rights, so that pages needn't try.

use landfall::Claims;

use super::support::*;

#[test]
fn a_403_says_to_programs_whether_another_token_would_do() {
    let files = KeyFiles::new();
    let data = tempfile::tempdir().unwrap();
    let server = start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.data = Some(data.path().into());
    });
    let (public, publish) = (public(&server), publish(&server));
    assert_eq!(post(publish, "/api/jobs/a/events", "", EVENT).status, 201);
    let narrow = bearer(&token(&["b"], &[]));
    for target in [
        "/api/jobs/a",
        "/api/jobs",
        "/api/events",
        "/api/jobs/a/events",
    ] {
        let answer = get(public, target, &narrow);
        assert_eq!(answer.status, 403, "{target}");
        let challenge = answer.field("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
    }
    // Also where a job is named in the body.
    let line = r#"{"job":"a","event":"progress"}"#;
    let form = "--B\r\nContent-Disposition: form-data; name=job\r\n\r\na\r\n\
        --B\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\nx\r\n--B--\r\n";
    let fields = format!(
        "Host: {public}\r\nContent-Type: multipart/form-data; boundary=B\r\n\
         Content-Length: {}\r\n{narrow}",
        form.len()
    );
    for answer in [
        post(public, "/api/uploads?job=a", &narrow, "x"),
        raw(public, "POST /api/uploads", &fields, form),
        post(publish, "/api/jobs/a/events", &narrow, EVENT),
        post(publish, "/api/events", &narrow, line),
        delete(publish, "/api/jobs/a", &narrow),
    ] {
        assert_eq!(answer.status, 403, "{}", answer.head);
        let challenge = answer.field("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("insufficient_scope"), "{}", answer.head);
    }
    // Where there are no keys there is none.
    let open = start(|_| {});
    let answer = get(self::public(&open), "/api/jobs", "");
    assert_eq!(answer.status, 403);
    assert_eq!(answer.field("www-authenticate"), None);
}

#[test]
fn a_snapshot_says_what_whoever_asks_may_do() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let (public, publish) = (public(&server), publish(&server));
    assert_eq!(post(publish, "/api/jobs/a/events", "", EVENT).status, 201);
    let may = |address, fields: &str| {
        let answer = get(address, "/api/jobs/a", fields);
        assert_eq!(answer.status, 200);
        answer.field("landfall-may").map(str::to_owned)
    };
    assert_eq!(may(public, &bearer(&token(&["*"], &["*"]))), None);
    let cancelling = sign(&Claims {
        exp: now() + 60,
        jobs: scope(&["a"]),
        cancel: scope(&["a"]),
        ..Claims::default()
    });
    assert_eq!(may(public, &bearer(&cancelling)).as_deref(), Some("cancel"));
    assert_eq!(may(publish, "").as_deref(), Some("cancel"));
    let data = tempfile::tempdir().unwrap();
    let open = start(|config| {
        config.data = Some(data.path().into());
        config.downloads = true;
    });
    let (public, publish) = (self::public(&open), self::publish(&open));
    assert_eq!(post(publish, "/api/jobs/a/events", "", EVENT).status, 201);
    assert_eq!(may(public, "").as_deref(), Some("file"));
    assert_eq!(may(publish, "").as_deref(), Some("cancel, file, retry"));
}
