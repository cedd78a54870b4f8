//! Threads without which the server would be half dead.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use super::thread;

/// The exit status after a fault in the program itself: EX_SOFTWARE of sysexits.h.
pub const STATUS: i32 = 70;

/// Starts a thread that the process can't do without: a panic in it ends the process, so that
/// whoever watches over that begins it anew.
///
/// # Errors
/// There is no thread to be had.
pub fn spawn(
    name: impl Into<String>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_boxed(name.into(), Box::new(work))
}

fn spawn_boxed(name: String, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    thread::start(name.clone(), move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            end(&name);
        }
    })
}

/// Ends the process for a fault in such a thread, or in what another did for it. What the
/// fault was has been said on stderr.
pub fn end(name: &str) -> ! {
    error!("{name} has failed, and without it nothing is right: the process ends");
    log::logger().flush();
    std::process::exit(STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    const MARK: &str = "LANDFALL_TEST_VITAL";

    #[test]
    fn a_panic_ends_the_process_with_a_message_and_status_70() {
        if std::env::var_os(MARK).is_some() {
            let thread = spawn("heart", || panic!("on purpose"));
            // Nothing that others are at keeps the process.
            std::thread::sleep(Duration::from_secs(600));
            drop(thread);
        }
        let itself = "sys::vital::tests::a_panic_ends_the_process_with_a_message_and_status_70";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", itself, "--nocapture"])
            .env(MARK, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(STATUS), "{said}");
        assert!(
            said.contains("heart") && said.contains("on purpose"),
            "{said}"
        );
    }

    #[test]
    fn a_thread_that_ends_by_itself_ends_nothing_else() {
        spawn("task", || ()).unwrap().join().unwrap();
    }
}
