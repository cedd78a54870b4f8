//! The subscribers of a shard, as rows of 32 bytes, and the lists that they form.

use crate::access::quota::Slot;
use crate::sys::socket::Socket;

/// No row.
pub const NONE: u32 = u32::MAX;

/// A subscriber that is parked: all that it costs.
pub struct Row {
    /// The last id that was sent, or that is in the row's leftover.
    pub after: u64,
    /// The connection. None where the row is free.
    pub socket: Option<Socket>,
    /// Where its job is: a place in the shard's list of jobs, or of consolidated
    /// streams where `flags` says so.
    pub place: u32,
    /// The next row of the same job, or the next free one.
    pub next: u32,
    /// The row before it of the same job.
    pub previous: u32,
    /// When it has to end, in seconds since its shard began; [`NONE`] where it needn't.
    pub deadline: u32,
    /// Quarters of a heartbeat since something was sent.
    pub age: u8,
    /// What else is true of it.
    pub flags: u16,
}

/// The row has an entry in the shard's leftovers.
pub const HAS_LEFTOVER: u16 = 1;
/// The socket took less than it was given: nothing is sent until it is writable.
pub const BLOCKED: u16 = 2;
/// The row is in the queue of those to be served by themselves.
pub const QUEUED: u16 = 4;
/// The stream is a consolidated one.
pub const CONSOLIDATED: u16 = 8;
/// Nothing is sent any more but what is left.
pub const CLOSING: u16 = 16;
/// The stream ends as soon as nothing is pending for it.
pub const ENDING: u16 = 32;
/// Its deadline is that of its age, and not of its token.
pub const AGES: u16 = 64;
/// The journal is read for it: nothing is sent meanwhile but comments.
pub const READING: u16 = 128;
/// Its replay waits; it counts as queued as well.
pub const WAITING: u16 = 256;

/// Its client doesn't know chunks.
pub const PLAIN: u16 = 512;
/// Its stream has ended: what is left is its last.
pub const ENDED: u16 = 1024;

/// It has a pace, and gets nothing before its time comes again.
pub const RESTS: u16 = 2048;
/// There is news for it when its rest ends.
pub const NEWS: u16 = 4096;

/// The kernel has a large buffer for it.
pub const LARGE: u16 = 8192;

/// Rows that are allocated together. A table that grew by doubling would hold up to
/// twice its rows, and their copy meanwhile.
const CHUNK_ROWS: usize = 128;

/// A row's place among the connections of its address, and among the streams of its
/// token.
pub type RowSlots = [Option<Slot>; 2];

/// All rows of a shard.
pub struct Table {
    chunks: Vec<Vec<Row>>,
    /// Where rows are counted, chunk by chunk, for those with such rows.
    places: Vec<Option<Box<[RowSlots; CHUNK_ROWS]>>>,
    end: u32,
    free: u32,
    used: usize,
}

impl Table {
    /// An empty table. It has no memory until it is used.
    pub fn new() -> Table {
        Table {
            chunks: Vec::new(),
            places: Vec::new(),
            end: 0,
            free: NONE,
            used: 0,
        }
    }

    /// How many rows are used.
    pub fn len(&self) -> usize {
        self.used
    }

    /// One above the highest row that was ever used.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The row of that number, if it is used.
    pub fn get(&mut self, row: u32) -> Option<&mut Row> {
        (row < self.end)
            .then(|| &mut self[row])
            .filter(|row| row.socket.is_some())
    }

    /// Takes a row for `socket`, in no list.
    pub fn insert(&mut self, socket: Socket, place: u32, after: u64, flags: u16) -> u32 {
        self.used += 1;
        let row = Row {
            after,
            socket: Some(socket),
            place,
            next: NONE,
            previous: NONE,
            deadline: NONE,
            age: 0,
            flags,
        };
        if self.free == NONE {
            if (self.end as usize).is_multiple_of(CHUNK_ROWS) {
                self.chunks.push(Vec::with_capacity(CHUNK_ROWS));
            }
            if let Some(chunk) = self.chunks.last_mut() {
                chunk.push(row);
            }
            self.end += 1;
            return self.end - 1;
        }
        let index = self.free;
        self.free = self[index].next;
        self[index] = row;
        index
    }

    /// Frees a row that is in no list; its socket closes with what is returned.
    pub fn remove(&mut self, index: u32) -> Option<Socket> {
        let row = self.get(index)?;
        let socket = row.socket.take();
        self[index].next = self.free;
        self.free = index;
        self.used -= 1;
        socket
    }

    /// Remembers where a row is counted: 4 bytes, and none where no row of its chunk is.
    pub fn set_places(&mut self, row: u32, places: RowSlots) {
        let (chunk, at) = (row as usize / CHUNK_ROWS, row as usize % CHUNK_ROWS);
        if places == [None; 2] {
            return;
        }
        if self.places.len() <= chunk {
            self.places.resize_with(chunk + 1, || None);
        }
        self.places[chunk].get_or_insert_with(|| Box::new([[None; 2]; CHUNK_ROWS]))[at] = places;
    }

    /// What a row's address is counted by.
    pub fn address(&self, row: u32) -> Option<Slot> {
        let (chunk, at) = (row as usize / CHUNK_ROWS, row as usize % CHUNK_ROWS);
        self.places.get(chunk)?.as_ref()?[at][0]
    }

    /// Where a row is counted; nowhere from now on.
    pub fn take_places(&mut self, row: u32) -> RowSlots {
        let (chunk, at) = (row as usize / CHUNK_ROWS, row as usize % CHUNK_ROWS);
        match self.places.get_mut(chunk) {
            Some(Some(places)) => std::mem::take(&mut places[at]),
            _ => [None; 2],
        }
    }

    /// Puts a row in front of the list that begins with `head`.
    pub fn link(&mut self, head: &mut u32, index: u32) {
        self[index].next = *head;
        self[index].previous = NONE;
        if *head != NONE {
            self[*head].previous = index;
        }
        *head = index;
    }

    /// Takes a row out of the list that begins with `head`.
    pub fn unlink(&mut self, head: &mut u32, index: u32) {
        let (next, previous) = (self[index].next, self[index].previous);
        match previous {
            NONE => *head = next,
            _ => self[previous].next = next,
        }
        if next != NONE {
            self[next].previous = previous;
        }
    }
}

impl std::ops::Index<u32> for Table {
    type Output = Row;

    fn index(&self, row: u32) -> &Row {
        &self.chunks[row as usize / CHUNK_ROWS][row as usize % CHUNK_ROWS]
    }
}

impl std::ops::IndexMut<u32> for Table {
    fn index_mut(&mut self, row: u32) -> &mut Row {
        &mut self.chunks[row as usize / CHUNK_ROWS][row as usize % CHUNK_ROWS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Socket {
        Socket::new(std::os::unix::net::UnixStream::pair().unwrap().0.into())
    }

    fn list(table: &Table, head: u32) -> Vec<u32> {
        let mut rows = Vec::new();
        let mut row = head;
        while row != NONE {
            rows.push(row);
            row = table[row].next;
        }
        rows
    }

    #[test]
    fn a_row_is_32_bytes() {
        assert_eq!(size_of::<Row>(), 32);
    }

    #[test]
    fn rows_leave_their_list_from_anywhere_and_are_used_again() {
        let mut table = Table::new();
        let mut head = NONE;
        let rows: Vec<u32> = (0..5).map(|n| table.insert(socket(), n, 0, 0)).collect();
        rows.iter().for_each(|&row| table.link(&mut head, row));
        assert_eq!(list(&table, head), [4, 3, 2, 1, 0]);
        for (row, left) in [(2, vec![4, 3, 1, 0]), (4, vec![3, 1, 0]), (0, vec![3, 1])] {
            table.unlink(&mut head, row);
            assert!(table.remove(row).is_some());
            assert!(table.remove(row).is_none());
            assert_eq!(list(&table, head), left);
        }
        assert_eq!(table.len(), 2);
        assert_eq!(table.insert(socket(), 9, 0, 0), 0);
        assert_eq!(table.end(), 5);
    }
}
