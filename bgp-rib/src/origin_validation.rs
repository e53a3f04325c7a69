//! Origin validation (RFC 6811): which AS may originate which prefixes, as told from outside.

use bgp_wire::{Asn, AttributeBlock, SegmentKind};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

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

/// All payloads.
#[derive(Debug, Default)]
pub(crate) struct VrpTable {
    rows: BTreeMap<IpNet, BTreeSet<(u8, Asn)>>,
    /// Lengths of prefix that were ever in use, by family.
    lengths: [BTreeSet<u8>; 2],
    /// Somebody told what there is, be it nothing.
    known: bool,
    /// Prefixes whose payloads changed; routes inside are being told anew where export policy asks.
    changed: BTreeSet<IpNet>,
    /// So are all routes: nobody had told before what there is.
    everything: bool,
}

impl VrpTable {
    /// Takes payloads in or out; whether that changed anything.
    fn change(&mut self, announced: &[Vrp], withdrawn: &[Vrp]) -> bool {
        let first = !core::mem::replace(&mut self.known, true);
        self.everything |= first;
        let mut any = first;
        for vrp in withdrawn.iter().filter(|vrp| vrp.is_one()) {
            let prefix = vrp.prefix.trunc();
            let Some(row) = self.rows.get_mut(&prefix) else { continue };
            if row.remove(&(vrp.max_length, vrp.asn)) {
                any = true;
                self.changed.insert(prefix);
            }
            if row.is_empty() {
                self.rows.remove(&prefix);
            }
        }
        for vrp in announced.iter().filter(|vrp| vrp.is_one()) {
            let prefix = vrp.prefix.trunc();
            if self.rows.entry(prefix).or_default().insert((vrp.max_length, vrp.asn)) {
                any = true;
                self.lengths[index_of(&prefix)].insert(prefix.prefix_len());
                self.changed.insert(prefix);
            }
        }
        any
    }

    /// Prefixes that one lies inside of, itself among them.
    fn around(&self, prefix: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let lengths = self.lengths[index_of(&prefix)].range(..=prefix.prefix_len());
        lengths.filter_map(move |&length| IpNet::new(prefix.addr(), length).ok()).map(|net| net.trunc())
    }

    /// The state of a route (RFC 6811 §2.1); `origin` is nobody for a path that ends in an AS_SET.
    fn validate(&self, prefix: IpNet, origin: Option<Asn>) -> RpkiState {
        if !self.known {
            return RpkiState::Unknown;
        }
        let mut state = RpkiState::NotFound;
        for net in self.around(prefix) {
            for &(max_length, asn) in self.rows.get(&net).into_iter().flatten() {
                if prefix.prefix_len() <= max_length && asn != Asn(0) && origin == Some(asn) {
                    return RpkiState::Valid;
                }
                state = RpkiState::Invalid;
            }
        }
        state
    }

    /// Whether the state of a prefix may have changed and is not told yet.
    pub(crate) fn retells(&self, prefix: Option<IpNet>) -> bool {
        let Some(prefix) = prefix.filter(|_| self.everything || !self.changed.is_empty()) else {
            return false;
        };
        self.everything || self.around(prefix).any(|net| self.changed.contains(&net))
    }

    /// What counts as our own AS is another.
    pub(crate) fn rename(&mut self) {
        self.everything |= self.known;
    }

    /// All that changed has been told.
    pub(crate) fn told(&mut self) {
        self.changed.clear();
        self.everything = false;
    }
}

impl Vrp {
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
        let Some(prefix) = prefix.filter(|_| self.vrps.known) else { return RpkiState::Unknown };
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
    pub(crate) fn change_vrps(&mut self, announced: &[Vrp], withdrawn: &[Vrp]) {
        if self.shared.vrps.change(announced, withdrawn) {
            self.validate_again();
        }
    }

    /// States changed: routes of peers whose import policy asks are judged anew, and told anew where export policy asks.
    pub(crate) fn validate_again(&mut self) {
        // Also by rules that a peer was told some stretch by, and that it has left.
        let asks = |group: &Group| group.key.export.asks_for_rpki();
        let tells =
            self.shared.aggregates.ask_for_rpki() || any_table!(self, table => table.groups.iter().any(asks));
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
