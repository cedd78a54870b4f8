//! What a server says of itself when it has started, and of what it refuses while it runs.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Server;
use crate::event::job::JobState;
use crate::routes::Context;
use crate::sys::thread;
use crate::sys::units::show_size;

/// How often it is looked for what was refused.
const LOOK: Duration = Duration::from_secs(1);

/// In one line: its version, where it listens, what it found, and how much it takes.
pub fn tell(server: &Server) -> String {
    let context = &server.house.context;
    let version = env!("CARGO_PKG_VERSION");
    let mut story = format!(
        "landfall {version} has started: public {}, publish {}, ops {}",
        server.public,
        server.publish,
        server.ops()
    );
    let hub = context.jobs.hub();
    let by_state = hub.jobs_by_state();
    let all: usize = by_state.iter().map(|(_, count)| count).sum();
    let running = by_state
        .iter()
        .find(|(state, _)| *state == JobState::Running);
    let running = running.map_or(0, |(_, count)| *count);
    if let Some(data) = &context.data {
        let data = data.display();
        let jobs = if all == 1 { "job" } else { "jobs" };
        let _ = write!(
            story,
            "; {data} had {all} {jobs}, {running} of them running"
        );
        #[cfg(feature = "uploads")]
        tell_uploads(&mut story, context);
    } else {
        story += "; nothing is kept on disk";
    }
    let config = hub.config();
    let _ = write!(
        story,
        "; at most {} streams, {} jobs, {} of memory for replay",
        context.rules().streams_max,
        config.jobs,
        show_size(config.memory_bytes as u64)
    );
    #[cfg(feature = "uploads")]
    if let Some(spool) = &context.spool {
        let config = spool.config();
        let _ = write!(
            story,
            ", {} uploads of {} at once, {} of them on disk",
            config.uploads,
            show_size(config.upload_bytes),
            show_size(config.spool_bytes)
        );
    }
    story
}

/// The uploads that were found.
#[cfg(feature = "uploads")]
fn tell_uploads(story: &mut String, context: &Context) {
    let (Some(spool), Some(pipeline)) = (&context.spool, &context.pipeline) else {
        return;
    };
    let unfinished = spool.unfinished();
    let stages = pipeline.counts();
    let in_stages: usize = stages.iter().map(|it| it.waiting + it.working).sum();
    let _ = write!(
        story,
        ", {unfinished} unfinished uploads and {in_stages} in stages"
    );
}

/// Starts the thread that logs what is refused, and looks how much of the disk is free; it ends
/// with the server.
///
/// # Errors
/// There is no thread to be had.
pub fn start_telling(context: &Arc<Context>) -> io::Result<()> {
    let context = Arc::downgrade(context);
    let tell = move || {
        while let Some(context) = Weak::upgrade(&context) {
            let metrics = context.jobs.hub().metrics();
            metrics.tell_refusals(Instant::now(), false);
            if let Some(spool) = &context.spool {
                spool.look_at_disk();
            }
            drop(context);
            std::thread::sleep(LOOK);
        }
    };
    thread::start("watcher", tell).map(drop)
}
