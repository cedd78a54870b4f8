//! Who may do what, and how much of it: tokens, origins, hosts, shares. Nothing here knows
//! a socket.

pub mod cors;
pub mod credential;
pub mod host;
pub(crate) mod keyfile;
pub mod network;
pub(crate) mod places;
pub mod quota;
pub mod token;
