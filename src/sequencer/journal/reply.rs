//! An answer that a thread or a coroutine waits for.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::sys::blocker::Blocker;

/// Two ends of one answer, the second of which belongs to who calls this.
pub fn pair<T>() -> (Reply<T>, AwaitedReply<T>) {
    let waiting = Arc::new(ReplyWaiter {
        blocker: Blocker::new(true),
        state: Mutex::new(ReplyState::Open),
    });
    (Reply(waiting.clone()), AwaitedReply(waiting))
}

/// The end that answers. Dropped without an answer, it tells the other end that none
/// will come.
pub struct Reply<T>(Arc<ReplyWaiter<T>>);

/// The end that waits.
pub struct AwaitedReply<T>(Arc<ReplyWaiter<T>>);

struct ReplyWaiter<T> {
    blocker: Blocker,
    state: Mutex<ReplyState<T>>,
}

enum ReplyState<T> {
    Open,
    Answered(T),
    Gone,
}

impl<T> Reply<T> {
    /// Answers.
    pub fn answer(self, value: T) {
        *self.0.state.lock() = ReplyState::Answered(value);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if let ReplyState::Open = *state {
            *state = ReplyState::Gone;
        }
        drop(state);
        self.0.blocker.unpark();
    }
}

impl<T> AwaitedReply<T> {
    /// Blocks the thread, or suspends the coroutine, that made the pair. None where no
    /// answer will come.
    pub fn wait(self) -> Option<T> {
        loop {
            match std::mem::replace(&mut *self.0.state.lock(), ReplyState::Open) {
                ReplyState::Answered(value) => return Some(value),
                ReplyState::Gone => return None,
                ReplyState::Open => {}
            }
            let _ = self.0.blocker.park(None);
        }
    }
}

#[cfg(test)]
impl<T> AwaitedReply<T> {
    /// What [`AwaitedReply::wait`] would return, if that wouldn't wait.
    pub fn take(&self) -> Option<Option<T>> {
        match std::mem::replace(&mut *self.0.state.lock(), ReplyState::Open) {
            ReplyState::Answered(value) => Some(Some(value)),
            ReplyState::Gone => Some(None),
            ReplyState::Open => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_gets_the_answer_or_hears_that_there_is_none() {
        let (reply, answer) = pair();
        reply.answer(1);
        assert_eq!(answer.wait(), Some(1));
        let (reply, answer) = pair::<u8>();
        drop(reply);
        assert_eq!(answer.wait(), None);
        let (reply, answer) = pair();
        let thread = std::thread::spawn(move || reply.answer(2));
        assert_eq!(answer.wait(), Some(2));
        thread.join().unwrap();
    }
}
