//! A connected stream socket, TCP or unix, that never blocks.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

/// A socket. Calls that can't be served at once fail with `WouldBlock`.
#[derive(Debug)]
pub struct Socket(OwnedFd);

pub(super) const SEND: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

impl Socket {
    /// Takes over a connected socket.
    pub fn new(fd: OwnedFd) -> Socket {
        Socket(fd)
    }

    /// Sends what the kernel takes of `bytes`.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| {
            rustix::net::send(&self.0, bytes, SEND)
        })?)
    }

    /// Sends what the kernel takes of `first` and then `second`.
    pub fn send_both(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let mut nothing = SendAncillaryBuffer::default();
        Ok(rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &slices, &mut nothing, SEND)
        })?)
    }

    /// Receives what is there; 0 at the end of the stream.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = RecvFlags::DONTWAIT;
        Ok(rustix::io::retry_on_intr(|| rustix::net::recv(&self.0, &mut *buffer, flags))?.0)
    }

    /// Has the kernel hold so many bytes of what is sent and not taken, which it doubles. What it
    /// holds already stays.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_send_buffer_size(
            &self.0, bytes,
        )?)
    }

    /// Says that nothing more will be sent.
    pub fn shutdown_write(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.0, Shutdown::Write)?)
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
