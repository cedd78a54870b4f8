//! What the stage `scanning` goes by.

use super::TomlTable;
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
    pub(super) fn read(&mut self, table: &mut TomlTable<'_>) {
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
            let types = types.into_iter().map(|kind| kind.to_ascii_lowercase());
            let types: Vec<String> = types.collect();
            if let Some(bad) = types.iter().find(|kind| !is_type(kind)) {
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

/// Whether it is a type, or all of a family.
fn is_type(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !part.is_empty() && part.bytes().all(is_fit)
    };
    text.split_once('/').is_some_and(|(family, kind)| {
        (is_part(family) || text == "*/*") && (is_part(kind) || kind == "*")
    })
}
