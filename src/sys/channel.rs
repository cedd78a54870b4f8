//! Channels between threads, for messages of any kind.
//!
//! A channel of crossbeam's is code of its own for each kind of message, some 7 KB. Here all
//! kinds share the code of one, for an allocation a message, or none where it has no size.

use std::any::Any;
use std::iter;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crossbeam_channel as crossbeam;
pub use crossbeam_channel::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

/// A message, whatever its kind.
pub type Parcel = Box<dyn Any + Send>;

/// Where messages are sent.
pub struct Sender<T>(crossbeam::Sender<Parcel>, PhantomData<fn(T)>);

/// Where they arrive.
pub struct Receiver<T>(crossbeam::Receiver<Parcel>, PhantomData<fn() -> T>);

/// A channel that holds so many messages.
pub fn bounded<T: Send + 'static>(most: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam::bounded(most);
    (Sender(sender, PhantomData), Receiver(receiver, PhantomData))
}

/// A channel that holds all that is sent.
pub fn unbounded<T: Send + 'static>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam::unbounded();
    (Sender(sender, PhantomData), Receiver(receiver, PhantomData))
}

/// One that never has a message, and is never without a sender.
pub fn never<T>() -> Receiver<T> {
    Receiver(crossbeam::never(), PhantomData)
}

impl<T: Send + 'static> Sender<T> {
    /// Waits for room.
    ///
    /// # Errors
    /// There is no receiver.
    pub fn send(&self, message: T) -> Result<(), SendError<()>> {
        self.0.send(Box::new(message)).map_err(|_| SendError(()))
    }

    /// Waits for no room.
    ///
    /// # Errors
    /// There is none, or no receiver.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<()>> {
        let sent = self.0.try_send(Box::new(message));
        sent.map_err(|error| match error {
            TrySendError::Full(_) => TrySendError::Full(()),
            TrySendError::Disconnected(_) => TrySendError::Disconnected(()),
        })
    }

    /// Waits for room, so long at most. Says whether there was any.
    pub fn send_within(&self, message: T, patience: Duration) -> bool {
        self.0.send_timeout(Box::new(message), patience).is_ok()
    }

    /// How many messages wait to be received.
    #[cfg(feature = "redis")]
    pub fn waiting(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no room.
    #[cfg(test)]
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }
}

impl<T: 'static> Receiver<T> {
    /// Waits for a message.
    ///
    /// # Errors
    /// There is none, and no sender.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.0.recv().map(Self::open)
    }

    /// Waits for none.
    ///
    /// # Errors
    /// There is none.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv().map(Self::open)
    }

    /// Waits so long at most.
    ///
    /// # Errors
    /// There is none by then, or no sender.
    pub fn recv_timeout(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        self.0.recv_timeout(patience).map(Self::open)
    }

    /// Waits until then at most.
    ///
    /// # Errors
    /// There is none by then, or no sender.
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.0.recv_deadline(deadline).map(Self::open)
    }

    /// All messages, until there is no sender.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        iter::from_fn(|| self.recv().ok())
    }

    /// Those that are there.
    pub fn try_iter(&self) -> impl Iterator<Item = T> {
        iter::from_fn(|| self.try_recv().ok())
    }

    /// Whether none is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `select!` waits for: what it gets of it is to be opened.
    pub fn parcels(&self) -> &crossbeam::Receiver<Parcel> {
        &self.0
    }

    /// The message in a parcel of this channel.
    pub fn open(parcel: Parcel) -> T {
        match parcel.downcast() {
            Ok(message) => *message,
            Err(_) => unreachable!("a channel has messages of one kind"),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender(self.0.clone(), PhantomData)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver(self.0.clone(), PhantomData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_order_until_there_is_no_sender() {
        let (sender, receiver) = bounded(2);
        sender.send("a".to_owned()).unwrap();
        sender.try_send("b".to_owned()).unwrap();
        assert!(sender.is_full());
        let full = sender.try_send("c".to_owned());
        assert_eq!(full, Err(TrySendError::Full(())));
        assert!(!sender.send_within("c".to_owned(), Duration::from_millis(1)));
        assert_eq!(receiver.clone().try_iter().collect::<Vec<_>>(), ["a", "b"]);
        let also = sender.clone();
        drop(sender);
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(receiver.recv_deadline(soon), Err(RecvTimeoutError::Timeout));
        also.send("d".to_owned()).unwrap();
        drop(also);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["d"]);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn without_a_receiver_nothing_is_sent() {
        let (sender, receiver) = unbounded();
        drop(receiver);
        assert_eq!(sender.send(1), Err(SendError(())));
        assert_eq!(sender.try_send(1), Err(TrySendError::Disconnected(())));
    }
}
