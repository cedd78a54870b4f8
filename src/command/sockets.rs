//! No sockets for a command that isn't to have a network: of any family, since others than
//! TCP's lead outside as well, and one by its path to this very server.

use std::io;
use std::sync::Once;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
use seccompiler::sock_filter;

/// The calls that make one; the second could make the first unseen.
const CALLS: [u32; 2] = [libc::SYS_socket as u32, libc::SYS_io_uring_setup as u32];
/// On x86-64 each call has another number beside its own, for programs with short pointers.
const X32: u32 = 1 << 30;

/// The architectures whose calls are known, by their numbers in ELF files.
const MACHINE: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(libc::EM_X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(libc::EM_AARCH64)
} else if cfg!(target_arch = "riscv64") {
    Some(libc::EM_RISCV)
} else {
    None
};
/// What the kernel adds to them (`linux/audit.h`).
const SIXTY_FOUR_BITS: u32 = 1 << 31;
const LITTLE_ENDIAN: u32 = 1 << 30;
/// Where in what a filter sees a call's number is, and the architecture.
const DATA_CALL: u32 = 0;
const DATA_ARCH: u32 = 4;

/// Forbids the calling thread, and all that it starts, to make sockets, for good. Where the
/// kernel can't, or this architecture's calls aren't known, the log says so once.
///
/// # Errors
/// The kernel could, and doesn't.
pub fn forbid() -> io::Result<()> {
    let Some(machine) = MACHINE else {
        tell_once();
        return Ok(());
    };
    match seccompiler::apply_filter(&filter(machine)) {
        Err(seccompiler::Error::Seccomp(error)) if is_unknown(&error) => {
            tell_once();
            Ok(())
        }
        applied => applied.map_err(io::Error::other),
    }
}

/// The filter, as `linux/filter.h` and `linux/seccomp.h` have it. seccompiler can make one as
/// well, with more code than the rest of the cage has.
fn filter(machine: u16) -> Vec<sock_filter> {
    let load = |offset| instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0);
    let skip_if = |number, skipped| instruction(BPF_JMP | BPF_JEQ | BPF_K, number, skipped);
    let end = |what| instruction(BPF_RET | BPF_K, what, 0);
    let calls: &[u32] = if cfg!(target_arch = "x86_64") {
        &[CALLS[0], CALLS[1], CALLS[0] | X32, CALLS[1] | X32]
    } else {
        &CALLS
    };
    // What is made for another architecture has other numbers for its calls.
    let mut program = vec![
        load(DATA_ARCH),
        skip_if(u32::from(machine) | SIXTY_FOUR_BITS | LITTLE_ENDIAN, 1),
        end(libc::SECCOMP_RET_KILL_PROCESS),
        load(DATA_CALL),
    ];
    let to_refusal = (1..=calls.len() as u8).rev();
    program.extend(
        calls
            .iter()
            .zip(to_refusal)
            .map(|(&call, skipped)| skip_if(call, skipped)),
    );
    program.push(end(libc::SECCOMP_RET_ALLOW));
    program.push(end(libc::SECCOMP_RET_ERRNO | libc::EACCES as u32));
    program
}

fn instruction(code: u32, k: u32, jt: u8) -> sock_filter {
    let code = code as u16;
    sock_filter { code, jt, jf: 0, k }
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

#[cfg(test)]
mod tests {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

    use super::*;

    /// What becomes of a call, by the instructions that filters of calls alone are made of.
    fn verdict(program: &[sock_filter], arch: u32, call: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let it = &program[at];
            at += 1;
            match u32::from(it.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    loaded = if it.k == DATA_ARCH { arch } else { call };
                }
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    at += usize::from(if loaded == it.k { it.jt } else { it.jf });
                }
                code if code == BPF_JMP => at += it.k as usize,
                code if code == BPF_RET | BPF_K => return it.k,
                code => panic!("{code}"),
            }
        }
    }

    #[test]
    fn calls_get_what_they_get_by_a_filter_of_seccompilers() {
        let Some(machine) = MACHINE else { return };
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let both = CALLS.iter().flat_map(|&call| [call, call | X32]);
        let is_x86 = cfg!(target_arch = "x86_64");
        let calls: Vec<u32> = both.filter(|call| is_x86 || call & X32 == 0).collect();
        let rules = calls.iter().map(|&call| (call.into(), Vec::new()));
        let refuse = SeccompAction::Errno(libc::EACCES as u32);
        let other = SeccompFilter::new(rules.collect(), SeccompAction::Allow, refuse, arch);
        let other = BpfProgram::try_from(other.unwrap()).unwrap();
        let mine = filter(machine);
        for arch in [u32::from(machine) | SIXTY_FOUR_BITS | LITTLE_ENDIAN, 3] {
            for call in calls.iter().copied().chain([0, 1, 1000, X32, u32::MAX]) {
                let verdicts = [&mine, &other].map(|program| verdict(program, arch, call));
                assert_eq!(verdicts[0], verdicts[1], "{arch:x} {call:x}");
            }
        }
        for call in calls {
            let arch = u32::from(machine) | SIXTY_FOUR_BITS | LITTLE_ENDIAN;
            let refused = libc::SECCOMP_RET_ERRNO | libc::EACCES as u32;
            assert_eq!(verdict(&mine, arch, call), refused);
        }
    }
}
