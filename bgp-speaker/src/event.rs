//! What happened, for whoever wants to know.

use std::net::IpAddr;

use bgp_fsm::State;
use bgp_rib::OwnerId;
use bgp_wire::Family;
use ipnet::IpNet;
use tokio::sync::broadcast;

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
        /// Why, in words.
        reason: String,
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
