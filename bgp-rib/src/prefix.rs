//! Keys of tables: what a family's NLRI are stored under.

use core::fmt::Debug;
use core::hash::Hash;

use bgp_wire::{Family, NlriBlock, PathId, WriteNlri};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The NLRI of one family, small enough to stand in every entry.
pub(crate) trait Key: Copy + Eq + Hash + Debug + WriteNlri {
    /// The family whose table it keys.
    const FAMILY: Family;

    /// As callers see it.
    fn to_net(self) -> IpNet;

    /// From what callers give; `None` for a prefix of another family.
    fn from_net(net: IpNet) -> Option<Self>;

    /// Reads a block of NLRI of this family.
    fn read(block: &NlriBlock<'_>, each: impl FnMut(PathId, Self));
}

impl Key for Ipv4Net {
    const FAMILY: Family = Family::IPV4_UNICAST;

    fn to_net(self) -> IpNet {
        IpNet::V4(self)
    }

    fn from_net(net: IpNet) -> Option<Self> {
        match net {
            IpNet::V4(net) => Some(net.trunc()),
            IpNet::V6(_) => None,
        }
    }

    fn read(block: &NlriBlock<'_>, mut each: impl FnMut(PathId, Self)) {
        block.ipv4().for_each(|(path, net)| each(path, net));
    }
}

impl Key for Ipv6Net {
    const FAMILY: Family = Family::IPV6_UNICAST;

    fn to_net(self) -> IpNet {
        IpNet::V6(self)
    }

    fn from_net(net: IpNet) -> Option<Self> {
        match net {
            IpNet::V6(net) => Some(net.trunc()),
            IpNet::V4(_) => None,
        }
    }

    fn read(block: &NlriBlock<'_>, mut each: impl FnMut(PathId, Self)) {
        block.ipv6().for_each(|(path, net)| each(path, net));
    }
}
