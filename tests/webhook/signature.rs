//! Signatures as Standard Webhooks 1.0.0 says, checked by code that isn't the server's.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use landfall::ServerConfig;

use crate::receiver::{Received, Receiver};
use crate::support::Hooked;

const OLD: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oDC2FVsBQIhrs=";

/// Verifies a request by the standard's own library for Python.
const VERIFY: &str = r#"
import json, sys
from standardwebhooks import Webhook
given = json.load(sys.stdin)
told = Webhook(given["secret"]).verify(given["body"], given["headers"])
print(told["data"]["title"])
"#;

fn signed(secrets: &str) -> Received {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("webhook.key");
    std::fs::write(&key, secrets).unwrap();
    let server = Hooked::on(
        folder.path(),
        &format!(
            "[[webhook]]\nurl = '{}'\nsecret_file = '{}'\n",
            receiver.url("/"),
            key.display()
        ),
    );
    server.publish("a", "done", r#"{"title":"Grüße, \"all\"","n":1.50}"#);
    receiver.wait_for(1).remove(0)
}

/// The signature by a secret.
fn right(received: &Received, secret: &str) -> String {
    let key = STANDARD.decode(secret).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let field = |name| received.field(name).unwrap();
    let (id, timestamp) = (field("webhook-id"), field("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.{}", received.body).as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn the_secret_that_the_guide_makes_is_a_file_for_nobody_else_and_signs() {
    let guide = include_str!("../../src/docs/webhooks.md");
    let command = guide.lines().find(|line| line.contains("openssl rand"));
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let command = command.unwrap().replace("/etc/landfall", place);
    let status = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(status.success(), "{command}");
    let key = folder.path().join("webhook.key");
    let mode = key.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secrets = std::fs::read_to_string(&key).unwrap();
    let secret = secrets.trim_end().strip_prefix("whsec_").unwrap();
    let received = signed(&secrets);
    let right = right(&received, secret);
    assert_eq!(received.field("webhook-signature").unwrap(), right);
}

#[test]
fn a_request_is_signed_over_its_id_its_time_and_its_body() {
    let received = signed(&format!("whsec_{OLD}\n"));
    let signature = received.field("webhook-signature").unwrap();
    assert_eq!(signature, right(&received, OLD));
    let id = received.field("webhook-id").unwrap();
    assert!(id.starts_with("msg_") && !id.contains('.'), "{id}");
    let at: u64 = received
        .field("webhook-timestamp")
        .unwrap()
        .parse()
        .unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(now.abs_diff(at) < 60, "{at} at {now}");
}

#[test]
fn while_a_secret_is_changed_both_sign() {
    let received = signed(&format!("whsec_{NEW}\nwhsec_{OLD}\n"));
    let expected = [NEW, OLD].map(|secret| right(&received, secret)).join(" ");
    assert_eq!(received.field("webhook-signature"), Some(&*expected));
}

#[test]
fn secrets_are_read_again_when_keys_are_and_stay_what_they_were_where_that_fails() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("webhook.key");
    std::fs::write(&key, format!("whsec_{OLD}\n")).unwrap();
    let (url, path) = (receiver.url("/"), key.display());
    let toml = format!("[[webhook]]\nurl = '{url}'\nsecret_file = '{path}'\n");
    let server = Hooked::on(folder.path(), &toml);
    std::fs::write(&key, "nonsense").unwrap();
    let error = server
        .server()
        .reload(ServerConfig::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("webhook.key"), "{error}");
    server.done("a");
    let received = receiver.wait_for(1).remove(0);
    assert_eq!(
        received.field("webhook-signature"),
        Some(&*right(&received, OLD))
    );
    std::fs::write(&key, format!("whsec_{NEW}\n")).unwrap();
    server.server().reload(ServerConfig::default()).unwrap();
    server.done("b");
    let received = receiver.wait_for(2).remove(1);
    assert_eq!(
        received.field("webhook-signature"),
        Some(&*right(&received, NEW))
    );
}

#[test]
fn the_library_of_the_standard_verifies_it() {
    let received = signed(&format!("whsec_{OLD}\n"));
    let headers: serde_json::Map<_, _> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .iter()
        .map(|name| ((*name).to_owned(), json!(received.field(name).unwrap())))
        .collect();
    let given = json!({
        "headers": headers, "body": received.body, "secret": format!("whsec_{OLD}"),
    });
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients-venv/bin/python");
    let mut python = Command::new(&python)
        .args(["-X", "utf8", "-c", VERIFY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python:?}: {error}: run scripts/test"));
    let mut input = python.stdin.take().unwrap();
    input.write_all(given.to_string().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim_end(), "Grüße, \"all\"");
}
