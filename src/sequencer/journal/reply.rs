//! An answer that a thread or a coroutine waits for.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::sys::blocker::Blocker;

/// Two ends of one answer, the second of which belongs to who calls this.
pub fn pair<T>() -> (Reply<T>, Answer<T>) {
    let waiting = Arc::new(Waiting {
        blocker: Blocker::new(true),
        state: Mutex::new(State::Open),
    });
    (Reply(waiting.clone()), Answer(waiting))
}

/// The end that answers. Dropped without an answer, it tells the other end that none
/// will come.
pub struct Reply<T>(Arc<Waiting<T>>);

/// The end that waits.
pub struct Answer<T>(Arc<Waiting<T>>);

struct Waiting<T> {
    blocker: Blocker,
    state: Mutex<State<T>>,
}

enum State<T> {
    Open,
    Answered(T),
    Gone,
}

impl<T> Reply<T> {
    /// Answers.
    pub fn answer(self, value: T) {
        *self.0.state.lock() = State::Answered(value);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if let State::Open = *state {
            *state = State::Gone;
        }
        drop(state);
        self.0.blocker.unpark();
    }
}

impl<T> Answer<T> {
    /// Blocks the thread, or suspends the coroutine, that made the pair. None where no
    /// answer will come.
    pub fn wait(self) -> Option<T> {
        loop {
            match std::mem::replace(&mut *self.0.state.lock(), State::Open) {
                State::Answered(value) => return Some(value),
                State::Gone => return None,
                State::Open => {}
            }
            let _ = self.0.blocker.park(None);
        }
    }
}

#[cfg(test)]
impl<T> Answer<T> {
    /// What [`Answer::wait`] would return, if that wouldn't wait.
    pub fn take(&self) -> Option<Option<T>> {
        match std::mem::replace(&mut *self.0.state.lock(), State::Open) {
            State::Answered(value) => Some(Some(value)),
            State::Gone => Some(None),
            State::Open => None,
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
