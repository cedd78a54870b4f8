//! What a change is known by when it is asked for again.

use std::str::FromStr;

use hmac_sha256::Hash;

use super::Malformed;

/// The longest key, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;

pub(super) const WRONG: Malformed = Malformed::new(
    "a key is 1 to 255 visible ASCII characters, without spaces: a new one for each change, and \
     the same one only to ask for the same again",
);

/// So many bytes of a digest tell what was said from all else that is ever said.
pub(crate) const DIGEST_BYTES: usize = 16;

/// What a publisher calls a change, so that it is made once however often it is asked for:
/// 1 to 255 visible ASCII characters. It is kept as a digest.
///
/// ```
/// use landfall::IdempotencyKey;
/// assert!("0e4b2f3a-1".parse::<IdempotencyKey>().is_ok());
/// for wrong in ["", "a b", "é", &"x".repeat(256)] {
///     assert!(wrong.parse::<IdempotencyKey>().is_err());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub(crate) [u8; DIGEST_BYTES]);

/// A digest of all that a change says. Two that say the same have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content(pub(crate) [u8; DIGEST_BYTES]);

impl FromStr for IdempotencyKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<IdempotencyKey, Malformed> {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=IDEMPOTENCY_KEY_MAX_BYTES).contains(&text.len()) {
            return Err(WRONG);
        }
        Ok(IdempotencyKey(digest([text.as_bytes()])))
    }
}

impl Content {
    /// The digest of these parts, in this order.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Content {
        Content(digest(parts))
    }
}

/// No two lists of parts come to the same bytes: each part has its length before it.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; DIGEST_BYTES] {
    let mut sha = Hash::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    let whole = sha.finalize();
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&whole[..DIGEST_BYTES]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_and_not_too_long() {
        let key = |text: &str| text.parse::<IdempotencyKey>();
        for text in ["a", "\"quoted\"", "!~", &"x".repeat(255)] {
            assert!(key(text).is_ok(), "{text}");
        }
        for text in [
            "",
            " ",
            "a b",
            "a\n",
            "a\0",
            "é",
            "\u{7f}",
            &"x".repeat(256),
        ] {
            assert_eq!(key(text), Err(WRONG), "{text:?}");
        }
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("A"));
    }

    #[test]
    fn parts_that_are_put_together_otherwise_are_another_content() {
        let of = |parts: &[&str]| Content::of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        for other in [&["a", "bc"][..], &["abc"], &["ab", "c", ""], &["c", "ab"]] {
            assert_ne!(of(&["ab", "c"]), of(other), "{other:?}");
        }
    }
}
