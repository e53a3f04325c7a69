//! The tables, and everything that was told to them.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp_rib::{
    DecisionOptions, Event, Input, LimitAction, LimitLevel, Limited, Multipath, PeerId, RibConfig,
};
use bgp_wire::{Family, NextHop};
use ipnet::IpNet;

use super::step::Step;
use crate::naive::{Facts, Teller};
use crate::support::*;

/// The tables, and everything that was told to them.
pub(super) struct World {
    pub(super) lab: Lab,
    pub(super) facts: Facts,
    pub(super) deadlines: BTreeMap<PeerId, Duration>,
    /// Whose End-of-RIB has to come before a refresh; who said BoRR and not yet EoRR.
    pub(super) initial: BTreeSet<(PeerId, Family)>,
    pub(super) refreshing: BTreeSet<(PeerId, Family)>,
    /// How many sessions each has had; until when its routes stay; until when they stay as long-lived stale ones.
    pub(super) count: BTreeMap<PeerId, u32>,
    pub(super) restart_until: BTreeMap<PeerId, Duration>,
    pub(super) long_lived: BTreeMap<(PeerId, Family), Duration>,
    /// Until when stale routes stay of peers that keep them over further losses: those of the first, those of the latest.
    pub(super) losses: BTreeMap<(PeerId, Family), (Duration, Duration)>,
    /// Payloads of origin validation as they were told last.
    pub(super) payloads: Option<Arc<bgp_rib::VrpSet>>,
    /// End-of-RIB is held back; who has read nothing since its session came up but while that was so.
    pub(super) defers: bool,
    pub(super) unread: BTreeSet<PeerId>,
    pub(super) follower: BTreeMap<IpNet, (Option<NextHop>, Vec<NextHop>)>,
    pub(super) reader: bgp_rib::ReaderId,
    /// Whose memory is used up; how many events have been looked at.
    pub(super) full: BTreeSet<PeerId>,
    heard: usize,
}

/// One of both.
fn family(v6: bool) -> Family {
    if v6 { V6 } else { V4 }
}

impl World {
    pub(super) fn new(max_paths: usize, many_paths: usize, options: DecisionOptions) -> Self {
        let mut config = RibConfig::new(LOCAL_AS, router_id(254));
        config.max_paths = max_paths;
        config.decision = options;
        config.multipath_relax = many_paths == 2;
        // Small enough that batches are thrown away and made again.
        config.batch_cache = 2048;
        (config.batch_prefixes, config.turn, config.many_paths) = (2, 2, many_paths);
        let config_ways = config.multipath();
        let mut lab = Lab::with(config);
        let reader = lab.rib.open_reader();
        Self {
            lab,
            facts: Facts { multipath: config_ways, options, ..Facts::default() },
            deadlines: BTreeMap::new(),
            initial: BTreeSet::new(),
            refreshing: BTreeSet::new(),
            count: BTreeMap::new(),
            restart_until: BTreeMap::new(),
            long_lived: BTreeMap::new(),
            losses: BTreeMap::new(),
            payloads: None,
            defers: false,
            unread: BTreeSet::new(),
            follower: BTreeMap::new(),
            full: BTreeSet::new(),
            heard: 0,
            reader,
        }
    }

    pub(super) fn is_up(&self, peer: PeerId) -> bool {
        self.facts.sessions.get(&peer).is_some_and(|(_, up)| *up)
    }

    pub(super) fn forget_stale(&mut self, peer: PeerId, older_than: u32) {
        self.forget_stale_of(peer, older_than, |_| true);
    }

    pub(super) fn forget_stale_of(&mut self, peer: PeerId, older_than: u32, of: impl Fn(&IpNet) -> bool) {
        self.facts.told.retain(|(prefix, from, _), path| {
            *from != Teller::Peer(peer) || path.stale <= older_than || !of(prefix)
        });
    }

    pub(super) fn take(&mut self, step: Step) {
        self.make(step);
        let gone = self.hear();
        let one_each = gone.is_empty() && self.touches_one_each(&step);
        gone.into_iter().for_each(|peer| self.down(peer, false));
        if self.facts.options.prefer_oldest {
            self.see_what_is_best(one_each);
        }
    }

    /// Takes note of what was said of bounds; who is to be sent away for that.
    pub(super) fn hear(&mut self) -> Vec<u8> {
        let mut gone = Vec::new();
        for event in &self.lab.events[self.heard..] {
            let Event::Limit(limit) = event else { continue };
            let exceeded = limit.level == LimitLevel::Exceeded;
            if limit.what == Limited::Memory && exceeded {
                self.full.insert(limit.peer);
            } else if limit.what == Limited::Memory {
                self.full.remove(&limit.peer);
            } else if exceeded && limit.limit.action == LimitAction::Stop {
                gone.push(u8::try_from(limit.peer.0).unwrap());
            }
        }
        self.heard = self.lab.events.len();
        gone
    }

    fn make(&mut self, step: Step) {
        match step {
            Step::Announce { peer, path, prefixes, attributes, next_hop } => {
                self.announce(peer, path, prefixes, attributes, next_hop);
            }
            Step::Withdraw { peer, path, prefixes } => self.withdraw(peer, path, prefixes),
            Step::Up { peer, variant } => self.up(peer, variant),
            Step::Down { peer, stale } => self.down(peer, stale),
            Step::EndOfRib { peer, v6 } => self.end_of_rib(peer, family(v6)),
            Step::RefreshFromPeer { peer, v6 } => self.refresh_from_peer(peer, family(v6)),
            Step::Begin { peer, v6 } => self.begin_refresh(peer, family(v6)),
            Step::End { peer, v6 } => self.end_refresh(peer, family(v6)),
            Step::Originate { owner, prefixes, attributes } => self.originate(owner, prefixes, attributes),
            Step::Aggregate { owner, prefixes, always, suppress, except } => {
                self.put_aggregate(owner, prefixes, (always, suppress), except);
            }
            Step::Unoriginate { owner, prefixes } => self.unoriginate(owner, prefixes),
            Step::NextHop { which, metric } => self.next_hop(which, metric),
            Step::SetPolicy { peer, import, export } => self.set_policy(peer, import, export),
            Step::Swaps { peer, exports, reads } => self.swaps(peer, exports, reads),
            Step::Change { peer, client, cluster, leaving, next_hop } => {
                self.change(peer, (client, cluster), leaving, next_hop);
            }
            Step::Border { peer, private, own_as, flags } => self.border(peer, private, own_as, flags),
            Step::Ways { most, internal, relax } => {
                let internal = internal.map(usize::from);
                let multipath = Multipath { paths: usize::from(most), internal, relax };
                self.facts.multipath = multipath;
                self.lab.input(Input::Multipath(multipath));
            }
            Step::Decide { always, worst, oldest } => {
                let options = DecisionOptions {
                    always_compare_med: always,
                    missing_med_as_worst: worst,
                    prefer_oldest: oldest,
                };
                self.facts.options = options;
                self.lab.input(Input::Decision(options));
            }
            Step::Rename { other_as, other_id, cluster } => self.rename(other_as, other_id, cluster),
            Step::Vrps { announced, withdrawn } => self.vrps(announced, withdrawn),
            Step::Again { peer, variant } => self.again(peer, variant),
            Step::Bound { peer, v6, most } => self.bound(peer, family(v6), most),
            Step::Follow { most } => {
                self.follow(usize::from(most));
            }
            Step::Read { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.lab.read_once(peer, 64);
                    if !self.defers {
                        self.unread.remove(&peer);
                    }
                }
            }
            Step::Drain { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.drain(peer);
                }
            }
            Step::Tick => self.lab.input(Input::Tick),
            Step::Later { seconds } => self.later(seconds),
            Step::Defer { on, selection } => {
                self.facts.deferring = selection;
                self.lab.input(Input::DeferSelection(selection));
                self.defers = on;
                self.lab.input(Input::DeferEndOfRib(on));
            }
            Step::Settle => self.lab.settle(),
        }
    }
}
