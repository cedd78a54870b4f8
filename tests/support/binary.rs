//! The real binary, serving on ports of its own.

// Each test takes of this what it needs.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A `landfall serve` that ends with its owner.
pub struct Binary {
    child: Child,
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

    /// The same, by a command whose last argument, so far, is the program.
    pub fn started_by(mut command: Command, flags: &[&str]) -> Binary {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--publish", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().expect("it ended before it was ready").unwrap();
        let mut address = |name: &str| {
            let line = line();
            let url = line.strip_prefix(name).expect(&line);
            url.strip_prefix(" http://").expect(url).parse().unwrap()
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
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
