//! Texts that are embedded in the program, compressed.

use crate::http::{Head, Response, Status};

/// What a gzip file begins with, where it has no name (RFC 1952).
const HEAD_BYTES: usize = 10;
/// What it ends with: a checksum and how long the text is.
const END_BYTES: usize = 8;

/// The gzip file of a text.
pub struct Packed(&'static [u8]);

impl Packed {
    pub const fn new(file: &'static [u8]) -> Packed {
        Packed(file)
    }

    /// What tells it from other texts: its checksum and how long it is.
    pub fn digest(&self) -> u64 {
        let end = self.0.last_chunk::<END_BYTES>();
        u64::from_le_bytes(*end.expect("it was packed with the program"))
    }

    /// The text.
    pub fn unpack(&self) -> Vec<u8> {
        let deflated = &self.0[HEAD_BYTES..self.0.len() - END_BYTES];
        miniz_oxide::inflate::decompress_to_vec(deflated).expect("it was packed with the program")
    }

    /// The text, as whoever asks takes it: packed, or else as it is.
    pub fn answer(&self, head: &Head<'_>, media_type: &'static str) -> Response {
        let response = Response::text(Status::Ok, media_type, "").with("Vary", "Accept-Encoding");
        if head.takes_gzip {
            response.with("Content-Encoding", "gzip").with_body(self.0)
        } else {
            response.with_body(self.unpack())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::openapi::DESCRIPTION;

    #[test]
    fn what_is_packed_is_the_file_with_its_length_and_its_checksum() {
        let text = DESCRIPTION.unpack();
        assert_eq!(text, include_bytes!("openapi.json"));
        let file = DESCRIPTION.0;
        assert!(file.starts_with(&[0x1f, 0x8b, 8, 0]));
        assert!(file.ends_with(&(text.len() as u32).to_le_bytes()));
        // By the polynomial of RFC 1952, bit by bit.
        let crc = text.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| match crc & 1 {
                0 => crc >> 1,
                _ => (crc >> 1) ^ 0xedb8_8320,
            })
        });
        let at = file.len() - 8;
        assert_eq!(file[at..at + 4], (!crc).to_le_bytes());
    }
}
