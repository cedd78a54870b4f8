//! Who may do what, and how much of it: tokens, origins, hosts, shares. Nothing here knows
//! a socket.

pub mod cors;
pub mod credential;
pub mod host;
pub(crate) mod keyfile;
pub mod malformed;
pub mod network;
pub(crate) mod places;
pub mod quota;
pub mod token;

pub use cors::{Allowed, Origin};
pub use credential::CookieName;
pub use host::HostName;
pub use malformed::Malformed;
pub use network::Block;
pub use token::{Claims, Key, KeyError, Keys, Scope, TokenError};
