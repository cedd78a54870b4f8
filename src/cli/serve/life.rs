//! The life of a server's process: its signals, what it tells systemd, and how another
//! takes its place.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::{reload, scheduling};
use crate::cli::call::Call;
use crate::cli::error::Failure;
use crate::cli::logging;
use crate::server::Server;
use crate::server::handover::{Predecessor, Rebirth, Said, Successor};
use crate::server::sockets::Sockets;
use crate::sys::channel::{self, Receiver, Sender};
use crate::sys::thread;

/// Wishes that haven't been seen to: a signal more is lost, as the kernel would.
const WISHES_MAX: usize = 64;

/// What comes so soon behind the first signal is that once more: `timeout` signals its command and
/// then its group, and a terminal's key reaches who passes it on as well.
const ECHO: Duration = Duration::from_millis(100);
/// What a second signal gives the server to end by itself.
const HASTE: Duration = Duration::from_secs(1);

/// Has the commands of stages killed.
type Hurry = Box<dyn Fn() + Send + Sync>;

/// What the process is asked for.
enum ProcessWish {
    Signal(i32),
    /// The one that was started to take the place has said something, or has failed.
    Succession(io::Result<Said>),
}

/// A succession that has begun.
struct Succession {
    caller_off: UnixStream,
    thread: JoinHandle<()>,
}

/// Serves until SIGTERM or SIGINT, or until another has taken the place.
///
/// # Errors
/// The server can't be started: the error says why.
pub fn run(call: &Call) -> Result<(), Failure> {
    logging::set(&call.settings.log);
    let lived = live(call);
    log::logger().flush();
    lived
}

fn live(call: &Call) -> Result<(), Failure> {
    let config = super::config(call)?;
    // Before any thread is started: it takes variables out of the environment.
    let mut sockets = Sockets::from_environment().map_err(io::Error::other)?;
    let predecessor = Predecessor::from_environment()?;
    let predecessor = predecessor.map(|(predecessor, given)| {
        sockets = given;
        predecessor
    });
    logging::detach()?;
    // Before anything is started, so that a signal in between isn't lost.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])?;
    let (wish, wishes) = channel::bounded(WISHES_MAX);
    let signalled = wish.clone();
    let hurry: Arc<OnceLock<Hurry>> = Arc::default();
    let hurried = hurry.clone();
    thread::start("signals", move || {
        let mut stopped_at: Option<Instant> = None;
        let mut is_hurried = false;
        for signal in signals.forever() {
            let _ = signalled.try_send(ProcessWish::Signal(signal));
            if !matches!(signal, SIGTERM | SIGINT) {
                continue;
            }
            let first = *stopped_at.get_or_insert_with(Instant::now);
            if first.elapsed() >= ECHO && !is_hurried {
                is_hurried = true;
                end_at_once(hurried.get());
            }
        }
    })?;
    let patience = config.handover;
    let server = Server::start_on(config, sockets)?;
    let _ = hurry.set(Box::new(server.hurry()));
    announce(&server);
    if let Some(predecessor) = predecessor {
        predecessor.take_over(patience);
    }
    info!("{}", server.story());
    notify(&[NotifyState::Ready]);
    watch(&server);
    scheduling::start();
    serve(server, call, &wish, &wishes, patience);
    Ok(())
}

/// Kills what stages run. The server ends by itself then, unless something keeps it.
fn end_at_once(hurry: Option<&Hurry>) {
    warn!("a second signal: ending at once");
    if let Some(hurry) = hurry {
        hurry();
    }
    let ending = thread::start("ending", || {
        std::thread::sleep(HASTE);
        log::logger().flush();
        std::process::exit(0);
    });
    if ending.is_err() {
        std::process::exit(0);
    }
}

fn serve(
    mut server: Server,
    call: &Call,
    wish: &Sender<ProcessWish>,
    wishes: &Receiver<ProcessWish>,
    patience: Duration,
) {
    let mut now = None;
    let mut succession: Option<Succession> = None;
    let mut rebirth = None;
    let mut is_succeeded = false;
    for next in wishes.iter() {
        match next {
            ProcessWish::Signal(SIGHUP) => now = reload(&server, call, now),
            // Rotators of logs send it to whatever runs, and would otherwise end it.
            ProcessWish::Signal(SIGUSR1) => {
                info!("SIGUSR1: logs go to stderr, nothing is reopened")
            }
            ProcessWish::Signal(SIGUSR2) if succession.is_some() => {
                warn!("SIGUSR2: a new server is being started already");
            }
            ProcessWish::Signal(SIGUSR2) => succession = begin(&server, wish, patience),
            ProcessWish::Signal(signal) => {
                let name = low_level::signal_name(signal).unwrap_or("a signal");
                info!("{name}: stopping");
                break;
            }
            ProcessWish::Succession(Ok(Said::Release(successor))) => {
                if server.has_data() {
                    info!("process {} needs the data directory", successor.id());
                    let prepared = Rebirth::prepare(&server).inspect_err(|error| {
                        error!("there will be no way back: {error}");
                    });
                    rebirth = prepared.ok();
                    if !let_go(&mut server, wishes) {
                        successor.dismiss();
                        break;
                    }
                }
                succession = await_it(successor, wish, patience);
            }
            ProcessWish::Succession(Ok(Said::Ready(successor))) => {
                info!("process {} has taken the place: stopping", successor.id());
                notify(&[NotifyState::MainPid(successor.id())]);
                server.give_way();
                successor.go();
                is_succeeded = true;
                break;
            }
            ProcessWish::Succession(Err(error)) => {
                succession = None;
                error!("the new server didn't start, this one goes on: {error}");
                if let Some(rebirth) = rebirth.take() {
                    // The data directory has been let go of, and clients wait.
                    let error = rebirth.begin();
                    error!("it can't begin anew: {error}");
                    break;
                }
            }
        }
    }
    if !is_succeeded {
        notify(&[NotifyState::Stopping]);
        if let Some(Succession { caller_off, thread }) = succession {
            let _ = caller_off.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
    // Whoever asks again doesn't want to wait.
    server.stop_unless(|| wishes.try_iter().any(is_stop));
    info!("stopped");
}

fn is_stop(wish: ProcessWish) -> bool {
    matches!(wish, ProcessWish::Signal(SIGTERM | SIGINT))
}

/// Lets go of the data directory. False where the server is to stop meanwhile.
fn let_go(server: &mut Server, wishes: &Receiver<ProcessWish>) -> bool {
    server.keep_files();
    let mut is_stopped = false;
    server.release(|| {
        is_stopped |= wishes.try_iter().any(is_stop);
        is_stopped
    });
    !is_stopped
}

fn announce(server: &Server) {
    let mut out = io::stdout().lock();
    // Nobody may be reading: that is no reason not to serve.
    let _ = writeln!(
        out,
        "public {}\npublish {}\nops {}\nready",
        server.public(),
        server.publish(),
        server.ops()
    );
    let _ = out.flush();
}

/// Reads again what was said `first`, and later. Returns what holds now.
fn reload(server: &Server, first: &Call, now: Option<Call>) -> Option<Call> {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
    let next = match reload::reload(server, first, now.as_ref().unwrap_or(first)) {
        Ok(next) => Some(next),
        Err(failure) => {
            for why in failure {
                error!("SIGHUP: {why}");
            }
            error!("SIGHUP: nothing has changed");
            now
        }
    };
    notify(&[NotifyState::Ready]);
    next
}

/// Starts the one that is to take the place.
fn begin(server: &Server, wish: &Sender<ProcessWish>, patience: Duration) -> Option<Succession> {
    match Successor::start(server) {
        Ok(successor) => {
            info!("SIGUSR2: process {} is to take the place", successor.id());
            await_it(successor, wish, patience)
        }
        Err(error) => {
            error!("no new server, this one goes on: {error}");
            None
        }
    }
}

/// Waits in a thread for what it says next.
fn await_it(
    successor: Successor,
    wish: &Sender<ProcessWish>,
    patience: Duration,
) -> Option<Succession> {
    let wish = wish.clone();
    let awaited = successor.caller_off().and_then(|caller_off| {
        let thread = thread::start("succession", move || {
            let _ = wish.send(ProcessWish::Succession(successor.wait(patience)));
        })?;
        Ok(Succession { caller_off, thread })
    });
    awaited
        .inspect_err(|error| error!("a new server can't be waited for: {error}"))
        .ok()
}

/// Tells systemd's watchdog that the server is alive, twice in its limit, for as long as
/// that is so.
fn watch(server: &Server) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pulse = server.pulse();
    let pause = limit / 2;
    let watched = thread::start("watchdog", move || {
        loop {
            let begin = Instant::now();
            if pulse.is_alive(pause) {
                notify(&[NotifyState::Watchdog]);
            } else {
                error!("a thread of the server didn't answer within {pause:?}");
            }
            std::thread::sleep(pause.saturating_sub(begin.elapsed()));
        }
    });
    if let Err(error) = watched {
        error!("no thread for the watchdog: {error}");
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("NOTIFY_SOCKET: {error}");
    }
}
