//! The keys that tokens are signed with, and the one that workers show.

use std::fmt;

use hmac_sha256::{HMAC, Hash};

use crate::event::Malformed;

/// The shortest key for HS256, in bytes (RFC 7518 section 3.2).
pub const TOKEN_KEY_MIN_BYTES: usize = 32;
/// The shortest key that workers may show, in bytes.
pub const PUBLISH_KEY_MIN_BYTES: usize = 16;
/// What some editors begin a text in UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The largest file that can be a key, in bytes.
pub const KEY_MAX_BYTES: usize = 4096;

/// A key for HS256, of at least 32 bytes. Nothing prints it.
///
/// See [`Claims`](crate::Claims).
#[derive(Clone)]
pub struct Key(HMAC);

/// The keys that a server knows: the first signs, all verify.
///
/// See [`Claims`](crate::Claims).
#[derive(Clone, Debug)]
pub struct Keys {
    first: Key,
    others: Vec<Key>,
}

/// The key that workers show to publish. Only its hash is kept.
#[derive(Clone)]
pub struct PublishKey([u8; 32]);

impl Key {
    /// Takes what a key file holds: a line of text, whose end doesn't count and neither does a
    /// byte order mark before it, or any other bytes as they are.
    ///
    /// # Errors
    /// It is too short, too long, or something else than a secret for HS256.
    pub fn from_file(content: &[u8]) -> Result<Key, Malformed> {
        Key::from_bytes(read(content, TOKEN_KEY_MIN_BYTES)?)
    }

    /// Takes the bytes of a key as they are.
    ///
    /// # Errors
    /// There are fewer than 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Key, Malformed> {
        check_length(bytes, TOKEN_KEY_MIN_BYTES)?;
        Ok(Key(HMAC::new(bytes)))
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(text);
        mac.finalize()
    }

    /// Compares in constant time.
    pub(super) fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(text);
        signature
            .try_into()
            .is_ok_and(|signature| mac.finalize_verify(signature))
    }
}

impl Keys {
    /// Takes the keys in their order. None where there are none.
    pub fn new(keys: Vec<Key>) -> Option<Keys> {
        let mut keys = keys.into_iter();
        Some(Keys {
            first: keys.next()?,
            others: keys.collect(),
        })
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; 32] {
        self.first.sign(text)
    }

    pub(super) fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        // All are tried, whichever fits.
        self.others
            .iter()
            .fold(self.first.verify(text, signature), |fits, key| {
                fits | key.verify(text, signature)
            })
    }
}

impl PublishKey {
    /// Takes what a key file holds: one line of printable characters, as it stands in
    /// `Authorization: Bearer`. The line's end doesn't count, nor does a byte order mark.
    ///
    /// # Errors
    /// It is shorter than 16 bytes, too long, or can't stand there.
    pub fn from_file(content: &[u8]) -> Result<PublishKey, Malformed> {
        let key = read(content, PUBLISH_KEY_MIN_BYTES)?;
        if !key.iter().all(u8::is_ascii_graphic) {
            return Err(Malformed::new(
                "the key has to stand in a header field: use printable ASCII without spaces",
            ));
        }
        Ok(PublishKey(Hash::hash(key)))
    }

    /// Whether this is the key. It takes as long whatever is wrong with it.
    pub fn is(&self, shown: &[u8]) -> bool {
        Hash::verify(shown, &self.0)
    }
}

/// The key in a file: text without the end of its line, anything else as it is.
fn read(content: &[u8], min_bytes: usize) -> Result<&[u8], Malformed> {
    if content.len() > KEY_MAX_BYTES {
        let why = format!("the key is too long: at most {KEY_MAX_BYTES} bytes");
        return Err(why.into());
    }
    let is_text = content
        .iter()
        .all(|&byte| byte >= b' ' || b"\t\r\n".contains(&byte));
    let is_text = is_text && std::str::from_utf8(content).is_ok();
    let key = if is_text {
        // Some editors begin every text with it.
        let text = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        text.trim_ascii()
    } else {
        content
    };
    if key.starts_with(b"-----BEGIN") {
        return Err(Malformed::new(
            "this is a PEM file, and tokens are signed with a secret (HS256): make one with \
             `openssl rand -hex 32`",
        ));
    }
    if is_text && key.contains(&b'\n') {
        return Err(Malformed::new(
            "the key has more than one line: one file is one key, in one line",
        ));
    }
    check_length(key, min_bytes)?;
    Ok(key)
}

fn check_length(key: &[u8], min_bytes: usize) -> Result<(), Malformed> {
    if key.len() < min_bytes {
        let why = format!(
            "the key is too short: it takes at least {min_bytes} bytes, as `openssl rand -hex 32` \
             prints them"
        );
        return Err(why.into());
    }
    Ok(())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl fmt::Debug for PublishKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn signature(content: &[u8]) -> Result<[u8; 32], Malformed> {
        Key::from_file(content).map(|key| key.sign(b"x"))
    }

    #[test]
    fn the_end_of_a_text_s_line_is_no_part_of_the_key() {
        let plain = Ok(Key::from_bytes(TEXT).unwrap().sign(b"x"));
        for end in ["", "\n", "\r\n", "\n\n"] {
            assert_eq!(signature(&[TEXT, end.as_bytes()].concat()), plain);
        }
    }

    #[test]
    fn a_text_is_the_same_key_whatever_editor_wrote_it() {
        let plain = signature(TEXT);
        for (before, behind) in [
            (&b"\xef\xbb\xbf"[..], &b"\r\n"[..]),
            (b"\xef\xbb\xbf", b""),
            (b"", b"\r\n"),
            (b"", b" \n\n"),
        ] {
            assert_eq!(signature(&[before, TEXT, behind].concat()), plain);
        }
        let publish = PublishKey::from_file(b"\xef\xbb\xbf0123456789abcdef\r\n").unwrap();
        assert!(publish.is(b"0123456789abcdef"));
        // Bytes are no text, however they begin.
        let bytes = [b"\xef\xbb\xbf", &[0xff; 32][..]].concat();
        let own = Key::from_bytes(&bytes).unwrap().sign(b"x");
        assert_eq!(signature(&bytes), Ok(own));
    }

    #[test]
    fn bytes_that_are_no_text_are_taken_as_they_are() {
        let mut bytes = vec![0xff; 32];
        bytes[31] = b'\n';
        assert_eq!(
            signature(&bytes),
            Ok(Key::from_bytes(&bytes).unwrap().sign(b"x"))
        );
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let short = "at least 32 bytes";
        for (content, error) in [
            (&b""[..], short),
            (&TEXT[1..], short),
            (&[&TEXT[1..], b"\n"].concat(), short),
            (&[0xff; 31], short),
            (&[b'a'; KEY_MAX_BYTES + 1], "too long"),
            (
                b"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n",
                "PEM file",
            ),
            (&[TEXT, b"\n", TEXT].concat(), "more than one line"),
        ] {
            let why = signature(content).unwrap_err().to_string();
            assert!(why.contains(error), "{why}");
        }
    }

    #[test]
    fn a_publish_key_is_itself_and_nothing_else() {
        let key = PublishKey::from_file(b"0123456789abcdef\n").unwrap();
        assert!(key.is(b"0123456789abcdef"));
        for wrong in [&b"0123456789abcdeg"[..], b"0123456789abcdef\n", b"", b"0"] {
            assert!(!key.is(wrong));
        }
        let error = |content: &[u8]| PublishKey::from_file(content).unwrap_err().to_string();
        assert!(error(b"short").contains("at least 16 bytes"));
        assert!(error(b"0123456789 abcdef").contains("without spaces"));
    }

    #[test]
    fn nothing_prints_a_key() {
        let keys = Keys::new(vec![Key::from_bytes(TEXT).unwrap()]);
        let publish = PublishKey::from_file(TEXT).unwrap();
        let printed = format!("{keys:?} {publish:?}");
        assert_eq!(printed, "Some(Keys { first: Key, others: [] }) PublishKey");
    }
}
