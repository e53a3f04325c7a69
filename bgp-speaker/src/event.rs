//! What happened, for whoever wants to know.

use std::net::IpAddr;

use bgp_fsm::State;
use bgp_rib::{OwnerId, TwoOrigins};
use bgp_wire::Family;
use ipnet::IpNet;
use tokio::sync::broadcast;

use crate::down_cause::DownCause;
use crate::kernel::FibNotice;
use crate::peer_address::PeerAddress;
use crate::status::LimitStatus;

/// Something that happened in a speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The state of a session changed (RFC 4271 §8.2.2).
    PeerState {
        /// The peer.
        peer: PeerAddress,
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// A session is Established.
    PeerUp {
        /// The peer.
        peer: PeerAddress,
    },
    /// A session ended or could not be set up.
    PeerDown {
        /// The peer.
        peer: PeerAddress,
        /// Why.
        cause: DownCause,
        /// The same in words.
        reason: String,
        /// The session was up, and its routes are kept for its return, marked stale (RFC 4724 §4.2).
        retained: bool,
    },
    /// A peer was added, by a call, by the mesh or through a listen range.
    PeerAdded {
        /// The peer.
        peer: PeerAddress,
    },
    /// A peer was removed.
    PeerRemoved {
        /// The peer.
        peer: PeerAddress,
    },
    /// A peer has told its whole table (RFC 4724 §2).
    EndOfRib {
        /// The peer.
        peer: PeerAddress,
        /// Of this family.
        family: Family,
    },
    /// A peer has been given our whole table of a family, End-of-RIB at its end (RFC 4724 §2): it is on its way to it.
    EndOfRibSent {
        /// The peer.
        peer: PeerAddress,
        /// Of this family.
        family: Family,
    },
    /// Routes that a peer left behind have been removed: its session ended, or they were stale and not told again by
    /// End-of-RIB, by the end of a refresh, or in time (RFC 4724 §4.2, RFC 7313 §4, RFC 9494 §4.2).
    Swept {
        /// The peer.
        peer: PeerAddress,
        /// Of this family.
        family: Family,
        /// How many.
        routes: u32,
    },
    /// The peers' tables are here: told once, after the first session has come up. A peer is not waited for that says no
    /// End-of-RIB, that has a restart of its own going on, or that is not found within two attempts to reach it.
    Synchronised(Wait),
    /// This speaker has restarted, and tells its peers from now on what it has chosen, and End-of-RIB (RFC 4724 §4.1);
    /// owners that are [waited for](crate::Builder::hold_until_ready) may still hold that back.
    DeferralEnded(Wait),
    /// A peer sent a malformed UPDATE that did not end the session (RFC 7606).
    MalformedUpdate {
        /// The peer.
        peer: PeerAddress,
        /// What was wrong and what was done, in words.
        faults: String,
    },
    /// A limit of a peer came to another level. Where its action is to stop, the session ends with the next message.
    Limit {
        /// The peer.
        peer: PeerAddress,
        /// Which limit, and how far it is.
        limit: LimitStatus,
    },
    /// A route that this speaker was to originate has attributes or a next hop that no peer would take; what it would have
    /// replaced stands.
    OriginationRefused {
        /// Whose route it is.
        owner: OwnerId,
        /// Where it leads.
        prefix: IpNet,
    },
    /// A prefix that is to have one origin ([`Desired::unique_origins`](crate::Desired::unique_origins)) has two: nodes that take
    /// the same block for theirs. Told once for as long as that lasts.
    TwoOrigins(TwoOrigins),
    /// Connections came from addresses that no peer and no range has; told at most once in ten seconds.
    Strangers {
        /// How many since the last such event.
        count: u64,
        /// One of them.
        example: IpAddr,
    },
    /// A listen range did not take connections; told at most once in ten seconds for each range.
    Refused {
        /// The range.
        range: IpNet,
        /// How many since the last such event of it.
        count: u64,
        /// Who came last.
        example: PeerAddress,
        /// What stood in the way of that one.
        why: &'static str,
    },
    /// The kernel follower has something to tell.
    Kernel(FibNotice),
    /// The kernel follower was told that the table is complete: routes of a former process that nobody wants go now.
    KernelSynced,
    /// This receiver was too slow and missed this many events.
    Missed(u64),
}

/// How waiting for the tables of all peers came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// All that were waited for have told them.
    AllTold,
    /// The time for it was over.
    TimedOut,
}

/// The events of one speaker from the call of [`Speaker::events`](crate::Speaker::events) on; ends with the speaker.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the speaker has ended.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(n)) => Some(Event::Missed(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
