//! How a record is framed, and how what it says is written.
//!
//! A record is the length of its payload, a checksum, and the payload. Both numbers have 32
//! bits, the lowest byte first. The checksum is CRC32C over the file's number (so that what
//! a file system shows of another file isn't taken for this one's), the length and the
//! payload, of which the first byte is the record's kind.
//!
//! Numbers of a payload are LEB128. A name has one byte of length before it.
//!
//! The invariant: no event's data can hold a record. Data is JSON without control
//! characters, a length below 2^24 has a zero byte, and larger ones aren't records. So a
//! reader may look for the next record byte by byte.

use crate::event::job::EventId;

/// Length and checksum.
pub const HEADER_BYTES: usize = 8;
/// The longest payload; an event's data has to fit with its names.
pub const PAYLOAD_MAX_BYTES: usize = (1 << 24) - 1;

/// The event names that are written as a length of 0, to save their bytes, and then 1, 2
/// or 3.
const COMMON_EVENTS: [&str; 3] = ["progress", "done", "error"];

/// What is found at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<R> {
    /// A record, and how many bytes it has.
    Record(R, usize),
    /// A record of a kind, or with a flag, that a newer version has written.
    Newer,
    /// A record that would go on behind the end.
    Incomplete,
    /// No record.
    Nothing,
}

/// Why a payload is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It says nothing that can have been written.
    Malformed,
    /// A newer version has written it.
    Newer,
}

/// What has not been read yet of a payload.
pub struct Payload<'a>(pub &'a [u8]);

/// Appends a record, of which `write` appends the payload. That is at most
/// [`PAYLOAD_MAX_BYTES`].
pub fn put_record(out: &mut Vec<u8>, file: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write(out);
    let payload = start + HEADER_BYTES;
    let length = (out.len() - payload) as u32;
    let sum = checksum(file, length, &out[payload..]);
    out[start..payload].copy_from_slice(&pair(length, sum));
}

/// Reads the record at the beginning of `bytes`, of whose payload `parse` makes what it
/// says.
pub fn take_record<'a, R>(
    bytes: &'a [u8],
    file: u32,
    parse: impl FnOnce(&mut Payload<'a>) -> Result<R, Unread>,
) -> Decoded<R> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Decoded::Incomplete;
    };
    let header = u64::from_le_bytes(*header);
    let (length, sum) = (header as u32, (header >> 32) as u32);
    let payload_bytes = length as usize;
    if !(1..=PAYLOAD_MAX_BYTES).contains(&payload_bytes) {
        return Decoded::Nothing;
    }
    let end = HEADER_BYTES + payload_bytes;
    let Some(payload) = bytes.get(HEADER_BYTES..end) else {
        return Decoded::Incomplete;
    };
    if checksum(file, length, payload) != sum {
        return Decoded::Nothing;
    }
    let mut payload = Payload(payload);
    match parse(&mut payload) {
        Ok(record) if payload.0.is_empty() => Decoded::Record(record, end),
        Err(Unread::Newer) => Decoded::Newer,
        Ok(_) | Err(Unread::Malformed) => Decoded::Nothing,
    }
}

/// Bytes and numbers that are appended together, which costs less than one by one.
#[derive(Default)]
pub struct Few {
    bytes: [u8; 32],
    length: usize,
}

impl Few {
    /// Adds a byte. There is room for 32, which is two bytes and three numbers.
    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        self.bytes[self.length & 31] = byte;
        self.length += 1;
    }

    /// Adds a number, which has ten bytes at most.
    #[inline(always)]
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// Appends them.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.length]);
    }
}

/// Appends a number.
pub fn put_number(out: &mut Vec<u8>, value: u64) {
    let mut few = Few::default();
    few.number(value);
    few.put(out);
}

/// Appends a name, which is shorter than 256 bytes.
pub fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

/// Appends an event's name.
pub fn put_event_name(out: &mut Vec<u8>, name: &str) {
    let number = match name.as_bytes() {
        b"progress" => 1,
        b"done" => 2,
        b"error" => 3,
        _ => return put_name(out, name),
    };
    out.extend_from_slice(&[0, number]);
}

impl<'a> Payload<'a> {
    /// A byte.
    #[inline(always)]
    pub fn byte(&mut self) -> Result<u8, Unread> {
        let (&byte, rest) = self.0.split_first().ok_or(Unread::Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    /// So many bytes.
    pub fn bytes<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], Unread> {
        let (&bytes, rest) = self.0.split_first_chunk().ok_or(Unread::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A byte of flags, of which these are known.
    #[inline(always)]
    pub fn flags(&mut self, known: u8) -> Result<u8, Unread> {
        match self.byte()? {
            flags if flags & !known != 0 => Err(Unread::Newer),
            flags => Ok(flags),
        }
    }

    /// A number.
    pub fn number(&mut self) -> Result<u64, Unread> {
        let (mut value, mut shift, mut rest) = (0, 0, self.0);
        while let [byte, behind @ ..] = rest
            && shift < u64::BITS
        {
            let part = u64::from(byte & 0x7f);
            value |= part << shift;
            if byte & 0x80 == 0 {
                self.0 = behind;
                // Of the last byte one bit is left.
                let fits = value >> shift == part;
                return if fits {
                    Ok(value)
                } else {
                    Err(Unread::Malformed)
                };
            }
            shift += 7;
            rest = behind;
        }
        Err(Unread::Malformed)
    }

    /// A number that can have been given to an entry, or zero.
    pub fn id(&mut self) -> Result<EventId, Unread> {
        let id = EventId(self.number()?);
        if id <= EventId::MAX {
            Ok(id)
        } else {
            Err(Unread::Malformed)
        }
    }

    /// A name.
    pub fn name(&mut self) -> Result<&'a str, Unread> {
        let length = usize::from(self.byte()?);
        let (name, rest) = self.0.split_at_checked(length).ok_or(Unread::Malformed)?;
        self.0 = rest;
        std::str::from_utf8(name).map_err(|_| Unread::Malformed)
    }

    /// An event's name.
    pub fn event_name(&mut self) -> Result<&'a str, Unread> {
        let name = self.name()?;
        if !name.is_empty() {
            return Ok(name);
        }
        let index = usize::from(self.byte()?).checked_sub(1);
        let common = index.and_then(|index| COMMON_EVENTS.get(index));
        common.copied().ok_or(Unread::Malformed)
    }

    /// All that is left, as text.
    #[inline(always)]
    pub fn rest(&mut self) -> Result<&'a str, Unread> {
        let rest = std::mem::take(&mut self.0);
        std::str::from_utf8(rest).map_err(|_| Unread::Malformed)
    }
}

#[inline(always)]
fn checksum(file: u32, length: u32, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&pair(file, length)), payload)
}

/// Two numbers, the lowest byte of each first.
#[inline(always)]
fn pair(first: u32, second: u32) -> [u8; 8] {
    (u64::from(second) << 32 | u64::from(first)).to_le_bytes()
}
