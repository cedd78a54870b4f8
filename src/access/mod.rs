//! Who may do what, and how much of it: tokens, origins, hosts, shares. Nothing here knows
//! a socket.

#[cfg(feature = "server")]
pub mod cors;
#[cfg(feature = "server")]
pub mod credential;
#[cfg(feature = "server")]
pub mod host;
#[cfg(feature = "server")]
pub(crate) mod keyfile;
pub mod network;
pub(crate) mod places;
pub mod quota;
#[cfg(feature = "server")]
pub mod token;

#[cfg(feature = "server")]
pub use cors::{Allowed, Origin};
#[cfg(feature = "server")]
pub use credential::CookieName;
#[cfg(feature = "server")]
pub use host::HostName;
#[cfg(feature = "server")]
pub use network::Block;
#[cfg(feature = "server")]
pub use token::{Claims, Key, Keys, Scope, TokenError};
