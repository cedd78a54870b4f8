use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures_core::Stream;
use landfall::{Event, EventStream, SentEvent, Start};

use super::{in_memory, job, jobs, progress};

struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor of one task.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let waker = Waker::from(Arc::new(Unparker(thread::current())));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

async fn next(stream: &mut EventStream) -> Option<SentEvent> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

#[test]
fn a_task_is_woken_for_each_event_and_told_of_the_end() {
    let (hub, subscribers) = in_memory();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let reader = thread::spawn(move || {
        block_on(async move {
            let mut names = Vec::new();
            while let Some(event) = next(&mut stream).await {
                names.push(event.name().to_owned());
            }
            names
        })
    });
    for percent in 1..=50 {
        hub.publish(&job("a"), progress(percent)).unwrap();
        thread::yield_now();
    }
    hub.publish(&job("a"), Event::done()).unwrap();
    let names = reader.join().unwrap();
    assert_eq!((names.len(), &*names[50]), (51, "done"));
}
