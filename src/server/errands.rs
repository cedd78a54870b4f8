//! What other servers of a fleet ask of this one: to try jobs again whose uploads it holds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::routes::Context;
use crate::sys::thread;

/// How often the thread sees whether the server is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the thread that does it, where there are others; it ends with the server.
///
/// # Errors
/// There is no thread to be had.
pub fn start(context: &Arc<Context>) -> io::Result<()> {
    let Some(errands) = context.jobs.order().neighbours().map(|it| it.errands()) else {
        return Ok(());
    };
    let context = Arc::downgrade(context);
    let run = move || {
        while let Some(context) = context.upgrade() {
            let Ok(errand) = errands.recv_timeout(LOOK) else {
                continue;
            };
            let (Some(pipeline), Some(spool)) = (&context.pipeline, &context.spool) else {
                continue;
            };
            let job = &errand.job;
            let life = context.jobs.hub().life(job);
            if life.is_none_or(|life| life.id() != errand.life) {
                continue;
            }
            match pipeline.retry(job) {
                Ok(retried) => spool.follow(retried.upload, retried.life),
                Err(why) => info!("{job}: another server asks for another try: {why:?}"),
            }
        }
    };
    thread::start("errands", run).map(drop)
}
