//! A build without uploads: what the server knows of them is that there are none.

use std::str::FromStr;

/// An upload's name, which nothing is.
#[derive(Clone, Copy, Debug)]
pub enum UploadId {}

impl FromStr for UploadId {
    type Err = ();

    fn from_str(_: &str) -> Result<UploadId, ()> {
        Err(())
    }
}

/// Where uploads would arrive.
pub mod spool {
    use crate::event::job::LifeId;

    /// There is none.
    #[derive(Clone)]
    pub enum Spool {}

    /// Where files would be read and written.
    pub enum Disk {}

    impl Disk {
        pub fn run<T>(&self, _work: impl FnOnce() -> T) -> T {
            match *self {}
        }
    }

    impl Spool {
        pub fn disk(&self) -> &Disk {
            match *self {}
        }

        pub fn cancel(&self, _life: LifeId) {
            match *self {}
        }

        pub fn close(&self) {
            match *self {}
        }

        pub fn receiving(&self) -> usize {
            match *self {}
        }

        pub fn look_at_disk(&self) {
            match *self {}
        }
    }
}
