//! The response head in front of a stream, in two bytes of state.

const STATUS: &[u8] = b"HTTP/1.1 200";
const END: &[u8] = b"\r\n\r\n";
/// The status was right; the rest of the head is passed by.
const PASSING: u8 = 0xfe;
const OVER: u8 = 0xff;

/// How far a head has come.
#[derive(Debug, Default, Clone, Copy)]
pub struct Head {
    /// Bytes of the status that were right, or one of the states above.
    state: u8,
    /// Bytes of the blank line that have matched.
    end: u8,
}

/// What some bytes were to a head.
pub enum Taken {
    /// All of them belong to it, and it goes on.
    All,
    /// It isn't a 200.
    Wrong,
    /// It ends in front of this byte.
    UpTo(usize),
}

impl Head {
    pub fn is_over(&self) -> bool {
        self.state == OVER
    }

    pub fn take(&mut self, bytes: &[u8]) -> Taken {
        for (index, byte) in bytes.iter().enumerate() {
            if self.state != PASSING {
                if *byte != STATUS[usize::from(self.state)] {
                    return Taken::Wrong;
                }
                self.state += 1;
                if usize::from(self.state) == STATUS.len() {
                    self.state = PASSING;
                }
                continue;
            }
            if *byte == END[usize::from(self.end)] {
                self.end += 1;
            } else {
                self.end = u8::from(*byte == END[0]);
            }
            if usize::from(self.end) == END.len() {
                self.state = OVER;
                return Taken::UpTo(index + 1);
            }
        }
        Taken::All
    }
}
