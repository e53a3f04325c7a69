//! What a peer, a listen range and their sessions are configured with, and what is refused at the call.

mod rules;
mod timers;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bgp_fsm::{PeerAs, Required};
use bgp_rib::{Limits, NextHopMode, Policy};
use bgp_wire::{Asn, Family, FamilySet, Role};
use ipnet::IpNet;

use crate::error::SpeakerError;
use crate::peer_address::PeerAddress;
use crate::tcp::{AoKey, Secret};

pub use self::rules::{AddPath, RouteRules};
pub use self::timers::{MIN_HOLD_TIME, Timers};

/// The port that IANA gave to BGP.
pub const BGP_PORT: u16 = 179;
/// Originations of one call are held in memory twice while they go to the table; a million is a full table with room to spare.
pub const MAX_ORIGINATED_PER_CALL: usize = 1_000_000;
/// Payloads of origin validation: about three times as many as there are, at a hundred octets each.
pub const MAX_VRPS: usize = 2_000_000;
/// The families of a session that names none.
const DEFAULT_FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
/// Hops that an iBGP or multihop session may take when nothing else is said: the usual initial TTL of hosts.
pub(crate) const MULTIHOP_TTL: u8 = 64;

/// Where a peer comes from: what `calicoctl node status` calls the peer type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerClass {
    /// Another node of [`Speaker::mesh`](crate::Speaker::mesh).
    NodeToNodeMesh,
    /// Configured for this node alone.
    NodeSpecific,
    /// Configured for all nodes.
    Global,
    /// A client of this route reflector.
    ReflectorClient,
    /// It came in through a listen range.
    Dynamic,
}

impl std::fmt::Display for PeerClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NodeToNodeMesh => "node-to-node mesh",
            Self::NodeSpecific => "node specific",
            Self::Global => "global",
            Self::ReflectorClient => "reflector client",
            Self::Dynamic => "dynamic",
        })
    }
}

/// What a peer and a listen range have in common: how a session is run and what passes over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Our AS on this session, where it differs from the speaker's.
    pub local_as: Option<Asn>,
    /// Source address. Default: the listening address of the peer's family when there is just one, else
    /// [`Builder::local_address`](crate::Builder::local_address) of it in the same way, else the kernel chooses.
    pub source: Option<IpAddr>,
    /// Never dial, only accept. Default `false`.
    pub passive: bool,
    /// The peer is a client of this route reflector (RFC 4456). Default `false`.
    pub route_reflector_client: bool,
    /// Address families to negotiate. Default: IPv4 and IPv6 unicast; in a mesh the one of the session's addresses, because
    /// nodes with both have a session in each. A route of the family that the session does not run over needs a next hop of
    /// its own or [`next_hop_v4`](Self::next_hop_v4) or [`next_hop_v6`](Self::next_hop_v6), else it is held back.
    pub families: Option<FamilySet>,
    /// Timers; see [`Timers`].
    pub timers: Timers,
    /// What to take. Default: everything from iBGP and mesh peers, nothing from eBGP peers (RFC 8212).
    pub import: Option<Policy>,
    /// What to tell. Default as for `import`.
    pub export: Option<Policy>,
    /// Next hop of what we tell. Default [`NextHopMode::Auto`].
    pub next_hop: NextHopMode,
    /// Our IPv4 next hop where the session itself runs over IPv6.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// Our IPv6 next hop where the session itself runs over IPv4.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// IP TTL of what we send. Default 64; 1 to an eBGP peer outside a mesh, which must then be a direct neighbour.
    pub ttl: Option<u8>,
    /// The peer is at most this many hops away (1 is a direct neighbour): packets from farther are dropped, and ours are sent
    /// with TTL 255 (GTSM, RFC 5082). Takes the place of `ttl`. Default: off.
    pub ttl_security: Option<u8>,
    /// Password of the session (TCP-MD5, RFC 2385). Without it at hand the session stays down. A peer without a password that
    /// lies in a listen range with one can be dialled, but cannot dial us. Default: none.
    pub password: Option<Secret>,
    /// Master keys of the session (TCP-AO, RFC 5925), the one to use first; an old one stays in the list until both ends use
    /// the new one. It needs Linux 6.7 with `CONFIG_TCP_AO`; elsewhere, and without its secrets at hand, the session stays
    /// down. Takes the place of `password`. Default: none.
    pub tcp_ao: Vec<AoKey>,
    /// The interface that the peer is behind; connections through others are refused. A link-local peer needs it. Default:
    /// any.
    pub interface: Option<String>,
    /// Several paths of a prefix (RFC 7911). Default: neither sent nor taken.
    pub add_path: AddPath,
    /// How many times our own AS may stand in a received AS_PATH. Default 0.
    pub allow_own_as: u8,
    /// How routes change on their way, besides by policy.
    pub rules: RouteRules,
    /// How much the peer may tell and be told. A bound whose action is [`LimitAction::Stop`](bgp_rib::LimitAction::Stop)
    /// ends the session with Cease / Maximum Number of Prefixes Reached (RFC 4486 §4). Default: none.
    pub limits: Limits,
    /// After how long a session that ended for a limit begins anew; `None`: when [`Speaker::clear_limit`] says so, or the
    /// peer's configuration changes. Default `None`.
    ///
    /// [`Speaker::clear_limit`]: crate::Speaker::clear_limit
    pub limit_restart: Option<Duration>,
    /// The external peer is of our own administration and segment routing domain: it is told of tunnels and segments, and heard
    /// about them (RFC 9012 §11, RFC 8669 §5, RFC 9830). Internal peers always are. Default `false`.
    pub same_domain: bool,
    /// Restart time that we advertise for graceful restart (RFC 4724); `None` turns it off. Default 120 s,
    /// at most 4095 s.
    pub graceful_restart: Option<Duration>,
    /// Offer messages of up to 65535 octets (RFC 8654). Default `true`.
    pub extended_message: bool,
    /// Offer IPv4 routes with IPv6 next hops (RFC 8950), which a session over IPv6 then needs no IPv4 address for. Default:
    /// with link-local peers.
    pub extended_next_hop: Option<bool>,
    /// Long-lived stale time that we advertise for every family (RFC 9494); zero only keeps what peers wish to have kept.
    /// It needs `graceful_restart`; at most 16777215 s. Default: off.
    pub long_lived: Option<Duration>,
    /// What the peer must announce; without it the session is refused with OPEN Message Error / Unsupported Capability
    /// (RFC 5492). Default: nothing but a family in common.
    pub required: Required,
    /// Our role in the relation with an eBGP peer (RFC 9234). Default: none.
    pub role: Option<Role>,
    /// Refuse an eBGP peer that announces no role (RFC 9234 §4.2). Default `false`.
    pub role_strict: bool,
    /// No session before [`Speaker::bfd`](crate::Speaker::bfd) says that the peer can be reached (RFC 5882 §4.1). Default
    /// `false`.
    pub bfd_strict: bool,
    /// Let collision resolution end a session that is up (RFC 4271 §8.1.1, CollisionDetectEstablishedState). Default
    /// `false`.
    pub collision_detect_established: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            local_as: None,
            source: None,
            passive: false,
            route_reflector_client: false,
            families: None,
            timers: Timers::default(),
            import: None,
            export: None,
            next_hop: NextHopMode::Auto,
            next_hop_v4: None,
            next_hop_v6: None,
            ttl: None,
            ttl_security: None,
            password: None,
            tcp_ao: Vec::new(),
            interface: None,
            add_path: AddPath::default(),
            allow_own_as: 0,
            rules: RouteRules::default(),
            limits: Limits::default(),
            limit_restart: None,
            same_domain: false,
            graceful_restart: Some(Duration::from_secs(120)),
            extended_message: true,
            extended_next_hop: None,
            long_lived: None,
            required: Required::default(),
            role: None,
            role_strict: false,
            bfd_strict: false,
            collision_detect_established: false,
        }
    }
}

/// One configured peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its address; a speaker has at most one session with an address, on each interface if it is link-local.
    pub address: IpAddr,
    /// The port it listens on. Default 179.
    pub port: u16,
    /// The AS it must be of.
    pub peer_as: PeerAs,
    /// How `status` names it. Default [`PeerClass::NodeSpecific`].
    pub class: PeerClass,
    /// The rest.
    pub options: SessionOptions,
}

impl PeerConfig {
    /// A peer with every option at its default.
    pub fn new(address: IpAddr, peer_as: impl Into<PeerAs>) -> Self {
        Self {
            address,
            port: BGP_PORT,
            peer_as: peer_as.into(),
            class: PeerClass::NodeSpecific,
            options: SessionOptions::default(),
        }
    }

    /// The same peer on another port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The same peer as a client of this route reflector (RFC 4456).
    #[must_use]
    pub fn reflector_client(mut self) -> Self {
        self.options.route_reflector_client = true;
        self.class = PeerClass::ReflectorClient;
        self
    }

    /// The same peer, but we wait for it to connect.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.options.passive = true;
        self
    }

    /// The same peer with these policies; eBGP needs both said (RFC 8212).
    #[must_use]
    pub fn policies(mut self, import: Policy, export: Policy) -> Self {
        self.options.import = Some(import);
        self.options.export = Some(export);
        self
    }

    /// The same peer with this password on its TCP connections (RFC 2385).
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.options.password = Some(password.into());
        self
    }

    /// The same peer with these keys on its TCP connections (TCP-AO, RFC 5925), the one to use first.
    #[must_use]
    pub fn tcp_ao(mut self, keys: impl IntoIterator<Item = AoKey>) -> Self {
        self.options.tcp_ao = keys.into_iter().collect();
        self
    }

    /// The same peer, at most this many hops away (GTSM, RFC 5082); 1 is a direct neighbour.
    #[must_use]
    pub fn ttl_security(mut self, hops: u8) -> Self {
        self.options.ttl_security = Some(hops);
        self
    }

    /// The same peer, behind this interface: what is written behind the `%` of a link-local address.
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.options.interface = Some(name.into());
        self
    }

    /// What the peer is called everywhere else.
    pub fn at(&self) -> PeerAddress {
        PeerAddress::behind(self.address, self.options.interface.as_deref().unwrap_or_default())
    }

    pub(crate) fn check(&self, local_as: Asn, own: &[IpAddr]) -> Result<(), SpeakerError> {
        check_address(self.address)?;
        if is_link_local(self.address) && self.options.interface.is_none() {
            return Err(SpeakerError::NoInterface(self.address));
        }
        if own.contains(&self.address) {
            return Err(SpeakerError::OwnAddress(self.address));
        }
        if self.port == 0 {
            return Err(SpeakerError::ZeroPort(self.address));
        }
        self.options.check(self.address, &self.peer_as, local_as)
    }
}

/// Addresses from which peers may come without being configured one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeConfig {
    /// Remote addresses; the longest matching range wins, a configured peer wins over any range.
    pub prefix: IpNet,
    /// The AS that such a peer must be of.
    pub peer_as: PeerAs,
    /// At most this many peers at once. Default 10,000: as many as one speaker is built for. With 0 and a password, the range
    /// only lends its password to the connections of configured and mesh peers in it: the kernel has room for some hundreds of
    /// passwords by address, and needs just one for a range.
    pub limit: usize,
    /// How `status` names them. Default [`PeerClass::Dynamic`].
    pub class: PeerClass,
    /// The rest; always passive.
    pub options: SessionOptions,
}

impl RangeConfig {
    /// A range with every option at its default.
    pub fn new(prefix: IpNet, peer_as: impl Into<PeerAs>) -> Self {
        Self {
            prefix: prefix.trunc(),
            peer_as: peer_as.into(),
            limit: 10_000,
            class: PeerClass::Dynamic,
            options: SessionOptions { passive: true, ..SessionOptions::default() },
        }
    }

    /// The same range for clients of this route reflector (RFC 4456).
    #[must_use]
    pub fn reflector_clients(mut self) -> Self {
        self.options.route_reflector_client = true;
        self.class = PeerClass::ReflectorClient;
        self
    }

    /// The same range without the host bits that a caller may have written into the field.
    pub(crate) fn canonical(mut self) -> Self {
        self.prefix = self.prefix.trunc();
        self
    }

    pub(crate) fn check(&self, local_as: Asn) -> Result<(), SpeakerError> {
        self.options.check(self.prefix.addr(), &self.peer_as, local_as)
    }

    /// The peer that a connection from `address` becomes.
    pub(crate) fn peer(&self, at: PeerAddress) -> PeerConfig {
        let mut options = self.options.clone();
        options.passive = true;
        let address = at.ip();
        if let Some(interface) = at.interface() {
            options.interface.get_or_insert_with(|| interface.to_owned());
        }
        PeerConfig { address, port: BGP_PORT, peer_as: self.peer_as.clone(), class: self.class, options }
    }
}

impl SessionOptions {
    fn check(&self, peer: IpAddr, peer_as: &PeerAs, local_as: Asn) -> Result<(), SpeakerError> {
        let local_as = self.local_as.unwrap_or(local_as);
        if zero_asn(peer_as) || local_as == Asn(0) {
            return Err(SpeakerError::ZeroAsn(peer));
        }
        self.timers.check()?;
        if self.limit_restart.is_some_and(|time| time.is_zero()) {
            return Err(SpeakerError::ZeroTimer("pause after a limit"));
        }
        if let Some(source) = self.source
            && source.is_ipv4() != peer.is_ipv4()
        {
            return Err(SpeakerError::SourceFamily { peer, source });
        }
        if self.ttl == Some(0) {
            return Err(SpeakerError::ZeroTtl(peer));
        }
        if self.ttl_security == Some(0) {
            return Err(SpeakerError::ZeroHops(peer));
        }
        if self.ttl.is_some() && self.ttl_security.is_some() {
            return Err(SpeakerError::TtlTwice(peer));
        }
        if self.password.is_some() && !self.tcp_ao.is_empty() {
            return Err(SpeakerError::SignedTwice(peer));
        }
        if self.role_strict && self.role.is_none() {
            return Err(SpeakerError::StrictWithoutRole(peer));
        }
        for (n, key) in self.tcp_ao.iter().enumerate() {
            let earlier = self.tcp_ao.get(..n).unwrap_or_default();
            if earlier.iter().any(|k| k.send_id == key.send_id || k.recv_id == key.recv_id) {
                return Err(SpeakerError::AoKeyIds { peer, send_id: key.send_id, recv_id: key.recv_id });
            }
        }
        if let Some(name) = &self.interface
            && !is_interface_name(name)
        {
            return Err(SpeakerError::InterfaceName { peer, name: name.clone() });
        }
        if self.families.is_some_and(FamilySet::is_empty) {
            return Err(SpeakerError::NoFamilies(peer));
        }
        if self.long_lived.is_some() && self.graceful_restart.is_none() {
            return Err(SpeakerError::LongLivedAlone(peer));
        }
        if let Some(family) = self.required.families.iter().find(|f| !self.offered_families().contains(*f)) {
            return Err(SpeakerError::RequiredFamily { peer, family });
        }
        if self.route_reflector_client && never_internal(peer_as, local_as) {
            return Err(SpeakerError::ExternalClient(peer));
        }
        Ok(())
    }

    /// Segments are signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.password.is_some() || !self.tcp_ao.is_empty()
    }

    /// A secret is in a file, which may change.
    pub(crate) fn reads_secrets(&self) -> bool {
        let mut secrets = self.password.iter().chain(self.tcp_ao.iter().map(|key| &key.secret));
        secrets.any(|secret| matches!(secret, Secret::File(_)))
    }

    /// The families to offer.
    pub(crate) fn offered_families(&self) -> FamilySet {
        self.families.unwrap_or_else(|| FamilySet::of(&DEFAULT_FAMILIES))
    }

    /// The TTL of what we send to a peer of this AS rule.
    pub(crate) fn ttl_for(&self, peer_as: &PeerAs, class: PeerClass, local_as: Asn) -> u8 {
        let external = never_internal(peer_as, self.local_as.unwrap_or(local_as));
        let default = if external && class != PeerClass::NodeToNodeMesh { 1 } else { MULTIHOP_TTL };
        // RFC 5082 §3: sent with the highest TTL, so that the peer sees how far it came.
        self.ttl_security.map_or_else(|| self.ttl.unwrap_or(default), |_| u8::MAX)
    }
}

fn zero_asn(rule: &PeerAs) -> bool {
    match rule {
        PeerAs::Exact(asn) => *asn == Asn(0),
        PeerAs::AnyOf(set) => set.contains(&Asn(0)),
        PeerAs::Internal | PeerAs::External | PeerAs::Any => false,
    }
}

/// Whether the rule admits no peer of `local_as`.
pub(crate) fn never_internal(rule: &PeerAs, local_as: Asn) -> bool {
    !rule.admits(local_as, local_as)
}

/// An address that means something on one link only (RFC 4291 §2.5.6).
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// What Linux takes as the name of an interface: `IFNAMSIZ` is 16 with its final zero.
fn is_interface_name(name: &str) -> bool {
    let good = |octet: u8| octet.is_ascii_graphic() && octet != b'/' && octet != b':';
    (1..16).contains(&name.len()) && name.bytes().all(good) && name != "." && name != ".."
}

/// Whether it can be the address of one host.
pub(crate) fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

/// Refuses what is not the address of one host, and an IPv4 address that is written as one of IPv6 (RFC 4291 §2.5.5.2).
pub(crate) fn check_address(address: IpAddr) -> Result<(), SpeakerError> {
    if !is_host(address) || address.to_canonical() != address {
        return Err(SpeakerError::NotAPeerAddress(address));
    }
    Ok(())
}
