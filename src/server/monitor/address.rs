//! Where the monitoring listener is.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::server::listener::Address;

/// Where the monitoring listener is: an address and port, `unix:PATH`, or `off`.
///
/// ```
/// use landfall::{Address, OpsAddress};
/// let address: OpsAddress = "unix:/run/landfall/ops".parse().unwrap();
/// assert_eq!(address, OpsAddress::At(Address::Unix("/run/landfall/ops".into())));
/// assert_eq!("off".parse(), Ok(OpsAddress::Off));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpsAddress {
    /// Nowhere.
    Off,
    /// There.
    At(Address),
}

impl OpsAddress {
    /// The address and port. None where there is no port.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            OpsAddress::At(Address::Tcp(address)) => Some(*address),
            OpsAddress::At(Address::Unix(_)) | OpsAddress::Off => None,
        }
    }
}

impl FromStr for OpsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<OpsAddress, String> {
        match text {
            "off" => Ok(OpsAddress::Off),
            address => match address.parse() {
                Ok(address) => Ok(OpsAddress::At(address)),
                Err(why) => Err(format!("{why}, or off")),
            },
        }
    }
}

impl fmt::Display for OpsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpsAddress::Off => f.write_str("off"),
            OpsAddress::At(address) => address.fmt(f),
        }
    }
}
