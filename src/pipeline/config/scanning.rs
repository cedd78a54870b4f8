//! What the stage `scanning` goes by.

use super::Table;
use crate::http::Address;

/// What scanning goes by.
#[derive(Clone, Debug, Default)]
pub struct Scanning {
    /// Where clamd listens; none, or off: files aren't scanned for malware, and `done` says so.
    pub clamd: Option<Address>,
    /// What happens where the sender declared another type than the bytes tell.
    pub mismatch: Mismatch,
    /// The types that are let through; none: all.
    pub types: Option<Vec<String>>,
    /// The largest file, in bytes; none: whatever could be uploaded.
    pub max_size: Option<u64>,
}

/// What happens where the sender declared another type than the bytes tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mismatch {
    /// It is told, in `progress` and `done`, and the type that the bytes tell counts.
    #[default]
    Report,
    /// The job ends with `error`.
    Refuse,
}

impl Scanning {
    pub(super) fn read(&mut self, table: &mut Table<'_>) {
        if let Some((text, at)) = table.text("clamd") {
            match text.parse() {
                Ok(address) => self.clamd = Some(address),
                Err(error) => table.refuse(at, format!("clamd: {error}")),
            }
        }
        if let Some((text, at)) = table.text("mismatch") {
            match text.as_str() {
                "report" => self.mismatch = Mismatch::Report,
                "refuse" => self.mismatch = Mismatch::Refuse,
                _ => table.refuse(at, "mismatch is \"report\" or \"refuse\""),
            }
        }
        if let Some((types, at)) = table.list("types") {
            if let Some(bad) = types.iter().find(|kind| !kind.contains('/')) {
                let message = format!("{bad:?} is no type: it is \"image/png\" or \"image/*\"");
                table.refuse(at, message);
            }
            self.types = Some(types);
        }
        if let Some(size) = table.size("max_size") {
            self.max_size = Some(size);
        }
    }
}
