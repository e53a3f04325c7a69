//! Prefixes that belong to no network: whatever attributes they come with, nothing can be reached there.

use bgp_wire::Family;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// SAFIs whose NLRI are prefixes of the one common address space: unicast, multicast, labelled (RFC 4760, RFC 8277).
const PLAIN: [u8; 3] = [1, 2, 4];

/// Whether a prefix belongs to no network, so that a route to it is semantically incorrect and to be ignored (RFC 4271 §6.3):
/// what lies inside 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4, fe80::/10 or ff00::/8, the addresses :: and ::1, and the limited
/// broadcast (RFC 1122 §3.2.1.3, RFC 4291 §2.4). What is only reserved (240.0.0.0/4) or lies around these (a default route)
/// is a prefix as any other.
///
/// ```
/// assert!(bgp_rib::is_martian("fe80::/64".parse()?));
/// assert!(!bgp_rib::is_martian("::/0".parse()?));
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[must_use]
pub fn is_martian(prefix: IpNet) -> bool {
    match prefix {
        IpNet::V4(net) => is_martian_v4(net),
        IpNet::V6(net) => is_martian_v6(net),
    }
}

fn is_martian_v4(net: Ipv4Net) -> bool {
    match net.addr().octets()[0] {
        0 | 127 => net.prefix_len() >= 8,
        224..=239 => net.prefix_len() >= 4,
        255 => net.addr().is_broadcast() && net.prefix_len() == 32,
        _ => false,
    }
}

fn is_martian_v6(net: Ipv6Net) -> bool {
    let bits = net.addr().to_bits();
    match net.prefix_len() {
        128 if bits <= 1 => true,
        10.. if bits >> 118 == 0xfe80 >> 6 => true,
        8.. => bits >> 120 == 0xff,
        _ => false,
    }
}

/// The same of a received route; in a VPN addresses mean what its owner wants them to.
pub(crate) fn is_of_no_network(family: Family, prefix: Option<IpNet>) -> bool {
    PLAIN.contains(&family.safi.0) && prefix.is_some_and(is_martian)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_inside_belongs_to_no_network_and_what_lies_around_and_beside_does() {
        let martians = [
            "0.0.0.0/8",
            "0.0.0.0/32",
            "0.1.0.0/16",
            "127.0.0.0/8",
            "127.0.0.1/32",
            "224.0.0.0/4",
            "224.0.1.0/24",
            "239.255.255.255/32",
            "255.255.255.255/32",
            "::/128",
            "::1/128",
            "fe80::/10",
            "fe80::/64",
            "febf::1/128",
            "ff00::/8",
            "ff02::1/128",
        ];
        let networks = [
            "0.0.0.0/0",
            "0.0.0.0/1",
            "0.0.0.0/7",
            "1.0.0.0/8",
            "126.0.0.0/7",
            "128.0.0.0/1",
            "169.254.0.0/16",
            "223.255.255.0/24",
            "224.0.0.0/3",
            "240.0.0.0/4",
            "255.255.255.254/31",
            "::/0",
            "::/96",
            "::/127",
            "::2/128",
            "fe00::/9",
            "fc00::/7",
            "fec0::/10",
            "fe00::/7",
            "2000::/3",
        ];
        let are =
            |texts: &[&str]| texts.iter().map(|text| is_martian(text.parse().unwrap())).collect::<Vec<_>>();
        assert_eq!(are(&martians), [true; 16]);
        assert_eq!(are(&networks), [false; 20]);
    }
}
