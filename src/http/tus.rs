//! What the tus protocol 1.0 has in its header fields.

use std::collections::HashSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The version that is spoken.
pub const VERSION: &str = "1.0.0";
/// The extensions that are.
pub const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum";
/// The algorithms that a checksum may be made by.
pub const ALGORITHMS: &str = "sha1,sha256";

/// `Upload-Metadata`: keys, and values in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata<'a>(&'a str);

/// A checksum that is being made, and what it has to come to.
#[derive(Clone, Debug)]
pub struct Checksum {
    hasher: ChecksumHasher,
    expected: Vec<u8>,
}

#[derive(Clone, Debug)]
enum ChecksumHasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

/// Why a field is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TusError {
    /// A number is none.
    Number(&'static str),
    /// `Upload-Metadata` is malformed.
    Metadata,
    /// `Upload-Checksum` is malformed.
    Checksum,
    /// Its algorithm isn't known here.
    Algorithm,
}

/// The value of `Upload-Offset` or `Upload-Length`, which `name` says. What no file can have is
/// the most that one can.
///
/// # Errors
/// [`TusError::Number`].
pub fn number(name: &'static str, value: &[u8]) -> Result<u64, TusError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(TusError::Number(name));
    }
    let digits = std::str::from_utf8(value).unwrap_or_default();
    Ok(digits.parse::<i64>().unwrap_or(i64::MAX) as u64)
}

impl<'a> Metadata<'a> {
    /// Reads the field. An empty one has no keys.
    ///
    /// # Errors
    /// A key is empty, there twice or not ASCII, or a value isn't base64.
    pub fn parse(value: &'a [u8]) -> Result<Metadata<'a>, TusError> {
        // It is sent again in an answer's head.
        if !value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(TusError::Metadata);
        }
        let text = std::str::from_utf8(value).map_err(|_| TusError::Metadata)?;
        let metadata = Metadata(text.trim());
        let mut keys = HashSet::new();
        let is_key = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let is_well_formed = metadata
            .pairs()
            .all(|(key, value)| is_key(key) && keys.insert(key) && STANDARD.decode(value).is_ok());
        if is_well_formed {
            Ok(metadata)
        } else {
            Err(TusError::Metadata)
        }
    }

    /// The field as it was sent.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// The value of a key; what isn't UTF-8 is U+FFFD.
    pub fn get(&self, key: &str) -> Option<String> {
        let (_, value) = self.pairs().find(|(other, _)| *other == key)?;
        let bytes = STANDARD.decode(value).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.0.split(',').filter(|_| !self.0.is_empty());
        pairs.map(|pair| pair.trim().split_once(' ').unwrap_or((pair.trim(), "")))
    }
}

impl Checksum {
    /// Reads `Upload-Checksum`: an algorithm and base64.
    ///
    /// # Errors
    /// It is malformed, or of an algorithm that isn't known here.
    pub fn parse(value: &[u8]) -> Result<Checksum, TusError> {
        let text = std::str::from_utf8(value).map_err(|_| TusError::Checksum)?;
        let (algorithm, sum) = text.split_once(' ').ok_or(TusError::Checksum)?;
        let expected = STANDARD
            .decode(sum.trim())
            .map_err(|_| TusError::Checksum)?;
        let (hasher, length) = match algorithm {
            "sha1" => (ChecksumHasher::Sha1(Sha1::new()), 20),
            "sha256" => (ChecksumHasher::Sha256(Sha256::new()), 32),
            _ => return Err(TusError::Algorithm),
        };
        if expected.len() == length {
            Ok(Checksum { hasher, expected })
        } else {
            Err(TusError::Checksum)
        }
    }

    /// Goes on with more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            ChecksumHasher::Sha1(hasher) => hasher.update(bytes),
            ChecksumHasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Whether the bytes come to what they have to.
    pub fn matches(self) -> bool {
        match self.hasher {
            ChecksumHasher::Sha1(hasher) => hasher.finalize()[..] == self.expected[..],
            ChecksumHasher::Sha256(hasher) => hasher.finalize()[..] == self.expected[..],
        }
    }
}

impl fmt::Display for TusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TusError::Number(name) => {
                write!(
                    f,
                    "{name} is malformed: it is a number of bytes in decimal digits"
                )
            }
            TusError::Metadata => f.write_str(
                "Upload-Metadata is malformed: it is key and base64 of the value, with commas \
                 between the pairs, and no key twice",
            ),
            TusError::Checksum => f.write_str(
                "Upload-Checksum is malformed: it is an algorithm and base64 of the checksum",
            ),
            TusError::Algorithm => {
                write!(
                    f,
                    "this checksum's algorithm isn't known here: use one of {ALGORITHMS}"
                )
            }
        }
    }
}

impl std::error::Error for TusError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_pairs_of_a_key_and_base64() {
        let metadata = Metadata::parse(b"filename w6QvYi5tcDQ=, is_private,empty ").unwrap();
        assert_eq!(metadata.get("filename").as_deref(), Some("ä/b.mp4"));
        assert_eq!(metadata.get("is_private").as_deref(), Some(""));
        assert_eq!(metadata.get("empty").as_deref(), Some(""));
        assert_eq!(metadata.get("other"), None);
        assert_eq!(Metadata::parse(b"").unwrap().get(""), None);
        for bad in [
            &b"a !"[..],
            b"a YQ",
            b"a YQ==,a YQ==",
            b",",
            b"a YQ==,",
            b"\xc3\xa9 YQ==",
            b"\xff YQ==",
            b"a\tb YQ==",
            b"a  YQ==",
            b"a YQ==,\rb",
            b"a YQ==\xe2\x80\xa8",
        ] {
            assert_eq!(Metadata::parse(bad), Err(TusError::Metadata), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_digits_that_a_file_can_have() {
        assert_eq!(number("x", b"0"), Ok(0));
        for most in [
            &b"9223372036854775807"[..],
            b"9223372036854775808",
            b"99999999999999999999",
        ] {
            assert_eq!(number("x", most), Ok(i64::MAX as u64));
        }
        for bad in [
            &b""[..],
            b"-1",
            b"+1",
            b"1.0",
            b"1 ",
            b"99999999999999999999x",
        ] {
            assert_eq!(number("x", bad), Err(TusError::Number("x")), "{bad:?}");
        }
    }

    #[test]
    fn a_checksum_matches_its_bytes_and_no_others() {
        // Both of "hello world".
        for field in [
            "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
        ] {
            let mut sum = Checksum::parse(field.as_bytes()).unwrap();
            sum.update(b"hello ");
            let mut other = sum.clone();
            sum.update(b"world");
            other.update(b"World");
            assert!(sum.matches() && !other.matches(), "{field}");
        }
        for (field, error) in [
            ("crc32 AAAA", TusError::Algorithm),
            ("sha1", TusError::Checksum),
            ("sha1 AAAA", TusError::Checksum),
            ("sha1 !", TusError::Checksum),
            ("", TusError::Checksum),
        ] {
            assert_eq!(
                Checksum::parse(field.as_bytes()).unwrap_err(),
                error,
                "{field}"
            );
        }
    }
}
