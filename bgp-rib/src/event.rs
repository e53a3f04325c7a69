//! The one door in and the one door out: inputs, events, bytes to write.

use std::net::IpAddr;
use std::sync::Arc;

use bgp_wire::{Asn, ClusterId, Family, NextHop, PathAttributes, RouteRefresh, RouterId, UpdateView};
use bytes::Bytes;
use ipnet::IpNet;

use crate::aggregate::Aggregation;
use crate::attributes::Facts;
use crate::config::{DecisionOptions, Multipath};
use crate::limits::LimitEvent;
use crate::origin_validation::VrpChange;
use crate::origins::TwoOrigins;
use crate::policy::{Discard, KernelTag};
use crate::{OwnerId, PeerId, PeerParams, Policy, ReaderId};

/// What can happen to the tables.
#[derive(Debug)]
pub enum Input<'a> {
    /// A session reached Established. Routes kept from its predecessor are stale until they are told again.
    PeerUp(PeerId, Box<PeerParams>),
    /// A session ended.
    PeerDown(PeerId, Retain),
    /// An UPDATE came, already made lawful by the codec (RFC 7606).
    Update(PeerId, &'a UpdateView<'a>),
    /// A ROUTE-REFRESH came (RFC 2918, RFC 7313).
    Refresh(PeerId, RouteRefresh),
    /// Routes of this speaker's own; the same prefix of the same owner replaces.
    Originate(OwnerId, &'a [Origination]),
    /// An owner lets go of prefixes.
    Withdraw(OwnerId, &'a [IpNet]),
    /// What is known about the way to a next hop; one never spoken of is reachable at no cost.
    NextHop(IpAddr, Reachability),
    /// By which interface packets to a next hop leave, if that is known: policies are asked again that ask for it
    /// ([`Condition::Interface`](crate::policy::Condition::Interface)).
    NextHopInterface(IpAddr, Option<Arc<str>>),
    /// Other policies for a peer that is up; `None` leaves the one it has. What changes by it is told, and nothing else: no
    /// session is reset and no refresh asked for.
    SetPolicy {
        /// Which peer.
        peer: PeerId,
        /// What we take from it.
        import: Option<Policy>,
        /// What we tell it.
        export: Option<Policy>,
    },
    /// Another configuration for a peer that is up: role, policies, next hops, cluster, own AS allowed, limits. What was
    /// negotiated, and who the two ends are, stays as it is. What changes by it is told, as with `SetPolicy`.
    PeerChange(PeerId, Box<PeerParams>),
    /// This speaker has other names than [`RibConfig`](crate::RibConfig) gave it. The cluster is told where it shows, and loops
    /// are looked for anew; sessions under another AS or identifier are the caller's to end.
    Rename {
        /// Our AS number.
        local_as: Asn,
        /// Our BGP identifier.
        router_id: RouterId,
        /// The cluster that we reflect for; our BGP identifier where none is given (RFC 4456 §7).
        cluster_id: Option<ClusterId>,
    },
    /// Other bounds on the next hops of a prefix than [`RibConfig`](crate::RibConfig) gave: followers that are no peers are told
    /// what changes by it, in bounded turns. Peers hear of it only where [`AddPathSend::EqualCost`](crate::AddPathSend) asks.
    Multipath(Multipath),
    /// Other options of the decision process than [`RibConfig`](crate::RibConfig) gave: every prefix is decided anew, in bounded
    /// turns, and what changes by it is told.
    Decision(DecisionOptions),
    /// Prefixes inside these networks are to have one origin, as blocks of nodes do and services do not; see
    /// [`RibConfig::unique_origins`](crate::RibConfig::unique_origins).
    UniqueOrigins(Vec<IpNet>),
    /// Which AS may originate what (RFC 6811). From the first of these on, policies that ask are told a state. What changes
    /// by it is told. However many payloads there are, this takes no longer than for one.
    Vrps(VrpChange),
    /// While on, no peer is sent its initial End-of-RIB: routes flow as always, and who forwards by stale ones of ours goes
    /// on. For a speaker that restarted, until its peers have told everything (RFC 4724 §4.1). Route target
    /// memberships are not held back: the peers' VPN routes wait for their end (RFC 4684 §6). Off from the start.
    DeferEndOfRib(bool),
    /// While on, peers with graceful restart are told what this speaker originates and nothing else: they forward by what it
    /// told them before it restarted, and a table that is half there would move them to worse routes (RFC 4724 §4.1). As it
    /// goes off, what stands is told, before End-of-RIB. Others lost everything with their session and are told at once.
    /// Off from the start.
    DeferSelection(bool),
    /// Time passed: what `poll_timeout` asked for.
    Tick,
}

/// What becomes of a peer's routes when its session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retain {
    /// They go, in bounded turns.
    Nothing,
    /// They stay, stale, until told again, swept at End-of-RIB, or out of time (RFC 4724 §4.2); those of families that are
    /// not in [`PeerParams::retained`] go.
    Stale,
}

/// A route of this speaker's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origination {
    /// The destination.
    pub prefix: IpNet,
    /// Where to send to; `None` is this speaker, as each peer knows it.
    pub next_hop: Option<NextHop>,
    /// Its path attributes; the default is ORIGIN IGP and an empty AS_PATH.
    pub attributes: PathAttributes,
    /// The metric that it has outside BGP, for policies and followers of the Loc-RIB.
    pub metric: Option<u32>,
    /// A number for policies and followers; 0 is none.
    pub tag: u32,
    /// The interface that it leaves by, for policies.
    pub interface: Option<Arc<str>>,
    /// Its preference over routes of other sources; `None` is [`preference::OWN`](crate::preference::OWN).
    pub preference: Option<u32>,
    /// How followers that write kernel routes drop its packets; `None` leaves the kernel as it is.
    pub discard: Option<Discard>,
    /// It is an aggregate: it stands for what lies inside it. `None`: it stands for itself.
    pub aggregation: Option<Arc<Aggregation>>,
}

impl Origination {
    /// A prefix reached through this speaker, with nothing more to say about it.
    #[must_use]
    pub fn new(prefix: IpNet) -> Self {
        let attributes = PathAttributes::default();
        Self {
            prefix,
            next_hop: None,
            attributes,
            metric: None,
            tag: 0,
            interface: None,
            preference: None,
            discard: None,
            aggregation: None,
        }
    }

    /// What is to be kept beside the attributes, if anything.
    pub(crate) fn facts(&self) -> Option<Facts> {
        let kernel = KernelTag {
            metric: self.metric,
            tag: Some(self.tag).filter(|&tag| tag != 0),
            discard: self.discard,
            preference: self.preference,
            ..KernelTag::default()
        };
        let facts = Facts { received: None, kernel, interface: self.interface.clone() };
        (facts != Facts::default()).then_some(facts)
    }
}

/// What is known from outside about the way to a next hop (RFC 4271 §9.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reachability {
    /// Reachable at this interior cost (RFC 4271 §9.1.2.2 (e)).
    Metric(u32),
    /// No way: routes through it are kept and not used.
    Unreachable,
    /// It is an address of this speaker's host: a route through ourselves is kept and not used (RFC 4271 §5.1.3).
    Own,
}

/// A next hop that routes name: the caller may say what the way to it is ([`Input::NextHop`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextHopUse {
    /// A route names it, and none did.
    Begins(IpAddr),
    /// No route names it any more; what was said of it is taken back with `Reachability::Metric(0)`.
    Ends(IpAddr),
}

/// What the tables have to say to the caller.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// There is something to read for a peer that had been drained; not said again until it is drained again.
    Pending(PeerId),
    /// There is something to read for a follower that had been drained.
    ReaderPending(ReaderId),
    /// The peer said End-of-RIB (RFC 4724 §2).
    EndOfRib(PeerId, Family),
    /// The peer has been given its whole initial table of a family, End-of-RIB included (RFC 4724 §2).
    EndOfRibSent(PeerId, Family),
    /// Routes of a peer that were left over have been removed, so many of them: its session ended, or they were stale and
    /// not told again by End-of-RIB, by EoRR, or in time.
    Swept(PeerId, Family, u32),
    /// Nothing of a peer that went down is left: its id is free.
    PeerGone(PeerId),
    /// An origination has attributes or a next hop that no peer would take, or belongs to no network
    /// ([`is_martian`](crate::is_martian)); what it would have replaced stands.
    OriginationRefused(OwnerId, IpNet),
    /// A prefix that is to have one origin has two; told once for as long as that lasts.
    TwoOrigins(TwoOrigins),
    /// A bound of a peer came to another level.
    Limit(LimitEvent),
    /// A peer id is out of range and the peer was not taken.
    PeerRefused(PeerId),
}

/// Bytes for one peer: whole messages in slices that the update group shares.
#[derive(Clone, Debug, Default)]
pub struct Transmit {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) last: bool,
}

impl Transmit {
    /// The slices, in order: made for one vectored write.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The slices by value.
    #[must_use]
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    /// Whether the peer is drained with it: nothing is left, and [`Event::Pending`] will say when there is something. It may
    /// be asked again nevertheless.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.last
    }

    /// How many bytes there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.iter().all(Bytes::is_empty)
    }
}
