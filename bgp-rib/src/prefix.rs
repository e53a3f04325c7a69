//! Keys of tables: what a family's NLRI are stored under.

use core::fmt::Debug;
use core::hash::Hash;

use bgp_wire::{NlriBlock, PathId, WriteNlri};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::nlri::{self, Destination, RouteNlri};

/// The NLRI of one family, small enough to stand in every entry.
pub(crate) trait Key: Clone + Eq + Hash + Debug + WriteNlri {
    /// Whether NLRI with equal keys may differ, in labels and what else is only told with a route.
    const VARIES: bool;

    /// Where it leads, as callers see it.
    fn destination(&self) -> Destination;

    /// The prefix, in families that have one.
    fn prefix(&self) -> Option<IpNet>;

    /// From what callers give; `None` for another kind.
    fn of(destination: &Destination) -> Option<Self>;

    /// Whether all of it is the same, not only what makes the route.
    fn is_same(&self, other: &Self) -> bool;

    /// Reads a block of NLRI of this family.
    fn read(block: &NlriBlock<'_>, each: impl FnMut(PathId, Self));
}

macro_rules! plain {
    ($net:ty, $variant:ident, $read:ident) => {
        impl Key for $net {
            const VARIES: bool = false;

            #[inline]
            fn destination(&self) -> Destination {
                Destination::Prefix(IpNet::$variant(*self))
            }

            #[inline]
            fn prefix(&self) -> Option<IpNet> {
                Some(IpNet::$variant(*self))
            }

            fn of(destination: &Destination) -> Option<Self> {
                match destination {
                    Destination::Prefix(IpNet::$variant(net)) => Some(net.trunc()),
                    _ => None,
                }
            }

            #[inline]
            fn is_same(&self, other: &Self) -> bool {
                self == other
            }

            #[inline]
            fn read(block: &NlriBlock<'_>, mut each: impl FnMut(PathId, Self)) {
                block.$read().for_each(|(path, net)| each(path, net));
            }
        }
    };
}

plain!(Ipv4Net, V4, ipv4);
plain!(Ipv6Net, V6, ipv6);

impl Key for RouteNlri {
    const VARIES: bool = true;

    fn destination(&self) -> Destination {
        Destination::Nlri(self.clone())
    }

    fn prefix(&self) -> Option<IpNet> {
        Self::prefix(self)
    }

    fn of(destination: &Destination) -> Option<Self> {
        match destination {
            Destination::Nlri(nlri) => Some(nlri.clone()),
            Destination::Prefix(_) => None,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        Self::is_same(self, other)
    }

    fn read(block: &NlriBlock<'_>, each: impl FnMut(PathId, Self)) {
        nlri::read(block, each);
    }
}
