//! Cookies, queries and paths as no honest client writes them: none shows a job that the
//! token doesn't cover, or takes long to be refused.

use landfall::Server;

use super::support::{KeyFiles, bearer, get, public, start, start_with_tokens, token};

const STREAM: &str = "/api/jobs/a/events";

/// A server whose targets may be long.
fn start_with_long_targets(files: &KeyFiles) -> Server {
    start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.connection.head.head_bytes = 1 << 20;
        config.connection.head.target_bytes = 1 << 20;
    })
}

#[test]
fn a_second_cookie_planted_beside_the_first_is_401() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let (good, other) = (token(&["a"], &[]), token(&["b"], &[]));
    let name = "landfall_token";
    for (cookies, status) in [
        (format!("{name}={good}"), 200),
        (format!("{name}={good}; {name}={good}"), 200),
        (format!("{name}={good}; {name}=\"{good}\""), 200),
        (format!("{name}=; {name}={good}; {name}=\"\""), 200),
        (format!("{name}={other}"), 403),
        (format!("{name}={good}; {name}={other}"), 401),
        (format!("{name}={other}; {name}={good}"), 401),
        (format!("{name}={good}; a=b; {name}=x"), 401),
        (format!("{name}=\"{good}\"; {name}=\"{other}\""), 401),
        (format!("{name}={good};{name}={other}"), 401),
        (format!("{name} ={good}; {name}\t=\t{other}"), 401),
    ] {
        let answer = get(public(&server), STREAM, &format!("Cookie: {cookies}\r\n"));
        assert_eq!(answer.status, status, "{cookies}");
    }
    // In a field of its own it isn't read at all.
    let two = format!("Cookie: {name}={good}\r\nCookie: {name}={other}\r\n");
    assert_eq!(get(public(&server), STREAM, &two).status, 400);
}

#[test]
fn quotes_are_taken_off_a_cookie_in_pairs_only() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let good = token(&["a"], &[]);
    for (value, status) in [
        (format!("\"{good}\""), 200),
        (format!("  \"{good}\"  "), 200),
        (format!("\"{good}"), 401),
        (format!("{good}\""), 401),
        (format!("\"\"{good}\"\""), 401),
        (format!("\" {good} \""), 401),
        (format!("'{good}'"), 401),
        (format!("%22{good}%22"), 401),
        (format!("\\\"{good}\\\""), 401),
        // A quoted value doesn't hide what stands behind a semicolon in it.
        (format!("\"x;\"{good}"), 401),
        ("\"\"".to_owned(), 401),
        ("\"".to_owned(), 401),
    ] {
        let fields = format!("Cookie: landfall_token={value}\r\n");
        assert_eq!(
            get(public(&server), STREAM, &fields).status,
            status,
            "{value}"
        );
    }
    let hidden = format!("Cookie: a=\"x; landfall_token={good}; y=\"\r\n");
    assert_eq!(get(public(&server), STREAM, &hidden).status, 200);
    let other_case = format!("Cookie: LANDFALL_TOKEN={good}\r\n");
    assert_eq!(get(public(&server), STREAM, &other_case).status, 401);
    let encoded = format!("Cookie: landfall%5Ftoken={good}\r\n");
    assert_eq!(get(public(&server), STREAM, &encoded).status, 401);
}

#[test]
fn ten_thousand_query_pairs_are_too_long_or_gone_through_once() {
    let files = KeyFiles::new();
    let (good, other) = (token(&["a"], &[]), token(&["b"], &[]));
    let pairs = "a=b&".repeat(10_000);
    let short = start_with_tokens(&files);
    let long = start_with_long_targets(&files);
    for (query, status) in [
        (format!("token={good}&{pairs}"), 200),
        (format!("{pairs}token={good}"), 200),
        (format!("{pairs}token={good}&{pairs}"), 200),
        (format!("{}token={good}", "&".repeat(100_000)), 200),
        (format!("{}token={good}", "=&".repeat(10_000)), 200),
        (format!("{}token={good}", "token=&".repeat(10_000)), 401),
        (format!("token={good}&{pairs}token={other}"), 401),
        (format!("{pairs}token={other}"), 403),
        (pairs.clone(), 401),
    ] {
        let target = format!("{STREAM}?{query}");
        let what = &query[..20];
        assert_eq!(get(public(&short), &target, "").status, 414, "{what}");
        assert_eq!(get(public(&long), &target, "").status, status, "{what}");
    }
}

#[test]
fn a_job_named_ten_thousand_times_is_followed_once_and_a_forbidden_one_is_found_among_them() {
    let files = KeyFiles::new();
    let server = start_with_long_targets(&files);
    let field = bearer(&token(&["a"], &[]));
    let many = "job=a&".repeat(10_000);
    let job = "a".parse().unwrap();
    server
        .jobs()
        .publish(&job, landfall::Event::progress("scanning", 30.0).unwrap())
        .unwrap();
    let mut answer = get(public(&server), &format!("/api/events?{many}"), &field);
    assert_eq!(answer.status, 200);
    super::http::wait_until("it is followed once", || {
        server.jobs().snapshot(&job).unwrap().streams == 1
    });
    server
        .jobs()
        .publish(&job, landfall::Event::done())
        .unwrap();
    let body = answer.body();
    assert_eq!(body.matches("event: done").count(), 1, "{body}");
    for query in [format!("{many}job=b"), format!("job=b&{many}")] {
        let mut answer = get(public(&server), &format!("/api/events?{query}"), &field);
        assert_eq!(answer.status, 403);
        let body = answer.body();
        assert!(body.contains("the job b"), "{body}");
    }
}

#[test]
fn overlong_utf_8_and_nul_are_no_part_of_a_name_or_a_token() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let good = token(&["a", "b"], &[]);
    let field = bearer(&good);
    // An overlong a, /, . and NUL; a surrogate; beyond Unicode; cut; alone.
    let bytes = [
        "%c1%a1",
        "%c0%af",
        "%c0%ae",
        "%c0%80",
        "%e0%80%af",
        "%f0%80%80%af",
        "%ed%a0%80",
        "%f4%90%80%80",
        "%c3",
        "%e2%82",
        "%ff",
        "%fe",
        "%80",
        "%00",
        "a%00",
        "%00a",
        "a%00b",
        "a%0a",
        "a%0d%0a",
        "%61%2f",
        "%u0061",
        "%",
        "%6",
        "%g1",
        "%25%36%31",
    ];
    for name in bytes {
        for target in [
            format!("/api/jobs/{name}"),
            format!("/api/jobs/{name}/events"),
            format!("/api/events?job={name}"),
            format!("/api/events?job=a&job={name}"),
        ] {
            let answer = get(public(&server), &target, &field);
            assert_eq!(answer.status, 400, "{target}");
        }
        let target = format!("{STREAM}?token={good}{name}");
        let status = get(public(&server), &target, "").status;
        assert!([400, 401].contains(&status), "{target}: {status}");
    }
    assert_eq!(server.jobs().snapshots().len(), 0);
    // Raw, without escapes.
    let raw = get(public(&server), "/api/jobs/\u{e9}", &field);
    assert_eq!(raw.status, 400);
    // Escapes of what needs none are the same name, decoded once.
    assert_eq!(
        get(public(&server), "/api/jobs/%61/events", &field).status,
        200
    );
    assert_eq!(
        get(public(&server), "/%61pi/jobs/a/%65vents", &field).status,
        200
    );
    let escaped = format!("{STREAM}?%74oken=%{:x}{}", good.as_bytes()[0], &good[1..]);
    assert_eq!(get(public(&server), &escaped, "").status, 200);
}

#[test]
fn dot_segments_backslashes_and_parameters_lead_to_no_other_job() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let field = bearer(&token(&["a"], &[]));
    for (target, status) in [
        ("/api/jobs/b/../a", 404),
        ("/api/jobs/b/%2e%2e/a", 404),
        ("/api/jobs/%2e%2e/%2E%2E/api/events", 404),
        ("/./api/jobs/a/events", 404),
        ("/x/../api/events", 404),
        ("/%2e/api/jobs/a", 404),
        ("/api/jobs/a/events/..", 404),
        ("/api/jobs/a/..%2fb", 404),
        ("/api/jobs/a%2f..%2fb/events", 400),
        ("/api/jobs/a\\..\\b/events", 400),
        ("/api/jobs/a%5c..%5cb/events", 400),
        ("/api/jobs/a;b/events", 400),
        ("/api/jobs/a;/events", 400),
        ("/api/jobs/a//events", 404),
        ("//api/jobs/a/events", 404),
        ("/api/jobs/a%3fjob=b/events", 400),
        ("/api/jobs/a%23/events", 400),
        // Two dots are a name like any, and this token's is another.
        ("/api/jobs/..", 403),
        ("/api/jobs/%2e%2e/events", 403),
        ("/api/events?job=..", 403),
    ] {
        let status_of = |target: &str| get(public(&server), target, &field).status;
        assert_eq!(status_of(target), status, "{target}");
        if target.starts_with("/api") {
            assert_eq!(
                status_of(&format!("http://a.example{target}")),
                status,
                "{target}"
            );
        }
    }
    for target in [
        "/api/jobs/a#b",
        "http://h#/api/jobs/a",
        "http://u:p@h/api/jobs/a",
    ] {
        assert_eq!(get(public(&server), target, &field).status, 400, "{target}");
    }
    assert_eq!(server.jobs().snapshots().len(), 0);
}

#[test]
fn what_a_last_event_id_says_stays_within_its_reset() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let job = "a".parse().unwrap();
    let good = token(&["a"], &[]);
    let publish = |event| server.jobs().publish(&job, event).unwrap();
    publish(landfall::Event::progress("scanning", 30.0).unwrap());
    publish(landfall::Event::done());
    let injection = "1%0a%0aevent:%20done%0adata:%20{}%0a%0a";
    for (query, fields) in [
        (format!("lastEventId={injection}"), String::new()),
        ("lastEventId=%00".into(), String::new()),
        ("lastEventId=%c0%b1".into(), String::new()),
        ("lastEventId=%e2%80%a8%c2%85%0d".into(), String::new()),
        ("lastEventId=+1".into(), String::new()),
        (format!("lastEventId={}", "9".repeat(1000)), String::new()),
        (String::new(), "Last-Event-ID: \u{2028}\u{85}\r\n".into()),
        (String::new(), "Last-Event-ID: 1, 2\r\n".into()),
        (
            String::new(),
            format!("Last-Event-ID: {}\r\n", "x".repeat(4000)),
        ),
        (
            String::new(),
            "Last-Event-ID: x\r\nLast-Event-ID: 1\r\n".into(),
        ),
        // The header wins, also where it is the worse of the two.
        ("lastEventId=1".into(), "Last-Event-ID: \"1\"\r\n".into()),
    ] {
        let target = format!("{STREAM}?{query}");
        let mut answer = get(
            public(&server),
            &target,
            &format!("{}{fields}", bearer(&good)),
        );
        assert_eq!(answer.status, 200, "{target} {fields}");
        let body = answer.body();
        let events: Vec<&str> = body
            .lines()
            .filter_map(|line| line.strip_prefix("event: "))
            .collect();
        assert_eq!(events, ["reset", "progress", "done"], "{target} {fields}");
        assert!(!body.contains('\r') && body.len() < 1000, "{body}");
        let data = body.lines().find_map(|line| line.strip_prefix("data: "));
        let data: serde_json::Value = serde_json::from_str(data.unwrap()).unwrap();
        assert_eq!(data["reason"], "unknown");
    }
}
