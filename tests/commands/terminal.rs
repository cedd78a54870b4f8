//! A terminal with a command in it, and what is to be seen there.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::hub::PATIENCE;

/// A terminal.
pub struct Terminal {
    child: Child,
    screen: Arc<Mutex<Screen>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// What stands in a terminal that understands what the commands use, and nothing more.
pub struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    wraps: bool,
    /// Lines that have left it at the top.
    scrolled: usize,
    pending: Vec<u8>,
    /// Everything that was written.
    pub written: String,
}

impl Terminal {
    /// Runs a command in one of so many columns and rows. `script` has it held for a
    /// terminal.
    pub fn run(command: &Command, columns: usize, rows: usize) -> Terminal {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words
            .map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''")))
            .collect();
        let line = format!(
            "stty cols {columns} rows {rows} -echo; exec {}",
            words.join(" ")
        );
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]);
        script
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .env_remove("NO_COLOR");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let screen = Arc::new(Mutex::new(Screen::new(columns, rows)));
        let shown = screen.clone();
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                shown.lock().unwrap().take(&piece[..count]);
            }
        });
        Terminal {
            child,
            screen,
            reader: Some(reader),
        }
    }

    /// The lines that are to be seen now, without blank ones at their end.
    pub fn lines(&self) -> Vec<String> {
        self.screen.lock().unwrap().lines()
    }

    /// Everything that was written.
    pub fn written(&self) -> String {
        self.screen.lock().unwrap().written.clone()
    }

    /// Waits until what is to be seen is right.
    pub fn wait_for(&self, what: &str, is_right: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines();
            if is_right(&lines) {
                return;
            }
            assert!(Instant::now() < deadline, "still no {what}: {lines:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys).unwrap();
    }

    /// Waits for the command's end.
    pub fn end(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Screen {
    fn new(columns: usize, rows: usize) -> Screen {
        Screen {
            columns,
            rows: vec![vec![' '; columns]; rows],
            row: 0,
            column: 0,
            wraps: true,
            scrolled: 0,
            pending: Vec::new(),
            written: String::new(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let line = |row: &Vec<char>| row.iter().collect::<String>().trim_end().to_owned();
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.pending) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = self.pending.drain(..whole).collect();
        let mut text = String::from_utf8(text).unwrap();
        // A sequence that isn't whole waits for its end.
        if let Some(escape) = text.rfind('\x1b')
            && !text[escape + 1..].contains(|c: char| c.is_ascii_alphabetic())
        {
            let rest = text.split_off(escape);
            self.pending.splice(0..0, rest.into_bytes());
        }
        self.written += &text;
        let mut rest = &*text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => self.column = 0,
                '\n' => self.line_feed(),
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    self.obey(&rest[..end], rest.as_bytes()[end]);
                    rest = &rest[end + 1..];
                }
                c => {
                    assert!(!c.is_control(), "{c:?} in {text:?}");
                    self.put(c);
                }
            }
        }
    }

    fn obey(&mut self, parameters: &str, end: u8) {
        let number = || parameters.trim_start_matches('[').parse().unwrap_or(1);
        match (end, parameters) {
            (b'A', _) => self.row = self.row.saturating_sub(number()),
            (b'J', "[") => {
                self.rows[self.row][self.column..].fill(' ');
                for row in &mut self.rows[self.row + 1..] {
                    row.fill(' ');
                }
            }
            (b'm', _) => {}
            (b'l' | b'h', "[?7") => self.wraps = end == b'h',
            other => panic!("no sequence that is known: {other:?}"),
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.columns {
            match self.wraps {
                true => {
                    self.column = 0;
                    self.line_feed();
                }
                false => self.column -= 1,
            }
        }
        self.rows[self.row][self.column] = c;
        self.column += 1;
    }

    fn line_feed(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.remove(0);
            self.rows.push(vec![' '; self.columns]);
            self.scrolled += 1;
            self.row -= 1;
        }
    }
}
