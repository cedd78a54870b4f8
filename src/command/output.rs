//! The command's output, read and passed on as it comes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags};

use super::CommandMessage;
use crate::progress::Source;
use crate::sys::channel::Sender;
use crate::sys::thread;

const READ_BYTES: usize = 16 * 1024;

/// Reads one output in a thread of its own, copies it unbuffered `to` where it is to go,
/// and then tells what it was. Where nobody takes it any more it is still read, as the
/// command may care little. Where it can't be written, `lost` is told why, and the command's own
/// output ends, so that it fails as it would have.
pub fn read(
    source: Source,
    from: OwnedFd,
    mut to: Option<File>,
    sender: Sender<CommandMessage>,
    passing_on: Arc<AtomicUsize>,
    lost: Option<Arc<OnceLock<io::Error>>>,
) -> io::Result<()> {
    let mut from = File::from(from);
    let work = move || {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let bytes = &buffer[..count];
            passing_on.fetch_add(1, Ordering::Relaxed);
            let written = to.as_mut().map_or(Ok(()), |to| write_all(to, bytes));
            let error = written.err();
            if error.is_some() {
                to = None;
            }
            let error = error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
            let is_lost = lost
                .as_ref()
                .zip(error)
                .map(|(lost, error)| lost.set(error));
            let sent = sender.send(CommandMessage::Output(source, bytes.to_vec()));
            passing_on.fetch_sub(1, Ordering::Relaxed);
            if sent.is_err() || is_lost.is_some() {
                break;
            }
        }
        drop(from);
        let _ = sender.send(CommandMessage::Closed);
    };
    thread::start("output", work).map(drop)
}

/// Writes everything, to an output that may have been made non-blocking by whoever
/// shares it.
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut writable = [PollFd::from_borrowed_fd(to.as_fd(), PollFlags::OUT)];
                match rustix::event::poll(&mut writable, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
