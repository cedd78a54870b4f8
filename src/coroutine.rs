//! Where coroutines begin: the only module with `unsafe`.
//!
//! `may` marks spawning unsafe because a coroutine that overflows its stack, or that
//! reads a thread-local before and after it has waited, is undefined behaviour. Here
//! stacks are 64 KiB with a guard page behind them, large buffers are on the heap, and
//! nothing holds a thread-local across a wait.
#![allow(unsafe_code)]

use std::io;
use std::sync::Once;

use may::coroutine::Builder;

/// The stack of a coroutine, in machine words: 64 KiB. Only what is touched is resident.
const STACK_WORDS: usize = 64 * 1024 / size_of::<usize>();
/// Coroutines that are kept for the next connections. `may`'s own default of 1,000 is
/// 8 MB from the start.
const POOL: usize = 16;
/// How often a worker with nothing to do looks around. `may`'s own default is 10 ms.
const IDLE_POLL_NS: u64 = 1_000_000_000;

/// Sets the scheduler up. Called before anything else of it is used; later calls do
/// nothing.
pub fn configure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let config = may::config();
        config.set_pool_capacity(POOL).set_stack_size(STACK_WORDS);
        config.set_timeout_ns(IDLE_POLL_NS);
        // The shards' threads need the cores as well: the kernel knows best.
        config.set_worker_pin(false);
        // One, since `may` 0.3.51 looks at a socket's state once more after it has parked
        // the coroutine that waits for it. Another worker may have run that to its end by
        // then, and the state is gone: a crash in some 100,000 requests on a busy machine.
        config.set_workers(1);
    });
}

/// Starts a coroutine.
///
/// # Errors
/// There is no memory for its stack.
pub fn spawn(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    unsafe { Builder::new().spawn(body) }.map(drop)
}
