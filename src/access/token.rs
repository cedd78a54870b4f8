//! Tokens: JWTs (RFC 7519) in compact form, signed with HS256 (RFC 7515, RFC 7518).
//!
//! A token says until when it is good (`exp`, required, in seconds of the unix clock),
//! maybe from when on (`nbf`), and what for: `jobs` lists the jobs that may be followed,
//! `publish` those that may be published to, `upload` those that an upload may begin, `cancel`
//! those that may be cancelled, each as a [`Scope`]. `sub` is free. A token that begins within a
//! minute is good already, since the clock of whoever made it may be ahead; one that has ended is
//! over at once.
//!
//! Nothing of a token's content is looked at before its signature has been, but `alg` and
//! `crit`. No error repeats any of it.

mod key;
mod scope;

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::event::json::Object;
pub use key::{KEY_MAX_BYTES, Key, Keys, PublishKey};
pub use scope::Scope;

/// The longest token, in bytes. It has to fit into a request's target.
pub const TOKEN_MAX_BYTES: usize = 4096;
/// The last second that a time may name: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// How much later a token may begin than it comes, in seconds.
const NBF_LEEWAY_SECONDS: u64 = 60;

/// What a token says.
///
/// ```
/// use landfall::{Claims, Key, Keys, Scope};
/// let key = Key::from_bytes(b"a secret of at least 32 bytes, kept").unwrap();
/// let keys = Keys::new(vec![key]).unwrap();
/// let claims = Claims {
///     exp: 4_102_444_800,
///     jobs: Scope::parse(["user42.*"]).unwrap(),
///     ..Claims::default()
/// };
/// let token = claims.sign(&keys);
/// let now = 1_700_000_000;
/// assert_eq!(Claims::verify(&token, &keys, now), Ok(claims));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is, if it says.
    pub sub: Option<String>,
    /// The second at which it ends.
    pub exp: u64,
    /// The second at which it begins, if it says.
    pub nbf: Option<u64>,
    /// The second at which it was made, if it says.
    pub iat: Option<u64>,
    /// The jobs that may be followed.
    pub jobs: Scope,
    /// The jobs that may be published to and forgotten.
    pub publish: Scope,
    /// The jobs that may be begun with an upload.
    pub upload: Scope,
    /// The jobs that may be cancelled.
    pub cancel: Scope,
}

/// Why a token is refused. The words are for whoever made it, and tell no one anything
/// of the key.
///
/// ```
/// use landfall::{Claims, Key, Keys, TokenError};
/// let key = Key::from_bytes(&[7; 32]).unwrap();
/// let keys = Keys::new(vec![key]).unwrap();
/// assert_eq!(Claims::verify("x", &keys, 0), Err(TokenError::Malformed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is longer than 4 KiB.
    TooLong,
    /// It isn't three parts of unpadded base64url joined by dots, of which the first two
    /// are JSON objects.
    Malformed,
    /// Its `alg` is `none`, or missing.
    Unsigned,
    /// Its `alg` is another than HS256.
    Algorithm,
    /// Its header asks for an extension to be understood.
    Critical,
    /// No key made this signature.
    Signature,
    /// A claim is not what it has to be.
    Claim(&'static str),
    /// It doesn't say when it ends.
    NoExpiry,
    /// It has ended.
    Expired,
    /// It hasn't begun.
    NotYetValid,
}

impl Claims {
    /// The token that says this, signed with the first of `keys`.
    pub fn sign(&self, keys: &Keys) -> String {
        let mut claims = json!({ "exp": self.exp });
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims[name] = value;
            }
        };
        put("sub", self.sub.clone().map(Value::from));
        put("nbf", self.nbf.map(Value::from));
        put("iat", self.iat.map(Value::from));
        let list = |scope: &Scope| (!scope.is_empty()).then(|| json!(scope));
        put("jobs", list(&self.jobs));
        put("publish", list(&self.publish));
        put("upload", list(&self.upload));
        put("cancel", list(&self.cancel));
        let mut token = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = keys.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Reads a token that is good at the second `now`.
    ///
    /// # Errors
    /// It isn't: see [`TokenError`].
    pub fn verify(token: &str, keys: &Keys, now: u64) -> Result<Claims, TokenError> {
        let claims = Claims::parse(&authentic_payload(token, keys)?)?;
        if claims.exp <= now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > now + NBF_LEEWAY_SECONDS) {
            return Err(TokenError::NotYetValid);
        }
        Ok(claims)
    }

    /// How long the token is good for, in seconds: from when it was made, or from `now`
    /// where it doesn't say.
    pub fn lifetime(&self, now: u64) -> u64 {
        let since = self.iat.map_or(now, |iat| iat.min(now));
        self.exp.saturating_sub(since)
    }

    fn parse(json: &[u8]) -> Result<Claims, TokenError> {
        let mut claims = object(json)?;
        Ok(Claims {
            exp: time(&mut claims, "exp")?.ok_or(TokenError::NoExpiry)?,
            nbf: time(&mut claims, "nbf")?,
            iat: time(&mut claims, "iat")?,
            sub: claims
                .value("sub")
                .map_err(malformed)?
                .map(|sub| match sub {
                    Value::String(text) => text,
                    other => other.to_string(),
                }),
            jobs: scope(&mut claims, "jobs")?,
            publish: scope(&mut claims, "publish")?,
            upload: scope(&mut claims, "upload")?,
            cancel: scope(&mut claims, "cancel")?,
        })
    }
}

/// The payload of a token that one of the keys signed.
fn authentic_payload(token: &str, keys: &Keys) -> Result<Vec<u8>, TokenError> {
    if token.len() > TOKEN_MAX_BYTES {
        return Err(TokenError::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let mut header = object(&decode(header)?)?;
    match header
        .value("alg")
        .map_err(malformed)?
        .as_ref()
        .and_then(Value::as_str)
    {
        Some("HS256") => {}
        Some("") | None => return Err(TokenError::Unsigned),
        Some(alg) if alg.eq_ignore_ascii_case("none") => return Err(TokenError::Unsigned),
        Some(_) => return Err(TokenError::Algorithm),
    }
    if header.value("crit").map_err(malformed)?.is_some() {
        return Err(TokenError::Critical);
    }
    // A dot too many is in the payload now, and no base64.
    let (payload, signature) = (decode(payload)?, decode(signature)?);
    if keys.verify(signed.as_bytes(), &signature) {
        Ok(payload)
    } else {
        Err(TokenError::Signature)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

fn object(json: &[u8]) -> Result<Object, TokenError> {
    Object::read(json).map_err(malformed)
}

fn malformed(_: io::Error) -> TokenError {
    TokenError::Malformed
}

fn scope(claims: &mut Object, name: &'static str) -> Result<Scope, TokenError> {
    let Some(value) = claims.value(name).map_err(malformed)? else {
        return Ok(Scope::default());
    };
    let list = value.as_array().map(Vec::as_slice);
    let texts: Option<Vec<&str>> = list.and_then(|list| list.iter().map(Value::as_str).collect());
    let scope = texts.and_then(|texts| Scope::parse(texts).ok());
    scope.ok_or(TokenError::Claim(name))
}

/// A NumericDate: seconds, which may have a fraction. The fraction is cut off.
fn time(claims: &mut Object, name: &'static str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.value(name).map_err(malformed)? else {
        return Ok(None);
    };
    let seconds = value.as_u64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(seconds as u64)
    });
    match seconds {
        Some(seconds) if seconds <= LAST_SECOND => Ok(Some(seconds)),
        _ => Err(TokenError::Claim(name)),
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::TooLong => {
                let max = TOKEN_MAX_BYTES;
                write!(
                    f,
                    "the token is too long: at most {max} bytes, so name fewer jobs in it"
                )
            }
            TokenError::Malformed => f.write_str(
                "the token is malformed: it is a JWT, header.claims.signature, each of them \
                 base64url without padding",
            ),
            TokenError::Unsigned => f.write_str("the token isn't signed: its alg has to be HS256"),
            TokenError::Algorithm => {
                f.write_str("the token is signed with another algorithm: its alg has to be HS256")
            }
            TokenError::Critical => f.write_str(
                "the token's header has crit, and no extension is known here: leave it out",
            ),
            TokenError::Signature => f.write_str(
                "the token's signature isn't right: sign it with a key that this server was \
                 given, byte by byte the same",
            ),
            TokenError::Claim(name @ ("jobs" | "publish" | "upload" | "cancel")) => write!(
                f,
                "the token's claim {name} is malformed: it is a list of job names, or \
                 beginnings of them that end in *"
            ),
            TokenError::Claim(name) => write!(
                f,
                "the token's claim {name} is malformed: it is a number of seconds, not \
                 milliseconds, since 1970"
            ),
            TokenError::NoExpiry => f.write_str(
                "the token doesn't say when it ends: give it exp, in seconds since 1970",
            ),
            TokenError::Expired => f.write_str("the token has expired: get a new one"),
            TokenError::NotYetValid => f.write_str(
                "the token isn't valid yet, as its nbf says: wait, or set the clocks right",
            ),
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests;
