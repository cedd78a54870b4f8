//! No sockets for a command that isn't to have a network: of any family, since others than
//! TCP's lead outside as well, and one by its path to this very server.

use std::collections::BTreeMap;
use std::io;
use std::sync::Once;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// The calls that make one; the second could make the first unseen.
const CALLS: [libc::c_long; 2] = [libc::SYS_socket, libc::SYS_io_uring_setup];
/// On x86-64 each call has another number beside its own, for programs with short pointers.
const X32: i64 = 1 << 30;

/// Forbids the calling thread, and all that it starts, to make sockets, for good. Where the
/// kernel can't, or this architecture's calls aren't known, the log says so once.
///
/// # Errors
/// The kernel could, and doesn't.
pub fn forbid() -> io::Result<()> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        tell_once();
        return Ok(());
    };
    match seccompiler::apply_filter(&filter(arch)?) {
        Err(seccompiler::Error::Seccomp(error)) if is_unknown(&error) => {
            tell_once();
            Ok(())
        }
        applied => applied.map_err(io::Error::other),
    }
}

fn filter(arch: TargetArch) -> io::Result<BpfProgram> {
    let mut calls = BTreeMap::new();
    for call in CALLS {
        // Elsewhere a long is shorter.
        #[allow(clippy::useless_conversion)]
        let call = i64::from(call);
        calls.insert(call, Vec::new());
        if arch == TargetArch::x86_64 {
            calls.insert(call | X32, Vec::new());
        }
    }
    let refuse = SeccompAction::Errno(libc::EACCES as u32);
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refuse, arch);
    let program = filter.and_then(BpfProgram::try_from);
    program.map_err(io::Error::other)
}

fn is_unknown(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EINVAL | libc::EPERM)
    )
}

fn tell_once() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        warn!("sockets can't be forbidden here (seccomp): what stages run may have some");
    });
}
