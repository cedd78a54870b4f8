//! The secrets that a webhook's requests are signed with, as Standard Webhooks 1.0.0 says.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac_sha256::HMAC;
use parking_lot::RwLock;

use crate::access::keyfile;

/// What a secret begins with.
const MARK: &str = "whsec_";
/// How long one may be, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// More than a new one and those that it takes the place of are a mistake.
const SECRETS_MAX: usize = 8;

/// A file of them: one, or while it is changed several. Nothing prints them.
pub struct HookSecrets {
    path: PathBuf,
    secrets: RwLock<Secrets>,
}

/// What a file holds.
pub type Secrets = Vec<HMAC>;

impl HookSecrets {
    /// Reads a file. Blocks for the disk.
    ///
    /// # Errors
    /// It can't be read, or holds something else.
    pub fn read(path: &Path) -> io::Result<HookSecrets> {
        let secrets = keyfile::read(path, parse)?;
        Ok(HookSecrets {
            path: path.to_owned(),
            secrets: RwLock::new(secrets),
        })
    }

    /// What the file holds now. Blocks for the disk.
    ///
    /// # Errors
    /// As of [`HookSecrets::read`].
    pub fn reread(&self) -> io::Result<Secrets> {
        keyfile::read(&self.path, parse)
    }

    /// Signs by these from now on.
    pub fn change(&self, secrets: Secrets) {
        *self.secrets.write() = secrets;
    }

    /// The value of `webhook-signature`: a signature by each.
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let secrets = self.secrets.read();
        let signatures = secrets.iter().map(|secret| {
            let head = format!("{id}.{timestamp}.");
            let mut mac = secret.clone();
            mac.update(head);
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn parse(content: &[u8]) -> Result<Secrets, String> {
    let text = std::str::from_utf8(content).unwrap_or_default();
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let secrets: Option<Vec<_>> = lines.iter().map(|line| secret(line)).collect();
    match secrets {
        Some(secrets) if (1..=SECRETS_MAX).contains(&secrets.len()) => Ok(secrets),
        _ => Err(format!(
            "a line for each secret, {SECRETS_MAX} at most, and each is {MARK} and {} to {} \
             bytes in base64, as echo \"{MARK}$(openssl rand -base64 32)\" prints it",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        )),
    }
}

fn secret(line: &str) -> Option<HMAC> {
    let bytes = STANDARD.decode(line.strip_prefix(MARK)?).ok()?;
    let fits = SECRET_BYTES.contains(&bytes.len());
    fits.then(|| HMAC::new(&bytes))
}

impl fmt::Debug for HookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn secrets(text: &str) -> HookSecrets {
        HookSecrets {
            path: PathBuf::new(),
            secrets: RwLock::new(parse(text.as_bytes()).unwrap()),
        }
    }

    #[test]
    fn a_signature_is_that_of_the_published_libraries() {
        // What the libraries of the standard test themselves with.
        let secrets = secrets(SECRET);
        let signed = secrets.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(format!("{secrets:?}"), "HookSecrets");
    }

    #[test]
    fn a_secret_that_is_changed_signs_beside_the_new_one() {
        let both = format!("\n{SECRET}\r\nwhsec_{}\n", STANDARD.encode([7; 64]));
        let signed = secrets(&both).sign("a", 1, b"b");
        let one = secrets(SECRET);
        let (first, second) = signed.split_once(' ').unwrap();
        assert_eq!(first, one.sign("a", 1, b"b"));
        assert!(second.starts_with("v1,") && second != first);
    }

    #[test]
    fn what_is_no_secret_is_refused_with_how_to_make_one() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        let many = format!("{SECRET}\n").repeat(9);
        for text in [
            "",
            "\n",
            "secret",
            "whsec_",
            "whsec_!",
            &short,
            &long,
            &many,
            &SECRET[6..],
        ] {
            let error = parse(text.as_bytes()).err().expect(text);
            assert!(error.contains("openssl rand"), "{text}: {error}");
        }
        assert!(parse(b"\xff").is_err());
    }
}
