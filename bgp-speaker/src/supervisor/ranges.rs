//! Listen ranges: who may come through one, and what is told of those who may not.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Origin, Supervisor};
use crate::config::RangeConfig;
use crate::error::SpeakerError;
use crate::event::Event;
use crate::peer_address::PeerAddress;
use crate::status::RangeStatus;
use crate::tcp::Key;
use crate::telling::{Tally, Telling};

/// Between two looks how many peers of a full range are held down: a look goes through all peers, and strangers may knock a
/// thousand times a second.
const COUNT: Duration = Duration::from_millis(100);

/// A listen range, and how many peers are there through it.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) config: RangeConfig,
    pub(crate) members: usize,
    /// How many of them were held down when that was last counted.
    held: usize,
    counted: Option<Instant>,
    /// The key in use.
    pub(super) key: Option<Key>,
    /// Why the key that is wanted is not in use.
    pub(super) trouble: Option<String>,
    /// Connections that were turned away.
    refused: u64,
    /// Those that are not told yet: a range with many hides nothing of another.
    refusals: Telling<PeerAddress>,
    /// Why the last one was.
    why: &'static str,
}

impl Supervisor {
    pub(super) fn add_range(&mut self, config: RangeConfig) -> Result<(), SpeakerError> {
        let prefix = config.prefix;
        if self.ranges.contains_key(&prefix) {
            return Err(SpeakerError::DuplicateRange(prefix));
        }
        self.insert_range(config);
        self.settle_range(prefix);
        self.shared.note_reconfigured();
        Ok(())
    }

    /// Puts a range in that is not there. Those that came through the one that it was before, and wait for a migration to
    /// end, are members of it.
    pub(crate) fn insert_range(&mut self, config: RangeConfig) {
        let prefix = config.prefix;
        let members = self.members_of(|range| range == prefix).len();
        self.ranges.insert(prefix, Range { members, ..Range::new(config) });
    }

    pub(super) fn remove_range(&mut self, prefix: IpNet) -> Result<(), SpeakerError> {
        let members = self.members_of(|range| range == prefix);
        self.ranges.remove(&prefix).ok_or(SpeakerError::UnknownRange(prefix))?;
        self.forget_range(prefix);
        self.shared.note_reconfigured();
        for address in members {
            self.remove(address);
        }
        Ok(())
    }

    pub(super) fn accepted_by_range(&mut self, stream: TcpStream, address: PeerAddress) {
        let Some(range) = self.range_for(address) else {
            self.count_stranger(address.ip());
            return;
        };
        let prefix = range.config.prefix;
        self.count_held(prefix);
        let Some(range) = self.ranges.get(&prefix) else { return };
        let obstacle = match (range.has_room(), self.takes_peers(range)) {
            (false, _) => "it is full",
            (_, false) => "its password or keys are not in use",
            (true, true) => "",
        };
        if !obstacle.is_empty() {
            self.refuse(prefix, address, obstacle);
            return;
        }
        let config = Arc::new(range.config.peer(address));
        let origin = Origin::Range(range.config.prefix);
        // A new mailbox has room.
        let _ = self.add(config, origin).accepted(stream);
    }

    /// The longest range that has this address.
    pub(crate) fn range_for(&self, address: PeerAddress) -> Option<&Range> {
        let of_address = self.ranges.values().filter(|r| r.config.prefix.contains(&address.ip()));
        of_address.max_by_key(|r| r.config.prefix.prefix_len())
    }

    /// Whether a range takes one more peer.
    pub(crate) fn has_room(&self, prefix: IpNet) -> bool {
        self.ranges.get(&prefix).is_some_and(Range::has_room)
    }

    /// Looks how many peers of a range that seems full are held down.
    fn count_held(&mut self, prefix: IpNet) {
        let Some(range) = self.ranges.get_mut(&prefix) else { return };
        let recent = range.counted.is_some_and(|counted| counted.elapsed() < COUNT);
        if range.members < range.config.limit || recent {
            return;
        }
        range.counted = Some(Instant::now());
        range.held = (self.peers.values())
            .filter(|entry| entry.origin == Origin::Range(prefix) && entry.cell.is_held())
            .count();
    }

    /// Counts a connection that a range does not take, and tells of it now and then.
    fn refuse(&mut self, prefix: IpNet, address: PeerAddress, why: &'static str) {
        let Some(range) = self.ranges.get_mut(&prefix) else { return };
        range.refused += 1;
        range.why = why;
        let told = range.refusals.count(address, Instant::now());
        if range.refusals.due().is_some() {
            self.refusing.insert(prefix);
        }
        self.tell_refusals(prefix, told);
        self.tell_range(prefix);
    }

    /// When refusals of some range are to be told.
    pub(super) fn refusals_due(&self) -> Option<Instant> {
        let refusing = self.refusing.iter().filter_map(|prefix| self.ranges.get(prefix));
        refusing.filter_map(|range| range.refusals.due()).min()
    }

    /// Tells the refusals that have waited long enough.
    pub(super) fn report_refusals(&mut self, now: Instant) {
        for prefix in std::mem::take(&mut self.refusing) {
            let Some(range) = self.ranges.get_mut(&prefix) else { continue };
            let told = range.refusals.report(now);
            if range.refusals.due().is_some() {
                self.refusing.insert(prefix);
            }
            self.tell_refusals(prefix, told);
        }
    }

    fn tell_refusals(&self, range: IpNet, told: Option<Tally<PeerAddress>>) {
        let Some(Tally { count, example }) = told else { return };
        let why = self.ranges.get(&range).map_or("", |range| range.why);
        tracing::warn!(%range, count, %example, "the listen range takes no connection: {why}");
        self.shared.emit(Event::Refused { range, count, example, why });
    }

    /// Lets `status` see how a range stands.
    pub(crate) fn tell_range(&self, prefix: IpNet) {
        if let Some(range) = self.ranges.get(&prefix) {
            self.shared.set_range(range.status());
        }
    }

    /// Takes the protection and the status of a range that is gone away.
    pub(crate) fn forget_range(&mut self, prefix: IpNet) {
        self.listeners.forget(prefix);
        self.shared.remove_range(prefix);
    }

    pub(crate) fn count_member(&mut self, origin: Origin) {
        if let Some(range) = self.range_of(origin) {
            range.members += 1;
            let status = range.status();
            self.shared.set_range(status);
        }
    }

    pub(crate) fn discount_member(&mut self, origin: Origin) {
        if let Some(range) = self.range_of(origin) {
            range.members -= 1;
            let status = range.status();
            self.shared.set_range(status);
        }
    }

    fn range_of(&mut self, origin: Origin) -> Option<&mut Range> {
        let Origin::Range(prefix) = origin else { return None };
        self.ranges.get_mut(&prefix)
    }
}

impl Range {
    fn new(config: RangeConfig) -> Self {
        Self {
            config,
            members: 0,
            held: 0,
            counted: None,
            key: None,
            trouble: None,
            refused: 0,
            refusals: Telling::default(),
            why: "",
        }
    }

    /// Whether it takes one more peer. One that is held down has no session and keeps no other peer out; as many may be
    /// remembered as there may be sessions.
    fn has_room(&self) -> bool {
        let limit = self.config.limit;
        self.members.saturating_sub(self.held) < limit && self.members < limit.saturating_mul(2)
    }

    fn status(&self) -> RangeStatus {
        RangeStatus {
            prefix: self.config.prefix,
            class: self.config.class,
            configured_as: self.config.peer_as.clone(),
            reflector_client: self.config.options.route_reflector_client,
            peers: self.members,
            limit: self.config.limit,
            refused: self.refused,
            trouble: self.trouble.clone(),
        }
    }
}
