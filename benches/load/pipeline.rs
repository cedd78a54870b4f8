//! A publisher that doesn't wait for answers: paced by time, or kept within a
//! window of events that haven't arrived yet.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::{Context, Result, fail};
use crate::http::Answers;

/// Requests without an answer on one connection before it's left alone.
const PIPELINE_DEPTH: usize = 512;

struct Lane {
    stream: TcpStream,
    unsent: Vec<u8>,
    answers: Answers,
    unanswered: usize,
}

/// Several connections, each with many requests on the way.
pub struct Pipeline {
    lanes: Vec<Lane>,
    next: usize,
    buffer: Vec<u8>,
}

impl Pipeline {
    pub fn open(address: SocketAddr, lanes: usize) -> Result<Self> {
        let lanes = (0..lanes)
            .map(|_| {
                let stream = TcpStream::connect(address).context("connect to publish")?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(Lane {
                    stream,
                    unsent: Vec::new(),
                    answers: Answers::default(),
                    unanswered: 0,
                })
            })
            .collect::<Result<Vec<Lane>>>()?;
        Ok(Pipeline {
            lanes,
            next: 0,
            buffer: vec![0; 65536],
        })
    }

    /// The lane whose turn it is, if it can take more.
    pub fn free_lane(&mut self) -> Option<usize> {
        for _ in 0..self.lanes.len() {
            self.next = (self.next + 1) % self.lanes.len();
            let lane = &self.lanes[self.next];
            if lane.unanswered < PIPELINE_DEPTH && lane.unsent.is_empty() {
                return Some(self.next);
            }
        }
        None
    }

    /// Sends `requests` whole requests on a lane.
    pub fn send(&mut self, lane: usize, bytes: &[u8], requests: usize) -> Result<()> {
        let lane = &mut self.lanes[lane];
        lane.unsent.extend_from_slice(bytes);
        lane.unanswered += requests;
        lane.flush()
    }

    /// Takes what answers there are and sends what could not be sent, waiting
    /// for either at most so long.
    pub fn turn(&mut self, wait: Duration) -> Result<()> {
        let mut fds: Vec<PollFd> = self
            .lanes
            .iter()
            .map(|lane| {
                let wanted = if lane.unsent.is_empty() {
                    PollFlags::IN
                } else {
                    PollFlags::IN | PollFlags::OUT
                };
                PollFd::from_borrowed_fd(lane.stream.as_fd(), wanted)
            })
            .collect();
        let timeout = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        poll(&mut fds, Some(&timeout))?;
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        for (lane, ready) in self.lanes.iter_mut().zip(ready) {
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                lane.read(&mut self.buffer)?;
            }
            if ready.contains(PollFlags::OUT) {
                lane.flush()?;
            }
        }
        Ok(())
    }

    /// Requests without an answer.
    pub fn unanswered(&self) -> usize {
        self.lanes.iter().map(|lane| lane.unanswered).sum()
    }
}

impl Lane {
    fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e).context("publish"),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        match self.stream.read(buffer) {
            Ok(0) => return fail("the server closed a publishing connection"),
            Ok(count) => self.answers.push(&buffer[..count]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e).context("publish"),
        }
        while let Some(answer) = self.answers.take()? {
            if answer.status / 100 != 2 {
                return fail(format!("publish was answered {}", answer.head));
            }
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        Ok(())
    }
}
