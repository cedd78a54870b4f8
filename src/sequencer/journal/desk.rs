//! Where commands are handed to the writer.

use super::reply::{AwaitedReply, Reply, pair};
use super::writer::JournalCommand;
use crate::sys::channel::Sender;

/// Where commands are handed to the writer.
pub(super) trait WriterDesk {
    /// Hands a command over. False where the writer is gone.
    fn hand(&self, command: JournalCommand) -> bool;

    /// Blocks the thread, or suspends the coroutine, until there is an answer. None where
    /// there will be none.
    fn wait<T>(&self, answer: AwaitedReply<T>) -> Option<T>;
}

impl WriterDesk for Sender<JournalCommand> {
    fn hand(&self, command: JournalCommand) -> bool {
        self.send(command).is_ok()
    }

    fn wait<T>(&self, answer: AwaitedReply<T>) -> Option<T> {
        answer.wait()
    }
}

/// Asks the writer, and waits for its answer. None where it is gone.
pub(super) fn ask<T>(
    desk: &impl WriterDesk,
    command: impl FnOnce(Reply<T>) -> JournalCommand,
) -> Option<T> {
    let (reply, answer) = pair();
    // Whoever asks waits for the answer, so there are no more commands than callers, but for
    // one of the keeper for each of its steps.
    if !desk.hand(command(reply)) {
        return None;
    }
    desk.wait(answer)
}
