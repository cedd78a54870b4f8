//! A request's body, taken out of its framing (RFC 9112 sections 6 and 7).

use std::fmt;

/// The most of chunk extensions and trailers, in bytes, that the data doesn't outweigh.
/// Nobody needs either; without a limit they could be sent for ever.
const OVERHEAD_MAX_BYTES: usize = 4096;
/// What each chunk may have of framing, in bytes, and as much again as its data twice over.
const CHUNK_OVERHEAD_BYTES: usize = 32;
/// Digits of a chunk's size: 15 hexadecimal ones can't overflow 64 bits.
const SIZE_MAX_DIGITS: usize = 15;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none: neither header field was given.
    None,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A chunk's size line is malformed.
    ChunkSize,
    /// A chunk is longer than it said.
    ChunkEnd,
    /// A chunk extension or the trailer section is over its limit.
    Overhead,
    /// The trailer section is malformed.
    Trailer,
}

/// Takes a body out of its framing, whatever pieces it arrives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoder {
    state: Expected,
    overhead_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Size {
        value: u64,
        digits: usize,
    },
    /// Blanks after a size: only an extension may follow.
    SizeBlank {
        value: u64,
    },
    Extension {
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    TrailerLine,
    TrailerField,
    TrailerFieldEnd,
    TrailerEnd,
    /// A body of known length: all that is left of it.
    Plain {
        left: u64,
    },
    Done,
}

impl Decoder {
    /// A decoder for a body of that length.
    pub fn new(length: BodyLength) -> Decoder {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => Expected::Done,
            BodyLength::Length(left) => Expected::Plain { left },
            BodyLength::Chunked => Expected::Size {
                value: 0,
                digits: 0,
            },
        };
        Decoder {
            state,
            overhead_bytes: 0,
        }
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        self.state == Expected::Done
    }

    /// How much is to come of a body that comes without framing.
    pub fn plain_left(&self) -> Option<u64> {
        match self.state {
            Expected::Plain { left } => Some(left),
            _ => None,
        }
    }

    /// Passes by so many bytes of such a body, which were taken without
    /// [`decode`](Decoder::decode).
    pub fn skip(&mut self, count: u64) {
        if let Expected::Plain { left } = self.state {
            self.state = match left.saturating_sub(count) {
                0 => Expected::Done,
                left => Expected::Plain { left },
            };
        }
    }

    /// Reads `input` until something of the body is found, and returns how many bytes
    /// of it were used and which of them are body. Nothing is used once the body is
    /// whole: what follows is the next request.
    ///
    /// # Errors
    /// The framing is broken. The connection can't be used further.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<(usize, &'a [u8]), BodyError> {
        let mut used = 0;
        while used < input.len() && !self.is_done() {
            if let Expected::Data { left } | Expected::Plain { left } = self.state {
                let take = left.min((input.len() - used) as u64);
                let left = left - take;
                self.state = match self.state {
                    Expected::Plain { .. } if left == 0 => Expected::Done,
                    Expected::Plain { .. } => Expected::Plain { left },
                    _ if left == 0 => Expected::DataCr,
                    _ => Expected::Data { left },
                };
                let end = used + take as usize;
                return Ok((end, &input[used..end]));
            }
            self.framing_byte(input[used])?;
            used += 1;
        }
        Ok((used, &[]))
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        self.overhead_bytes += 1;
        if self.overhead_bytes > OVERHEAD_MAX_BYTES {
            return Err(BodyError::Overhead);
        }
        self.state = match (self.state, byte) {
            (Expected::Size { value, digits }, byte) => match (byte as char).to_digit(16) {
                Some(_) if digits == SIZE_MAX_DIGITS => return Err(BodyError::ChunkSize),
                Some(digit) => Expected::Size {
                    value: value * 16 + u64::from(digit),
                    digits: digits + 1,
                },
                None if digits == 0 => return Err(BodyError::ChunkSize),
                None if byte == b'\r' => Expected::SizeEnd { value },
                None if byte == b';' => Expected::Extension { value },
                None if is_blank(byte) => Expected::SizeBlank { value },
                None => return Err(BodyError::ChunkSize),
            },
            (Expected::SizeBlank { value }, b';') => Expected::Extension { value },
            (Expected::SizeBlank { .. }, byte) if is_blank(byte) => self.state,
            (Expected::SizeBlank { .. }, _) => return Err(BodyError::ChunkSize),
            (Expected::Extension { value }, b'\r') => Expected::SizeEnd { value },
            (Expected::Extension { .. }, byte) if byte.is_ascii_control() && !is_blank(byte) => {
                return Err(BodyError::ChunkSize);
            }
            (Expected::Extension { value }, _) => Expected::Extension { value },
            (Expected::SizeEnd { value: 0 }, b'\n') => Expected::TrailerLine,
            (Expected::SizeEnd { value }, b'\n') => {
                let outweighed = CHUNK_OVERHEAD_BYTES as u64 + value.saturating_mul(2);
                let outweighed = usize::try_from(outweighed).unwrap_or(usize::MAX);
                self.overhead_bytes = self.overhead_bytes.saturating_sub(outweighed);
                Expected::Data { left: value }
            }
            (Expected::SizeEnd { .. }, _) => return Err(BodyError::ChunkSize),
            (Expected::DataCr, b'\r') => Expected::DataLf,
            (Expected::DataLf, b'\n') => Expected::Size {
                value: 0,
                digits: 0,
            },
            (Expected::DataCr | Expected::DataLf, _) => return Err(BodyError::ChunkEnd),
            (Expected::TrailerLine, b'\r') => Expected::TrailerEnd,
            (Expected::TrailerLine | Expected::TrailerField, b'\n') => {
                return Err(BodyError::Trailer);
            }
            (Expected::TrailerField, b'\r') => Expected::TrailerFieldEnd,
            (Expected::TrailerLine | Expected::TrailerField, _) => Expected::TrailerField,
            (Expected::TrailerFieldEnd, b'\n') => Expected::TrailerLine,
            (Expected::TrailerEnd, b'\n') => Expected::Done,
            (Expected::TrailerFieldEnd | Expected::TrailerEnd, _) => {
                return Err(BodyError::Trailer);
            }
            (Expected::Data { .. } | Expected::Plain { .. } | Expected::Done, _) => self.state,
        };
        Ok(())
    }
}

fn is_blank(byte: u8) -> bool {
    b" \t".contains(&byte)
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::ChunkSize => {
                "a chunk's size is malformed: it is hexadecimal digits and CR LF"
            }
            BodyError::ChunkEnd => "a chunk is longer than its size: CR LF must follow its data",
            BodyError::Overhead => "the chunk extensions or trailers are too long: leave them out",
            BodyError::Trailer => "the trailer section is malformed: leave it out",
        })
    }
}

impl std::error::Error for BodyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(length: BodyLength, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), BodyError> {
        let mut decoder = Decoder::new(length);
        let (mut body, mut used) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !decoder.is_done() {
                let (taken, data) = decoder.decode(rest)?;
                body.extend_from_slice(data);
                used += taken;
                rest = &rest[taken..];
            }
        }
        Ok((body, used, decoder.is_done()))
    }

    const CHUNKED: &[u8] = b"5\r\nhello\r\n00A;ext=\"x\"\r\n0123456789\r\n0\r\nA: b\r\n\r\n";

    #[test]
    fn chunks_are_the_same_however_they_are_split() {
        let input = [CHUNKED, b"GET /"].concat();
        let expected = Ok((b"hello0123456789".to_vec(), CHUNKED.len(), true));
        for at in 0..=input.len() {
            let (front, back) = input.split_at(at);
            assert_eq!(
                decode(BodyLength::Chunked, &[front, back]),
                expected,
                "{at}"
            );
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(decode(BodyLength::Chunked, &bytes), expected);
    }

    #[test]
    fn any_number_of_small_chunks_is_a_body() {
        let input = [b"1\r\nx\r\n".repeat(100_000), b"0\r\n\r\n".to_vec()].concat();
        let (body, used, done) = decode(BodyLength::Chunked, &[&input]).unwrap();
        assert_eq!((body.len(), used, done), (100_000, input.len(), true));
    }

    #[test]
    fn a_cut_body_is_not_done() {
        for end in 0..CHUNKED.len() {
            let (_, _, done) = decode(BodyLength::Chunked, &[&CHUNKED[..end]]).unwrap();
            assert!(!done, "{end}");
        }
    }

    #[test]
    fn a_known_length_leaves_the_next_request_alone() {
        let expected = Ok((b"hello".to_vec(), 5, true));
        assert_eq!(decode(BodyLength::Length(5), &[b"hel", b"loGET"]), expected);
        assert_eq!(
            decode(BodyLength::Length(0), &[b"GET"]),
            Ok((vec![], 0, true))
        );
        assert_eq!(decode(BodyLength::None, &[b"GET"]), Ok((vec![], 0, true)));
    }

    #[test]
    fn broken_chunks_are_refused() {
        use BodyError::*;
        for (error, input) in [
            (ChunkSize, &b"\r\n"[..]),
            (ChunkSize, b"x\r\n"),
            (ChunkSize, b"-1\r\n"),
            (ChunkSize, b"+1\r\n"),
            (ChunkSize, b"0x1\r\n"),
            (ChunkSize, b"1\na"),
            (ChunkSize, b"1\ra"),
            (ChunkSize, b"1;a\nb"),
            (ChunkSize, b"1;a\0b"),
            (ChunkSize, b"1 \r\n"),
            (ChunkSize, b"1 1\r\n"),
            (ChunkSize, b"1000000000000000\r\n"),
            (ChunkEnd, b"1\r\nab"),
            (ChunkEnd, b"1\r\na\n"),
            (ChunkEnd, b"1\r\na\rb"),
            (Trailer, b"0\r\n\n"),
            (Trailer, b"0\r\nA: b\n"),
            (Trailer, b"0\r\n\r\r"),
        ] {
            assert_eq!(
                decode(BodyLength::Chunked, &[input]),
                Err(error),
                "{input:?}"
            );
        }
        let long = [b"1;".as_slice(), &vec![b'x'; 5000]].concat();
        assert_eq!(decode(BodyLength::Chunked, &[&long]), Err(Overhead));
        let many = [b"1;".as_slice(), &[b'x'; 1000], b"\r\ny\r\n"].concat();
        assert_eq!(
            decode(BodyLength::Chunked, &[&many.repeat(10)]),
            Err(Overhead)
        );
        let long = [b"0\r\n".as_slice(), &b"A: b\r\n".repeat(1000)].concat();
        assert_eq!(decode(BodyLength::Chunked, &[&long]), Err(Overhead));
    }
}
