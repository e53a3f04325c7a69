//! From the keys of a peer, a range and a mesh to the options of their sessions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bgp_speaker::{
    AddPath, AoAlgorithm, AoKey, Asn, ClusterId, ConsecutiveRestarts, FamilyLimits, FamilySet, Limit,
    LimitAction, Limits, LocalAsMode, MeshNode, NextHopMode, PeerAs, PeerClass, PeerConfig, PrivateAs,
    RangeConfig, Required, Role, RouteRules, Secret, SessionOptions, Timers,
};
use bgp_wire::Afi;
use toml::Spanned;

use crate::config::{
    self, AddPathReceive, Bound, Capability, Config, NextHop, PeerKeys, PerFamily, Scope, SessionKeys,
};

pub(super) fn peer(config: &Config, neighbor: &config::Neighbor) -> PeerConfig {
    let keys = neighbor.peer();
    let mut peer = PeerConfig::new(neighbor.host(), peer_as(keys.asn.get_ref()));
    if let Some(port) = &neighbor.port {
        peer.port = port.get_ref().0;
    }
    peer.class = match (keys.is_client(), neighbor.scope) {
        (true, _) => PeerClass::ReflectorClient,
        (false, Some(Scope::Global)) => PeerClass::Global,
        (false, Some(Scope::Node) | None) => PeerClass::NodeSpecific,
    };
    peer.options = of_peer(config, keys);
    if let Some(scope) = &neighbor.address.get_ref().0.interface {
        peer.options.interface = Some(scope.clone());
    }
    peer.options.passive = neighbor.passive.as_ref().is_some_and(|passive| *passive.get_ref());
    if let Some(retry) = &neighbor.connect_retry {
        peer.options.timers.connect_retry = seconds(retry);
    }
    peer
}

pub(super) fn range(config: &Config, range: &config::NeighborRange) -> RangeConfig {
    let keys = range.peer();
    let mut to = RangeConfig::new(range.prefix.get_ref().0, peer_as(keys.asn.get_ref()));
    if let Some(limit) = range.limit {
        to.limit = usize::try_from(limit.0).unwrap_or(usize::MAX);
    }
    if keys.is_client() {
        to.class = PeerClass::ReflectorClient;
    }
    to.options = of_peer(config, keys);
    to.options.passive = true;
    to
}

/// The options of all sessions of a mesh.
pub(super) fn mesh(config: &Config, mesh: &config::Mesh) -> SessionOptions {
    let mut options = session(config, &mesh.session);
    if let Some(retry) = &mesh.connect_retry {
        options.timers.connect_retry = seconds(retry);
    }
    options
}

fn of_peer(config: &Config, peer: PeerKeys<'_>) -> SessionOptions {
    let mut options = session(config, peer.session);
    options.source = peer.local_address.map(|address| address.get_ref().0);
    options.route_reflector_client = peer.is_client();
    options.rules.client_to_client =
        peer.client_to_client.map_or(options.rules.client_to_client, |key| *key.get_ref());
    options
}

fn session(config: &Config, keys: &SessionKeys) -> SessionOptions {
    let policy =
        |name: &Option<Spanned<String>>| name.as_ref().map(|name| config.policies.get(name.get_ref()));
    let mut options = SessionOptions {
        local_as: keys.local_as.map(|asn| Asn(asn.0)),
        families: keys.families.as_ref().map(|families| family_set(families.get_ref())),
        import: policy(&keys.import),
        export: policy(&keys.export),
        ttl: keys.ttl.map(|ttl| ttl.0),
        ttl_security: keys.ttl_security.as_ref().map(|hops| hops.get_ref().0),
        password: secret(keys.password.as_ref(), keys.password_file.as_ref()),
        interface: keys.interface.as_ref().map(|interface| interface.get_ref().0.clone()),
        extended_next_hop: keys.extended_next_hop,
        role: keys.role.as_ref().map(|word| role(*word.get_ref())),
        limit_restart: keys.limit_restart.as_ref().map(seconds),
        ..SessionOptions::default()
    };
    options.timers = timers(config, keys);
    options.next_hop = match keys.next_hop.as_ref().map(Spanned::get_ref) {
        Some(NextHop::Auto) | None => NextHopMode::Auto,
        Some(NextHop::Unchanged) => NextHopMode::Unchanged,
        Some(NextHop::SelfAlways) => NextHopMode::SelfAlways,
        Some(NextHop::SelfForExternal) => NextHopMode::SelfForExternal,
        Some(NextHop::ThirdParty) => NextHopMode::ThirdParty,
    };
    if let Some(IpAddr::V4(own)) = keys.next_hop_ipv4.as_ref().map(|own| own.get_ref().0) {
        options.next_hop_v4 = Some(own);
    }
    if let Some(IpAddr::V6(own)) = keys.next_hop_ipv6.as_ref().map(|own| own.get_ref().0) {
        options.next_hop_v6 = Some(own);
    }
    let chain = keys.tcp_ao.as_ref().map(|chain| chain.get_ref().iter().map(ao_key).collect());
    options.tcp_ao = chain.unwrap_or_default();
    options.add_path = add_path(keys);
    options.allow_own_as = keys.allow_own_as.unwrap_or(options.allow_own_as);
    if keys.graceful_restart == Some(false) {
        options.graceful_restart = None;
    } else if let Some(time) = &keys.restart_time {
        options.graceful_restart = Some(Duration::from_secs(time.get_ref().0.into()));
    }
    options.extended_message = keys.extended_message.unwrap_or(options.extended_message);
    options.same_domain = keys.same_domain.unwrap_or(options.same_domain);
    options.collision_detect_established = keys.collision_detect_established.unwrap_or(false);
    options.required = required(keys, options.families);
    let stale_time = keys.long_lived_time.as_ref();
    options.long_lived = stale_time.map(|time| Duration::from_secs(time.get_ref().0.into()));
    options.role_strict = keys.role_strict.as_ref().is_some_and(|strict| *strict.get_ref());
    options.limits = limits(keys, options.families);
    rules(&mut options.rules, keys);
    options
}

fn seconds(time: &Spanned<config::Seconds>) -> Duration {
    Duration::from_secs(time.get_ref().0.into())
}

fn timers(config: &Config, keys: &SessionKeys) -> Timers {
    let plain = Timers::default();
    let or = |time: &Option<Spanned<config::Seconds>>, else_: Duration| time.as_ref().map_or(else_, seconds);
    let hold_time = keys.hold_time.or(config.hold_time);
    let idle_hold_min = or(&keys.idle_hold_min, plain.idle_hold_min);
    let longest = or(&keys.idle_hold_max, plain.idle_hold_max);
    Timers {
        hold_time: hold_time.map_or(plain.hold_time, |hold| Duration::from_secs(hold.0.into())),
        keepalive: keys.keepalive_interval.as_ref().map(seconds),
        send_hold: keys.send_hold_time.as_ref().map(seconds),
        tcp_user_timeout: keys.tcp_user_timeout.as_ref().map(seconds),
        delay_open: keys.delay_open.as_ref().map(seconds),
        collision_wait: or(&keys.collision_wait, plain.collision_wait),
        idle_hold_min,
        // Who names a longer first pause alone means it.
        idle_hold_max: if keys.idle_hold_min.is_some() { longest.max(idle_hold_min) } else { longest },
        idle_hold_forgive: or(&keys.idle_hold_forgive, plain.idle_hold_forgive),
        open_hold: or(&keys.open_hold_time, plain.open_hold),
        ..plain
    }
}

fn add_path(keys: &SessionKeys) -> AddPath {
    let mut to = AddPath::default();
    match &keys.add_path_receive {
        Some(PerFamily::All(AddPathReceive::On)) => to.receive = true,
        Some(PerFamily::All(AddPathReceive::AtMost(most))) => (to.receive, to.limit) = (true, Some(*most)),
        Some(PerFamily::All(AddPathReceive::Off)) | None => {}
        Some(PerFamily::Each(rows)) => {
            let taken = rows.iter().filter(|(_, take)| *take != AddPathReceive::Off);
            to.receive_in = taken.map(|(family, _)| family.get_ref().code()).collect();
            let limit = |(family, take): &(Spanned<config::Family>, AddPathReceive)| match take {
                AddPathReceive::AtMost(most) => Some((family.get_ref().code(), *most)),
                AddPathReceive::Off | AddPathReceive::On => None,
            };
            to.limit_in = rows.iter().filter_map(limit).collect();
        }
    }
    match &keys.add_path_send {
        Some(PerFamily::All(send)) => to.send = Some(send.0),
        Some(PerFamily::Each(rows)) => {
            to.send_in = rows.iter().map(|(family, send)| (family.get_ref().code(), send.0)).collect();
        }
        None => {}
    }
    to
}

fn limits(keys: &SessionKeys, families: Option<FamilySet>) -> Limits {
    let action = |bound: &Bound| bound.action.or(keys.max_prefixes_action.as_ref().map(|a| *a.get_ref()));
    let limit = |bound: &Bound, usual: LimitAction| Limit {
        warn_at: bound.warn_at.unwrap_or(Limit::new(0, usual).warn_at),
        ..Limit::new(bound.max, action(bound).map_or(usual, LimitAction::from))
    };
    let of = |bounds: &Option<PerFamily<Bound>>, family, usual| match bounds {
        Some(PerFamily::All(bound)) => Some(limit(bound, usual)),
        Some(PerFamily::Each(rows)) => {
            let bound = rows.iter().find(|(named, _)| named.get_ref().code() == family);
            bound.map(|(_, bound)| limit(bound, usual))
        }
        None => None,
    };
    let mut limits = Limits::default();
    limits.memory = keys.max_memory.as_ref().map(|bound| limit(bound, LimitAction::Stop));
    offered(families).iter().fold(limits, |limits, family| {
        let bounds = FamilyLimits {
            received: of(&keys.max_prefixes, family, LimitAction::Stop),
            accepted: of(&keys.max_prefixes_accepted, family, LimitAction::Stop),
            // The peer is not to blame for how much there is to tell it.
            advertised: of(&keys.max_prefixes_sent, family, LimitAction::Drop),
        };
        limits.family(family, bounds)
    })
}

impl From<config::LimitAction> for LimitAction {
    fn from(action: config::LimitAction) -> Self {
        match action {
            config::LimitAction::Warn => Self::Warn,
            config::LimitAction::Drop => Self::Drop,
            config::LimitAction::Stop => Self::Stop,
        }
    }
}

/// The families of a session that names none are those of both unicast tables.
fn offered(families: Option<FamilySet>) -> FamilySet {
    families.unwrap_or_else(|| {
        FamilySet::of(&[bgp_speaker::Family::IPV4_UNICAST, bgp_speaker::Family::IPV6_UNICAST])
    })
}

fn required(keys: &SessionKeys, families: Option<FamilySet>) -> Required {
    let offered = offered(families);
    let needed = keys.require_families.as_deref().unwrap_or_default();
    let mut required = Required { families: family_set(needed), ..Required::default() };
    for capability in keys.require.iter().flatten() {
        match capability {
            Capability::FourOctetAs => required.four_octet_as = true,
            Capability::RouteRefresh => required.route_refresh = true,
            Capability::EnhancedRefresh => required.enhanced_refresh = true,
            Capability::ExtendedMessage => required.extended_message = true,
            Capability::GracefulRestart => required.graceful_restart = true,
            Capability::AddPath => required.add_path = offered,
            Capability::ExtendedNextHop => {
                required.extended_next_hop = offered.iter().filter(|f| f.afi == Afi::IPV4).collect();
            }
        }
    }
    required
}

fn rules(rules: &mut RouteRules, keys: &SessionKeys) {
    rules.route_server_client =
        keys.route_server_client.as_ref().map_or(rules.route_server_client, |is| *is.get_ref());
    rules.best_per_client = keys.best_per_client.unwrap_or(rules.best_per_client);
    rules.cluster_id = keys.cluster_id.map(|cluster| ClusterId(cluster.0.into())).or(rules.cluster_id);
    rules.shared_network = keys.shared_network.as_ref().map(|network| network.get_ref().0);
    rules.aigp = keys.aigp.or(rules.aigp);
    rules.enforce_first_as = keys.enforce_first_as.unwrap_or(rules.enforce_first_as);
    rules.local_as = match keys.local_as_mode {
        Some(config::LocalAsMode::Prepend) => LocalAsMode { prepend_received: true, keep_speaker_as: true },
        Some(config::LocalAsMode::NoPrepend) => {
            LocalAsMode { prepend_received: false, keep_speaker_as: true }
        }
        Some(config::LocalAsMode::Replace) => LocalAsMode { prepend_received: true, keep_speaker_as: false },
        Some(config::LocalAsMode::Alone) | None => LocalAsMode::default(),
    };
    rules.as_override = keys.as_override.unwrap_or(rules.as_override);
    rules.long_lived_partial = keys.long_lived_partial.unwrap_or(rules.long_lived_partial);
    rules.consecutive_restarts = keys.consecutive_restarts.map(|choice| match choice {
        config::ConsecutiveRestarts::Keep => ConsecutiveRestarts::Keep,
        config::ConsecutiveRestarts::Delete => ConsecutiveRestarts::Delete,
    });
    rules.honour_graceful_shutdown = keys.honour_graceful_shutdown.unwrap_or(rules.honour_graceful_shutdown);
    rules.private_as = match keys.private_as {
        Some(config::PrivateAs::RemoveLeading) => PrivateAs::RemoveLeading,
        Some(config::PrivateAs::Remove) => PrivateAs::Remove,
        Some(config::PrivateAs::Replace) => PrivateAs::Replace,
        Some(config::PrivateAs::Keep) | None => PrivateAs::Keep,
    };
}

fn role(role: config::Role) -> Role {
    match role {
        config::Role::Provider => Role::PROVIDER,
        config::Role::Customer => Role::CUSTOMER,
        config::Role::Peer => Role::PEER,
        config::Role::RouteServer => Role::ROUTE_SERVER,
        config::Role::RouteServerClient => Role::ROUTE_SERVER_CLIENT,
    }
}

fn ao_key(key: &config::AoKey) -> AoKey {
    let send_id = *key.send_id.get_ref();
    AoKey {
        send_id,
        recv_id: key.recv_id.as_ref().map_or(send_id, |id| *id.get_ref()),
        algorithm: match key.algorithm {
            Some(config::AoAlgorithm::CmacAes128) => AoAlgorithm::CmacAes128,
            Some(config::AoAlgorithm::HmacSha1) | None => AoAlgorithm::HmacSha1,
        },
        secret: secret(key.password.as_ref(), key.password_file.as_ref())
            .unwrap_or_else(|| Secret::Unavailable("the configuration has none".into())),
    }
}

fn secret(
    password: Option<&Spanned<config::SessionPassword>>,
    file: Option<&Spanned<PathBuf>>,
) -> Option<Secret> {
    let password = password.map(|password| Secret::Value(password.get_ref().0.clone()));
    password.or_else(|| file.map(|file| Secret::File(file.get_ref().clone())))
}

pub(super) fn nodes(config: &Config, mesh: &config::Mesh) -> Vec<MeshNode> {
    let node = |node: &config::MeshNode| {
        let addresses: Vec<IpAddr> = node
            .address
            .get_ref()
            .places(node.address.span())
            .into_iter()
            .map(|(address, _)| address)
            .collect();
        let name =
            node.name.clone().or_else(|| addresses.first().map(ToString::to_string)).unwrap_or_default();
        MeshNode {
            name,
            addresses,
            asn: Asn(node.asn.unwrap_or(config.asn).0),
            port: node.port.as_ref().map_or(bgp_speaker::BGP_PORT, |port| port.get_ref().0),
            cluster_id: None,
            labels: BTreeMap::new(),
        }
    };
    mesh.nodes.get_ref().iter().map(node).collect()
}

fn peer_as(rule: &config::PeerAs) -> PeerAs {
    match rule {
        config::PeerAs::Exact(asn) => PeerAs::Exact(Asn(*asn)),
        config::PeerAs::AnyOf(all) => PeerAs::AnyOf(all.iter().copied().map(Asn).collect()),
        config::PeerAs::Internal => PeerAs::Internal,
        config::PeerAs::External => PeerAs::External,
        config::PeerAs::Any => PeerAs::Any,
    }
}

fn family_set(families: &[config::Family]) -> FamilySet {
    families.iter().map(|family| family.code()).collect()
}
