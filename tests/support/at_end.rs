//! A flag for threads that go on until a test is over.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the flag when it is dropped, so that they stop however the test ends: a scope would wait
/// for them.
pub struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
