//! Answers, read without any I/O: the head, and the body however it is framed.

use super::ClientError;

/// The longest head of an answer, in bytes; a longer one is an error.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// The most headers in one; more are an error.
const HEADERS_MAX: usize = 64;
/// The longest line with a chunk's size, or trailer line, in bytes.
const CHUNK_LINE_MAX_BYTES: usize = 256;

/// What matters of an answer's head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerHead {
    pub status: u16,
    pub(super) keep_alive: bool,
    pub(super) is_event_stream: bool,
    framing: Framing,
    /// Its fields, their names in small letters.
    fields: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A body being decoded.
#[derive(Debug)]
pub(super) enum BodyDecoder {
    Length(u64),
    /// Within the line that has a chunk's size; what was read of it.
    ChunkLine(Vec<u8>),
    /// Within a chunk, with so much of it to come.
    Chunk(u64),
    /// Within the newline after a chunk.
    ChunkEnd,
    /// Within the trailer; what was read of its line.
    Trailer(Vec<u8>),
    UntilClose,
    Finished,
}

/// The head at the start of `input` and how long it is, once it is there whole.
pub(super) fn head(input: &[u8]) -> Result<Option<(AnswerHead, usize)>, ClientError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if input.len() < HEAD_MAX_BYTES => return Ok(None),
        Ok(httparse::Status::Partial) => {
            return Err(ClientError::Malformed("its head is too long"));
        }
        Err(_) => return Err(ClientError::Malformed("its head is no HTTP/1.1")),
    };
    let status = parsed.code.unwrap_or_default();
    let mut framing = Framing::UntilClose;
    let mut keep_alive = parsed.version == Some(1);
    let mut is_event_stream = false;
    let mut fields = Vec::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        let name = header.name;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(ClientError::Malformed("its transfer coding is not chunked"));
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunked {
            let digits = value.bytes().all(|b| b.is_ascii_digit());
            let length = value.parse().ok().filter(|_| digits);
            framing = Framing::Length(length.ok_or(ClientError::Malformed("its Content-Length"))?);
        } else if name.eq_ignore_ascii_case("connection") {
            keep_alive &= !value
                .split(',')
                .any(|v| v.trim().eq_ignore_ascii_case("close"));
        } else if name.eq_ignore_ascii_case("content-type") {
            let essence = value.split(';').next().unwrap_or_default().trim();
            is_event_stream = essence.eq_ignore_ascii_case("text/event-stream");
        }
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    if status < 200 || status == 204 || status == 304 {
        framing = Framing::Length(0);
    }
    keep_alive &= framing != Framing::UntilClose;
    Ok(Some((
        AnswerHead {
            status,
            keep_alive,
            is_event_stream,
            framing,
            fields,
        },
        length,
    )))
}

impl AnswerHead {
    /// The value of a field, which is named in small letters.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The same, where it is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        let value = self.field(name)?;
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        value.parse().ok().filter(|_| digits)
    }

    /// As it answers HEAD: without a body, whatever it says of one.
    pub(super) fn without_body(mut self) -> AnswerHead {
        self.framing = Framing::Length(0);
        self
    }
}

impl BodyDecoder {
    pub(super) fn new(head: &AnswerHead) -> BodyDecoder {
        match head.framing {
            Framing::Length(0) => BodyDecoder::Finished,
            Framing::Length(length) => BodyDecoder::Length(length),
            Framing::Chunked => BodyDecoder::ChunkLine(Vec::new()),
            Framing::UntilClose => BodyDecoder::UntilClose,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self, BodyDecoder::Finished)
    }

    /// The connection was closed: the end of a body only where nothing else tells it.
    pub(super) fn closed(&mut self) -> Result<(), ClientError> {
        match self {
            BodyDecoder::UntilClose | BodyDecoder::Finished => *self = BodyDecoder::Finished,
            _ => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        }
        Ok(())
    }

    /// Decodes what there is and says how much of `input` was used. What is left
    /// belongs to the next answer.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        decoded: &mut Vec<u8>,
    ) -> Result<usize, ClientError> {
        let mut used = 0;
        while used < input.len() && !self.is_finished() {
            used += self.step(&input[used..], decoded)?;
        }
        Ok(used)
    }

    fn step(&mut self, input: &[u8], decoded: &mut Vec<u8>) -> Result<usize, ClientError> {
        match self {
            BodyDecoder::UntilClose => {
                decoded.extend_from_slice(input);
                Ok(input.len())
            }
            BodyDecoder::Length(left) | BodyDecoder::Chunk(left) => {
                let count = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                decoded.extend_from_slice(&input[..count]);
                *left -= count as u64;
                if *left == 0 {
                    let chunked = matches!(self, BodyDecoder::Chunk(_));
                    *self = if chunked {
                        BodyDecoder::ChunkEnd
                    } else {
                        BodyDecoder::Finished
                    };
                }
                Ok(count)
            }
            BodyDecoder::ChunkEnd => {
                match input[0] {
                    b'\r' => {}
                    b'\n' => *self = BodyDecoder::ChunkLine(Vec::new()),
                    _ => return Err(ClientError::Malformed("a chunk is longer than its size")),
                }
                Ok(1)
            }
            BodyDecoder::ChunkLine(line) => {
                if input[0] != b'\n' {
                    return push(line, input[0]);
                }
                let size = chunk_size(line).ok_or(ClientError::Malformed("the size of a chunk"))?;
                *self = if size == 0 {
                    BodyDecoder::Trailer(Vec::new())
                } else {
                    BodyDecoder::Chunk(size)
                };
                Ok(1)
            }
            BodyDecoder::Trailer(line) => {
                match input[0] {
                    b'\n' if line.is_empty() => *self = BodyDecoder::Finished,
                    b'\n' => line.clear(),
                    b'\r' => {}
                    byte => return push(line, byte),
                }
                Ok(1)
            }
            BodyDecoder::Finished => Ok(0),
        }
    }
}

fn push(line: &mut Vec<u8>, byte: u8) -> Result<usize, ClientError> {
    if line.len() == CHUNK_LINE_MAX_BYTES {
        return Err(ClientError::Malformed("a line between chunks is too long"));
    }
    line.push(byte);
    Ok(1)
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|b| *b == b';').next()?;
    let size = std::str::from_utf8(size).ok()?.trim();
    let hex = !size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(size, 16).ok().filter(|_| hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer cut in two at `at`, and says what is left of the input.
    fn read(input: &[u8], at: usize) -> Result<(Vec<u8>, Vec<u8>), ClientError> {
        read_parts(&[&input[..at], &input[at..]])
    }

    fn read_parts(parts: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>), ClientError> {
        let (mut buffer, mut parsed, mut decoded) = (Vec::new(), None, Vec::new());
        for part in parts {
            buffer.extend_from_slice(part);
            if parsed.is_none()
                && let Some((head, length)) = head(&buffer)?
            {
                buffer.drain(..length);
                parsed = Some(BodyDecoder::new(&head));
            }
            if let Some(body) = &mut parsed {
                let used = body.decode(&buffer, &mut decoded)?;
                buffer.drain(..used);
            }
        }
        let mut body = parsed.ok_or(ClientError::TimedOut)?;
        if !body.is_finished() {
            body.closed()?;
        }
        Ok((decoded, buffer))
    }

    #[test]
    fn every_framing_is_read_however_it_is_cut() {
        for (input, body, left) in [
            (
                "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhelloHTTP",
                "hello",
                "HTTP",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", "to the end", ""),
            ("HTTP/1.1 204 No Content\r\n\r\nHTTP", "", "HTTP"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5;x=y;z=\"5\"\r\nhello\r\n0a\r\n, everyone\r\n0;x\r\nTrailer: x\r\n\r\nHTTP",
                "hello, everyone",
                "HTTP",
            ),
        ] {
            for at in 0..=input.len() {
                let (decoded, rest) = read(input.as_bytes(), at).unwrap();
                assert_eq!(decoded, body.as_bytes(), "{input} cut at {at}");
                assert_eq!(rest, left.as_bytes(), "{input} cut at {at}");
            }
            let bytes: Vec<_> = input.as_bytes().chunks(1).collect();
            let read = read_parts(&bytes).unwrap();
            assert_eq!(read, (body.into(), left.into()), "{input} byte by byte");
        }
    }

    #[test]
    fn an_answer_that_breaks_the_rules_is_an_error() {
        for input in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            &format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_MAX_BYTES)),
        ] {
            let result = read(input.as_bytes(), 0);
            assert!(
                matches!(result, Err(ClientError::Malformed(_))),
                "{input:.80}: {result:?}"
            );
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_not_taken_for_whole() {
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell";
        assert!(read(cut, 0).unwrap_err().is_temporary());
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{head}5;x\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
        for at in head.len()..whole.len() {
            let error = read(&whole.as_bytes()[..at], head.len()).unwrap_err();
            assert!(error.is_temporary(), "cut at {at}: {error}");
        }
        assert_eq!(read(whole.as_bytes(), 0).unwrap().0, b"hello!");
    }

    #[test]
    fn a_connection_is_kept_unless_the_answer_says_otherwise() {
        let kept = |text: &str| head(text.as_bytes()).unwrap().unwrap().0.keep_alive;
        assert!(kept("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!kept(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n"
        ));
        assert!(!kept("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!kept("HTTP/1.1 200 OK\r\n\r\n"));
    }
}
