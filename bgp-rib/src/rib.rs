//! The door: inputs go in, events and bytes come out.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use bgp_wire::{
    AttributeBlock, ClusterId, Family, FamilySet, NlriBlock, Reach, RefreshKind, RouteRefresh, UpdateView,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::aggregate::Aggregates;
use crate::attributes::AttributeStore;
use crate::batch::Draft;
use crate::config::{DecisionOptions, RibConfig};
use crate::decision::Ladder;
use crate::event::{Event, Input, NextHopUse, Origination, Reachability, Transmit};
use crate::follower::Follower;
use crate::import::{self, Identity, Importer, Ineligible};
use crate::martian::{self, is_martian};
use crate::next_hops::NextHopTable;
use crate::nlri::RouteNlri;
use crate::origin_validation::VrpTable;
use crate::path::LOCAL;
use crate::peer::{Peer, Peers};
use crate::prefix::Key;
use crate::roles;
use crate::slab::NONE;
use crate::table::{Shared, Table, Told};
use crate::transmit::Progress;
use crate::{OwnerId, PeerId, ReaderId};

/// Runs an expression on the table of a family, if it has one.
macro_rules! on_table {
    ($rib:expr, $family:expr, $table:ident => $body:expr) => {
        match $family {
            Family::IPV4_UNICAST => {
                let $table = &mut $rib.ipv4;
                Some($body)
            }
            Family::IPV6_UNICAST => {
                let $table = &mut $rib.ipv6;
                Some($body)
            }
            family => $rib.further.iter_mut().find(|table| table.family == family).map(|$table| $body),
        }
    };
}
pub(crate) use on_table;

/// The same for an expression that only looks.
macro_rules! in_table {
    ($rib:expr, $family:expr, $table:ident => $body:expr) => {
        match $family {
            Family::IPV4_UNICAST => {
                let $table = &$rib.ipv4;
                Some($body)
            }
            Family::IPV6_UNICAST => {
                let $table = &$rib.ipv6;
                Some($body)
            }
            family => $rib.further.iter().find(|table| table.family == family).map(|$table| $body),
        }
    };
}
pub(crate) use in_table;

/// Runs a statement on every table.
macro_rules! each_table {
    ($rib:expr, $table:ident => $body:expr) => {{
        let $table = &mut $rib.ipv4;
        $body;
        let $table = &mut $rib.ipv6;
        $body;
        for $table in &mut $rib.further {
            $body;
        }
    }};
}
pub(crate) use each_table;

/// Runs a statement that only looks on every table.
macro_rules! each_table_in {
    ($rib:expr, $table:ident => $body:expr) => {{
        let $table = &$rib.ipv4;
        $body;
        let $table = &$rib.ipv6;
        $body;
        for $table in &$rib.further {
            $body;
        }
    }};
}
pub(crate) use each_table_in;

/// Whether something holds for any table.
macro_rules! any_table {
    ($rib:expr, $table:ident => $body:expr) => {{
        let ipv4 = {
            let $table = &$rib.ipv4;
            $body
        };
        let $table = &$rib.ipv6;
        ipv4 || $body || $rib.further.iter().any(|$table| $body)
    }};
}
pub(crate) use any_table;

/// The tables of one speaker. See the [crate page](crate) for how to drive it.
#[derive(Debug)]
pub struct Rib {
    pub(crate) shared: Shared,
    pub(crate) ipv4: Table<Ipv4Net>,
    pub(crate) ipv6: Table<Ipv6Net>,
    /// The other families, made with the first peer that has one.
    pub(crate) further: Vec<Table<RouteNlri>>,
    /// Every cluster that this speaker reflects for.
    pub(crate) clusters: Vec<ClusterId>,
    pub(crate) now: Duration,
    pub(crate) events: VecDeque<Event>,
    /// When stale routes of a peer must be gone.
    pub(crate) deadlines: BTreeSet<(Duration, u32)>,
    /// Until when a peer's End-of-RIB of its memberships is waited for (RFC 4684 §6).
    pub(crate) awaited: BTreeSet<(Duration, u32)>,
    /// Peers whose memberships changed, to be told the difference.
    pub(crate) interested: BTreeSet<u32>,
    /// Peers of VPN families that do not speak of route targets; the default one is originated on their behalf.
    pub(crate) unconstrained: u32,
    pub(crate) asks_for_everything: bool,
    /// Peers with paths to be swept.
    pub(crate) sweeps: BTreeSet<u32>,
    pub(crate) followers: Vec<Option<Follower>>,
    draft: Draft,
    block: Vec<u8>,
}

impl Rib {
    /// Empty tables.
    #[must_use]
    pub fn new(config: RibConfig) -> Self {
        let clusters = vec![config.cluster_id()];
        Self {
            ipv4: Table::new(Family::IPV4_UNICAST, &config),
            ipv6: Table::new(Family::IPV6_UNICAST, &config),
            further: Vec::new(),
            shared: Shared {
                peers: Peers::default(),
                attributes: AttributeStore::new(config.seed),
                next_hops: NextHopTable::new(config.seed, config.track_next_hops),
                aggregates: Aggregates::default(),
                vrps: VrpTable::default(),
                two_origins: Vec::new(),
                ladder: Ladder::default(),
                defers_selection: false,
                config,
            },
            clusters,
            now: Duration::ZERO,
            events: VecDeque::new(),
            deadlines: BTreeSet::new(),
            awaited: BTreeSet::new(),
            interested: BTreeSet::new(),
            unconstrained: 0,
            asks_for_everything: false,
            sweeps: BTreeSet::new(),
            followers: Vec::new(),
            draft: Draft::default(),
            block: Vec::new(),
        }
    }

    /// What these tables were made with.
    #[must_use]
    pub fn config(&self) -> &RibConfig {
        &self.shared.config
    }

    /// Takes one input. Never fails: what a peer does wrong is its loss and shows in [`Rib::explain`].
    pub fn handle(&mut self, now: Duration, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::PeerUp(peer, params) => self.peer_up(peer, *params),
            Input::PeerDown(peer, retain) => self.peer_down(peer.0, retain),
            Input::Update(peer, update) => self.update(peer, update),
            Input::Refresh(peer, refresh) => self.refresh(peer, refresh),
            Input::Originate(owner, routes) => {
                routes.iter().for_each(|route| self.originate(owner, route));
            }
            Input::Withdraw(owner, prefixes) => {
                prefixes.iter().for_each(|prefix| self.withdraw(owner, *prefix));
            }
            Input::NextHop(to, reachability) => self.next_hop(to, reachability),
            Input::NextHopInterface(to, interface) => self.next_hop_interface(to, interface.as_ref()),
            Input::SetPolicy { peer, import, export } => self.set_policy(peer, import, export),
            Input::PeerChange(peer, params) => self.peer_change(peer, *params),
            Input::Rename { local_as, router_id, cluster_id } => self.rename(local_as, router_id, cluster_id),
            Input::Multipath(multipath) => self.set_multipath(multipath),
            Input::UniqueOrigins(within) => self.expect_one_origin(within),
            Input::Decision(options) => self.decide_by(options),
            Input::Vrps(change) => self.change_vrps(change),
            Input::DeferEndOfRib(defers) => self.defer_end_of_rib(defers),
            Input::DeferSelection(defers) => self.defer_selection(defers),
            Input::Tick => self.tick(),
        }
        while let Some(slot) = self.shared.attributes.take_lighter() {
            self.check_limits(slot);
        }
        self.close_multipath();
        self.wake();
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            let mut woken = None;
            each_table!(self, table => woken = woken.or_else(|| table.wake_next()));
            self.say_pending(woken?);
        }
        self.events.pop_front()
    }

    /// The next change of which next hops the routes name; nothing without [`RibConfig::track_next_hops`].
    pub fn poll_next_hop(&mut self) -> Option<NextHopUse> {
        self.shared.next_hops.poll_use()
    }

    /// When [`Input::Tick`] is due: at once while work is left over, else when stale routes run out of time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let busy = any_table!(self, table => table.rescan.is_some() || table.reapable() || table.is_marking() || table.is_aggregating(&self.shared));
        if !self.sweeps.is_empty() || busy {
            return Some(self.now);
        }
        self.deadlines.first().into_iter().chain(self.awaited.first()).map(|&(at, _)| at).min()
    }

    /// The next bytes for a peer whose socket has room: about `budget`, at least one batch. `None`: nothing is left, and
    /// [`Event::Pending`] will say when there is something. An empty [`Transmit`]: this turn found nothing for the peer, ask again.
    pub fn poll_transmit(&mut self, peer: PeerId, budget: usize) -> Option<Transmit> {
        self.shared.peers.up(peer.0)?;
        if self.interested.contains(&peer.0) {
            self.follow_interest(peer.0);
        }
        let mut chunks = Vec::new();
        let mut open = 0;
        each_table!(self, table => open += usize::from(table.has_more(peer.0)));
        let share = budget / open.max(1);
        let mut drained = true;
        let (shared, draft) = (&self.shared, &mut self.draft);
        each_table!(self, table => {
            let progress = table.transmit(shared, draft, peer.0, share, &mut chunks);
            drained &= progress == Progress::Drained;
            if core::mem::take(&mut table.said_end) {
                self.events.push_back(Event::EndOfRibSent(peer, table.family));
            }
        });
        if self.shared.peers.bounded
            && any_table!(self, table => table.reader(peer.0).is_some_and(|reader| reader.bounded.is_some()))
        {
            self.check_limits(peer.0);
        }
        // A walk over one difference ended: the next one may have waited for it.
        if drained && self.interested.contains(&peer.0) {
            self.follow_interest(peer.0);
            drained = !any_table!(self, table => table.has_more(peer.0));
        }
        if drained {
            self.fall_idle(peer.0);
        }
        let nothing = drained && chunks.is_empty();
        (!nothing).then_some(Transmit { chunks, last: drained })
    }

    fn update(&mut self, peer: PeerId, update: &UpdateView<'_>) {
        let Some(state) = self.shared.peers.up(peer.0) else { return };
        let families = state.params.families;
        for block in update.unreach().filter(|block| families.contains(block.family())) {
            let shared = &mut self.shared;
            on_table!(self, block.family(), table => unreach(table, shared, peer.0, &block));
        }
        if let Some(family) = update.end_of_rib().filter(|&family| families.contains(family)) {
            self.end_of_rib(peer.0, family);
        }
        let mut block = core::mem::take(&mut self.block);
        block.clear();
        for reach in update.reach().filter(|reach| families.contains(reach.family)) {
            if block.is_empty() {
                update.canonical_attributes(&mut block);
            }
            self.reach(peer.0, &reach, &block);
        }
        self.block = block;
        self.check_limits(peer.0);
    }

    fn reach(&mut self, slot: u32, reach: &Reach<'_>, block: &[u8]) {
        let left = self.left_for_sets(slot);
        let Some(peer) = self.shared.peers.up(slot) else { return };
        let Shared { config, .. } = &self.shared;
        let us = Identity { asn: config.local_as, router_id: config.router_id, clusters: &self.clusters };
        let verdict = import::judge(&peer.params, &us, reach.family, &AttributeBlock::trusted(block));
        // Whatever is thought of it now: it may be judged anew later.
        let marked = roles::marked(&peer.params, reach.family, block);
        let block = marked.as_deref().unwrap_or(block);
        let accepts_all = peer.params.import.accepts_all();
        let verdict = verdict.map_or(0, |reason| reason as u8);
        let next_hop = self.shared.next_hops.intern(reach.next_hop);
        self.shared.attributes.payer = peer.account;
        let attributes = self.shared.intern(block, next_hop, None);
        let marks = self.shared.attributes[attributes].summary.marks;
        let own_as = self.shared.config.local_as;
        let edits = |peer: &Peer| import::session_edits(&peer.params, own_as, marks);
        let rules = verdict == 0 && (!accepts_all || self.shared.peers.up(slot).is_some_and(edits));
        let shared = &mut self.shared;
        if rules {
            let mut importer = Importer::new(slot, attributes);
            on_table!(self, reach.family, table => each(table, &reach.nlri, |table, path_id, key| {
                let (attributes, verdict) = importer.judge(shared, reach.family, key.prefix());
                table.announce(shared, key, Told { peer: slot, path_id, attributes, verdict });
            }));
            importer.close(shared);
        } else {
            on_table!(self, reach.family, table => each(table, &reach.nlri, |table, path_id, key| {
                let martian = verdict == 0 && martian::is_of_no_network(reach.family, key.prefix());
                let verdict = if martian { Ineligible::Martian as u8 } else { verdict };
                let told = Told { peer: slot, path_id, attributes, verdict };
                table.announce(shared, key, told);
            }));
        }
        self.shared.release(attributes);
        let account = self.shared.attributes.payer;
        if self.shared.attributes.account(account) > left {
            let shared = &mut self.shared;
            on_table!(self, reach.family, table => each(table, &reach.nlri, |table, path_id, key| {
                table.take_back(shared, &key, slot, path_id);
            }));
        }
        self.shared.attributes.payer = NONE;
    }

    fn originate(&mut self, owner: OwnerId, route: &Origination) {
        if is_martian(route.prefix) {
            self.events.push_back(Event::OriginationRefused(owner, route.prefix));
            return;
        }
        if route.aggregation.is_some() {
            return self.aggregate(owner, route);
        }
        self.end_aggregate(owner, route.prefix);
        self.originate_route(owner, route);
    }

    /// Puts a route of an owner into the table, or says that it cannot be told.
    pub(crate) fn originate_route(&mut self, owner: OwnerId, route: &Origination) {
        let mut block = core::mem::take(&mut self.block);
        block.clear();
        let sendable = route.next_hop.is_none_or(|next_hop| next_hop.is_sendable());
        if sendable && route.attributes.encode_block(&mut block).is_ok() {
            let next_hop = route.next_hop.map_or(NONE, |next_hop| self.shared.next_hops.intern(next_hop));
            let attributes = self.shared.intern(&block, next_hop, route.facts());
            let told = Told { peer: LOCAL, path_id: owner.0, attributes, verdict: 0 };
            match route.prefix {
                IpNet::V4(net) => self.ipv4.announce(&mut self.shared, net.trunc(), told),
                IpNet::V6(net) => self.ipv6.announce(&mut self.shared, net.trunc(), told),
            }
            self.shared.release(attributes);
        } else {
            self.events.push_back(Event::OriginationRefused(owner, route.prefix));
        }
        self.block = block;
    }

    fn withdraw(&mut self, owner: OwnerId, prefix: IpNet) {
        self.end_aggregate(owner, prefix);
        self.withdraw_route(owner, prefix);
    }

    pub(crate) fn withdraw_route(&mut self, owner: OwnerId, prefix: IpNet) {
        match prefix {
            IpNet::V4(net) => self.ipv4.withdraw(&mut self.shared, &net.trunc(), LOCAL, owner.0),
            IpNet::V6(net) => self.ipv6.withdraw(&mut self.shared, &net.trunc(), LOCAL, owner.0),
        }
    }

    fn next_hop(&mut self, to: IpAddr, reachability: Reachability) {
        if self.shared.next_hops.tell(to, reachability) {
            self.begin_rescan();
        }
    }

    fn decide_by(&mut self, options: DecisionOptions) {
        if core::mem::replace(&mut self.shared.config.decision, options) != options {
            self.begin_rescan();
        }
    }

    pub(crate) fn begin_rescan(&mut self) {
        each_table!(self, table => table.begin_rescan());
    }

    fn refresh(&mut self, peer: PeerId, refresh: RouteRefresh) {
        let Some(state) = self.shared.peers.up(peer.0) else { return };
        if !state.params.families.contains(refresh.family) {
            return;
        }
        let enhanced = state.params.enhanced_refresh;
        match refresh.kind {
            RefreshKind::REQUEST => {
                on_table!(self, refresh.family, table => if let Some(reader) = table.reader_mut(peer.0) {
                    reader.ask_refresh(enhanced);
                });
                self.say_pending(peer.0);
            }
            RefreshKind::BEGIN if enhanced => {
                on_table!(self, refresh.family, table => table.begin_refresh(peer.0));
            }
            RefreshKind::END if enhanced => {
                let sweep = on_table!(self, refresh.family, table => table.end_refresh(peer.0));
                self.sweep_if(peer.0, sweep);
                self.check_limits(peer.0);
            }
            _ => {}
        }
    }

    /// The families that have a table: both of unicast, and every other that a peer has had.
    #[must_use]
    pub fn families(&self) -> FamilySet {
        let plain = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
        plain.into_iter().chain(self.further.iter().map(|table| table.family)).collect()
    }

    /// Makes the tables that a peer's families ask for.
    pub(crate) fn open_tables(&mut self, families: FamilySet) {
        let there = self.families();
        for family in families.iter().filter(|&family| !there.contains(family)) {
            let mut table = Table::new(family, &self.shared.config);
            table.defer_end_of_rib(self.ipv4.defers_end_of_rib);
            self.further.push(table);
        }
    }

    pub(crate) fn told_everything(&mut self, slot: u32, family: Family) {
        let sweep = on_table!(self, family, table => table.told_everything(slot));
        self.sweep_if(slot, sweep);
    }

    pub(crate) fn sweep_if(&mut self, slot: u32, sweep: Option<bool>) {
        if sweep == Some(true) {
            self.sweeps.insert(slot);
        }
    }

    /// One bounded turn of everything that was too much for the input that caused it.
    fn tick(&mut self) {
        let turn = self.shared.config.turn.max(1);
        self.expire();
        self.end_waiting();
        self.sweep(turn as usize);
        each_table!(self, table => table.continue_marking(turn));
        each_table!(self, table => table.continue_rescan(&mut self.shared, &self.clusters, turn));
        self.end_judging();
        each_table!(self, table => table.continue_building(&self.shared, turn));
        self.end_building();
        each_table!(self, table => table.continue_looking(&self.shared, turn));
        each_table!(self, table => table.continue_aggregating(&mut self.shared, turn));
        each_table!(self, table => table.reap(turn as usize));
    }

    /// Logs of paths that are built now let go of the End-of-RIBs that waited for them.
    fn end_building(&mut self) {
        let mut built = false;
        each_table!(self, table => built |= table.take_built());
        if built {
            self.wake_waiting();
        }
    }

    /// Says of a peer once that there is something to read.
    pub(crate) fn say_pending(&mut self, slot: u32) {
        if let Some(peer) = self.shared.peers.get_mut(slot).filter(|peer| peer.up && !peer.told) {
            peer.told = true;
            self.events.push_back(Event::Pending(PeerId(slot)));
        }
    }

    /// A peer has read everything: it stands in its groups' lists until there is more.
    fn fall_idle(&mut self, slot: u32) {
        if let Some(peer) = self.shared.peers.get_mut(slot) {
            peer.told = false;
        }
        each_table!(self, table => table.fall_idle(slot));
        self.check_limits(slot);
    }

    /// Tells idle readers of what changed since they were told last.
    fn wake(&mut self) {
        self.settle_aggregates();
        self.tell_two_origins();
        self.follow_interests();
        self.bound_followers();
        each_table!(self, table => {
            let news = table.news();
            if core::mem::replace(&mut table.woken, news) != news {
                table.take_idle();
            }
        });
        let heads = [self.ipv4.followed().head(), self.ipv6.followed().head()];
        let marked = [self.ipv4.marked(), self.ipv6.marked()];
        for (id, follower) in (0..).zip(&mut self.followers) {
            let Some(follower) = follower.as_mut().filter(|follower| !follower.told) else { continue };
            let routes = follower.places.iter().zip(heads).any(|(place, head)| place.cursor < head);
            if routes
                || follower.marks.is_some_and(|marks| marks.iter().zip(marked).any(|(&at, head)| at < head))
            {
                follower.told = true;
                self.events.push_back(Event::ReaderPending(ReaderId(id)));
            }
        }
    }
}

fn each<K: Key>(table: &mut Table<K>, nlri: &NlriBlock<'_>, mut then: impl FnMut(&mut Table<K>, u32, K)) {
    K::read(nlri, |path_id, key| then(table, path_id.0, key));
}

fn unreach<K: Key>(table: &mut Table<K>, shared: &mut Shared, slot: u32, block: &NlriBlock<'_>) {
    K::read(block, |path_id, key| table.withdraw(shared, &key, slot, path_id.0));
}

impl<K: Key> Table<K> {
    fn fall_idle(&mut self, slot: u32) {
        let Some(reader) = self.reader_mut(slot).filter(|reader| !reader.listed) else { return };
        reader.listed = true;
        let (index, log) = (reader.group, reader.log);
        let head = self.log_of(log).head();
        let own = self.reader(slot).map_or(0, |reader| self.own_head(reader));
        if log == NONE {
            let told = self.advertised_about(slot);
            if let Some(reader) = self.reader_mut(slot).filter(|reader| reader.cursor == head) {
                reader.advertised = told;
            }
        }
        if let Some(group) = self.groups.get_mut(index) {
            group.woken = head + own;
            group.idle.push(slot);
        }
    }

    /// Members that were idle and have something to read now are to be woken.
    fn take_idle(&mut self) {
        for group in self.groups.iter_mut() {
            let own = group.own.as_ref().map_or(0, |own| own.log().head());
            let head = self.path_logs.get(group.log).map_or(&self.log, |paths| &paths.log).head() + own;
            if core::mem::replace(&mut group.woken, head) != head {
                self.waking.extend(group.idle.drain(..));
            }
        }
    }

    /// The next one that is to be woken.
    fn wake_next(&mut self) -> Option<u32> {
        let slot = self.waking.pop_front()?;
        if let Some(reader) = self.reader_mut(slot) {
            reader.listed = false;
        }
        Some(slot)
    }

    /// A reader that is idle goes, or reads in another group: it stands in one of two lists, mostly near the beginning when all
    /// of them go in order.
    pub(crate) fn unlist(&mut self, group: u32, slot: u32) {
        if !self.reader(slot).is_none_or(|reader| reader.listed) {
            return;
        }
        let idle = self.groups.get_mut(group).map(|group| &mut group.idle);
        let found = idle.and_then(|idle| Some((idle.iter().position(|&other| other == slot)?, idle)));
        match found {
            Some((at, idle)) => drop(idle.remove(at)),
            None => self.waking.retain(|&other| other != slot),
        }
    }
}
