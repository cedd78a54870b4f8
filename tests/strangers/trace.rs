//! What strace saw a program and its threads open.

use std::collections::HashMap;

/// What one thread did, as one line of strace's.
struct Line<'a> {
    thread: u32,
    what: &'a str,
}

/// A program that was run, with what it and its threads opened.
pub struct Run {
    /// The path of the program.
    pub program: String,
    /// Its arguments, as strace writes them.
    pub arguments: String,
    /// The paths that it opened or tried to.
    pub opened: Vec<String>,
    /// Its calls that have to do with sockets.
    pub sockets: Vec<String>,
}

/// What strace is to look at.
pub const CALLS: &str = "execve,open,openat,openat2,creat,socket,connect,bind,sendto,clone,clone3,\
                         fork,vfork";

/// All that was run, in the order of their beginnings, by the text that `strace -f` wrote.
pub fn read(text: &str) -> Vec<Run> {
    let lines: Vec<Line<'_>> = text.lines().filter_map(Line::read).collect();
    let parents: HashMap<u32, u32> = lines
        .iter()
        .filter_map(|line| Some((line.child()?, line.thread)))
        .collect();
    let mut runs: Vec<Run> = Vec::new();
    let mut run_of: HashMap<u32, usize> = HashMap::new();
    let mut tried: HashMap<u32, &str> = HashMap::new();
    for line in &lines {
        let call = match line.what.strip_prefix("<... execve resumed>") {
            Some(_) => tried.remove(&line.thread).unwrap_or_default(),
            None => line.what,
        };
        if let Some(call) = call.strip_prefix("execve(\"") {
            if line.what.ends_with("<unfinished ...>") {
                tried.insert(line.thread, line.what);
            } else if line.what.ends_with(" = 0")
                && let Some((program, arguments)) = call.split_once('"')
            {
                run_of.insert(line.thread, runs.len());
                runs.push(Run {
                    program: program.to_owned(),
                    arguments: arguments.to_owned(),
                    opened: Vec::new(),
                    sockets: Vec::new(),
                });
            }
            continue;
        }
        // A thread that was begun belongs to whatever ran in the one that began it.
        let mut thread = line.thread;
        while !run_of.contains_key(&thread) && parents.contains_key(&thread) {
            thread = parents[&thread];
        }
        let Some(run) = run_of.get(&thread).and_then(|run| runs.get_mut(*run)) else {
            continue;
        };
        let call = line.what.split('(').next().unwrap_or_default();
        match call {
            "open" | "openat" | "openat2" | "creat" => {
                let path = line.what.split('"').nth(1).unwrap_or(line.what);
                run.opened.push(path.to_owned());
            }
            "socket" | "connect" | "bind" | "sendto" => run.sockets.push(line.what.to_owned()),
            _ => {}
        }
    }
    runs
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Line<'a>> {
        let (thread, what) = line.trim_start().split_once(' ')?;
        Some(Line {
            thread: thread.parse().ok()?,
            what: what.trim_start(),
        })
    }

    /// The thread or process that it began.
    fn child(&self) -> Option<u32> {
        let is_birth = [
            "clone",
            "fork",
            "vfork",
            "<... clone",
            "<... fork",
            "<... vfork",
        ]
        .iter()
        .any(|name| self.what.starts_with(name));
        let child = is_birth.then(|| self.what.rsplit_once("= "))??.1;
        child.parse().ok()
    }
}

#[test]
fn what_a_thread_opens_is_counted_to_the_program_that_runs_in_it() {
    let runs = read(
        "10 execve(\"/bin/landfall\", [\"landfall\"], 0x1 /* 3 vars */) = 0\n\
         10 openat(AT_FDCWD, \"/own\", O_RDONLY) = 3\n\
         12 openat(AT_FDCWD, \"/early\", O_RDONLY <unfinished ...>\n\
         10 clone3({flags=CLONE_VM}, 88) = 11\n\
         11 vfork( <unfinished ...>\n\
         12 execve(\"/no/ffprobe\", [\"ffprobe\"], 0x1 /* 3 vars */) = -1 ENOENT (No such file)\n\
         12 execve(\"/not/ffprobe\", [\"ffprobe\"], 0x1 /* 3 vars */ <unfinished ...>\n\
         12 <... execve resumed>) = -1 ENOENT (No such file or directory)\n\
         12 execve(\"/bin/ffprobe\", [\"ffprobe\", \"-i\", \"x\"], 0x1 /* 3 vars */ <unfinished ...>\n\
         11 <... vfork resumed>) = 12\n\
         12 <... execve resumed>) = 0\n\
         12 clone3({flags=CLONE_VM} => {parent_tid=[13]}, 88) = 13\n\
         13 openat(AT_FDCWD, \"/a\", O_RDONLY) = -1 ENOENT (No such file or directory)\n\
         13 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3\n\
         13 +++ exited with 0 +++\n",
    );
    let names: Vec<_> = runs.iter().map(|run| run.program.as_str()).collect();
    assert_eq!(names, ["/bin/landfall", "/bin/ffprobe"]);
    assert_eq!(runs[0].opened, ["/own", "/early"]);
    assert_eq!(runs[1].opened, ["/a"]);
    assert_eq!(runs[1].sockets.len(), 1);
    assert!(runs[1].arguments.contains("\"-i\", \"x\""));
}
