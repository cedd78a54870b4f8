//! What a command may touch, where it works on what strangers sent: its own folder, the
//! system's programs and libraries, and no network.
//!
//! The kernel's Landlock holds it to that, and seccomp, and whatever it starts. A thread is
//! shut in and
//! then starts the command, which inherits that: nothing has to run between fork and exec,
//! and nothing of the command's runs outside.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Once;
use std::thread;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope,
};

use super::limits::Limits;
use super::sockets;
use crate::sys::thread::start;

/// What is asked of the kernel; an older one gives what it has of it.
const NEWEST: ABI = ABI::V10;
/// The first that knows of the network, and signals between cages.
const WITH_NETWORK: ABI = ABI::V4;

/// Where programs are, and what they need to run.
const PROGRAMS: [&str; 10] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/run/current-system/sw",
];
/// What they read of the system's settings. The rest of `/etc` has keys and passwords in it.
const SETTINGS: [&str; 32] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.alias",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls",
    "/etc/ca-certificates",
    "/etc/mime.types",
    "/etc/magic",
    "/etc/ImageMagick-6",
    "/etc/ImageMagick-7",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/filesystems",
    "/sys/devices/system",
];
/// What they read and write that keeps nothing.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// Where the hardware for transcoding is, if the server may use it itself.
const GRAPHICS: &str = "/dev/dri";

/// What a command may touch.
#[derive(Clone, Debug, Default)]
pub struct Cage {
    /// Its own folder, and others in which it may do whatever it likes.
    pub own: Vec<PathBuf>,
    /// Files and folders that it may read, and run programs of, besides the system's.
    pub read: Vec<PathBuf>,
    /// Folders in which it may leave new files, and read none.
    pub leave: Vec<PathBuf>,
    /// Whether it may use the network.
    pub has_network: bool,
    /// What it may take.
    pub limits: Limits,
}

impl Cage {
    /// Starts a command in it.
    ///
    /// # Errors
    /// It can't be started, or can't be shut in though the kernel says that it could be.
    pub fn start(&self, command: &mut Command) -> io::Result<Child> {
        // Which takes a while, and the command isn't to run without its limits meanwhile.
        let limits = self.limits.with_those_of_user();
        thread::scope(|scope| {
            let starting = thread::Builder::new().spawn_scoped(scope, || {
                let status = self.shut_in(command).map_err(io::Error::other)?;
                tell_once(&status);
                if !self.has_network {
                    sockets::forbid()?;
                }
                let child = command.spawn()?;
                limits.set(&child);
                Ok(child)
            })?;
            starting
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a fault in the server: see its log")))
        })
    }

    /// Shuts the calling thread in, for good.
    fn shut_in(&self, command: &Command) -> Result<RestrictionStatus, RulesetError> {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?;
        if !self.has_network {
            rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
        }
        let all = AccessFs::from_all(NEWEST);
        let read = AccessFs::from_read(NEWEST);
        let mut rules = rules.create()?;
        for path in PROGRAMS.iter().chain(&SETTINGS) {
            rules = allow(rules, path.as_ref(), read)?;
        }
        for path in DEVICES {
            rules = allow(rules, path.as_ref(), read | AccessFs::WriteFile)?;
        }
        let graphics = AccessFs::from_file(NEWEST) | AccessFs::ReadDir;
        rules = allow(rules, GRAPHICS.as_ref(), graphics)?;
        for path in self.read.iter().chain(&program(command)) {
            rules = allow(rules, path, read)?;
        }
        for path in &self.own {
            rules = allow(rules, path, all)?;
        }
        for path in &self.leave {
            rules = allow(rules, path, AccessFs::MakeReg | AccessFs::WriteFile)?;
        }
        rules.restrict_self()
    }
}

/// Says in the log, once in the process's life, what the kernel can't do of this.
pub fn look() {
    let looked = start("cage", || {
        if let Ok(status) = Cage::default().shut_in(&Command::new("")) {
            tell_once(&status);
        }
    });
    // What it can't find out now it will when a command is started.
    let _ = looked.map(thread::JoinHandle::join);
}

/// Allows it at a path, where that is there.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(there) = PathFd::new(path) else {
        return Ok(rules);
    };
    // A folder's rights have no meaning for a file, and the kernel refuses them.
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(NEWEST)
    };
    rules.add_rule(PathBeneath::new(there, access))
}

/// Where a command may lie outside the system's folders: where it is said to be, and where
/// commands are looked for.
fn program(command: &Command) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from(command.get_program())];
    let mut environment = command.get_envs();
    if let Some((_, Some(folders))) = environment.find(|(name, _)| *name == "PATH") {
        paths.extend(std::env::split_paths(folders));
    }
    paths.retain(|path| path.is_absolute() && path.parent().is_some());
    paths
}

fn tell_once(status: &RestrictionStatus) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| match status.landlock {
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => warn!(
            "this kernel has no Landlock, or it isn't turned on: what stages run can read and \
             write whatever this server can, and use the network"
        ),
        LandlockStatus::Available { effective_abi, .. } if effective_abi < WITH_NETWORK => {
            warn!(
                "this kernel's Landlock is older than Linux 6.7: what stages run can use the \
                 network"
            );
        }
        LandlockStatus::Available { .. } => {}
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cage: &Cage, script: &str) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("PATH", "/usr/bin:/bin");
        command.current_dir(&cage.own[0]);
        let mut child = cage.start(&mut command).unwrap();
        child.wait().unwrap().success()
    }

    #[test]
    fn a_command_has_its_own_folder_and_what_is_shown_to_it_and_no_more() {
        let all = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = all.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("file"), name).unwrap();
            folder
        };
        let cage = Cage {
            own: vec![folder("own"), folder("also")],
            read: vec![folder("shown"), folder("in").join("file")],
            leave: vec![folder("left")],
            ..Cage::default()
        };
        folder("other");
        for allowed in [
            "cat file ../also/file ../shown/file ../in/file",
            "echo x >new && mv new ../also/new && rm file && mkdir a && ln -s a b",
            "ls ../shown",
            "echo x >../left/new",
            "cat /dev/null >/dev/null",
        ] {
            assert!(run(&cage, allowed), "{allowed}");
        }
        std::fs::write(all.path().join("in/beside"), "x").unwrap();
        for refused in [
            "cat ../other/file",
            "cat ../in/beside",
            "ls ../other",
            "echo x >../other/new",
            "echo x >../shown/file",
            "echo x >>../in/file",
            "rm ../shown/file",
            "ln ../in/file here",
            "cat ../left/file",
            "rm ../left/file",
            "echo x >../left/file",
            "cat /etc/shadow",
            "cat /proc/self/environ",
            "ls /",
        ] {
            assert!(!run(&cage, refused), "{refused}");
        }
    }

    #[test]
    fn a_command_signals_nobody_outside() {
        let mut other = Command::new("sleep").arg("600").spawn().unwrap();
        let own = tempfile::tempdir().unwrap();
        let cage = Cage {
            own: vec![own.path().to_owned()],
            ..Cage::default()
        };
        assert!(!run(&cage, &format!("kill -9 {}", other.id())));
        assert!(run(&cage, "sleep 600 & kill -9 $!"));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_program_is_found_where_it_is_said_to_be() {
        let mut command = Command::new("/srv/stages/thumb");
        command.env("PATH", "/srv/bin:bin:/usr/bin:/");
        let paths = program(&command);
        let paths: Vec<_> = paths.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(paths, ["/srv/stages/thumb", "/srv/bin", "/usr/bin"]);
    }
}
