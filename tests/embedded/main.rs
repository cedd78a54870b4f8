//! Landfall as a part of another program: its jobs are followed from within the process.

mod ends;
mod examples;
mod max_rate;
mod model;
mod order;
mod random;
mod server;
mod tasks;
mod wrong;

use std::time::Duration;

use landfall::{Event, Follow, HubConfig, JobId, Sequencer, Start, Subscribers};

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(60);
/// For what isn't to come.
const NEVER: Duration = Duration::from_millis(20);

fn job(name: &str) -> JobId {
    name.parse().unwrap()
}

fn jobs(names: &[&str]) -> Follow {
    Follow::Jobs(names.iter().map(|name| job(name)).collect())
}

fn progress(percent: usize) -> Event {
    Event::new("progress", &format!("{{\"percent\":{percent}}}")).unwrap()
}

fn in_memory() -> (Sequencer, Subscribers) {
    let jobs = Sequencer::in_memory(HubConfig::default());
    let subscribers = Subscribers::of(&jobs).unwrap();
    (jobs, subscribers)
}

/// What a stream has to say until nothing more comes, as names and data.
fn said(stream: &mut landfall::EventStream) -> Vec<String> {
    let events = std::iter::from_fn(|| stream.next_within(NEVER));
    events
        .map(|event| format!("{} {}", event.name(), event.data()))
        .collect()
}

fn after(id: landfall::EventId) -> Start {
    Start::After(landfall::LastEventId::Number(id.0))
}
