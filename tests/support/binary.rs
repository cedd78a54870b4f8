//! The real binary, serving on ports of its own.

// Each test takes of this what it needs.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Any port of this host.
pub const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A `landfall serve` that ends with its owner.
pub struct Binary {
    /// Its process.
    pub child: Child,
    /// Where browsers connect.
    pub public: SocketAddr,
    /// Where workers publish.
    pub publish: SocketAddr,
    /// Where it is monitored.
    pub ops: SocketAddr,
}

impl Binary {
    /// Starts it with `flags`, and waits until it says that it is ready. It keeps nothing.
    pub fn serve(flags: &[&str]) -> Binary {
        let program = Command::new(env!("CARGO_BIN_EXE_landfall"));
        Binary::started_by(program, &[&["--memory-only"], flags].concat())
    }

    /// The same, keeping its data in a directory.
    pub fn serve_keeping(data: &str, flags: &[&str]) -> Binary {
        let program = Command::new(env!("CARGO_BIN_EXE_landfall"));
        Binary::started_by(program, &[&["--data", data], flags].concat())
    }

    /// The same, at addresses that another life had; port 0 is any.
    pub fn serve_at(listen: [SocketAddr; 2], data: &str, flags: &[&str]) -> Binary {
        let program = Command::new(env!("CARGO_BIN_EXE_landfall"));
        Binary::launch(program, listen, &[&["--data", data], flags].concat())
    }

    /// The same, by a command whose last argument, so far, is the program.
    pub fn started_by(command: Command, flags: &[&str]) -> Binary {
        Binary::launch(command, [ANY; 2], flags)
    }

    /// The same, where browsers come to anything that `--listen` takes.
    pub fn listening(command: Command, listen: &str, flags: &[&str]) -> Binary {
        Binary::run(command, listen, ANY, flags)
    }

    fn launch(command: Command, [public, publish]: [SocketAddr; 2], flags: &[&str]) -> Binary {
        Binary::run(command, &public.to_string(), publish, flags)
    }

    fn run(mut command: Command, listen: &str, publish: SocketAddr, flags: &[&str]) -> Binary {
        command
            .args(["serve", "--ops", &ANY.to_string()])
            .args(["--listen", listen])
            .args(["--publish", &publish.to_string()])
            .args(flags);
        Binary::of(&mut command)
    }

    /// The same, by a command that says all of it.
    pub fn of(command: &mut Command) -> Binary {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().expect("it ended before it was ready").unwrap();
        let mut address = |name: &str| {
            let line = line();
            let url = line.strip_prefix(name).expect(&line);
            // A unix socket has none.
            url.strip_prefix(" http://")
                .map_or(ANY, |it| it.parse().unwrap())
        };
        let (public, publish) = (address("public"), address("publish"));
        let ops = address("ops");
        assert_eq!(line(), "ready");
        Binary {
            child,
            public,
            publish,
            ops,
        }
    }
}

impl Binary {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended by itself.
    pub fn ends(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// SIGTERM; returns when it has ended.
    pub fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        self.kill();
    }
}
