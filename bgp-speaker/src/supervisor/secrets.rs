//! Passwords and keys of peers and ranges: where they are needed, and what happens when there is none.
//!
//! A peer whose secret cannot be had is *held*: its task exists and is not started, its connections are not taken, and its
//! status says why. Nobody else is affected. What held it back is looked at again every few seconds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::{Entry, Origin, Range, Supervisor};
use crate::config::{PeerClass, PeerConfig, SessionOptions};
use crate::down_cause::DownCause;
use crate::error::SpeakerError;
use crate::event::Event;
use crate::peer::Order;
use crate::peer_address::PeerAddress;
use crate::tcp::{self, Key, MasterKey, Password, Secret};

/// Between two looks at password files and at peers that are held: a mounted secret changes rarely, and a look costs one
/// read of a small file.
pub(super) const REVIEW: Duration = Duration::from_secs(5);

/// What a peer may begin with.
pub(super) struct Admission {
    /// Its key, if it is to have one.
    pub(super) key: Option<Key>,
    /// Why it can dial and not be dialled.
    pub(super) note: Option<String>,
}

/// Passwords of one look, so that a file that many peers share is read once.
#[derive(Default)]
struct Reading(HashMap<PathBuf, Result<Password, String>>);

impl Reading {
    /// The key that these options ask for, or in words why it is not there; `None` if they ask for none.
    fn key(&mut self, options: &SessionOptions) -> Option<Result<Key, String>> {
        if let Some(secret) = options.password.as_ref().filter(|_| options.tcp_ao.is_empty()) {
            return Some(self.of(secret).map(Key::Md5));
        }
        let master = |key: &tcp::AoKey| {
            let secret = self.of(&key.secret).map_err(|why| format!("TCP-AO key {}: {why}", key.send_id))?;
            Ok(MasterKey { send_id: key.send_id, recv_id: key.recv_id, algorithm: key.algorithm, secret })
        };
        let chain: Result<Vec<MasterKey>, String> = options.tcp_ao.iter().map(master).collect();
        options.is_signed().then(|| chain.map(|chain| Key::Ao(chain.into())))
    }

    fn of(&mut self, secret: &Secret) -> Result<Password, String> {
        match secret {
            Secret::File(path) => self.0.entry(path.clone()).or_insert_with(|| secret.read()).clone(),
            _ => secret.read(),
        }
    }
}

impl Supervisor {
    /// Lets a peer begin, with its password on the listening sockets, or says why it is held.
    pub(super) fn admit(&mut self, config: &PeerConfig, origin: Origin) -> Result<Admission, String> {
        self.admit_with(config, origin, &mut Reading::default())
    }

    fn admit_with(
        &mut self,
        config: &PeerConfig,
        origin: Origin,
        reading: &mut Reading,
    ) -> Result<Admission, String> {
        let host = IpNet::from(config.address);
        // Who came through a range was let in by the range.
        if let Origin::Range(prefix) = origin {
            let key = self.ranges.get(&prefix).and_then(|range| range.key.clone());
            return match (config.options.is_signed(), key) {
                (true, None) => Err("held down: the key of its range is not in use".into()),
                (_, key) => Ok(Admission { key, note: None }),
            };
        }
        self.listeners.set_hops(host, config.options.ttl_security);
        let Some(key) = reading.key(&config.options) else {
            return Ok(Admission { key: None, note: None });
        };
        self.secrets = true;
        let key = key.map_err(|why| format!("held down: {why}"))?;
        if let Some(other) = self.of_another_key(config.at(), &key) {
            return Err(format!(
                "held down: the system knows one key of an address, and {other} has another"
            ));
        }
        match self.listeners.set_key(host, &key) {
            Ok(()) => Ok(Admission { key: Some(key), note: None }),
            Err(error) if config.options.passive || !error.full => Err(format!("held down: {error}")),
            // Its own sockets have room for the key; what comes in is refused.
            Err(error) => Ok(Admission { key: Some(key), note: Some(format!("dials only: {error}")) }),
        }
    }

    /// A peer of the same address on another link that has another key.
    fn of_another_key(&self, peer: PeerAddress, key: &Key) -> Option<PeerAddress> {
        let other_key =
            |at: &PeerAddress| self.peers.get(at).is_some_and(|e| e.key.as_ref().is_some_and(|k| k != key));
        self.of_address(peer.ip()).into_iter().filter(|other| *other != peer).find(other_key)
    }

    /// Has a peer begin or end with a password or TCP-AO, on a new session that finds what the one before has left. Not one that
    /// is held, or is to be.
    pub(crate) fn resign(&mut self, address: PeerAddress, config: &PeerConfig) -> bool {
        let Some(entry) = self.peers.get(&address).filter(|entry| entry.held.is_none()) else { return false };
        let host = IpNet::from(address.ip());
        let key = match entry.origin {
            Origin::Range(prefix) => self.ranges.get(&prefix).and_then(|range| range.key.clone()),
            Origin::Configured | Origin::Mesh => Reading::default().key(&config.options).and_then(Result::ok),
        };
        match &key {
            None if config.options.is_signed() => return false,
            Some(_) | None if matches!(entry.origin, Origin::Range(_)) => {}
            Some(key) => {
                self.secrets = true;
                let clashes = self.of_another_key(address, key).is_some();
                if clashes || self.listeners.set_key(host, key).is_err() {
                    return false;
                }
            }
            None => {
                self.listeners.remove_key(host);
                // Others on other links may have the address, and the key.
                for other in self.of_address(address.ip()).into_iter().filter(|other| *other != address) {
                    self.rearm(other);
                }
            }
        }
        if let Some(entry) = self.peers.get_mut(&address) {
            entry.key.clone_from(&key);
            entry.mailbox.order(Order::Resign(key));
        }
        self.note(address, None);
        true
    }

    /// Whether a connection from this peer has been let in by its password, if it has one.
    pub(super) fn came_by_key(&self, entry: &Entry) -> bool {
        if entry.held.is_some() {
            return false;
        }
        let peers = match entry.origin {
            Origin::Configured | Origin::Mesh => IpNet::from(entry.cell.address.ip()),
            Origin::Range(prefix) => prefix,
        };
        entry.key.is_none() || self.listeners.guards(peers)
    }

    /// Whether connections from a range were let in by its password, if it has one.
    pub(super) fn takes_peers(&self, range: &Range) -> bool {
        let guarded = || range.key.is_some() && self.listeners.guards(range.config.prefix);
        !range.config.options.is_signed() || guarded()
    }

    pub(super) fn set_peer_password(
        &mut self,
        address: PeerAddress,
        secret: Option<Secret>,
    ) -> Result<(), SpeakerError> {
        let address = self.shared.named(address).unwrap_or(address);
        let config = self.configured.get_mut(&address).ok_or(SpeakerError::UnknownPeer(address))?;
        if secret.is_some() && !config.options.tcp_ao.is_empty() {
            return Err(SpeakerError::SignedTwice(address.ip()));
        }
        Arc::make_mut(config).options.password = secret;
        self.settle(address);
        Ok(())
    }

    pub(super) fn set_range_password(
        &mut self,
        prefix: IpNet,
        secret: Option<Secret>,
    ) -> Result<(), SpeakerError> {
        let range = self.ranges.get_mut(&prefix).ok_or(SpeakerError::UnknownRange(prefix))?;
        if secret.is_some() && !range.config.options.tcp_ao.is_empty() {
            return Err(SpeakerError::SignedTwice(prefix.addr()));
        }
        range.config.options.password = secret;
        self.settle_range(prefix);
        for address in self.members_of(|range| range == prefix) {
            self.settle(address);
        }
        Ok(())
    }

    pub(super) fn set_mesh_password(&mut self, secret: Option<&Secret>) {
        let mut wanted = self.mesh.clone();
        for config in wanted.values_mut().filter(|config| config.class == PeerClass::NodeToNodeMesh) {
            Arc::make_mut(config).options.password = secret.cloned();
        }
        self.apply_mesh(wanted, None);
    }

    /// Puts what protects a range on the listening sockets and its members. Until its password was in use, it takes no
    /// connection.
    pub(crate) fn settle_range(&mut self, prefix: IpNet) {
        self.settle_range_with(prefix, &mut Reading::default());
    }

    fn settle_range_with(&mut self, prefix: IpNet, reading: &mut Reading) {
        self.protect_range(prefix, reading);
        self.tell_range(prefix);
    }

    fn protect_range(&mut self, prefix: IpNet, reading: &mut Reading) {
        let Some(range) = self.ranges.get_mut(&prefix) else { return };
        self.listeners.set_hops(prefix, range.config.options.ttl_security);
        let Some(key) = reading.key(&range.config.options) else {
            (range.key, range.trouble) = (None, None);
            self.listeners.remove_key(prefix);
            return;
        };
        self.secrets = true;
        let key = match key {
            Ok(key) if range.key.as_ref() == Some(&key) && self.listeners.guards(prefix) => {
                range.trouble = None;
                return;
            }
            Ok(key) => self.listeners.set_key(prefix, &key).map(|()| key).map_err(|e| e.to_string()),
            Err(why) => Err(why),
        };
        match key {
            Ok(key) => {
                range.trouble = None;
                range.key = Some(key.clone());
                for address in self.members_of(|range| range == prefix) {
                    // Who has none yet, or one of the other kind, gets it with a new session.
                    let rolls = |e: &Entry| e.key.as_ref().is_some_and(|had| had.name() == key.name());
                    if self.peers.get(&address).is_some_and(|e| e.held.is_some() || rolls(e)) {
                        self.use_key(address, &key);
                    }
                }
            }
            Err(why) if range.trouble.as_ref() != Some(&why) => {
                tracing::warn!(range = %prefix, %why, "the password or keys of the listen range cannot be put in use");
                range.trouble = Some(why);
            }
            Err(_) => {}
        }
    }

    /// Gives a peer another key, or lets it begin.
    fn use_key(&mut self, address: PeerAddress, key: &Key) {
        let Some(entry) = self.peers.get_mut(&address) else { return };
        let is_new = entry.key.replace(key.clone()).as_ref() != Some(key);
        match entry.held.take() {
            Some(mut task) => {
                task.start(Some(key.clone()));
                self.running.insert(self.tasks.spawn(*task).id(), entry.cell.clone());
                entry.cell.note(None);
            }
            None if is_new => entry.mailbox.order(Order::Rekey(key.clone())),
            None => {}
        }
    }

    /// Protects a peer as its changed configuration says. It had a password before if it has one now, or was resigned.
    pub(crate) fn rearm(&mut self, address: PeerAddress) {
        let Some(entry) = self.peers.get(&address) else { return };
        let (config, host) = (entry.cell.config(), IpNet::from(address.ip()));
        match entry.origin {
            Origin::Configured | Origin::Mesh => {
                self.listeners.set_hops(host, config.options.ttl_security);
                self.review_peer(address, &mut Reading::default());
            }
            Origin::Range(prefix) => {
                self.listeners.forget(host);
                if let Some(key) = self.ranges.get(&prefix).and_then(|range| range.key.clone()) {
                    self.use_key(address, &key);
                }
            }
        }
    }

    /// Looks again at the password of a peer: one that is held may begin, one whose password changed gets the new one.
    fn review_peer(&mut self, address: PeerAddress, reading: &mut Reading) {
        let Some(entry) = self.peers.get(&address) else { return };
        let config = entry.cell.config();
        let Some(key) = reading.key(&config.options) else { return };
        if entry.held.is_some() {
            match self.admit_with(&config, entry.origin, reading) {
                Ok(Admission { key: Some(key), note }) => {
                    self.use_key(address, &key);
                    self.note(address, note);
                }
                Ok(_) => {}
                Err(why) => self.tell_held(address, &why),
            }
            return;
        }
        let note = match key {
            Ok(key) if entry.key.as_ref() == Some(&key) && self.came_by_key(entry) => None,
            Ok(key) => {
                let refused = self.listeners.set_key(IpNet::from(address.ip()), &key).err();
                self.use_key(address, &key);
                refused.map(|error| format!("dials only: {error}"))
            }
            // The session is as safe as it was.
            Err(why) => Some(format!("the former password stays in use: {why}")),
        };
        self.note(address, note);
    }

    fn note(&self, address: PeerAddress, note: Option<String>) {
        let Some(entry) = self.peers.get(&address) else { return };
        if entry.cell.note(note.clone())
            && let Some(note) = note
        {
            tracing::warn!(peer = %address, "{note}");
        }
    }

    /// Says why a peer is held, once.
    pub(super) fn tell_held(&self, address: PeerAddress, why: &str) {
        let Some(entry) = self.peers.get(&address) else { return };
        if entry.cell.note(Some(why.to_owned())) {
            tracing::warn!(peer = %address, "{why}");
            let (cause, reason) = (DownCause::Held, why.to_owned());
            self.shared.emit(Event::PeerDown { peer: address, cause, reason, retained: false });
        }
    }

    /// Looks at password files and held peers again.
    pub(super) fn review(&mut self) {
        let reading = &mut Reading::default();
        self.shared.set_signatures(tcp::signature_failures());
        let ranges: Vec<IpNet> = (self.ranges.iter())
            .filter(|(_, range)| range.config.options.reads_secrets() || !self.takes_peers(range))
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in ranges {
            self.settle_range_with(prefix, reading);
        }
        let peers: Vec<PeerAddress> = (self.peers.iter())
            .filter(|(_, e)| !matches!(e.origin, Origin::Range(_)))
            .filter(|(_, e)| e.cell.config().options.reads_secrets() || !self.came_by_key(e))
            .map(|(address, _)| *address)
            .collect();
        for address in peers {
            self.review_peer(address, reading);
        }
    }
}
