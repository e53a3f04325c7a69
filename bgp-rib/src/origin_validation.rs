//! Origin validation (RFC 6811): which AS may originate which prefixes, as told from outside.

use core::cmp::Ordering;
use core::ops::Range;
use std::sync::Arc;

use bgp_wire::{Asn, AttributeBlock, SegmentKind};
use ipnet::IpNet;

use crate::Policy;
use crate::attributes::AttributesId;
use crate::group::Group;
use crate::policy::{RouteView, RpkiState};
use crate::rib::{Rib, any_table};
use crate::table::Shared;

/// A validated ROA payload (RFC 6811 §2): this AS may originate the prefix, and longer ones up to a length. AS 0 means that
/// nobody may (RFC 6483 §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vrp {
    /// The prefix.
    pub prefix: IpNet,
    /// The longest prefix inside it that the AS may originate. One that is shorter than the prefix, or longer than an address,
    /// makes it no payload: it is passed over.
    pub max_length: u8,
    /// Who may.
    pub asn: Asn,
}

/// Payloads at rest: made by whoever has them, so that the tables take in a million in no time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VrpSet {
    /// In the order of [`place`].
    rows: Box<[Vrp]>,
    /// Where the rows of each length of prefix stand, by family.
    lengths: [Vec<(u8, Range<usize>)>; 2],
}

/// Rows of one family and length stand together.
fn place(vrp: &Vrp) -> (usize, u8, IpNet, u8, Asn) {
    (index_of(&vrp.prefix), vrp.prefix.prefix_len(), vrp.prefix, vrp.max_length, vrp.asn)
}

impl VrpSet {
    /// These payloads, each once; those that are none are passed over.
    #[must_use]
    pub fn new(vrps: impl IntoIterator<Item = Vrp>) -> Self {
        let payloads = vrps.into_iter().filter(Vrp::is_one);
        let mut rows: Vec<Vrp> = payloads.map(|vrp| Vrp { prefix: vrp.prefix.trunc(), ..vrp }).collect();
        rows.sort_unstable_by_key(place);
        rows.dedup();
        Self::of_sorted(rows)
    }

    fn of_sorted(rows: Vec<Vrp>) -> Self {
        let mut lengths = [Vec::new(), Vec::new()];
        let mut start = 0;
        for chunk in rows.chunk_by(|a, b| (place(a).0, place(a).1) == (place(b).0, place(b).1)) {
            let end = start + chunk.len();
            if let Some(first) = chunk.first() {
                lengths[index_of(&first.prefix)].push((first.prefix.prefix_len(), start..end));
            }
            start = end;
        }
        Self { rows: rows.into(), lengths }
    }

    /// How many there are of IPv4, and how many of IPv6.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |family: &[(u8, Range<usize>)]| family.iter().map(|(_, rows)| rows.len()).sum();
        (count(&self.lengths[0]), count(&self.lengths[1]))
    }

    /// Those whose prefix one lies inside of, or is.
    fn around(&self, prefix: IpNet) -> impl Iterator<Item = &Vrp> + '_ {
        let lengths = self.lengths[index_of(&prefix)].iter();
        lengths.take_while(move |(length, _)| *length <= prefix.prefix_len()).flat_map(
            move |(length, rows)| {
                let net = IpNet::new(prefix.addr(), *length).map_or(prefix, |net| net.trunc());
                let rows = self.rows.get(rows.clone()).unwrap_or_default();
                let first = rows.partition_point(|vrp| vrp.prefix < net);
                rows.iter().skip(first).take_while(move |vrp| vrp.prefix == net)
            },
        )
    }
}

/// From some payloads to others: what [`Input::Vrps`](crate::Input::Vrps) takes in.
#[derive(Debug)]
pub struct VrpChange {
    from: Option<Arc<VrpSet>>,
    to: Arc<VrpSet>,
    differing: VrpSet,
    counts: (usize, usize),
}

impl VrpChange {
    /// The way from what was told last, if anything was, to these.
    #[must_use]
    pub fn new(from: Option<Arc<VrpSet>>, to: Arc<VrpSet>) -> Self {
        let before = from.as_ref().map_or(&[][..], |from| &from.rows);
        let (mut old, mut new) = (before.iter().peekable(), to.rows.iter().peekable());
        let (mut differing, mut counts) = (Vec::new(), (0, 0));
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => place(old).cmp(&place(new)),
            };
            let (left, came) = (old.next_if(|_| order.is_le()), new.next_if(|_| order.is_ge()));
            if order.is_ne() {
                differing.extend(left.or(came));
                counts.0 += usize::from(order.is_gt());
                counts.1 += usize::from(order.is_lt());
            }
        }
        Self { from, to, differing: VrpSet::of_sorted(differing), counts }
    }

    /// How many came, and how many went.
    #[must_use]
    pub const fn counts(&self) -> (usize, usize) {
        self.counts
    }
}

/// Changes of payloads that may be on their way through the tables at once; beyond, all routes are told anew.
const MOST_CHANGES: usize = 8;

/// The payloads that there are.
#[derive(Debug, Default)]
pub(crate) struct VrpTable {
    /// `None`: nobody has told what there is, be it nothing.
    set: Option<Arc<VrpSet>>,
    /// Payloads that came and went; routes inside are being told anew where export policy asks.
    changed: Vec<VrpSet>,
    /// So are all routes: nobody had told before what there is.
    everything: bool,
}

impl VrpTable {
    /// Goes over to other payloads; whether that changed anything.
    fn change(&mut self, change: VrpChange) -> bool {
        let VrpChange { from, to, differing, .. } = change;
        let from_here = match (&self.set, &from) {
            (Some(here), Some(from)) => Arc::ptr_eq(here, from),
            _ => false,
        };
        if from_here && differing.rows.is_empty() {
            self.set = Some(to);
            return false;
        }
        self.set = Some(to);
        self.everything |= !from_here || self.changed.len() == MOST_CHANGES;
        if !self.everything {
            self.changed.push(differing);
        }
        true
    }

    /// The state of a route (RFC 6811 §2.1); `origin` is nobody for a path that ends in an AS_SET.
    fn validate(&self, prefix: IpNet, origin: Option<Asn>) -> RpkiState {
        let Some(set) = &self.set else { return RpkiState::Unknown };
        let mut state = RpkiState::NotFound;
        for vrp in set.around(prefix) {
            if prefix.prefix_len() <= vrp.max_length && vrp.asn != Asn(0) && origin == Some(vrp.asn) {
                return RpkiState::Valid;
            }
            state = RpkiState::Invalid;
        }
        state
    }

    /// Whether the state of a prefix may have changed and is not told yet.
    pub(crate) fn retells(&self, prefix: Option<IpNet>) -> bool {
        let Some(prefix) = prefix else { return false };
        self.everything || self.changed.iter().any(|changed| changed.around(prefix).next().is_some())
    }

    /// What counts as our own AS is another.
    pub(crate) fn rename(&mut self) {
        self.everything |= self.set.is_some();
    }

    /// All that changed has been told.
    pub(crate) fn told(&mut self) {
        self.changed.clear();
        self.everything = false;
    }
}

impl Vrp {
    /// RFC 6811 §2: lengths go from that of the prefix to that of an address.
    fn is_one(&self) -> bool {
        (self.prefix.prefix_len()..=self.prefix.max_prefix_len()).contains(&self.max_length)
    }
}

fn index_of(prefix: &IpNet) -> usize {
    usize::from(matches!(prefix, IpNet::V6(_)))
}

/// The AS that originated a route (RFC 6811 §2): ours for one of our own AS, nobody behind an AS_SET.
fn origin(block: AttributeBlock<'_>, us: Asn) -> Option<Asn> {
    match block.as_path().segments().last() {
        None => Some(us),
        Some(segment) if segment.kind.is_confederation() => Some(us),
        Some(segment) if segment.kind == SegmentKind::Sequence => segment.asns().last(),
        Some(_) => None,
    }
}

impl Shared {
    /// The state of a route; nobody looked where it has no prefix.
    pub(crate) fn rpki(&self, prefix: Option<IpNet>, attributes: AttributesId) -> RpkiState {
        let Some(prefix) = prefix else { return RpkiState::Unknown };
        self.vrps.validate(prefix, origin(self.attributes[attributes].block(), self.config.local_as))
    }

    /// A route as a policy sees it, with its state where the policy asks for that.
    pub(crate) fn validated<'a>(&self, policy: &Policy, view: RouteView<'a>) -> RouteView<'a> {
        let Some(prefix) = view.prefix.filter(|_| policy.asks_for_rpki()) else { return view };
        let rpki = self.vrps.validate(prefix, origin(view.attributes, self.config.local_as));
        RouteView { rpki, ..view }
    }
}

impl Rib {
    /// Other payloads.
    pub(crate) fn change_vrps(&mut self, change: VrpChange) {
        if self.shared.vrps.change(change) {
            self.validate_again();
        }
    }

    /// States changed: routes of peers whose import policy asks are judged anew, and told anew where export policy asks.
    pub(crate) fn validate_again(&mut self) {
        // Also by rules that a peer was told some stretch by, and that it has left.
        let asks = |group: &Group| group.key.export.asks_for_rpki();
        let tells = self.shared.aggregates.ask(Policy::asks_for_rpki)
            || any_table!(self, table => table.groups.iter().any(asks));
        let peers = &mut self.shared.peers;
        let mut judges = false;
        for slot in peers.slots().collect::<Vec<u32>>() {
            let Some(peer) = peers.get_mut(slot) else { continue };
            let asks = peer.params.import.asks_for_rpki();
            peer.judging |= asks;
            judges |= asks;
        }
        peers.judging |= judges;
        // What an earlier change has still to have told stays.
        if !tells && !any_table!(self, table => table.rescan.is_some()) {
            self.shared.vrps.told();
        }
        if judges || tells {
            self.begin_rescan();
        }
    }
}
