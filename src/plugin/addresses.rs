//! Addresses that a granted name must not lead to: loopback, link-local (where clouds keep their credentials), unspecified,
//! multicast, broadcast. Checked for every address a connection is really made to, so that a name whose owner changes what it
//! resolves to (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const LOOPBACK: &str = "a loopback address";
const LINK_LOCAL: &str = "a link-local address";
const UNSPECIFIED: &str = "an unspecified address";
const MULTICAST: &str = "a multicast address";
const BROADCAST: &str = "a broadcast address";
const METADATA: &str = "the address of a cloud's metadata service";

const SPECIAL: [(IpNet, &str); 11] = [
    (v4([127, 0, 0, 0], 8), LOOPBACK),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (v4([169, 254, 0, 0], 16), LINK_LOCAL),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    // Linux connects 0.0.0.0 to itself.
    (v4([0, 0, 0, 0], 8), UNSPECIFIED),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), UNSPECIFIED),
    (v4([224, 0, 0, 0], 4), MULTICAST),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
    (v4([255, 255, 255, 255], 32), BROADCAST),
    (v4([100, 100, 100, 200], 32), METADATA),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
];

const fn v4(octets: [u8; 4], bits: u8) -> IpNet {
    let [a, b, c, d] = octets;
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits))
}

const fn v6(parts: [u16; 8], bits: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = parts;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits))
}

/// Special addresses that may be connected to all the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Opened {
    Everything,
    Networks(Vec<IpNet>),
}

/// An address that must not be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}")]
pub(crate) struct Refused {
    /// Canonical.
    pub(crate) address: IpAddr,
    pub(crate) what: &'static str,
}

impl Opened {
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        let Some(what) = special(address) else {
            return Ok(());
        };
        let open = match self {
            Self::Everything => true,
            Self::Networks(networks) => networks.iter().any(|network| network.contains(&address)),
        };
        if open {
            Ok(())
        } else {
            Err(Refused { address, what })
        }
    }
}

/// The loopback networks, which `localhost` means.
pub(crate) fn loopback() -> [IpNet; 2] {
    [SPECIAL[0].0, SPECIAL[1].0]
}

/// Whether a network has special addresses only, so that naming it means them.
pub(crate) fn is_special(network: &IpNet) -> bool {
    SPECIAL.iter().any(|(special, _)| special.contains(network))
}

/// What is special about an address; also about one that IPv6 only wraps.
fn special(address: IpAddr) -> Option<&'static str> {
    let find = |address: IpAddr| {
        let covering = SPECIAL.iter().find(|(network, _)| network.contains(&address));
        covering.map(|(_, what)| *what)
    };
    let wrapped = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => wrapped(address),
    };
    find(address).or_else(|| find(wrapped?.into()))
}

/// The IPv4 address inside: mapped (`::ffff:a.b.c.d`), compatible (`::a.b.c.d`), NAT64 (`64:ff9b::/96`), 6to4 (`2002::/16`).
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d] = [0, 1, 2, 3].map(|last| address.octets()[12 + last]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] => Some(Ipv4Addr::new(a, b, c, d)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(Ipv4Addr::new(a, b, c, d)),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(Ipv4Addr::new(a, b, c, d)),
        [0x2002, ..] => {
            let [_, _, a, b, c, d, ..] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> bool {
        Opened::Networks(Vec::new())
            .check(address.parse().unwrap())
            .is_err()
    }

    #[test]
    fn special_addresses_are_refused_in_every_disguise() {
        for address in [
            "127.0.0.1",
            "127.255.1.2",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "febf::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "239.1.2.3",
            "ff02::1",
            "255.255.255.255",
            "100.100.100.200",
            "fd00:ec2::254",
        ] {
            assert!(refused(address), "{address}");
        }
        for address in [
            "10.1.2.3",
            "192.168.1.1",
            "8.8.8.8",
            "fd00::1",
            "2001:db8::1",
            "::ffff:10.1.2.3",
            "64:ff9b::a01:203",
            "fec0::1",
        ] {
            assert!(!refused(address), "{address}");
        }
    }

    #[test]
    fn what_is_opened_is_open_and_nothing_else() {
        let opened = Opened::Networks(vec!["127.0.0.0/8".parse().unwrap()]);
        let check = |address: &str| opened.check(address.parse().unwrap());
        assert_eq!(check("127.0.0.1"), Ok(()));
        assert_eq!(check("::ffff:127.0.0.1"), Ok(()));
        let refused = check("::1").unwrap_err();
        assert_eq!(refused.to_string(), "::1 is a loopback address");
        assert!(Opened::Everything.check("::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_network_means_special_addresses_when_it_has_no_others() {
        for (network, special) in [
            ("127.0.0.0/8", true),
            ("169.254.169.254/32", true),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(is_special(&network.parse().unwrap()), special, "{network}");
        }
    }
}
