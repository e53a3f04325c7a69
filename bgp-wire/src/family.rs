//! Address families: AFI and SAFI code points, their names, and sets of them.
use core::fmt;
use core::str::FromStr;

/// An address family identifier ([registry](https://www.iana.org/assignments/address-family-numbers)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Afi(pub u16);

impl Afi {
    /// IPv4.
    pub const IPV4: Self = Self(1);
    /// IPv6.
    pub const IPV6: Self = Self(2);
    /// Layer-2 VPN (RFC 4761, RFC 7432).
    pub const L2VPN: Self = Self(25);
    /// Service function chains (RFC 9015).
    pub const SERVICE_FUNCTIONS: Self = Self(31);
    /// BGP-LS (RFC 9552).
    pub const BGP_LS: Self = Self(16388);
}

/// A subsequent address family identifier ([registry](https://www.iana.org/assignments/safi-namespace)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Safi(pub u8);

impl Safi {
    /// Unicast forwarding (RFC 4760).
    pub const UNICAST: Self = Self(1);
    /// Multicast reverse path (RFC 4760).
    pub const MULTICAST: Self = Self(2);
    /// Labelled unicast (RFC 8277).
    pub const LABELED_UNICAST: Self = Self(4);
    /// Segment routing policy (RFC 9830).
    pub const SR_POLICY: Self = Self(73);
    /// MPLS-labelled VPN (RFC 4364).
    pub const VPN: Self = Self(128);
    /// Multicast routes of a VPN (RFC 6514).
    pub const VPN_MULTICAST: Self = Self(129);
}

/// An AFI with a SAFI: what one table, one capability or one block of NLRI is about (RFC 4760).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Family {
    /// Address family.
    pub afi: Afi,
    /// Subsequent address family.
    pub safi: Safi,
}

/// Every family that a [`FamilySet`] can hold: its constant, AFI, SAFI, name and source.
macro_rules! families {
    ($($name:ident, $afi:literal, $safi:literal, $text:literal, $doc:literal;)*) => {
        impl Family {
            $(#[doc = $doc] pub const $name: Self = Self::new($afi, $safi);)*

            /// The families known by name, in the order of their bits in a [`FamilySet`].
            pub const KNOWN: &'static [Self] = &[$(Self::$name),*];
        }

        const NAMES: &[&str] = &[$($text),*];

        /// The row of a family in the table. A `match`, so that the compiler makes a jump of it.
        #[inline]
        fn row(family: Family) -> Option<u8> {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            #[repr(u8)]
            enum Row { $($name),* }
            match (family.afi.0, family.safi.0) {
                $(($afi, $safi) => Some(Row::$name as u8),)*
                _ => None,
            }
        }
    };
}

families! {
    IPV4_UNICAST, 1, 1, "ipv4-unicast", "IPv4 unicast (RFC 4271).";
    IPV6_UNICAST, 2, 1, "ipv6-unicast", "IPv6 unicast (RFC 2545).";
    IPV4_MULTICAST, 1, 2, "ipv4-multicast", "IPv4 multicast reverse path (RFC 4760).";
    IPV6_MULTICAST, 2, 2, "ipv6-multicast", "IPv6 multicast reverse path (RFC 4760).";
    IPV4_LABELED_UNICAST, 1, 4, "ipv4-labeled-unicast", "IPv4 with labels (RFC 8277).";
    IPV6_LABELED_UNICAST, 2, 4, "ipv6-labeled-unicast", "IPv6 with labels (RFC 8277).";
    IPV4_VPN, 1, 128, "ipv4-vpn", "VPNv4 (RFC 4364).";
    IPV6_VPN, 2, 128, "ipv6-vpn", "VPNv6 (RFC 4659).";
    IPV4_VPN_MULTICAST, 1, 129, "ipv4-vpn-multicast", "VPNv4 multicast (RFC 6514).";
    IPV6_VPN_MULTICAST, 2, 129, "ipv6-vpn-multicast", "VPNv6 multicast (RFC 6514).";
    ROUTE_TARGET, 1, 132, "route-target", "Route target constraint (RFC 4684).";
    IPV4_FLOWSPEC, 1, 133, "ipv4-flowspec", "IPv4 flow specifications (RFC 8955).";
    IPV6_FLOWSPEC, 2, 133, "ipv6-flowspec", "IPv6 flow specifications (RFC 8956).";
    IPV4_VPN_FLOWSPEC, 1, 134, "ipv4-vpn-flowspec", "VPNv4 flow specifications (RFC 8955).";
    IPV6_VPN_FLOWSPEC, 2, 134, "ipv6-vpn-flowspec", "VPNv6 flow specifications (RFC 8956).";
    L2VPN_FLOWSPEC, 25, 134, "l2vpn-flowspec", "Layer-2 flow specifications (draft-ietf-idr-flowspec-l2vpn).";
    VPLS, 25, 65, "l2vpn-vpls", "VPLS (RFC 4761).";
    EVPN, 25, 70, "l2vpn-evpn", "EVPN (RFC 7432).";
    LINK_STATE, 16388, 71, "link-state", "BGP-LS (RFC 9552).";
    LINK_STATE_VPN, 16388, 72, "link-state-vpn", "BGP-LS VPN (RFC 9552).";
    LINK_STATE_SPF, 16388, 80, "link-state-spf", "BGP-LS SPF (RFC 9815).";
    IPV4_MVPN, 1, 5, "ipv4-mcast-vpn", "Multicast VPN, IPv4 (RFC 6514).";
    IPV6_MVPN, 2, 5, "ipv6-mcast-vpn", "Multicast VPN, IPv6 (RFC 6514).";
    MULTI_SEGMENT_PW, 25, 6, "l2vpn-mspw", "Multi-segment pseudowires (RFC 7267).";
    IPV4_ENCAPSULATION, 1, 7, "ipv4-encapsulation", "Encapsulation, IPv4 (RFC 5512).";
    IPV6_ENCAPSULATION, 2, 7, "ipv6-encapsulation", "Encapsulation, IPv6 (RFC 5512).";
    L2VPN_MCAST_VPLS, 25, 8, "l2vpn-mcast-vpls", "VPLS multicast (RFC 7117).";
    SERVICE_FUNCTIONS, 31, 9, "service-functions", "Service function chains (RFC 9015).";
    IPV4_MDT, 1, 66, "ipv4-mdt", "Multicast distribution tree (RFC 6037).";
    IPV4_SR_POLICY, 1, 73, "ipv4-sr-policy", "Segment routing policy, IPv4 (RFC 9830).";
    IPV6_SR_POLICY, 2, 73, "ipv6-sr-policy", "Segment routing policy, IPv6 (RFC 9830).";
    IPV4_CLASSFUL_TRANSPORT, 1, 76, "ipv4-classful-transport", "Classful transport, IPv4 (RFC 9832).";
    IPV6_CLASSFUL_TRANSPORT, 2, 76, "ipv6-classful-transport", "Classful transport, IPv6 (RFC 9832).";
    IPV4_CAR, 1, 83, "ipv4-car", "Color-aware routing, IPv4 (RFC 9871).";
    IPV6_CAR, 2, 83, "ipv6-car", "Color-aware routing, IPv6 (RFC 9871).";
    IPV4_VPN_CAR, 1, 84, "ipv4-vpn-car", "Color-aware routing, VPNv4 (RFC 9871).";
    IPV6_VPN_CAR, 2, 84, "ipv6-vpn-car", "Color-aware routing, VPNv6 (RFC 9871).";
    IPV4_MUP, 1, 85, "ipv4-mup", "Mobile user plane, IPv4 (draft-ietf-bess-mup-safi).";
    IPV6_MUP, 2, 85, "ipv6-mup", "Mobile user plane, IPv6 (draft-ietf-bess-mup-safi).";
    L2_FLOWSPEC, 6, 133, "l2-flowspec", "Flow specifications of Ethernet (draft-ietf-idr-flowspec-l2vpn).";
    IPV4_MCAST_TREE, 1, 78, "ipv4-mcast-tree", "Multicast trees, IPv4 (draft-ietf-bess-bgp-multicast).";
    IPV6_MCAST_TREE, 2, 78, "ipv6-mcast-tree", "Multicast trees, IPv6 (draft-ietf-bess-bgp-multicast).";
}

impl Family {
    /// A family from its two code points.
    #[must_use]
    pub const fn new(afi: u16, safi: u8) -> Self {
        Self { afi: Afi(afi), safi: Safi(safi) }
    }

    /// Whether its NLRI are plain IPv4 prefixes.
    #[must_use]
    pub const fn is_ipv4_prefix(self) -> bool {
        self.afi.0 == 1 && matches!(self.safi.0, 1 | 2)
    }

    /// Whether its NLRI are plain IPv6 prefixes.
    #[must_use]
    pub const fn is_ipv6_prefix(self) -> bool {
        self.afi.0 == 2 && matches!(self.safi.0, 1 | 2)
    }

    /// Whether its NLRI are prefixes with labels (RFC 8277).
    #[must_use]
    pub const fn is_labeled_unicast(self) -> bool {
        matches!((self.afi.0, self.safi.0), (1 | 2, 4))
    }

    /// Whether its NLRI are prefixes behind a route distinguisher: VPN, multicast VPN routes, classful transport
    /// (RFC 4364, RFC 6514, RFC 9832).
    #[must_use]
    pub const fn is_vpn_prefix(self) -> bool {
        matches!((self.afi.0, self.safi.0), (1 | 2, 76 | 128 | 129))
    }

    /// Whether its prefixes have labels in front.
    #[must_use]
    pub const fn has_labels(self) -> bool {
        matches!((self.afi.0, self.safi.0), (1 | 2, 4 | 76 | 128))
    }

    /// Whether its next hops are addresses of its own kind (RFC 4760 §3), or of IPv6 for IPv4 where that was negotiated
    /// (RFC 8950 §4).
    #[must_use]
    pub const fn has_own_next_hops(self) -> bool {
        matches!((self.afi.0, self.safi.0), (1 | 2, 1 | 2 | 4 | 128 | 129))
    }

    /// Whether its next hops have a route distinguisher, which is zero (RFC 4364 §4.3.2, RFC 4659 §3.2.1).
    #[must_use]
    pub(crate) const fn has_vpn_next_hop(self) -> bool {
        matches!((self.afi.0, self.safi.0), (1 | 2, 128 | 129) | (16388, 72))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match row(*self).and_then(|r| NAMES.get(usize::from(r))) {
            Some(name) => f.write_str(name),
            None => write!(f, "afi-{}-safi-{}", self.afi.0, self.safi.0),
        }
    }
}

/// The text names no family: neither a known name nor `afi-N-safi-N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownFamily;

impl fmt::Display for UnknownFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such address family (try `ipv4-unicast` or `afi-1-safi-1`)")
    }
}

impl core::error::Error for UnknownFamily {}

impl FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(s: &str) -> Result<Self, UnknownFamily> {
        if let Some(at) = NAMES.iter().position(|n| *n == s) {
            return Self::KNOWN.get(at).copied().ok_or(UnknownFamily);
        }
        let numbers = s.strip_prefix("afi-").and_then(|rest| rest.split_once("-safi-"));
        let (afi, safi) = numbers.ok_or(UnknownFamily)?;
        Ok(Self::new(afi.parse().map_err(|_| UnknownFamily)?, safi.parse().map_err(|_| UnknownFamily)?))
    }
}

/// A set of the families in [`Family::KNOWN`]: one word, copied freely. A family outside the table is never in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FamilySet(u64);

// One bit for each row.
const _: () = assert!(Family::KNOWN.len() <= 64);

impl FamilySet {
    /// The set of no family.
    #[must_use]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The set of the given families, without those that the table does not know.
    #[must_use]
    pub fn of(families: &[Family]) -> Self {
        families.iter().copied().collect()
    }

    #[inline]
    fn bit(family: Family) -> u64 {
        row(family).map_or(0, |r| 1 << (r & 63))
    }

    /// Adds a family; `false` when the table does not know it.
    pub fn insert(&mut self, family: Family) -> bool {
        self.0 |= Self::bit(family);
        self.contains(family)
    }

    /// Takes a family out.
    pub fn remove(&mut self, family: Family) {
        self.0 &= !Self::bit(family);
    }

    /// Whether the family is in the set.
    #[inline]
    #[must_use]
    pub fn contains(self, family: Family) -> bool {
        // Most sets of a session are empty, and the table is not looked at for them.
        self.0 != 0 && self.0 & Self::bit(family) != 0
    }

    /// The families of both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The families of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether no family is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The number of families.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The families in table order.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::KNOWN.iter().copied().filter(move |f| self.contains(*f))
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::empty();
        for family in families {
            set.insert(family);
        }
        set
    }
}

impl fmt::Debug for FamilySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|family| family.to_string())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_read_back_by_its_name() {
        for family in Family::KNOWN {
            assert_eq!(family.to_string().parse(), Ok(*family));
        }
        assert_eq!("afi-77-safi-3".parse(), Ok(Family::new(77, 3)));
        assert_eq!("ipv5-unicast".parse::<Family>(), Err(UnknownFamily));
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_unknown() {
        let mut set = FamilySet::of(&[Family::IPV6_UNICAST, Family::EVPN]);
        assert!(set.contains(Family::EVPN) && !set.contains(Family::IPV4_UNICAST));
        assert!(!set.insert(Family::new(77, 3)));
        assert_eq!(set.iter().collect::<Vec<_>>(), [Family::IPV6_UNICAST, Family::EVPN]);
        set.remove(Family::EVPN);
        assert_eq!(set.len(), 1);
    }
}
