//! IPv4 networks and the addresses in them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::drivers::Error;

/// The smallest network that holds a gateway and a container: /30.
const PREFIX_LENGTH_MAX: u8 = 30;
const PREFIX_LENGTH_MIN: u8 = 8;

/// An IPv4 network, such as `172.29.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: u32,
    prefix_length: u8,
}

impl Subnet {
    /// The network of that prefix length (0 to 32) in which the address lies.
    pub(super) fn containing(address: Ipv4Addr, prefix_length: u8) -> Self {
        let prefix_length = prefix_length.min(32);
        Self { base: address.to_bits() & mask(prefix_length), prefix_length }
    }

    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// The first address: the bridge's own, and the containers' gateway.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 1)
    }

    pub(super) fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base | !mask(self.prefix_length))
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix_length) == self.base
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        let common = mask(self.prefix_length.min(other.prefix_length));
        self.base & common == other.base & common
    }

    /// The addresses for containers, from the one after `last` on and round again: an address that was just
    /// freed is not given out while others are free, since neighbours and connections still remember it.
    pub(super) fn addresses_after(self, last: Option<Ipv4Addr>) -> impl Iterator<Item = Ipv4Addr> {
        let first = self.base + 2;
        let count = self.broadcast().to_bits() - first;
        let skip =
            last.filter(|last| self.contains(*last)).map_or(0, |last| (last.to_bits() + 1).saturating_sub(first));
        (0..count).map(move |step| Ipv4Addr::from_bits(first + (skip + step) % count))
    }
}

fn mask(prefix_length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_length)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.split_once('/').and_then(|(address, length)| {
            let (address, length): (Ipv4Addr, u8) = (address.parse().ok()?, length.parse().ok()?);
            let sensible = (PREFIX_LENGTH_MIN..=PREFIX_LENGTH_MAX).contains(&length);
            sensible.then(|| Self::containing(address, length)).filter(|subnet| subnet.base == address.to_bits())
        });
        parsed.ok_or_else(|| Error::Spec {
            field: "bridge subnet",
            problem: format!("{text:?} is not a network such as 172.29.0.0/16, /8 to /30"),
        })
    }
}

impl TryFrom<String> for Subnet {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect(text)
    }

    #[test]
    fn networks_are_read_strictly() {
        fn check(text: &str, expect: bool) {
            assert_eq!(text.parse::<Subnet>().is_ok(), expect, "{text}");
        }
        check("172.29.0.0/16", true);
        check("10.0.0.0/30", true);
        check("10.0.0.0/31", false);
        check("0.0.0.0/0", false);
        check("172.29.0.1/16", false);
        check("172.29.0.0", false);
        check("fd00::/64", false);
    }

    #[test]
    fn overlaps() {
        fn check(one: &str, other: &str, expect: bool) {
            assert_eq!(subnet(one).overlaps(subnet(other)), expect, "{one} {other}");
            assert_eq!(subnet(other).overlaps(subnet(one)), expect, "{other} {one}");
        }
        check("172.29.0.0/16", "172.29.4.0/24", true);
        check("172.29.0.0/16", "172.16.0.0/12", true);
        check("172.29.0.0/16", "172.30.0.0/16", false);
    }

    #[test]
    fn addresses_go_round_without_gateway_and_broadcast() {
        let small = subnet("10.1.2.0/29");
        assert_eq!(small.gateway().to_string(), "10.1.2.1");
        let texts = |last: Option<&str>| {
            let last = last.map(|text| text.parse().expect("address"));
            small.addresses_after(last).map(|address| address.octets()[3]).collect::<Vec<_>>()
        };
        assert_eq!(texts(None), [2, 3, 4, 5, 6]);
        assert_eq!(texts(Some("10.1.2.4")), [5, 6, 2, 3, 4]);
        assert_eq!(texts(Some("10.1.2.6")), [2, 3, 4, 5, 6]);
        assert_eq!(texts(Some("192.0.2.1")), [2, 3, 4, 5, 6]);
    }
}
