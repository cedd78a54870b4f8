//! Tokens: none is good that no key made, and a good one says what it says.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use landfall::internals::access::token::{Claims, Key, Keys, TOKEN_MAX_BYTES, TokenError};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"0123456789abcdef0123456789abcdeF";
/// 2023-11-14.
const NOW: u64 = 1_700_000_000;

/// The input is a token as it is, and its two lines are a header and a payload that are
/// signed.
pub fn check(input: &[u8]) {
    let (key, other) = (keys(&[SECRET]), keys(&[OTHER]));
    if let Ok(text) = std::str::from_utf8(input) {
        let verified = Claims::verify(text, &key, NOW);
        assert!(verified.is_err(), "good without a key: {verified:?}");
    }
    let mut parts = input.splitn(2, |&byte| byte == b'\n');
    let (header, payload) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let token = sign(header, payload);
    let verified = Claims::verify(&token, &key, NOW);
    let by_other = Claims::verify(&token, &other, NOW);
    assert!(by_other.is_err(), "good by another key: {by_other:?}");
    let rotated = keys(&[OTHER, SECRET]);
    assert_eq!(Claims::verify(&token, &rotated, NOW), verified);
    match verified {
        Ok(claims) => is_held_to(&claims, header, payload, &token, &key),
        Err(error) => {
            let message = error.to_string();
            let part = token.split('.').nth(1).unwrap();
            assert!(part.len() < 24 || !message.contains(part));
        }
    }
}

fn is_held_to(claims: &Claims, header: &[u8], payload: &[u8], token: &str, key: &Keys) {
    let header = members(header);
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none_or(Value::is_null));
    let payload = members(payload);
    assert_eq!(payload["exp"].as_f64().unwrap() as u64, claims.exp);
    assert!(claims.exp > NOW && claims.nbf.is_none_or(|nbf| nbf <= NOW + 60));
    let at_its_end = Claims::verify(token, key, claims.exp);
    assert_eq!(at_its_end, Err(TokenError::Expired));
    for (claim, scope) in [("jobs", &claims.jobs), ("publish", &claims.publish)] {
        let empty = Vec::new();
        let list = payload
            .get(claim)
            .and_then(Value::as_array)
            .unwrap_or(&empty);
        let list: Vec<&str> = list.iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(scope.is_empty(), list.is_empty());
        assert_eq!(scope.covers_all(), list.contains(&"*"));
        for job in ["a", "job_8f3a", "..", "~"] {
            let covers = list.iter().any(|name| match name.strip_suffix('*') {
                Some(prefix) => job.starts_with(prefix),
                None => *name == job,
            });
            assert_eq!(scope.covers(&job.parse().unwrap()), covers, "{job}");
        }
    }
    // One character more, less or other, and it is none: at 64 places of it.
    for at in (0..token.len()).step_by(token.len() / 64 + 1) {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        refuses(&bytes, key);
        bytes[at] = token.as_bytes()[at] ^ 1;
        refuses(&bytes, key);
        bytes.remove(at);
        refuses(&bytes, key);
    }
    for end in ["=", "A", ".", " ", "\n", "."] {
        refuses(format!("{token}{end}").as_bytes(), key);
        refuses(format!("{end}{token}").as_bytes(), key);
    }
    let again = claims.sign(key);
    if again.len() <= TOKEN_MAX_BYTES {
        assert_eq!(Claims::verify(&again, key, NOW).as_ref(), Ok(claims));
    }
}

/// The members of an object. What JSON has and values can't hold, as 1e999, is null.
fn members(json: &[u8]) -> HashMap<String, Value> {
    let raw: HashMap<String, &RawValue> = serde_json::from_slice(json).expect("no JSON object");
    let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
    raw.into_iter()
        .map(|(name, raw)| (name, value(raw)))
        .collect()
}

fn refuses(token: &[u8], key: &Keys) {
    if let Ok(text) = std::str::from_utf8(token) {
        assert!(Claims::verify(text, key, NOW).is_err(), "{text}");
    }
}

fn keys(secrets: &[&[u8]]) -> Keys {
    let keys = secrets
        .iter()
        .map(|secret| Key::from_bytes(secret).unwrap());
    Keys::new(keys.collect()).unwrap()
}

fn sign(header: &[u8], payload: &[u8]) -> String {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let mut token = format!("{header}.{payload}");
    let mac: Hmac<Sha256> = Hmac::new_from_slice(SECRET).unwrap();
    let signature = mac.chain_update(&token).finalize().into_bytes();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}
