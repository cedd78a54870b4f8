//! What a client is counted by, and the networks that stand for many clients.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::event::Malformed;

const NO_BLOCK: Malformed =
    Malformed::new("not a network: use an address or a range, as 10.0.0.0/8 or fd00::/8");

/// What one client has: an IPv4 address, or the /64 that an IPv6 address is in, since a
/// single host may take any address of its /64 (RFC 4291 section 2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
///
/// ```
/// let proxies: landfall::config::Block = "10.0.0.0/8".parse().unwrap();
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    first: u128,
    bits: u32,
}

impl Network {
    /// The network that `address` is counted by.
    pub fn of(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }

    /// One whose first address was kept.
    #[cfg(feature = "uploads")]
    pub(super) fn kept(address: IpAddr) -> Network {
        Network(address)
    }

    /// Its first address.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Block {
    /// The addresses of this host alone: `127.0.0.0/8` and `::1`.
    pub const LOOPBACK: [Block; 2] = [
        Block {
            first: 0xffff_7f00_0000,
            bits: 104,
        },
        Block {
            first: 1,
            bits: 128,
        },
    ];

    /// Whether `address` lies in it. An IPv4 address is the same written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        // A shift by all of the bits is none.
        let differs = self.first ^ as_bits(address);
        differs.checked_shr(128 - self.bits).unwrap_or(0) == 0
    }
}

impl FromStr for Block {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Block, Malformed> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NO_BLOCK)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|&length| length <= most)
                .ok_or(NO_BLOCK)?,
            Some(_) => return Err(NO_BLOCK),
            None => most,
        };
        let bits = 128 - most + length;
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        Ok(Block {
            first: as_bits(address) & mask,
            bits,
        })
    }
}

fn as_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64() {
        let same = |a: &str, b: &str| Network::of(ip(a)) == Network::of(ip(b));
        assert!(same("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(same("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
    }

    #[test]
    fn a_block_contains_what_begins_like_it() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("10.1.2.3/8", "10.0.0.1", "2001:db8::1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("::1", "::1", "::2"),
            ("192.168.0.0/16", "::ffff:192.168.3.4", "::ffff:192.169.0.1"),
            ("0.0.0.0/0", "255.1.2.3", "2001:db8::1"),
        ] {
            let block: Block = block.parse().unwrap();
            assert!(block.contains(ip(inside)), "{inside}");
            assert!(!block.contains(ip(outside)), "{outside}");
        }
        let all: Block = "::/0".parse().unwrap();
        assert!(all.contains(ip("1.2.3.4")) && all.contains(ip("ff::")));
        for bad in [
            "",
            "a",
            "1.2.3",
            "1.2.3.4/33",
            "::/129",
            "::/-1",
            "::/+1",
            "/8",
            "1.2.3.4/",
        ] {
            assert_eq!(bad.parse::<Block>(), Err(NO_BLOCK), "{bad}");
        }
    }

    #[test]
    fn loopback_is_what_its_text_says() {
        let parsed = ["127.0.0.0/8", "::1"].map(|text| text.parse::<Block>().unwrap());
        assert_eq!(parsed, Block::LOOPBACK);
    }
}
