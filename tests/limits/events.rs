//! A publisher has a rate.

use landfall::ServerConfig;

use super::support::{TestServer, post};
use super::{assert_later, from};

const EVENT: &str = r#"{"event":"progress"}"#;

fn slow(config: &mut ServerConfig) {
    // Two may come at once.
    config.quotas.event_rate = Some(1);
    config.quotas.trusted_proxies = Vec::new();
}

#[test]
fn a_publisher_that_is_too_fast_is_429_and_others_are_not() {
    let server = TestServer::with(slow);
    let mut hasty = from(2, server.publish_address());
    let statuses: Vec<u16> = (0..10).map(|_| hasty.publish("a", EVENT).status).collect();
    assert_eq!(statuses[..2], [201, 201]);
    assert!(statuses.contains(&429), "{statuses:?}");
    // The connection is as good as before.
    let answer = (0..10)
        .map(|_| hasty.publish("a", EVENT))
        .find(|answer| answer.status == 429);
    assert_later(&answer.unwrap(), 429);
    assert_eq!(
        from(3, server.publish_address()).publish("a", EVENT).status,
        201
    );
}

#[test]
fn of_lines_that_come_too_fast_the_first_too_many_is_named() {
    let server = TestServer::with(slow);
    let mut client = from(2, server.publish_address());
    let lines = format!("{EVENT}\n").repeat(20);
    let answer = client.publish_lines("/api/jobs/a/events", &lines);
    assert_eq!(answer.status, 429);
    assert!(answer.field("retry-after").is_some());
    let ids = answer.json()["ids"].as_array().unwrap().len();
    assert_eq!(answer.json()["line"], ids + 1);
    assert!(ids >= 2);
    let id = answer.json()["ids"][ids - 1].as_u64();
    let snapshot = server.jobs().snapshot(&"a".parse().unwrap()).unwrap();
    assert_eq!(
        snapshot.last_event_id.map(|id| id.0),
        id,
        "what came before stays"
    );
}

#[test]
fn who_shows_the_key_is_counted_by_address_and_a_token_by_itself() {
    // Four publishers may by chance have one place, of 16,384, between two of them.
    assert!((0..3).any(|_| each_is_counted_by_itself()));
}

fn each_is_counted_by_itself() -> bool {
    use landfall::{Claims, Key, Keys, Scope};
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, name.repeat(40)).unwrap();
        path
    };
    let (token_key, publish_key) = (write("t"), write("p"));
    let server = TestServer::with(|config| {
        slow(config);
        config.auth.token_keys = vec![token_key];
        config.auth.publish_key = Some(publish_key);
    });
    let keys = Keys::new(vec![Key::from_bytes("t".repeat(40).as_bytes()).unwrap()]).unwrap();
    let token = |sub: &str| {
        let claims = Claims {
            exp: 4_102_444_800,
            sub: Some(sub.to_owned()),
            publish: Scope::parse(["*"]).unwrap(),
            ..Claims::default()
        };
        claims.sign(&keys)
    };
    let statuses = |host: u8, credential: &str| -> Vec<u16> {
        let field = format!("\r\nAuthorization: Bearer {credential}\r\nContent-Length");
        let request = post("/api/jobs/a/events", "application/json", EVENT).replacen(
            "\r\nContent-Length",
            &field,
            1,
        );
        let mut client = from(host, server.publish_address());
        (0..5)
            .map(|_| client.send(&request).answer().status)
            .collect()
    };
    let key = "p".repeat(40);
    let (ann, bob) = (token("ann"), token("bob"));
    let publishers = [(2, &*key), (3, &*key), (2, &*bob), (2, &*ann)];
    let of_each = publishers.map(|(host, credential)| statuses(host, credential));
    let is_limited = |statuses: &Vec<u16>| statuses.contains(&429);
    assert!(of_each.iter().all(is_limited), "{of_each:?}");
    // From wherever it comes; where a second has passed, one more is taken.
    assert!((4..20).any(|host| statuses(host, &ann)[0] == 429));
    of_each.iter().all(|statuses| statuses[..2] == [201, 201])
}

#[test]
fn on_this_host_nothing_is_counted_where_nothing_is_shown() {
    let server = TestServer::with(|config| config.quotas.event_rate = Some(1));
    let lines = format!("{EVENT}\n").repeat(1000);
    let answer = server
        .publishing()
        .publish_lines("/api/jobs/a/events", &lines);
    assert_eq!(answer.status, 201);
}
