use super::*;

/// RFC 7515 appendix A.1: the key, and the token that it signs.
const RFC_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const RFC_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7519 section 6.1: a token with alg none.
const RFC_UNSIGNED: &str = "eyJhbGciOiJub25lIn0.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
const NOW: u64 = 1_000_000;

fn key(byte: u8) -> Key {
    Key::from_bytes(&[byte; 32]).unwrap()
}

fn keys(bytes: &[u8]) -> Keys {
    Keys::new(bytes.iter().map(|&byte| key(byte)).collect()).unwrap()
}

/// A token of any header and claims, with the right signature.
fn token(header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = key(1).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn verify(token: &str) -> Result<Claims, TokenError> {
    Claims::verify(token, &keys(&[1]), NOW)
}

fn with_header(header: &str) -> Result<Claims, TokenError> {
    verify(&token(header, r#"{"exp":1000100}"#))
}

fn with_claims(claims: &str) -> Result<Claims, TokenError> {
    verify(&token(r#"{"alg":"HS256"}"#, claims))
}

#[test]
fn the_token_of_rfc_7515_is_read_and_its_bits_all_count() {
    let key = Key::from_bytes(&URL_SAFE_NO_PAD.decode(RFC_KEY).unwrap()).unwrap();
    let keys = Keys::new(vec![key]).unwrap();
    let verify = |token: &str, now| Claims::verify(token, &keys, now).map(|claims| claims.exp);
    assert_eq!(verify(RFC_TOKEN, 1_300_819_379), Ok(1_300_819_380));
    assert_eq!(verify(RFC_TOKEN, 1_300_819_380), Err(TokenError::Expired));
    assert_eq!(verify(RFC_UNSIGNED, 0), Err(TokenError::Unsigned));
    for at in 0..RFC_TOKEN.len() {
        let mut bytes = RFC_TOKEN.as_bytes().to_vec();
        bytes[at] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verify(&changed, 0).is_err(), "byte {at}");
        assert!(verify(&RFC_TOKEN[..at], 0).is_err(), "cut at {at}");
    }
}

#[test]
fn what_is_signed_is_what_is_read() {
    let claims = Claims {
        sub: Some("user \"7\"".into()),
        exp: NOW + 300,
        nbf: Some(NOW),
        iat: Some(NOW - 10),
        jobs: Scope::parse(["job_8f3a", "batch.*"]).unwrap(),
        publish: Scope::parse(["*"]).unwrap(),
        upload: Scope::parse(["a"]).unwrap(),
        cancel: Scope::parse(["c.*"]).unwrap(),
    };
    assert_eq!(verify(&claims.sign(&keys(&[1]))), Ok(claims.clone()));
    assert_eq!(claims.lifetime(NOW), 310);
    assert_eq!(
        Claims {
            iat: None,
            ..claims
        }
        .lifetime(NOW),
        300
    );
}

#[test]
fn a_token_made_in_the_future_lives_from_now() {
    let claims = Claims {
        exp: NOW + 600,
        iat: Some(NOW + 500),
        ..Claims::default()
    };
    assert_eq!(claims.lifetime(NOW), 600);
}

#[test]
fn the_first_key_signs_and_all_verify() {
    let claims = Claims {
        exp: NOW + 1,
        ..Claims::default()
    };
    let old = claims.sign(&keys(&[1]));
    let verify = |token: &str, known: &[u8]| Claims::verify(token, &keys(known), NOW).is_ok();
    assert!(verify(&old, &[2, 1]));
    assert!(!verify(&old, &[2]));
    let new = claims.sign(&keys(&[2, 1]));
    assert!(verify(&new, &[2]));
    assert!(!verify(&new, &[1]));
}

#[test]
fn an_alg_other_than_hs256_is_refused_though_the_signature_is_right() {
    for unsigned in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"nOnE"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{}"#,
    ] {
        assert_eq!(
            with_header(unsigned),
            Err(TokenError::Unsigned),
            "{unsigned}"
        );
    }
    for other in ["RS256", "HS512", "hs256", "HS256 ", "ES256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{other}"}}"#);
        assert_eq!(with_header(&header), Err(TokenError::Algorithm), "{other}");
    }
    assert!(with_header(r#"{"typ":"JWT","alg":"HS256","kid":"7"}"#).is_ok());
}

#[test]
fn a_header_that_wants_more_than_is_known_here_is_refused() {
    for header in [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
    ] {
        assert_eq!(with_header(header), Err(TokenError::Critical), "{header}");
    }
}

#[test]
fn a_token_begins_and_ends_when_it_says() {
    assert_eq!(with_claims(r#"{"exp":1000000}"#), Err(TokenError::Expired));
    assert_eq!(with_claims(r#"{"exp":0}"#), Err(TokenError::Expired));
    assert!(with_claims(r#"{"exp":1000001}"#).is_ok());
    assert_eq!(with_claims(r#"{"exp":1000001.9}"#).unwrap().exp, 1_000_001);
    assert_eq!(
        with_claims(r#"{"exp":1000900,"nbf":1000061}"#),
        Err(TokenError::NotYetValid)
    );
    // The clock of whoever made it may be a minute ahead.
    assert!(with_claims(r#"{"exp":1000900,"nbf":1000060}"#).is_ok());
    assert_eq!(with_claims("{}"), Err(TokenError::NoExpiry));
    assert_eq!(with_claims(r#"{"exp":null}"#), Err(TokenError::NoExpiry));
}

#[test]
fn claims_of_the_wrong_shape_are_named() {
    for (claims, name) in [
        (r#"{"exp":"1000100"}"#, "exp"),
        (r#"{"exp":-1}"#, "exp"),
        (r#"{"exp":1e300}"#, "exp"),
        // Milliseconds.
        (r#"{"exp":1900000000000}"#, "exp"),
        (r#"{"exp":1000100,"nbf":true}"#, "nbf"),
        (r#"{"exp":1000100,"iat":[]}"#, "iat"),
        (r#"{"exp":1000100,"jobs":"job"}"#, "jobs"),
        (r#"{"exp":1000100,"jobs":[1]}"#, "jobs"),
        (r#"{"exp":1000100,"jobs":["a/b"]}"#, "jobs"),
        (r#"{"exp":1000100,"jobs":["a*b"]}"#, "jobs"),
        (r#"{"exp":1000100,"publish":{}}"#, "publish"),
        (r#"{"exp":1000100,"upload":"a"}"#, "upload"),
    ] {
        assert_eq!(
            with_claims(claims),
            Err(TokenError::Claim(name)),
            "{claims}"
        );
    }
    assert_eq!(
        with_claims(r#"{"exp":1000100,"sub":7}"#).unwrap().sub,
        Some("7".into())
    );
}

#[test]
fn a_malformed_token_is_refused_whatever_is_wrong_with_it() {
    let good = token(r#"{"alg":"HS256"}"#, r#"{"exp":1000100}"#);
    assert!(verify(&good).is_ok());
    let [header, claims, signature] = &good.split('.').collect::<Vec<_>>()[..] else {
        unreachable!()
    };
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "Bearer".into(),
        header.to_string(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}.{signature}.{signature}"),
        format!("{header}..{claims}.{signature}"),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}.{signature}="),
        format!("{header}.{claims}.{signature}\n"),
        format!(" {good}"),
        format!("{header}.{claims}+.{signature}"),
        token("[\"HS256\",null]", r#"{"exp":1000100}"#),
        token(r#"{"alg":"HS256","alg":"HS256"}"#, r#"{"exp":1000100}"#),
        token(r#"{"alg":"HS256"}"#, r#"{"exp":1000100,"exp":2000000}"#),
        token(r#"{"alg":"HS256"}"#, "[]"),
        token(r#"{"alg":"HS256"}"#, "\"exp\""),
        token(r#"{"alg":"HS256"}"#, r#"{"exp":1000100"#),
        token("", ""),
        token(&"[".repeat(1000), ""),
    ] {
        assert_eq!(verify(&bad), Err(TokenError::Malformed), "{bad}");
    }
    for unsigned in ["", "AAAA", &signature[..42]] {
        let cut = format!("{header}.{claims}.{unsigned}");
        let error = verify(&cut).unwrap_err();
        assert!(
            matches!(error, TokenError::Signature | TokenError::Malformed),
            "{cut}"
        );
    }
}

#[test]
fn an_oversized_token_is_refused_before_it_is_decoded() {
    let long = "a".repeat(TOKEN_MAX_BYTES + 1);
    assert_eq!(verify(&long), Err(TokenError::TooLong));
    assert_eq!(verify(&long[1..]), Err(TokenError::Malformed));
}

#[test]
fn no_error_depends_on_what_an_unsigned_token_claims() {
    let forged = |claims: &str| {
        let good = token(r#"{"alg":"HS256"}"#, claims);
        Claims::verify(&good, &keys(&[2]), NOW).unwrap_err()
    };
    for claims in ["{}", r#"{"exp":1}"#, r#"{"exp":1000100}"#, "nonsense"] {
        assert_eq!(forged(claims), TokenError::Signature, "{claims}");
    }
}
