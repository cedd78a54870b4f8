use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures_util::{Stream, StreamExt};
use landfall::{Event, EventStream, Start};

use super::{SOON, in_memory, job, jobs, progress};

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

#[test]
fn a_task_is_woken_for_each_event_and_told_of_the_end() {
    let (hub, subscribers) = in_memory();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let reader = thread::spawn(move || {
        block_on(async move {
            let mut names = Vec::new();
            while let Some(event) = stream.next().await {
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

#[test]
fn a_task_whose_stream_rests_is_woken_when_its_time_has_come() {
    let (hub, subscribers) = in_memory();
    let stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let mut stream = stream.max_rate(1.0).unwrap();
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        block_on(async move {
            while let Some(event) = stream.next().await {
                tell.send(event.id()).unwrap();
            }
        })
    });
    for event in [progress(1), Event::done()] {
        // The second comes while it rests, and nobody publishes after it.
        let id = hub.publish(&job("a"), event).unwrap();
        assert_eq!(told.recv_timeout(SOON), Ok(id));
    }
    reader.join().unwrap();
}

#[test]
fn a_stream_gives_a_thread_its_events_where_the_names_of_tasks_are_there_too() {
    let (hub, subscribers) = in_memory();
    hub.publish(&job("a"), progress(1)).unwrap();
    hub.publish(&job("a"), Event::done()).unwrap();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    assert_eq!(stream.events().next().unwrap().name(), "progress");
    let rest: Vec<_> = stream.events().map(|event| event.id()).collect();
    assert_eq!((rest.len(), stream.has_ended()), (1, true));
}

/// An executor that has ended: who wakes a task of its drops what it is of.
struct Ended(Mutex<Option<EventStream>>, mpsc::Sender<()>);

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
        self.1.send(()).unwrap();
    }
}

#[test]
fn a_task_that_is_dropped_when_it_is_woken_holds_up_no_other() {
    let (hub, subscribers) = in_memory();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let (tell, told) = mpsc::channel();
    let task = Arc::new(Ended(Mutex::default(), tell));
    let waker = Waker::from(task.clone());
    let polled = Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    *task.0.lock().unwrap() = Some(stream);
    hub.publish(&job("a"), progress(1)).unwrap();
    assert_eq!(told.recv_timeout(SOON), Ok(()));
    let mut other = subscribers.follow(jobs(&["a"]), &Start::Next).unwrap();
    hub.publish(&job("a"), Event::done()).unwrap();
    assert_eq!(other.next_within(SOON).unwrap().name(), "done");
}
