//! Following jobs.

use landfall::Claims;

use super::support::*;

const STREAM: &str = "/api/jobs/a/events";

#[test]
fn without_token_keys_whoever_knows_a_name_follows_it_and_nobody_lists_them() {
    let server = start(|_| {});
    let public = public(&server);
    assert_eq!(get(public, STREAM, "").status, 200);
    assert_eq!(get(public, "/api/events?job=a", "").status, 200);
    assert_eq!(get(public, "/api/events", "").status, 403);
    assert_eq!(get(publish(&server), "/api/events", "").status, 200);
    // A token that nobody can judge is no reason to refuse.
    assert_eq!(
        get(public, &format!("{STREAM}?token=x"), &bearer("x")).status,
        200
    );
}

#[test]
fn without_a_token_every_way_to_see_a_job_is_401() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    server
        .jobs()
        .publish(
            &"a".parse().unwrap(),
            landfall::Event::progress("x", 1.0).unwrap(),
        )
        .unwrap();
    for target in [
        STREAM,
        "/api/jobs/a",
        "/api/jobs/there-is-no-such-job",
        "/api/events?job=a",
        "/api/events",
        "/api/jobs/a/events?lastEventId=1",
        "/api/jobs/a/events?replay=latest",
        "/api/jobs/a/events?token=",
    ] {
        let mut answer = get(public(&server), target, "Last-Event-ID: 1\r\n");
        assert_eq!(answer.status, 401, "{target}");
        let challenge = answer.field("WWW-Authenticate").unwrap();
        assert_eq!(challenge, "Bearer realm=\"landfall\"", "{target}");
        assert!(answer.body().contains("a token is needed"), "{target}");
    }
    let head = raw(
        public(&server),
        "HEAD /api/jobs/a/events",
        "Host: a\r\n",
        "",
    );
    assert_eq!(head.status, 401);
}

#[test]
fn a_token_is_taken_from_bearer_then_cookie_then_query() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let public = public(&server);
    let good = token(&["a"], &[]);
    let in_query = format!("{STREAM}?token={good}");
    assert_eq!(get(public, STREAM, &bearer(&good)).status, 200);
    assert_eq!(get(public, STREAM, &cookie(&good)).status, 200);
    assert_eq!(
        get(public, STREAM, &cookie(&format!("\"{good}\""))).status,
        200
    );
    assert_eq!(get(public, &in_query, "").status, 200);
    // What comes first counts, also where it is wrong.
    assert_eq!(get(public, &in_query, &bearer("x")).status, 401);
    assert_eq!(get(public, &in_query, &cookie("x")).status, 401);
    assert_eq!(
        get(public, STREAM, &(bearer(&good) + &cookie("x"))).status,
        200
    );
    let two = format!("Cookie: landfall_token={good}; landfall_token=x\r\n");
    assert_eq!(get(public, STREAM, &two).status, 401);
}

#[test]
fn the_cookie_has_the_name_that_it_was_given() {
    let files = KeyFiles::new();
    let server = start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.auth.token_cookie = "session".parse().unwrap();
    });
    let good = token(&["a"], &[]);
    assert_eq!(get(public(&server), STREAM, &cookie(&good)).status, 401);
    let field = format!("Cookie: session={good}\r\n");
    assert_eq!(get(public(&server), STREAM, &field).status, 200);
}

#[test]
fn a_token_that_is_forged_expired_or_unsigned_is_401_and_says_why() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let claims = |exp: u64, nbf: Option<u64>| Claims {
        exp,
        nbf,
        jobs: scope(&["a"]),
        ..Claims::default()
    };
    let good = sign(&claims(now() + 60, None));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let unsigned = "eyJhbGciOiJub25lIn0.eyJleHAiOjQwMDAwMDAwMDAsImpvYnMiOlsiKiJdfQ.";
    for (token, part) in [
        (sign(&claims(now() - 1, None)), "has expired"),
        (sign(&claims(now() + 600, Some(now() + 300))), "nbf"),
        (format!("{signed}.AAAA"), "signature"),
        (unsigned.to_owned(), "HS256"),
        ("not-a-jwt".to_owned(), "malformed"),
        ("a".repeat(4097), "4096 bytes"),
    ] {
        let mut answer = get(public(&server), STREAM, &bearer(&token));
        assert_eq!(answer.status, 401);
        let challenge = answer.field("WWW-Authenticate").unwrap();
        assert!(challenge.contains("invalid_token"));
        let body = answer.body();
        assert!(body.contains(part), "{part}: {body}");
        assert!(body.contains("in Authorization: "), "{body}");
        assert!(!body.contains(&token));
    }
    // A minute is what clocks may differ by.
    let early = sign(&claims(now() + 600, Some(now() + 30)));
    assert_eq!(get(public(&server), STREAM, &bearer(&early)).status, 200);
}

#[test]
fn a_401_says_where_the_token_was() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    for bad in ["not-a-jwt", "%C3%A9"] {
        let plain = bad.replace("%C3%A9", "\u{e9}");
        for (target, fields, place) in [
            (STREAM.to_owned(), bearer(&plain), "in Authorization: "),
            (
                STREAM.to_owned(),
                format!("Cookie: landfall_token={plain}\r\n"),
                "in the cookie landfall_token: ",
            ),
            (
                format!("{STREAM}?token={bad}"),
                String::new(),
                "in ?token=: ",
            ),
        ] {
            let mut answer = get(public(&server), &target, &fields);
            assert_eq!(answer.status, 401, "{target} {fields}");
            let body = answer.body();
            assert!(body.contains(place), "{place}: {body}");
        }
    }
}

#[test]
fn a_job_that_the_token_does_not_cover_is_403_by_every_way() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let public = public(&server);
    let field = bearer(&token(&["a", "batch.*"], &["secret"]));
    for target in [
        "/api/jobs/secret/events",
        "/api/jobs/secret",
        "/api/jobs/secret/events?replay=latest",
        "/api/jobs/%73ecret/events",
        "/api/events?job=secret",
        "/api/events?job=a&job=secret",
        "/api/events?job=secret&job=a&job=batch.1",
        "/api/events?j%6fb=a&job=%73ecret",
    ] {
        let mut answer = get(public, target, &field);
        assert_eq!(answer.status, 403, "{target}");
        assert!(answer.body().contains("the job secret"), "{target}");
    }
    assert_eq!(get(public, "/api/events", &field).status, 403);
    assert_eq!(
        get(public, "/api/events?job=a&job=batch.7", &field).status,
        200
    );
    assert_eq!(get(public, "/api/jobs/batch.9/events", &field).status, 200);
    // Nothing was begun by the ones that were refused.
    assert!(server.jobs().snapshot(&"secret".parse().unwrap()).is_none());
}

#[test]
fn dot_segments_and_odd_escapes_lead_to_no_job_but_the_one_named() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let field = bearer(&token(&["a"], &[]));
    for (target, status) in [
        ("/api/jobs/a/../secret/events", 404),
        ("/api/jobs/./secret/events", 404),
        // A name may be two dots: it is a name, and not the token's.
        ("/api/jobs/../events", 403),
        ("/api/jobs/a%2f..%2fsecret/events", 400),
        ("/api/jobs/a%00/events", 400),
        ("/api/jobs/%c0%ae/events", 400),
        ("/api/jobs/A/events", 403),
        ("/api//jobs/secret/events", 404),
    ] {
        assert_eq!(
            get(public(&server), target, &field).status,
            status,
            "{target}"
        );
    }
}

#[test]
fn a_stream_of_every_job_is_for_a_token_that_covers_the_star() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let field = bearer(&token(&["*"], &[]));
    let mut stream = get(public(&server), "/api/events", &field);
    assert_eq!(stream.status, 200);
    server
        .jobs()
        .publish(
            &"any".parse().unwrap(),
            landfall::Event::progress("x", 1.0).unwrap(),
        )
        .unwrap();
    stream.wait_for("\"jobId\":\"any\"");
}

#[test]
fn a_token_in_an_address_is_401_where_it_lives_too_long() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let status = |exp: u64, iat: Option<u64>| {
        let token = sign(&Claims {
            exp,
            iat,
            jobs: scope(&["a"]),
            ..Claims::default()
        });
        let target = format!("{STREAM}?token={token}");
        // Elsewhere it may.
        assert_eq!(get(public(&server), STREAM, &cookie(&token)).status, 200);
        get(public(&server), &target, "").status
    };
    assert_eq!(status(now() + 290, None), 200);
    assert_eq!(status(now() + 290, Some(now())), 200);
    assert_eq!(status(now() + 360, None), 401);
    assert_eq!(status(now() + 360, Some(now())), 401);
    // It will end soon, and has been around for long.
    assert_eq!(status(now() + 60, Some(now() - 600)), 401);
}

#[test]
fn a_stream_ends_when_its_token_does_and_no_other() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let end = now() + 8;
    let short = bearer(&sign(&Claims {
        exp: end,
        jobs: scope(&["*"]),
        ..Claims::default()
    }));
    let long = bearer(&token(&["*"], &[]));
    let mut ending: Vec<_> = [STREAM, STREAM, "/api/events?job=a&job=b", "/api/events"]
        .into_iter()
        .map(|target| get(public(&server), target, &short))
        .collect();
    let mut staying = get(public(&server), STREAM, &long);
    let job = "a".parse().unwrap();
    let event = || landfall::Event::progress("scanning", 30.0).unwrap();
    server.jobs().publish(&job, event()).unwrap();
    for stream in &mut ending {
        assert_eq!(stream.status, 200);
        stream.wait_for("scanning");
    }
    for stream in &mut ending {
        assert!(stream.body().ends_with("\n\n"), "cut within a frame");
        assert!(now() >= end, "it ended before its token");
    }
    let later = landfall::Event::progress("storing", 60.0).unwrap();
    server.jobs().publish(&job, later).unwrap();
    staying.wait_for("storing");
    assert_eq!(get(public(&server), STREAM, &short).status, 401);
}

#[test]
fn who_may_follow_every_job_that_begins_so_may_list_them() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    for job in ["user1.a", "user2.a"] {
        let event = landfall::Event::progress("x", 1.0).unwrap();
        server.jobs().publish(&job.parse().unwrap(), event).unwrap();
    }
    for address in [public(&server), publish(&server)] {
        for (covered, target, status) in [
            (&["*"][..], "/api/jobs", 200),
            (&["*"], "/api/jobs?prefix=user1.", 200),
            (&["user1.*"], "/api/jobs?prefix=user1.", 200),
            (&["user1.*"], "/api/jobs?prefix=user1.a", 200),
            (&["user1.*"], "/api/jobs?prefix=user1", 403),
            (&["user1.*"], "/api/jobs?prefix=user2.", 403),
            (&["user1.*"], "/api/jobs", 403),
            (&["user1.a"], "/api/jobs?prefix=user1.a", 403),
            (&["user1.a"], "/api/jobs", 403),
            (&[], "/api/jobs?prefix=", 403),
        ] {
            let stream = target.replace("/api/jobs?prefix=", "/api/events?jobs=") + "*";
            let stream = stream.replace("/api/jobs*", "/api/events");
            for target in [target, &stream] {
                let answer = get(address, target, &bearer(&token(covered, &[])));
                assert_eq!(answer.status, status, "{covered:?}: {target}");
            }
        }
        let of_one = bearer(&token(&["user1.*"], &[]));
        let mut answer = get(address, "/api/jobs?prefix=user1.", &of_one);
        let body = answer.body();
        assert!(
            body.contains("user1.a") && !body.contains("user2.a"),
            "{body}"
        );
    }
    let without = |address| get(address, "/api/jobs?prefix=user1.", "").status;
    assert_eq!(without(public(&server)), 401);
    // It is open: no publishing key is set.
    assert_eq!(without(publish(&server)), 200);
}
