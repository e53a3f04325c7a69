//! What two OPENs agree on (RFC 4271 §6.2, RFC 5492).

use core::time::Duration;

use bgp_wire::{
    AddPathMode, Afi, Asn, Capability, Codec, Family, FamilySet, GracefulRestart, LongLivedFamily,
    Notification, Open, PeerKind, Role, RouterId,
};

use crate::{SessionConfig, check};

/// What both sides of a session agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// How messages are read and written from here on.
    pub codec: Codec,
    /// The peer's OPEN, as it came.
    pub peer_open: Open,
    /// Our AS on this session.
    pub local_as: Asn,
    /// The peer's AS.
    pub peer_as: Asn,
    /// The peer's BGP Identifier.
    pub peer_router_id: RouterId,
    /// Internal or external.
    pub kind: PeerKind,
    /// Hold Time in force; zero when off.
    pub hold_time: Duration,
    /// Time between our keepalives before jitter; zero when off. A configuration that is given to the session later may
    /// change it.
    pub keepalive: Duration,
    /// Families that both announced.
    pub families: FamilySet,
    /// We announced ROUTE-REFRESH and the peer understands it (RFC 2918).
    pub route_refresh: bool,
    /// Both mark begin and end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// What the peer said about graceful restart, when we do it too (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
    /// Both keep routes over a NOTIFICATION (RFC 8538).
    pub notification_restart: bool,
    /// Families whose routes are kept, stale, when this session ends in a way that permits it.
    pub retained: FamilySet,
    /// What the peer said about long-lived graceful restart in the families in use, when we do it too and both do
    /// graceful restart (RFC 9494): how long its routes may stay once the restart time is over, and whether it has kept
    /// forwarding. `None`: not agreed on, and no stale route may be sent to it. Each family is there once.
    pub long_lived: Option<Vec<LongLivedFamily>>,
    /// The most paths of a prefix that the peer wishes to be sent, in the families in which we send it several
    /// (draft-abraitis-idr-addpath-paths-limit). Each family is there once; zero is never in it.
    pub paths_limit: Vec<(Family, u16)>,
    /// The peer's role (RFC 9234).
    pub peer_role: Option<Role>,
}

/// Holds the peer's OPEN against our configuration: what is agreed on, or the NOTIFICATION that refuses it.
pub(crate) fn negotiate(config: &SessionConfig, open: &Open) -> Result<Negotiated, Notification> {
    let kind = check::identity(config, open)?;
    let hold_time = check::hold_time(config, open)?;
    let negotiated = agree(config, open, kind, hold_time);
    check::capabilities(config, &negotiated)?;
    check::role(config, &negotiated)?;
    Ok(negotiated)
}

fn agree(config: &SessionConfig, open: &Open, kind: PeerKind, hold_time: Duration) -> Negotiated {
    let peer = Announced::by(open);
    let families = config.families.intersection(peer.families);
    let enhanced_refresh = config.enhanced_refresh && peer.has(&Capability::EnhancedRouteRefresh);
    let long_messages = config.extended_message && peer.has(&Capability::ExtendedMessage);
    let codec = Codec {
        peer: kind,
        four_octet_as: config.four_octet_as && open.four_octet_as().is_some(),
        // RFC 8654 §4 lets a peer send long messages that has not said that it takes any. None is known to, and a length that
        // is beyond 4,096 is a frame that was lost, which is to be found before 64 KiB are waited for.
        extended_message_rx: long_messages,
        extended_message_tx: long_messages,
        enhanced_refresh,
        add_path_rx: add_path(config, &peer, families, AddPathMode::receives, AddPathMode::sends),
        add_path_tx: add_path(config, &peer, families, AddPathMode::sends, AddPathMode::receives),
        extended_next_hop: extended_next_hop(config, &peer, families),
        families,
        same_domain: config.same_domain,
        ..Codec::before_open()
    };
    let restart = config.graceful_restart.as_ref().and(peer.graceful_restart);
    let restartable = restart.iter().flat_map(|gr| &gr.families).map(|(family, _)| *family);
    let long_lived = config.long_lived.as_ref().and(restart).and(peer.long_lived(families));
    let route_refresh = config.route_refresh && peer.has(&Capability::RouteRefresh);
    Negotiated {
        paths_limit: peer.paths_limit(codec.add_path_tx),
        long_lived,
        codec,
        local_as: config.local_as,
        peer_as: open.asn(),
        peer_router_id: open.router_id,
        kind,
        hold_time,
        keepalive: keepalive(config, hold_time),
        families,
        route_refresh,
        enhanced_refresh,
        retained: families.intersection(restartable.collect()),
        notification_restart: restart.is_some_and(|gr| gr.notification)
            && config.graceful_restart.as_ref().is_some_and(|gr| gr.notification),
        graceful_restart: restart.cloned(),
        peer_role: peer.role,
        peer_open: open.clone(),
    }
}

/// A third of the Hold Time (RFC 4271 §4.4), or what the operator chose if that is shorter.
pub(crate) fn keepalive(config: &SessionConfig, hold_time: Duration) -> Duration {
    let third = hold_time / 3;
    config.keepalive.map_or(third, |chosen| chosen.min(third))
}

/// The capabilities of one OPEN, joined where several are of one kind.
struct Announced<'a> {
    open: &'a Open,
    families: FamilySet,
    graceful_restart: Option<&'a GracefulRestart>,
    role: Option<Role>,
}

impl<'a> Announced<'a> {
    fn by(open: &'a Open) -> Self {
        let mut this = Self { open, families: FamilySet::empty(), graceful_restart: None, role: None };
        let mut multiprotocol = false;
        for capability in &open.capabilities {
            match capability {
                Capability::Multiprotocol(family) => {
                    multiprotocol = true;
                    this.families.insert(*family);
                }
                // The last one counts (RFC 4724 §3).
                Capability::GracefulRestart(restart) => this.graceful_restart = Some(restart),
                Capability::Role(role) => this.role = this.role.or(Some(*role)),
                _ => {}
            }
        }
        if !multiprotocol {
            // A speaker of before RFC 4760.
            this.families.insert(Family::IPV4_UNICAST);
        }
        this
    }

    fn has(&self, capability: &Capability) -> bool {
        self.open.capabilities.contains(capability)
    }

    fn add_path(&self) -> impl Iterator<Item = (Family, AddPathMode)> {
        let rows = |c: &'a Capability| if let Capability::AddPath(rows) = c { Some(rows) } else { None };
        self.open.capabilities.iter().filter_map(rows).flatten().copied()
    }

    /// The last row of a family counts, as with graceful restart.
    fn long_lived(&self, families: FamilySet) -> Option<Vec<LongLivedFamily>> {
        let rows = |c: &'a Capability| match c {
            Capability::LongLivedGracefulRestart(rows) => Some(rows),
            _ => None,
        };
        let mut announced = self.open.capabilities.iter().filter_map(rows).peekable();
        announced.peek()?;
        let last: Vec<&LongLivedFamily> = announced.flatten().collect();
        let of = |family| last.iter().rev().find(|row| row.family == family).map(|row| **row);
        Some(families.iter().filter_map(of).collect())
    }

    /// The first row of a family counts; a limit of zero is none.
    fn paths_limit(&self, families: FamilySet) -> Vec<(Family, u16)> {
        let rows = |c: &'a Capability| if let Capability::PathsLimit(rows) = c { Some(rows) } else { None };
        let all: Vec<(Family, u16)> =
            self.open.capabilities.iter().filter_map(rows).flatten().copied().collect();
        let of = |family| all.iter().find(|(f, _)| *f == family).filter(|(_, limit)| *limit > 0).copied();
        families.iter().filter_map(of).collect()
    }

    fn extended_next_hop(&self) -> impl Iterator<Item = (Family, Afi)> {
        let rows =
            |c: &'a Capability| if let Capability::ExtendedNextHop(rows) = c { Some(rows) } else { None };
        self.open.capabilities.iter().filter_map(rows).flatten().copied()
    }
}

/// Families in which we do what `ours` asks and the peer does what `theirs` asks (RFC 7911 §4).
fn add_path(
    config: &SessionConfig,
    peer: &Announced<'_>,
    families: FamilySet,
    ours: impl Fn(AddPathMode) -> bool,
    theirs: impl Fn(AddPathMode) -> bool,
) -> FamilySet {
    let wished: FamilySet = config.add_path.iter().filter(|(_, mode)| ours(*mode)).map(|(f, _)| *f).collect();
    let offered: FamilySet = peer.add_path().filter(|(_, mode)| theirs(*mode)).map(|(f, _)| f).collect();
    families.intersection(wished).intersection(offered)
}

/// Families of IPv4 NLRI that both let go with an IPv6 next hop (RFC 8950 §4).
fn extended_next_hop(config: &SessionConfig, peer: &Announced<'_>, families: FamilySet) -> FamilySet {
    let wished = config.extended_next_hop.iter().filter(|(_, afi)| *afi == Afi::IPV6);
    let both = wished.filter(|row| peer.extended_next_hop().any(|theirs| theirs == **row));
    families.intersection(both.map(|(family, _)| *family).collect())
}
