//! The listening sockets, as far as they protect: keys, and the least TTL that they take.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::net::TcpListener;

use super::guard::min_ttl;
use super::keyring::{KeyError, Keyring};
use super::{Key, option};

/// The listening sockets of one speaker.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    ipv4: Family,
    ipv6: Family,
}

/// The listening sockets of one address family.
#[derive(Debug, Default)]
struct Family {
    sockets: Vec<Arc<TcpListener>>,
    keys: Keyring,
    /// The least TTL that each peer and range wants; 0 is any.
    wanted_ttl: BTreeMap<IpNet, u8>,
    /// How many want each.
    count_ttl: BTreeMap<u8, usize>,
    /// What the sockets have.
    least_ttl: u8,
}

impl Listeners {
    /// Protects a socket that does not listen yet as those of its family are; it is added when it does. What it has no room
    /// for is taken off the others too, so that [`Listeners::guards`] says no.
    pub(crate) fn protect(&mut self, socket: &impl AsFd, ipv4: bool) {
        let family = if ipv4 { &mut self.ipv4 } else { &mut self.ipv6 };
        family.keys.join(&family.sockets, socket);
        if family.least_ttl > 0 {
            // Each connection is checked as well, and refused where that cannot be done.
            let _ = option::set_min_ttl(socket, ipv4, family.least_ttl);
        }
    }

    /// One more socket, which has the keys of the others; an IPv6 socket takes IPv6 alone.
    pub(crate) fn add(&mut self, socket: &Arc<TcpListener>) {
        self.family_of(socket).sockets.push(socket.clone());
    }

    /// One socket less.
    pub(crate) fn remove(&mut self, socket: &Arc<TcpListener>) {
        self.family_of(socket).sockets.retain(|other| !Arc::ptr_eq(other, socket));
    }

    fn family_of(&mut self, socket: &TcpListener) -> &mut Family {
        let ipv4 = socket.local_addr().is_ok_and(|address| address.is_ipv4());
        if ipv4 { &mut self.ipv4 } else { &mut self.ipv6 }
    }

    /// Lets connections from these addresses in only if they are signed with this key.
    ///
    /// # Errors
    /// In words; [`Listeners::guards`] says no then.
    pub(crate) fn set_key(&mut self, peers: IpNet, key: &Key) -> Result<(), KeyError> {
        let family = self.family(peers.addr());
        family.keys.set(&family.sockets, peers, key)
    }

    /// Forgets the key of these addresses.
    pub(crate) fn remove_key(&mut self, peers: IpNet) {
        let family = self.family(peers.addr());
        family.keys.remove(&family.sockets, peers);
    }

    /// Whether connections from these addresses were let in by the key that was last set for them.
    pub(crate) fn guards(&self, peers: IpNet) -> bool {
        if peers.addr().is_ipv4() { self.ipv4.keys.guards(peers) } else { self.ipv6.keys.guards(peers) }
    }

    /// Knows of a peer or range at most this many hops away; `None` is any distance. When all of a family are near, the sockets
    /// themselves drop what comes from afar; otherwise each connection does once it is accepted.
    pub(crate) fn set_hops(&mut self, peers: IpNet, hops: Option<u8>) {
        self.family(peers.addr()).set_ttl(peers, Some(hops.map_or(0, min_ttl)));
    }

    /// Forgets all of these addresses.
    pub(crate) fn forget(&mut self, peers: IpNet) {
        self.remove_key(peers);
        self.family(peers.addr()).set_ttl(peers, None);
    }

    /// Closes them, as far as they are held here.
    pub(crate) fn close(&mut self) {
        *self = Self::default();
    }

    fn family(&mut self, address: IpAddr) -> &mut Family {
        if address.is_ipv4() { &mut self.ipv4 } else { &mut self.ipv6 }
    }
}

impl Family {
    fn set_ttl(&mut self, peers: IpNet, ttl: Option<u8>) {
        let former = match ttl {
            Some(ttl) => self.wanted_ttl.insert(peers, ttl),
            None => self.wanted_ttl.remove(&peers),
        };
        if let Some(ttl) = ttl {
            *self.count_ttl.entry(ttl).or_default() += 1;
        }
        if let Some(former) = former
            && let Some(count) = self.count_ttl.get_mut(&former)
        {
            *count -= 1;
            if *count == 0 {
                self.count_ttl.remove(&former);
            }
        }
        let least = self.count_ttl.keys().next().copied().unwrap_or(0);
        if std::mem::replace(&mut self.least_ttl, least) == least {
            return;
        }
        for socket in &self.sockets {
            // Each connection is checked as well, and refused where that cannot be done.
            let _ = option::set_min_ttl(socket, peers.addr().is_ipv4(), least);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, reason = "a test may fail by panic, and so may what serves tests")]
mod tests {
    use super::*;
    use crate::tcp::Password;

    async fn socket(address: &str) -> Arc<TcpListener> {
        Arc::new(TcpListener::bind(address).await.unwrap())
    }

    async fn listeners() -> Listeners {
        let mut listeners = Listeners::default();
        for address in ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"] {
            listeners.add(&socket(address).await);
        }
        listeners
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn key(text: &str) -> Key {
        Key::Md5(Password::new(text).unwrap())
    }

    /// The keys of IPv4 that take room in the kernel.
    fn installed(listeners: &Listeners) -> Vec<String> {
        listeners.ipv4.keys.installed().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn keys_come_change_and_go_in_both_families() {
        let mut listeners = listeners().await;
        for peers in ["10.0.0.2/32", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::2/128", "2001:db8::/64", "::/0"] {
            let peers = net(peers);
            assert!(!listeners.guards(peers));
            for text in ["first", "second"] {
                listeners.set_key(peers, &key(text)).unwrap();
                assert!(listeners.guards(peers), "{peers}");
            }
            listeners.remove_key(peers);
            assert!(!listeners.guards(peers));
            listeners.remove_key(peers);
        }
        assert!(installed(&listeners).is_empty());
    }

    #[tokio::test]
    async fn a_peer_under_a_range_with_its_password_takes_no_room() {
        let mut listeners = listeners().await;
        let (peer, other, range) = (net("10.0.0.2/32"), net("10.0.0.3/32"), net("10.0.0.0/24"));
        listeners.set_key(peer, &key("shared")).unwrap();
        listeners.set_key(other, &key("own")).unwrap();
        listeners.set_key(range, &key("shared")).unwrap();
        assert_eq!(installed(&listeners), ["10.0.0.0/24", "10.0.0.3/32"]);
        assert!(listeners.guards(peer));

        listeners.set_key(range, &key("changed")).unwrap();
        assert_eq!(installed(&listeners).len(), 3, "the peer keeps the former password");
        listeners.set_key(peer, &key("changed")).unwrap();
        assert_eq!(installed(&listeners), ["10.0.0.0/24", "10.0.0.3/32"]);

        listeners.remove_key(range);
        assert_eq!(installed(&listeners), ["10.0.0.2/32", "10.0.0.3/32"]);
        assert!(listeners.guards(peer) && listeners.guards(other) && !listeners.guards(range));
    }

    #[tokio::test]
    async fn a_socket_that_comes_later_has_the_keys_of_the_others() {
        let mut listeners = listeners().await;
        let (peer, range) = (net("10.0.0.2/32"), net("10.1.0.0/16"));
        listeners.set_key(peer, &key("own")).unwrap();
        listeners.set_key(range, &key("shared")).unwrap();
        let late = socket("127.0.0.3:0").await;
        listeners.protect(&late, true);
        listeners.add(&late);
        // The kernel knows what is to be taken off, and nothing else.
        for net in [peer, range] {
            option::set_md5_key(&*late, net, &[]).unwrap();
            assert!(option::set_md5_key(&*late, net, &[]).is_err(), "{net}");
            assert!(listeners.guards(net));
        }
        listeners.remove(&late);
        assert_eq!(listeners.ipv4.sockets.len(), 2);
    }

    #[tokio::test]
    async fn a_full_socket_says_which_sysctl_to_raise() {
        let mut listeners = listeners().await;
        // Far more than any distribution's default holds; where it is higher there is nothing to see.
        let full = (0..20_000_u32).find_map(|n| {
            let peers = IpNet::from(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
            Some((n, peers, listeners.set_key(peers, &key("secret")).err()?))
        });
        let Some((n, peers, error)) = full else { return };
        assert!(error.full);
        let words = error.to_string();
        assert!(words.contains("net.core.optmem_max"), "{words}");
        assert!(words.contains(&format!("beside the {n} that it has")), "{words}");
        assert!(!listeners.guards(peers));
        listeners.remove_key(net("10.0.0.0/32"));
        listeners.set_key(peers, &key("secret")).unwrap();
    }

    #[tokio::test]
    async fn the_sockets_take_no_farther_peer_than_the_farthest() {
        let mut listeners = listeners().await;
        let (one, other) = (net("10.0.0.2/32"), net("10.0.0.3/32"));
        let mut least = |peers, hops| {
            match hops {
                Some(hops) => listeners.set_hops(peers, hops),
                None => listeners.forget(peers),
            }
            (listeners.ipv4.least_ttl, listeners.ipv6.least_ttl)
        };
        assert_eq!(least(one, Some(Some(1))), (255, 0));
        assert_eq!(least(other, Some(Some(3))), (253, 0));
        assert_eq!(least(other, Some(None)), (0, 0));
        assert_eq!(least(other, None), (255, 0));
        assert_eq!(least(one, None), (0, 0));
    }
}
