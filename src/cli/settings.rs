//! What the flags set.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "cli")]
use super::hub::{HubSettings, RunSettings, SelectionSettings};
use super::logging::LogSettings;
use crate::server::ServerConfig;

/// What the flags of all commands set.
#[derive(Debug)]
pub struct Settings {
    /// `serve`.
    pub server: ServerConfig,
    /// `serve`: keeps nothing on disk, whatever `server.data` says.
    pub memory_only: bool,
    /// What is logged, and how.
    pub log: LogSettings,
    /// `check`: shows a file with everything that can be said.
    pub example: bool,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The commands that talk to a hub.
    #[cfg(feature = "cli")]
    pub hub: HubSettings,
    /// `list`, and `watch` of its prefix.
    #[cfg(feature = "cli")]
    pub selection: SelectionSettings,
    /// `run`.
    #[cfg(feature = "cli")]
    pub run: RunSettings,
    /// `token`.
    pub token: TokenSettings,
}

/// What a token is good for.
#[derive(Debug)]
pub struct TokenSettings {
    /// Jobs that may be followed.
    pub jobs: Vec<String>,
    /// Jobs that may be published to.
    pub publish: Vec<String>,
    /// Jobs that an upload may begin.
    pub upload: Vec<String>,
    /// Jobs that may be cancelled.
    pub cancel: Vec<String>,
    /// How long.
    pub ttl: Duration,
    /// Whose it is.
    pub sub: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            server: ServerConfig {
                data: Some(PathBuf::from("./landfall-data")),
                ..ServerConfig::default()
            },
            memory_only: false,
            log: LogSettings::default(),
            example: false,
            file: None,
            #[cfg(feature = "cli")]
            hub: HubSettings::default(),
            #[cfg(feature = "cli")]
            selection: SelectionSettings::default(),
            #[cfg(feature = "cli")]
            run: RunSettings::default(),
            token: TokenSettings {
                jobs: Vec::new(),
                publish: Vec::new(),
                upload: Vec::new(),
                cancel: Vec::new(),
                ttl: Duration::from_secs(5 * 60),
                sub: None,
            },
        }
    }
}
