//! Sets of prefixes with ranges of lengths, probed once per length that occurs in them.

use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::ops::RangeInclusive;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use ipnet::IpNet;

/// Up to here a scan is quicker than a probe.
const SMALL: usize = 4;

/// Prefixes under a network whose lengths are in a range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PrefixRange {
    net: IpNet,
    min: u8,
    max: u8,
}

/// A range of lengths begins below the network's own, ends beyond the address, or ends before it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadLengths {
    /// The network.
    pub net: IpNet,
    /// The shortest length asked for.
    pub min: u8,
    /// The longest length asked for.
    pub max: u8,
}

impl fmt::Display for BadLengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { net, min, max } = self;
        write!(
            f,
            "{net}: lengths {min} to {max} are not within {} to {}",
            net.prefix_len(),
            net.max_prefix_len()
        )
    }
}

impl core::error::Error for BadLengths {}

impl PrefixRange {
    /// The network itself. Host bits are cleared, here and below.
    #[must_use]
    pub fn equal(net: IpNet) -> Self {
        Self { net: net.trunc(), min: net.prefix_len(), max: net.prefix_len() }
    }

    /// The network and everything inside it.
    #[must_use]
    pub fn or_longer(net: IpNet) -> Self {
        Self { max: net.max_prefix_len(), ..Self::equal(net) }
    }

    /// What lies inside the network, itself included where the range says so, with these lengths.
    pub fn lengths(net: IpNet, lengths: RangeInclusive<u8>) -> Result<Self, BadLengths> {
        let (min, max) = lengths.into_inner();
        if net.prefix_len() <= min && min <= max && max <= net.max_prefix_len() {
            Ok(Self { net: net.trunc(), min, max })
        } else {
            Err(BadLengths { net, min, max })
        }
    }

    fn holds(&self, prefix: &IpNet) -> bool {
        (self.min..=self.max).contains(&prefix.prefix_len()) && self.net.contains(prefix)
    }
}

/// `10.0.0.0/8`, `10.0.0.0/8{9,24}`.
impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { net, min, max } = self;
        if (*min, *max) == (net.prefix_len(), net.prefix_len()) {
            write!(f, "{net}")
        } else {
            write!(f, "{net}{{{min},{max}}}")
        }
    }
}

/// A set of prefixes, of both families if need be. Clones share it; equal sets are equal however they were put together.
#[derive(Clone)]
pub struct PrefixSet(Arc<Inner>);

struct Inner {
    /// Sorted; ranges of one network neither touch nor overlap.
    ranges: Box<[PrefixRange]>,
    ipv4: Index,
    ipv6: Index,
    digest: u64,
}

/// The networks of one family by content, and the lengths to probe, ascending.
#[derive(Default)]
struct Index {
    table: HashTable<u32>,
    lengths: Vec<u8>,
}

impl FromIterator<PrefixRange> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = PrefixRange>>(ranges: I) -> Self {
        let ranges = merged(ranges.into_iter().collect());
        let digest = hasher().hash_one(&ranges);
        let (mut ipv4, mut ipv6) = (Index::default(), Index::default());
        if ranges.len() > SMALL {
            for (id, range) in (0..).zip(&ranges) {
                let index = if let IpNet::V4(_) = range.net { &mut ipv4 } else { &mut ipv6 };
                index.insert(id, &ranges);
            }
        }
        Self(Arc::new(Inner { ranges: ranges.into(), ipv4, ipv6, digest }))
    }
}

impl From<PrefixRange> for PrefixSet {
    fn from(range: PrefixRange) -> Self {
        [range].into_iter().collect()
    }
}

impl PrefixSet {
    /// Prefixes that equal one of these.
    #[must_use]
    pub fn equal(nets: &[IpNet]) -> Self {
        nets.iter().copied().map(PrefixRange::equal).collect()
    }

    /// Prefixes that equal one of these or lie inside it.
    #[must_use]
    pub fn or_longer(nets: &[IpNet]) -> Self {
        nets.iter().copied().map(PrefixRange::or_longer).collect()
    }

    /// Single addresses, as next hops and peers have them.
    #[must_use]
    pub fn hosts(addresses: &[IpAddr]) -> Self {
        addresses.iter().map(|&address| PrefixRange::equal(IpNet::from(address))).collect()
    }

    /// Its ranges, sorted.
    #[must_use]
    pub fn ranges(&self) -> &[PrefixRange] {
        &self.0.ranges
    }

    /// Whether a prefix is in it.
    #[must_use]
    pub fn contains(&self, prefix: &IpNet) -> bool {
        self.any_above(prefix, |range| range.holds(prefix))
    }

    /// Whether an address lies inside one of its networks, whatever the range of lengths.
    #[must_use]
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.any_above(&IpNet::from(address), |range| range.net.contains(&address))
    }

    /// Whether a network that may hold the prefix passes the test.
    fn any_above(&self, prefix: &IpNet, test: impl Fn(&PrefixRange) -> bool) -> bool {
        let ranges = &self.0.ranges;
        if ranges.len() <= SMALL {
            return ranges.iter().any(test);
        }
        let index = if let IpNet::V4(_) = prefix { &self.0.ipv4 } else { &self.0.ipv6 };
        let bits = bits(prefix);
        let usable = index.lengths.iter().take_while(|&&length| length <= prefix.prefix_len());
        let passes = |&id: &u32| ranges.get(id as usize).is_some_and(&test);
        usable.into_iter().any(|&length| index.table.find(key(bits, length), passes).is_some())
    }
}

impl Index {
    fn insert(&mut self, id: u32, ranges: &[PrefixRange]) {
        let hash = |id: u32| {
            ranges.get(id as usize).map_or(0, |range| key(bits(&range.net), range.net.prefix_len()))
        };
        self.table.insert_unique(hash(id), id, |&id| hash(id));
        if let Some(range) = ranges.get(id as usize) {
            let length = range.net.prefix_len();
            if let Err(at) = self.lengths.binary_search(&length) {
                self.lengths.insert(at, length);
            }
        }
    }
}

/// Sorts, and joins ranges of lengths of one network that touch or overlap.
fn merged(mut ranges: Vec<PrefixRange>) -> Vec<PrefixRange> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let joins = last.net == next.net && next.min <= last.max.saturating_add(1);
        if joins {
            last.max = last.max.max(next.max);
        }
        joins
    });
    ranges
}

/// Sets come from whoever configures the speaker, not from peers: a fixed seed does no harm.
fn hasher() -> FixedState {
    FixedState::with_seed(0)
}

/// A network's address, left-aligned.
fn bits(net: &IpNet) -> u128 {
    match net {
        IpNet::V4(net) => u128::from(u32::from(net.addr())) << 96,
        IpNet::V6(net) => u128::from(net.addr()),
    }
}

fn key(bits: u128, length: u8) -> u64 {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    hasher().hash_one((bits & mask, length))
}

impl PartialEq for PrefixSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.digest == other.0.digest && self.0.ranges == other.0.ranges)
    }
}

impl Eq for PrefixSet {}

impl Hash for PrefixSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl fmt::Debug for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.ranges.iter().map(|range| format_args!("{range}").to_string())).finish()
    }
}
