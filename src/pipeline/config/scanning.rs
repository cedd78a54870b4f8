//! What the stage `scanning` goes by.

use std::path::PathBuf;
use std::str::FromStr;

use super::Table;

/// What scanning goes by.
#[derive(Clone, Debug, Default)]
pub struct Scanning {
    /// Where clamd listens; none: files aren't scanned for malware, and `done` says so.
    pub clamd: Option<ClamdAddress>,
    /// What happens where the sender declared another type than the bytes tell.
    pub mismatch: Mismatch,
    /// The types that are let through; none: all.
    pub types: Option<Vec<String>>,
    /// The largest file, in bytes; none: whatever could be uploaded.
    pub max_size: Option<u64>,
}

/// Where clamd listens.
///
/// ```
/// use landfall::ClamdAddress;
/// let address: ClamdAddress = "unix:/run/clamav/clamd.ctl".parse().unwrap();
/// assert_eq!(address, ClamdAddress::Unix("/run/clamav/clamd.ctl".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClamdAddress {
    /// `HOST:PORT`.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
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
                Err(error) => table.refuse(at, error),
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

impl FromStr for ClamdAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ClamdAddress, String> {
        let wrong = || format!("{text:?} is no clamd address: it is unix:PATH or HOST:PORT");
        match text.strip_prefix("unix:") {
            Some("") => Err(wrong()),
            Some(path) => Ok(ClamdAddress::Unix(path.into())),
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(ClamdAddress::Tcp(text.to_owned()))
                }
                _ => Err(wrong()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_or_a_port() {
        for good in [
            "unix:/run/clamav/clamd.ctl",
            "127.0.0.1:3310",
            "scanner:3310",
        ] {
            assert!(good.parse::<ClamdAddress>().is_ok(), "{good}");
        }
        for bad in ["", "unix:", ":3310", "/run/x", "a:b", "a:99999"] {
            assert!(bad.parse::<ClamdAddress>().is_err(), "{bad}");
        }
    }
}
