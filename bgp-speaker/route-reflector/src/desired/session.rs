//! From the keys of a peer, a range and a mesh to the options of their sessions.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bgp_speaker::{
    AoAlgorithm, AoKey, Asn, ClusterId, FamilyLimits, FamilySet, Limit, LimitAction, Limits, LocalAsMode,
    MeshNode, NextHopMode, PeerAs, PeerClass, PeerConfig, PrivateAs, RangeConfig, Required, Role, RouteRules,
    Secret, SessionOptions,
};
use bgp_wire::Afi;
use toml::Spanned;

use crate::config::{self, Capability, Config, NextHop, Scope, SessionKeys};

pub(super) fn peer(config: &Config, neighbor: &config::Neighbor) -> PeerConfig {
    let keys = neighbor.session();
    let mut peer = PeerConfig::new(neighbor.host(), peer_as(keys.asn.get_ref()));
    if let Some(port) = &neighbor.port {
        peer.port = port.get_ref().0;
    }
    peer.class = match (keys.is_client(), neighbor.scope) {
        (true, _) => PeerClass::ReflectorClient,
        (false, Some(Scope::Global)) => PeerClass::Global,
        (false, Some(Scope::Node) | None) => PeerClass::NodeSpecific,
    };
    peer.options = session(config, keys);
    if let Some(scope) = &neighbor.address.get_ref().0.interface {
        peer.options.interface = Some(scope.clone());
    }
    peer.options.passive = neighbor.passive.as_ref().is_some_and(|passive| *passive.get_ref());
    if let Some(retry) = &neighbor.connect_retry {
        peer.options.timers.connect_retry = Duration::from_secs(retry.get_ref().0.into());
    }
    peer
}

pub(super) fn range(config: &Config, range: &config::NeighborRange) -> RangeConfig {
    let keys = range.session();
    let mut to = RangeConfig::new(range.prefix.get_ref().0, peer_as(keys.asn.get_ref()));
    if let Some(limit) = range.limit {
        to.limit = usize::try_from(limit.0).unwrap_or(usize::MAX);
    }
    if keys.is_client() {
        to.class = PeerClass::ReflectorClient;
    }
    to.options = session(config, keys);
    to.options.passive = true;
    to
}

fn session(config: &Config, keys: SessionKeys<'_>) -> SessionOptions {
    let mut options = SessionOptions {
        local_as: keys.local_as.map(|asn| Asn(asn.0)),
        source: keys.local_address.map(|address| address.get_ref().0),
        route_reflector_client: keys.is_client(),
        families: keys.families.map(|families| family_set(families.get_ref())),
        import: keys.import.map(|name| config.policies.get(name.get_ref())),
        export: keys.export.map(|name| config.policies.get(name.get_ref())),
        ..SessionOptions::default()
    };
    if let Some(hold) = keys.hold_time.or(config.hold_time) {
        options.timers.hold_time = Duration::from_secs(hold.0.into());
    }
    let seconds = |time: &Spanned<config::Seconds>| Duration::from_secs(time.get_ref().0.into());
    options.timers.keepalive = keys.keepalive_interval.map(seconds);
    options.timers.send_hold = keys.send_hold_time.map(seconds);
    options.timers.tcp_user_timeout = keys.tcp_user_timeout.map(seconds);
    options.next_hop = match keys.next_hop {
        Some(NextHop::Auto) | None => NextHopMode::Auto,
        Some(NextHop::Unchanged) => NextHopMode::Unchanged,
        Some(NextHop::SelfAlways) => NextHopMode::SelfAlways,
    };
    if let Some(IpAddr::V4(own)) = keys.next_hop_ipv4.map(|own| own.get_ref().0) {
        options.next_hop_v4 = Some(own);
    }
    if let Some(IpAddr::V6(own)) = keys.next_hop_ipv6.map(|own| own.get_ref().0) {
        options.next_hop_v6 = Some(own);
    }
    options.ttl = keys.ttl.map(|ttl| ttl.0);
    options.ttl_security = keys.ttl_security.map(|hops| hops.get_ref().0);
    options.password = secret(keys.password, keys.password_file);
    options.tcp_ao =
        keys.tcp_ao.map(|chain| chain.get_ref().iter().map(ao_key).collect()).unwrap_or_default();
    options.interface = keys.interface.map(|interface| interface.get_ref().0.clone());
    options.add_path.receive = keys.add_path_receive.unwrap_or(false);
    options.add_path.send = keys.add_path_send;
    if let Some(times) = keys.allow_own_as {
        options.allow_own_as = times;
    }
    if keys.graceful_restart == Some(false) {
        options.graceful_restart = None;
    } else if let Some(time) = keys.restart_time {
        options.graceful_restart = Some(Duration::from_secs(time.get_ref().0.into()));
    }
    if let Some(offer) = keys.extended_message {
        options.extended_message = offer;
    }
    options.timers.delay_open = keys.delay_open.map(seconds);
    options.timers.collision_wait = keys.collision_wait.map_or(options.timers.collision_wait, seconds);
    options.collision_detect_established = keys.collision_detect_established.unwrap_or(false);
    if let Some(time) = keys.idle_hold_max {
        options.timers.idle_hold_max = seconds(time);
    }
    if let Some(time) = keys.idle_hold_min {
        options.timers.idle_hold_min = seconds(time);
        options.timers.idle_hold_max = options.timers.idle_hold_max.max(seconds(time));
    }
    options.timers.idle_hold_forgive =
        keys.idle_hold_forgive.map_or(options.timers.idle_hold_forgive, seconds);
    options.timers.open_hold = keys.open_hold_time.map_or(options.timers.open_hold, seconds);
    options.extended_next_hop = keys.extended_next_hop;
    options.required = required(keys, options.families);
    options.long_lived = keys.long_lived_time.map(|time| Duration::from_secs(time.get_ref().0.into()));
    options.role = keys.role.map(role);
    options.role_strict = keys.role_strict.is_some_and(|strict| *strict.get_ref());
    options.limit_restart = keys.limit_restart.map(seconds);
    if let Some(max) = keys.max_prefixes {
        let action = match keys.max_prefixes_action.map(Spanned::get_ref) {
            Some(config::LimitAction::Warn) => LimitAction::Warn,
            Some(config::LimitAction::Drop) => LimitAction::Drop,
            Some(config::LimitAction::Stop) | None => LimitAction::Stop,
        };
        let bound =
            FamilyLimits { received: Some(Limit::new(max.0.into(), action)), ..FamilyLimits::default() };
        let families = options.families.unwrap_or_else(|| {
            FamilySet::of(&[bgp_speaker::Family::IPV4_UNICAST, bgp_speaker::Family::IPV6_UNICAST])
        });
        options.limits =
            families.iter().fold(Limits::default(), |limits, family| limits.family(family, bound));
    }
    rules(&mut options.rules, keys);
    options
}

fn required(keys: SessionKeys<'_>, offered: Option<FamilySet>) -> Required {
    let offered = offered.unwrap_or_else(|| {
        FamilySet::of(&[bgp_speaker::Family::IPV4_UNICAST, bgp_speaker::Family::IPV6_UNICAST])
    });
    let mut required = Required { families: family_set(keys.require_families), ..Required::default() };
    for capability in keys.require {
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

fn rules(rules: &mut RouteRules, keys: SessionKeys<'_>) {
    rules.route_server_client = keys.route_server_client.unwrap_or(rules.route_server_client);
    rules.best_per_client = keys.best_per_client.unwrap_or(rules.best_per_client);
    rules.cluster_id = keys.cluster_id.map(|cluster| ClusterId(cluster.0.into())).or(rules.cluster_id);
    rules.client_to_client = keys.client_to_client.map_or(rules.client_to_client, |key| *key.get_ref());
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

pub(super) fn secret(
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
