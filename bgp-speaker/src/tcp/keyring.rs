//! The TCP-MD5 keys of the listening sockets.
//!
//! The kernel finds the key of a connection by the longest matching prefix, and has room for some hundreds of them on a
//! socket. A peer that a range with the same password covers therefore takes no key of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::fd::AsFd;

use ipnet::IpNet;

use super::{Password, option};

/// Where the kernel bounds the memory for options of one socket.
const OPTMEM_MAX: &str = "/proc/sys/net/core/optmem_max";

/// Why a key could not be put on the listening sockets.
#[derive(Debug)]
pub(crate) struct KeyError {
    /// The socket has no room for another key; it may have when others go.
    pub(crate) full: bool,
    words: String,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// What the system said about a key, in words. `keys` are already on the socket.
pub(super) fn key_refused(error: &io::Error, keys: Option<usize>) -> String {
    #[cfg(target_os = "linux")]
    match error.raw_os_error() {
        Some(libc::ENOMEM) => return no_room(keys),
        Some(libc::ENOPROTOOPT) => {
            return "this kernel has no TCP-MD5 (CONFIG_TCP_MD5SIG): sessions with a password stay down"
                .into();
        }
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::Unsupported => "sessions with a password need Linux".into(),
        _ => format!("the system refuses the TCP-MD5 key: {error}"),
    }
}

#[cfg(target_os = "linux")]
fn no_room(keys: Option<usize>) -> String {
    let limit = std::fs::read_to_string(OPTMEM_MAX).unwrap_or_else(|_| "unknown".into());
    let keys = keys.map_or_else(String::new, |keys| format!(" beside the {keys} that it has"));
    format!(
        "the listening socket has no room for another TCP-MD5 key{keys}: raise the sysctl net.core.optmem_max (it is {}), \
         or give peers of one prefix one password in a listen range",
        limit.trim()
    )
}

/// The keys that are wanted on a set of listening sockets, and those that are there.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    wanted: BTreeMap<IpNet, Password>,
    installed: BTreeSet<IpNet>,
}

impl Keyring {
    /// Wants this key for these peers, in place of another that they may have.
    pub(super) fn set(
        &mut self,
        sockets: &[impl AsFd],
        peers: IpNet,
        key: &Password,
    ) -> Result<(), KeyError> {
        self.wanted.insert(peers, key.clone());
        let result = self.settle(sockets, peers);
        // Those that the range covered with its former key, and those that it covers now.
        for inner in self.within(peers) {
            if let Err(error) = self.settle(sockets, inner) {
                tracing::warn!(peers = %inner, %error, "connections are not accepted");
            }
        }
        result
    }

    /// Wants no key for these peers.
    pub(super) fn remove(&mut self, sockets: &[impl AsFd], peers: IpNet) {
        if self.wanted.remove(&peers).is_none() {
            return;
        }
        // They have to have their own keys before that of the range goes.
        for inner in self.within(peers) {
            if let Err(error) = self.settle(sockets, inner) {
                tracing::warn!(peers = %inner, %error, "connections are not accepted");
            }
        }
        self.uninstall(sockets, peers);
    }

    /// Whether the sockets let in from there only who has the key that is wanted.
    pub(super) fn guards(&self, peers: IpNet) -> bool {
        self.wanted.contains_key(&peers) && (self.installed.contains(&peers) || self.is_covered(peers))
    }

    /// The prefixes whose keys take room in the kernel.
    #[cfg(test)]
    pub(super) fn installed(&self) -> impl Iterator<Item = &IpNet> {
        self.installed.iter()
    }

    fn settle(&mut self, sockets: &[impl AsFd], peers: IpNet) -> Result<(), KeyError> {
        let Some(key) = self.wanted.get(&peers).cloned() else { return Ok(()) };
        if self.is_covered(peers) {
            self.uninstall(sockets, peers);
            return Ok(());
        }
        for socket in sockets {
            if let Err(error) = option::set_md5_key(socket, peers, key.octets()) {
                let words = key_refused(&error, Some(self.installed.len()));
                // Not on some of the sockets, for then it would not be counted as there.
                self.uninstall(sockets, peers);
                return Err(KeyError { full: error.kind() == io::ErrorKind::OutOfMemory, words });
            }
        }
        self.installed.insert(peers);
        Ok(())
    }

    fn uninstall(&mut self, sockets: &[impl AsFd], peers: IpNet) {
        self.installed.remove(&peers);
        for socket in sockets {
            // One that is not there is gone already.
            let _ = option::set_md5_key(socket, peers, &[]);
        }
    }

    /// The next wider prefix with a key has the same one.
    fn is_covered(&self, peers: IpNet) -> bool {
        let wider = |length: u8| IpNet::new(peers.addr(), length).ok().map(|net| net.trunc());
        let covering =
            (0..peers.prefix_len()).rev().filter_map(wider).find(|net| self.installed.contains(net));
        covering.is_some_and(|net| self.wanted.get(&net) == self.wanted.get(&peers))
    }

    /// The narrower prefixes that have a key, widest first.
    fn within(&self, peers: IpNet) -> Vec<IpNet> {
        if peers.prefix_len() == peers.max_prefix_len() {
            return Vec::new();
        }
        let mut inner: Vec<IpNet> =
            self.wanted.keys().filter(|net| **net != peers && peers.contains(*net)).copied().collect();
        inner.sort_by_key(IpNet::prefix_len);
        inner
    }
}
