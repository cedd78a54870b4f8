//! Plain threads that do what blocks, for coroutines, which must not: files are written,
//! synced and read back here.

use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::Result;

use may::sync::{Semphore, mpsc};

use crate::sys::channel::{Parcel, Receiver, Sender, bounded};
use crate::sys::thread;

/// Work that waits for a thread, at most. Whoever brings more waits itself.
const QUEUE: usize = 64;

type DiskWork = Box<dyn FnOnce() + Send>;

/// The threads. A clone is another handle to the same; they end with the last.
#[derive(Clone)]
pub struct Disk {
    queue: Sender<DiskWork>,
    /// What is free of the queue.
    places: Arc<Semphore>,
}

/// The result of work that is being done. All kinds go through one kind of channel: it would be
/// code of its own for each.
pub struct DiskResult<T>(mpsc::Receiver<Result<Parcel>>, PhantomData<fn() -> T>);

impl Disk {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn start(threads: usize) -> io::Result<Disk> {
        let (queue, works) = bounded(QUEUE);
        let places = Arc::new(Semphore::new(QUEUE));
        for index in 0..threads.max(1) {
            let (works, places): (Receiver<DiskWork>, _) = (works.clone(), places.clone());
            thread::start(format!("disk-{index}"), move || {
                for work in works.iter() {
                    places.post();
                    work();
                }
            })?;
        }
        Ok(Disk { queue, places })
    }

    /// Has `work` begun. Where the queue is full this waits for a place: a coroutine is
    /// suspended, a thread blocked.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> DiskResult<T> {
        self.places.wait();
        self.enqueue(work)
    }

    /// Has `work` done. Waits for it: a coroutine is suspended, a thread blocked.
    ///
    /// # Panics
    /// The work does.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.begin(work).wait()
    }

    /// Has `work` begun if there is a place for it in the queue. Never waits.
    pub fn try_begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<DiskResult<T>> {
        self.places.try_wait().then(|| self.enqueue(work))
    }

    fn enqueue<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> DiskResult<T> {
        let pending = self.enqueue_boxed(Box::new(|| Box::new(work())));
        DiskResult(pending, PhantomData)
    }

    fn enqueue_boxed(
        &self,
        work: Box<dyn FnOnce() -> Parcel + Send>,
    ) -> mpsc::Receiver<Result<Parcel>> {
        let (result, pending) = mpsc::channel();
        // There is a place, so this doesn't block.
        let _ = self.queue.send(Box::new(move || {
            // Nobody may be waiting: the work is done all the same.
            let _ = result.send(catch_unwind(AssertUnwindSafe(work)));
        }));
        pending
    }
}

impl<T: 'static> DiskResult<T> {
    /// Waits for the result: a coroutine is suspended, a thread blocked.
    ///
    /// # Panics
    /// The work did.
    pub fn wait(self) -> T {
        Receiver::open(wait(&self.0))
    }
}

fn wait(pending: &mpsc::Receiver<Result<Parcel>>) -> Parcel {
    match pending.recv() {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => unreachable!("work sends its result, or its panic"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::coroutine;

    #[test]
    fn work_is_done_for_threads_and_for_coroutines() {
        coroutine::configure();
        let disk = Disk::start(2).unwrap();
        assert_eq!(disk.run(|| 1 + 1), 2);
        let (sender, results) = std::sync::mpsc::channel();
        for number in 0..1000 {
            let (disk, sender) = (disk.clone(), sender.clone());
            coroutine::spawn(Box::new(move || {
                let _ = sender.send(disk.run(move || number * 2));
            }))
            .unwrap();
        }
        drop(sender);
        let mut results: Vec<_> = results.iter().collect();
        results.sort_unstable();
        assert_eq!(results, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_is_for_whoever_brought_the_work_and_the_thread_goes_on() {
        let disk = Disk::start(1).unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| disk.run(|| panic!("on purpose"))));
        assert!(panic.is_err());
        assert_eq!(disk.run(|| 3), 3);
    }

    #[test]
    fn who_may_not_wait_is_told_that_the_queue_is_full() {
        let disk = Disk::start(1).unwrap();
        let (go, stop) = bounded::<()>(0);
        let held = disk.begin(move || stop.recv());
        let mut begun = Vec::new();
        // The thread has taken one out of the queue, or is about to.
        while let Some(pending) = disk.try_begin(|| ()) {
            begun.push(pending);
        }
        assert!(
            (QUEUE - 1..=QUEUE).contains(&begun.len()),
            "{}",
            begun.len()
        );
        go.send(()).unwrap();
        held.wait().unwrap();
        begun.into_iter().for_each(DiskResult::wait);
        assert!(disk.try_begin(|| ()).is_some());
    }
}
