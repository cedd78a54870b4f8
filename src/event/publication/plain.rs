//! What a worker says, read in one pass where it is written as most is: no escapes, no member
//! that is unknown or there twice, nothing that is wrong. Whatever else it is serde reads, and
//! says what is wrong.

use std::ops::Range;

use super::{Event, Members, NamedJob, fits_percent, name_of};
use crate::event::{IdempotencyKey, JobId, Lease, Word};

/// Values within values, at most.
pub(in crate::event) const DEPTH_MAX: usize = 16;

/// The job, where the text names one, what is said of it, and the key.
pub(in crate::event) type Read = (Option<JobId>, Word, Option<IdempotencyKey>);

/// Reads what a worker says. None: serde has to.
pub(in crate::event) fn read(text: &str) -> Option<Read> {
    let (mut job, mut event, mut lease, mut key) = (None, None, None, None);
    let mut data = None;
    let mut reader = PlainReader {
        text,
        at: 0,
        spaces: 0,
    };
    (reader.token()? == b'{').then_some(())?;
    reader.members(&mut |reader, name| {
        let first = reader.token()?;
        if name == b"data" {
            let is_first = data.is_none() && first == b'{';
            data = Some(is_first.then(|| reader.data())??);
            return Some(());
        }
        let place = match name {
            b"job" => &mut job,
            b"event" => &mut event,
            b"lease" => &mut lease,
            b"key" => &mut key,
            _ => return None,
        };
        let is_first = place.is_none() && first == b'"';
        let place_of_it = is_first.then(|| reader.string())??;
        *place = Some(reader.text.get(place_of_it)?);
        Some(())
    })?;
    if reader.token().is_some() || reader.at != text.len() {
        return None;
    }
    let name = name_of(event?).ok()?;
    let event = match data {
        Some((data, job_id)) => Event { name, data, job_id },
        None => Event::bare(name),
    };
    let lease: Option<Lease> = lease.map(str::parse).transpose().ok()?;
    let job = job.map(str::parse).transpose().ok()?;
    let key = key.map(str::parse).transpose().ok()?;
    Some((job, Word::Event(event, lease), key))
}

struct PlainReader<'a> {
    text: &'a str,
    at: usize,
    /// How many bytes of white space there were between tokens.
    spaces: usize,
}

impl<'a> PlainReader<'a> {
    /// The first byte of what comes after white space.
    #[inline(always)]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.spaces += 1,
                0..b' ' => return None,
                _ => {
                    self.at += 1;
                    return Some(byte);
                }
            }
            self.at += 1;
        }
    }

    /// Where what stands between quotes is, behind the first of them.
    #[inline(always)]
    fn string(&mut self) -> Option<Range<usize>> {
        let begin = self.at;
        for &byte in self.text.as_bytes().get(begin..)? {
            self.at += 1;
            match byte {
                b'"' => return Some(begin..self.at - 1),
                b'\\' | 0..b' ' => return None,
                _ => {}
            }
        }
        None
    }

    /// An object's members, behind its brace: `each` gets their names, and reads their values.
    fn members(
        &mut self,
        each: &mut dyn FnMut(&mut PlainReader<'a>, &'a [u8]) -> Option<()>,
    ) -> Option<()> {
        let mut next = self.token()?;
        if next == b'}' {
            return Some(());
        }
        while next == b'"' {
            let name = self.string()?;
            let name = self.text.as_bytes().get(name)?;
            (self.token()? == b':').then_some(())?;
            each(self, name)?;
            next = match self.token()? {
                b',' => self.token()?,
                b'}' => return Some(()),
                _ => return None,
            };
        }
        None
    }

    /// An event's data, behind its brace.
    fn data(&mut self) -> Option<(String, NamedJob)> {
        let (text, begin, spaces) = (self.text, self.at - 1, self.spaces);
        let mut job_id = NamedJob::None;
        self.members(&mut |reader, name| {
            let first = reader.token()?;
            let begin = reader.at - 1;
            reader.value(first, 1)?;
            let value = || text.get(begin..reader.at);
            match name {
                b"percent" => fits_percent(value()?).then_some(()),
                b"jobId" => {
                    job_id = std::mem::replace(&mut job_id, NamedJob::None).and(value()?);
                    Some(())
                }
                _ => Some(()),
            }
        })?;
        let data = text.get(begin..self.at)?;
        let data = if self.spaces == spaces {
            data.to_owned()
        } else {
            Members::read(data).ok()?.data
        };
        Some((data, job_id))
    }

    /// A value, behind its first byte.
    fn value(&mut self, first: u8, depth: usize) -> Option<()> {
        match first {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number(first),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            _ if depth == DEPTH_MAX => None,
            b'{' => self.members(&mut |reader, _| {
                let first = reader.token()?;
                reader.value(first, depth + 1)
            }),
            b'[' => {
                let mut next = self.token()?;
                while next != b']' {
                    self.value(next, depth + 1)?;
                    next = match self.token()? {
                        // A value has to follow.
                        b',' => self.token().filter(|&next| next != b']')?,
                        b']' => b']',
                        _ => return None,
                    };
                }
                Some(())
            }
            _ => None,
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let is_there = self.text.as_bytes().get(self.at..)?.starts_with(rest);
        self.at += rest.len();
        is_there.then_some(())
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' {
            self.at += 1;
            *self.text.as_bytes().get(self.at - 1)?
        } else {
            first
        };
        match first {
            b'0' => {}
            b'1'..=b'9' => _ = self.digits(),
            _ => return None,
        }
        if self.next() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.next() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.next() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    #[inline(always)]
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// One digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.next() {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }
}
