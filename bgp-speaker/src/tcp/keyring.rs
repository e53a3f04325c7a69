//! The TCP-MD5 and TCP-AO keys of the listening sockets.
//!
//! The kernel finds the key of a connection by the longest matching prefix, and has room for some hundreds of them on a
//! socket. A peer that a range with the same password covers therefore takes no key of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd;

use ipnet::IpNet;

use super::{Key, MasterKey, option};

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

/// What the system said about a key, in words. So many `keys` are already on the socket.
pub(super) fn key_refused(key: &Key, error: &io::Error, keys: Option<usize>) -> String {
    let name = key.name();
    #[cfg(target_os = "linux")]
    match (error.raw_os_error(), key) {
        (Some(libc::ENOMEM), _) => return no_room(name, keys),
        (Some(libc::ENOPROTOOPT), Key::Md5(_)) => {
            return "this kernel has no TCP-MD5 (CONFIG_TCP_MD5SIG): sessions with a password stay down"
                .into();
        }
        (Some(libc::ENOPROTOOPT), Key::Ao(_)) => {
            return "this kernel has no TCP-AO (it needs Linux 6.7 with CONFIG_TCP_AO): sessions with TCP-AO keys stay down"
                .into();
        }
        (Some(libc::ENOENT | libc::ENOPKG), Key::Ao(_)) => {
            return "this kernel does not have the algorithm of a TCP-AO key: use another, or load its module".into();
        }
        (Some(libc::EKEYREJECTED), _) => {
            return format!(
                "the system refuses the {name} key: a range around the peer has keys of the other kind (TCP-MD5, TCP-AO)"
            );
        }
        (Some(libc::EEXIST), Key::Ao(_)) => {
            return "the system refuses the TCP-AO key: a range around the peer has one of the same ids"
                .into();
        }
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::Unsupported => format!("sessions with {name} need Linux"),
        _ => format!("the system refuses the {name} key: {error}"),
    }
}

/// Puts a key on a socket that listens or is about to connect, in place of the `former` one for the same peers. Of a chain,
/// what is new comes before what is old goes: the socket is not open in between.
pub(super) fn put(
    socket: &impl AsFd,
    peers: IpNet,
    key: &Key,
    former: Option<&Key>,
    connects: bool,
) -> io::Result<()> {
    let chain = match key {
        Key::Md5(password) => return option::set_md5_key(socket, peers, password.octets()),
        Key::Ao(chain) => chain,
    };
    let old = former.map_or(&[][..], Key::chain);
    let gone = || old.iter().filter(|key| !chain.contains(key));
    let clashes = |key: &MasterKey| chain.iter().any(|new| new.clashes(key.ids()));
    for key in gone().filter(|key| clashes(key)) {
        option::delete_ao_key(socket, peers, key.ids(), None)?;
    }
    for (n, key) in chain.iter().enumerate().filter(|(_, key)| !old.contains(key)) {
        option::add_ao_key(socket, peers, key, connects && n == 0)?;
    }
    for key in gone().filter(|key| !clashes(key)) {
        option::delete_ao_key(socket, peers, key.ids(), None)?;
    }
    Ok(())
}

/// Takes a key off a listening socket.
fn take_off(socket: &impl AsFd, peers: IpNet, key: &Key) {
    // One that is not there is gone already.
    match key {
        Key::Md5(_) => {
            let _ = option::set_md5_key(socket, peers, &[]);
        }
        Key::Ao(chain) => {
            for key in chain.iter() {
                let _ = option::delete_ao_key(socket, peers, key.ids(), None);
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn no_room(name: &str, keys: Option<usize>) -> String {
    let limit = std::fs::read_to_string(OPTMEM_MAX).unwrap_or_else(|_| "unknown".into());
    let keys = keys.map_or_else(String::new, |keys| format!(" beside the {keys} that it has"));
    format!(
        "the listening socket has no room for another {name} key{keys}: raise the sysctl net.core.optmem_max (it is {}), \
         or give peers of one prefix one password in a listen range",
        limit.trim()
    )
}

/// The keys that are wanted on a set of listening sockets, and those that are there.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    wanted: BTreeMap<IpNet, Key>,
    installed: BTreeMap<IpNet, Key>,
}

impl Keyring {
    /// Wants this key for these peers, in place of another that they may have.
    pub(super) fn set(&mut self, sockets: &[impl AsFd], peers: IpNet, key: &Key) -> Result<(), KeyError> {
        self.wanted.insert(peers, key.clone());
        let within = self.within(peers);
        // The kernel takes no key whose id another one of the same peer has, be it the same key.
        for inner in within.iter().filter(|inner| self.shares_ids(**inner, key)).copied().collect::<Vec<_>>()
        {
            self.uninstall(sockets, inner);
        }
        let result = self.settle(sockets, peers);
        // Those that the range covered with its former key, and those that it covers now.
        self.settle_all(sockets, &within);
        result
    }

    /// Puts what the others have on one more socket. What that has no room for is taken off all of them.
    pub(super) fn join(&mut self, sockets: &[impl AsFd], late: &impl AsFd) {
        let mut failed = Vec::new();
        for (peers, key) in &self.installed {
            if let Err(error) = put(late, *peers, key, None, false) {
                let error = key_refused(key, &error, Some(self.installed.len() - failed.len()));
                tracing::warn!(%peers, %error, "connections are not accepted");
                failed.push((*peers, key.clone()));
            }
        }
        for (peers, key) in failed {
            take_off(late, peers, &key);
            self.uninstall(sockets, peers);
        }
    }

    /// Wants no key for these peers.
    pub(super) fn remove(&mut self, sockets: &[impl AsFd], peers: IpNet) {
        let Some(former) = self.wanted.remove(&peers) else { return };
        let within = self.within(peers);
        match former {
            // They have to have their own keys before that of the range goes.
            Key::Md5(_) => {
                self.settle_all(sockets, &within);
                self.uninstall(sockets, peers);
            }
            // Theirs may have the ids of the range's, and are taken only after those. What comes unsigned meanwhile is refused,
            // as a connection cannot be given keys that it did not begin with.
            Key::Ao(_) => {
                self.uninstall(sockets, peers);
                self.settle_all(sockets, &within);
            }
        }
    }

    fn settle_all(&mut self, sockets: &[impl AsFd], several: &[IpNet]) {
        for peers in several {
            if let Err(error) = self.settle(sockets, *peers) {
                tracing::warn!(%peers, %error, "connections are not accepted");
            }
        }
    }

    /// Whether the sockets let in from there only who has the key that is wanted.
    pub(super) fn guards(&self, peers: IpNet) -> bool {
        self.wanted.contains_key(&peers) && (self.installed.contains_key(&peers) || self.is_covered(peers))
    }

    /// The prefixes whose keys take room in the kernel.
    #[cfg(test)]
    pub(super) fn installed(&self) -> impl Iterator<Item = &IpNet> {
        self.installed.keys()
    }

    fn settle(&mut self, sockets: &[impl AsFd], peers: IpNet) -> Result<(), KeyError> {
        let Some(key) = self.wanted.get(&peers).cloned() else { return Ok(()) };
        if self.is_covered(peers) {
            self.uninstall(sockets, peers);
            return Ok(());
        }
        let key = self.own_part(peers, key);
        let former = self.installed.get(&peers).cloned();
        if former.as_ref().is_some_and(|former| former.name() != key.name()) {
            self.uninstall(sockets, peers);
        }
        for socket in sockets {
            if let Err(error) = put(socket, peers, &key, former.as_ref(), false) {
                let words = key_refused(&key, &error, Some(self.installed.len()));
                // Not on some of the sockets, for then it would not be counted as there.
                for socket in sockets {
                    take_off(socket, peers, &key);
                }
                self.uninstall(sockets, peers);
                return Err(KeyError { full: error.kind() == io::ErrorKind::OutOfMemory, words });
            }
        }
        self.installed.insert(peers, key);
        Ok(())
    }

    fn uninstall(&mut self, sockets: &[impl AsFd], peers: IpNet) {
        let Some(key) = self.installed.remove(&peers) else { return };
        for socket in sockets {
            take_off(socket, peers, &key);
        }
    }

    /// The next wider prefix with a key has the same one.
    fn is_covered(&self, peers: IpNet) -> bool {
        let mut covering = wider(peers).filter(|net| self.installed.contains_key(net));
        covering.next().is_some_and(|net| self.wanted.get(&net) == self.wanted.get(&peers))
    }

    /// A key without what the keys of wider prefixes say already: of TCP-AO all that match a peer are its keys, not those of the
    /// longest prefix alone.
    fn own_part(&self, peers: IpNet, key: Key) -> Key {
        let Key::Ao(chain) = &key else { return key };
        let around: Vec<&MasterKey> =
            wider(peers).filter_map(|net| self.installed.get(&net)).flat_map(Key::chain).collect();
        Key::Ao(chain.iter().filter(|own| !around.contains(own)).cloned().collect())
    }

    /// Whether what these peers have has an id of this key.
    fn shares_ids(&self, peers: IpNet, key: &Key) -> bool {
        let installed = self.installed.get(&peers).map_or(&[][..], Key::chain);
        installed.iter().any(|own| key.chain().iter().any(|key| key.clashes(own.ids())))
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

/// The prefixes around this one, narrowest first.
fn wider(peers: IpNet) -> impl Iterator<Item = IpNet> {
    let wider = move |length: u8| IpNet::new(peers.addr(), length).ok().map(|net| net.trunc());
    (0..peers.prefix_len()).rev().filter_map(wider)
}
