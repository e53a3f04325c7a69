//! The connections of a session, at most two.

use core::time::Duration;

use crate::ConnId;
use crate::collision::{Contender, Opener};
use crate::states::Phase;
use crate::timer::{Timer, Timers};

/// One TCP connection.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Connection {
    pub(crate) id: ConnId,
    pub(crate) opener: Opener,
    pub(crate) phase: Phase,
    pub(crate) timers: Timers,
    /// When our last KEEPALIVE went out.
    pub(crate) keepalive_sent: Duration,
}

impl Connection {
    /// A connection of the peer's on which it has said nothing.
    pub(crate) fn is_mute(&self) -> bool {
        let mute = match &self.phase {
            Phase::DelayOpen(state) => state.heard.is_none(),
            Phase::OpenSent(_) => true,
            Phase::OpenConfirm(_) | Phase::Established(_) => false,
        };
        mute && self.opener == Opener::Peer
    }

    /// A connection of ours on which the peer has left our OPEN without an answer for this long.
    pub(crate) fn is_unanswered(&self, now: Duration, patience: Duration) -> bool {
        let since = match &self.phase {
            Phase::OpenSent(state) => state.since,
            Phase::DelayOpen(_) | Phase::OpenConfirm(_) | Phase::Established(_) => return false,
        };
        self.opener == Opener::Us && now.saturating_sub(since) >= patience
    }

    pub(crate) fn contender(&self) -> Contender {
        Contender { opener: self.opener, progress: self.phase.progress() }
    }
}

/// Two: one that each side opened. A third means that the peer has given up one that it opened before.
pub(crate) const MAX_CONNECTIONS: usize = 2;

/// The connections in the order in which they were made.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Connections {
    slots: [Option<Connection>; MAX_CONNECTIONS],
}

impl Connections {
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().flatten()
    }

    pub(crate) fn first(&self) -> Option<&Connection> {
        self.slots.iter().flatten().next()
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<&Connection> {
        self.iter().find(|conn| conn.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.slots.iter_mut().flatten().find(|conn| conn.id == id)
    }

    /// The other one than `id`.
    pub(crate) fn sibling(&self, id: ConnId) -> Option<&Connection> {
        self.iter().find(|conn| conn.id != id)
    }

    /// Whether `id` was made after all others.
    pub(crate) fn is_newest(&self, id: ConnId) -> bool {
        self.iter().last().is_some_and(|conn| conn.id == id)
    }

    /// Takes in a new connection; `false` when there is no room.
    pub(crate) fn add(&mut self, conn: Connection) -> bool {
        let free = self.slots.iter_mut().find(|slot| slot.is_none());
        free.map(|slot| *slot = Some(conn)).is_some()
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Connection> {
        let slot = self.slots.iter_mut().find(|slot| slot.as_ref().is_some_and(|conn| conn.id == id))?;
        let removed = slot.take();
        // Keeps the order of age.
        self.slots.sort_by_key(Option::is_none);
        removed
    }

    /// The next timer to expire over all connections.
    pub(crate) fn next_timer(&self) -> Option<(Duration, ConnId, Timer)> {
        let next = |conn: &Connection| conn.timers.next().map(|(at, timer)| (at, conn.id, timer));
        self.iter().filter_map(next).min_by_key(|(at, ..)| *at)
    }
}
