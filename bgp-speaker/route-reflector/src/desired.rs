//! From a configuration to what the speaker is asked to be.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bgp_speaker::kernel::KernelConfig;
use bgp_speaker::policy::Discard;
use bgp_speaker::{
    Aggregation, AoAlgorithm, AoKey, ApplyReport, Asn, Builder, ClusterId, DecisionOptions, FamilyLimits,
    FamilySet, Limit, LimitAction, Limits, MeshDialer, MeshNode, NextHopMode, OwnerId, PeerAs, PeerClass,
    PeerConfig, Policy, PrivateAs, RangeConfig, Role, Route, RouteRules, RouterId, Secret, SessionOptions,
    Speaker, SpeakerError, Timers,
};
use toml::Spanned;

use crate::config::{self, Config, Dialer, DiscardWord, LogFormat, NextHop, Scope, SessionKeys};

/// The configuration file owns what it originates; nothing else does in this program.
const OWNER: OwnerId = OwnerId(0);

/// Everything that a configuration asks of this program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desired {
    /// What a speaker is born with.
    identity: Identity,
    /// What it is asked to do.
    speaker: bgp_speaker::Desired,
    descriptions: HashMap<IpAddr, String>,
}

/// What cannot be changed while a speaker runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Identity {
    listen: Vec<SocketAddr>,
    mesh_local: Option<IpAddr>,
    mesh_dialer: MeshDialer,
    max_paths: u16,
    decision: DecisionOptions,
    kernel: Option<Kernel>,
    control_socket: Option<PathBuf>,
    metrics: (Option<SocketAddr>, Option<bool>),
    log: (Option<String>, Option<LogFormat>),
}

/// Kernel export as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Kernel {
    table: Option<u32>,
    protocol: Option<u8>,
    metric: Option<u32>,
    tables: Vec<u32>,
    nexthop_objects: Option<bool>,
    track_next_hops: Option<bool>,
    resolve_via_default: Option<bool>,
}

impl Desired {
    /// What `config` asks for.
    pub(crate) fn of(config: &Config) -> Self {
        let hold_time = config.hold_time.map(|hold| Duration::from_secs(hold.0.into()));
        let mesh = config.mesh.as_ref().map(Spanned::get_ref);
        Desired {
            identity: Identity {
                listen: config.listen_addresses(),
                mesh_local: mesh.map(|mesh| mesh.local.get_ref().0),
                mesh_dialer: match mesh.and_then(|mesh| mesh.dialer) {
                    Some(Dialer::CalicoString) => MeshDialer::CalicoString,
                    Some(Dialer::Numeric) | None => MeshDialer::Numeric,
                },
                max_paths: config.max_paths.map_or(1, |paths| paths.0),
                decision: DecisionOptions {
                    always_compare_med: config.decision.always_compare_med,
                    missing_med_as_worst: config.decision.missing_med_as_worst,
                    prefer_oldest: config.decision.prefer_oldest,
                },
                kernel: config.kernel_export.then(|| kernel(config)),
                metrics: metrics(config),
                control_socket: config.control_socket.as_ref().map(|path| path.get_ref().clone()),
                log: (config.log.filter.as_ref().map(|filter| filter.get_ref().clone()), config.log.format),
            },
            speaker: bgp_speaker::Desired {
                identity: Some(bgp_speaker::Identity {
                    asn: Asn(config.asn.0),
                    router_id: RouterId(config.router_id.0.into()),
                }),
                cluster_id: config.cluster_id.map(|cluster| ClusterId(cluster.0.into())),
                peers: config.neighbor.iter().map(|n| peer(config, n)).collect(),
                ranges: config.neighbor_range.iter().map(|r| range(config, r)).collect(),
                mesh: mesh.map(|mesh| nodes(config, mesh)).unwrap_or_default(),
                mesh_options: mesh.map(|mesh| SessionOptions {
                    timers: hold_time
                        .map_or_else(Timers::default, |hold_time| Timers { hold_time, ..Timers::default() }),
                    password: secret(mesh.password.as_ref(), mesh.password_file.as_ref()),
                    import: mesh.import.as_ref().map(|name| config.policies.get(name.get_ref())),
                    export: mesh.export.as_ref().map(|name| config.policies.get(name.get_ref())),
                    ..SessionOptions::default()
                }),
                routes: BTreeMap::from([(OWNER, originated(config))]),
            },
            descriptions: config
                .neighbor
                .iter()
                .filter_map(|n| Some((n.host(), n.description.clone()?)))
                .collect(),
        }
    }

    /// A speaker that does all this from its first moment.
    pub(crate) fn builder(&self) -> Builder {
        let identity = &self.identity;
        // Names of the file are part of what is desired, and change with it.
        let us = self.speaker.identity;
        let (asn, router_id) = us.map_or((Asn(0), RouterId(0)), |us| (us.asn, us.router_id));
        let mut builder = Speaker::builder(asn, router_id)
            .version(concat!("route-reflector ", env!("CARGO_PKG_VERSION")))
            .max_paths(identity.max_paths.into())
            .decision(identity.decision)
            .mesh_dialer(identity.mesh_dialer)
            .desired(self.speaker.clone());
        for address in &identity.listen {
            builder = builder.listen(*address);
        }
        if let Some(local) = identity.mesh_local {
            builder = builder.local_address(local);
        }
        match &identity.kernel {
            Some(kernel) => builder.kernel(kernel.config()),
            None => builder,
        }
    }

    /// What the configuration remarks on its neighbors.
    pub(crate) fn descriptions(&self) -> HashMap<IpAddr, String> {
        self.descriptions.clone()
    }

    /// The key that differs and that only a restart can change.
    pub(crate) fn needs_restart(&self, next: &Desired) -> Option<&'static str> {
        let (now, next) = (&self.identity, &next.identity);
        let keys = [
            ("listen", now.listen != next.listen),
            ("mesh.local", now.mesh_local != next.mesh_local),
            ("mesh.dialer", now.mesh_dialer != next.mesh_dialer),
            ("max-paths", now.max_paths != next.max_paths),
            ("[decision]", now.decision != next.decision),
            ("kernel-export or [kernel]", now.kernel != next.kernel),
            ("control-socket", now.control_socket != next.control_socket),
            ("[metrics]", now.metrics != next.metrics),
            ("[log]", now.log != next.log),
        ];
        keys.iter().find(|(_, differs)| *differs).map(|(key, _)| *key)
    }

    /// Makes the speaker do what this asks for; what it does already is not touched.
    pub(crate) async fn apply(&self, speaker: &Speaker) -> Result<ApplyReport, SpeakerError> {
        speaker.apply(self.speaker.clone()).await
    }
}

impl Kernel {
    fn config(&self) -> KernelConfig {
        let mut config = KernelConfig::default();
        if let Some(table) = self.table {
            config.table = table;
        }
        if let Some(protocol) = self.protocol {
            config.protocol = protocol;
        }
        if let Some(metric) = self.metric {
            config.metric = metric;
        }
        config.tables.clone_from(&self.tables);
        config.nexthop_objects = self.nexthop_objects.unwrap_or(config.nexthop_objects);
        config.track_next_hops = self.track_next_hops.unwrap_or(config.track_next_hops);
        config.resolve_via_default = self.resolve_via_default.unwrap_or(config.resolve_via_default);
        config
    }
}

fn kernel(config: &Config) -> Kernel {
    let Some(kernel) = &config.kernel else { return Kernel::default() };
    let kernel = kernel.get_ref();
    Kernel {
        table: kernel.table.as_ref().map(|table| *table.get_ref()),
        protocol: kernel.protocol.as_ref().map(|protocol| *protocol.get_ref()),
        metric: kernel.metric.as_ref().map(|metric| *metric.get_ref()),
        tables: kernel.tables.as_ref().map(|tables| tables.get_ref().clone()).unwrap_or_default(),
        nexthop_objects: kernel.nexthop_objects,
        track_next_hops: kernel.track_next_hops,
        resolve_via_default: kernel.resolve_via_default,
    }
}

fn metrics(config: &Config) -> (Option<SocketAddr>, Option<bool>) {
    let metrics = config.metrics.as_ref().map(Spanned::get_ref);
    let listen = metrics.and_then(|metrics| metrics.listen.as_ref());
    (listen.map(|listen| listen.get_ref().0), metrics.and_then(|metrics| metrics.per_peer))
}

fn peer(config: &Config, neighbor: &config::Neighbor) -> PeerConfig {
    let keys = neighbor.session();
    let mut peer = PeerConfig::new(neighbor.host(), peer_as(*keys.asn.get_ref()));
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

fn range(config: &Config, range: &config::NeighborRange) -> RangeConfig {
    let keys = range.session();
    let mut to = RangeConfig::new(range.prefix.get_ref().0, peer_as(*keys.asn.get_ref()));
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
    options.collision_detect_established = keys.collision_detect_established.unwrap_or(false);
    options.long_lived = keys.long_lived_time.map(seconds);
    options.role = keys.role.map(role);
    options.role_strict = keys.role_strict.unwrap_or(false);
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

fn rules(rules: &mut RouteRules, keys: SessionKeys<'_>) {
    rules.route_server_client = keys.route_server_client.unwrap_or(rules.route_server_client);
    rules.best_per_client = keys.best_per_client.unwrap_or(rules.best_per_client);
    rules.aigp = keys.aigp.or(rules.aigp);
    rules.enforce_first_as = keys.enforce_first_as.unwrap_or(rules.enforce_first_as);
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

fn secret(
    password: Option<&Spanned<config::SessionPassword>>,
    file: Option<&Spanned<PathBuf>>,
) -> Option<Secret> {
    let password = password.map(|password| Secret::Value(password.get_ref().0.clone()));
    password.or_else(|| file.map(|file| Secret::File(file.get_ref().clone())))
}

fn nodes(config: &Config, mesh: &config::Mesh) -> Vec<MeshNode> {
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

fn originated(config: &Config) -> Vec<Route> {
    let routes = config.route.iter().map(route);
    routes.chain(config.aggregate.iter().map(|from| aggregate(config, from))).collect()
}

fn aggregate(config: &Config, from: &config::Aggregate) -> Route {
    let except = from.except.as_ref().map(|name| config.policies.get(name.get_ref()));
    let aggregation = Aggregation {
        always: from.always,
        suppress: from.suppress,
        except: except.unwrap_or_else(Policy::reject_all),
    };
    let mut route = Route::new(from.prefix.get_ref().0).aggregation(aggregation);
    route.local_pref = from.local_pref;
    route.med = from.med;
    route.communities = from.communities.iter().map(|community| community.0).collect();
    route.discard = from.discard.map(|word| match word {
        DiscardWord::Blackhole => Discard::Blackhole,
        DiscardWord::Unreachable => Discard::Unreachable,
        DiscardWord::Prohibit => Discard::Prohibit,
    });
    route
}

fn route(from: &config::StaticRoute) -> Route {
    let mut route = Route::new(from.prefix.get_ref().0);
    route.next_hop = from.next_hop.as_ref().map(|next_hop| next_hop.get_ref().0);
    route.local_pref = from.local_pref;
    route.med = from.med;
    route.communities = from.communities.iter().map(|community| community.0).collect();
    route
}

fn peer_as(rule: config::PeerAs) -> PeerAs {
    match rule {
        config::PeerAs::Exact(asn) => PeerAs::Exact(Asn(asn)),
        config::PeerAs::Internal => PeerAs::Internal,
        config::PeerAs::External => PeerAs::External,
        config::PeerAs::Any => PeerAs::Any,
    }
}

fn family_set(families: &[config::Family]) -> FamilySet {
    families.iter().map(|family| family.code()).collect()
}

#[cfg(test)]
mod tests {
    use bgp_speaker::policy::{RouteSource, RouteView};
    use bgp_speaker::{AddPath, AddPathSend, Community, Family};
    use bgp_wire::{AsPath, AttributeBlock, PathAttributes, PeerKind};

    use super::*;

    fn desired(rest: &str) -> Desired {
        let head = "asn = 65000\nrouter-id = \"10.0.0.1\"\nlisten = \"10.0.0.1:179\"\nhold-time = 30\n";
        Desired::of(&config::parse(&format!("{head}{rest}")).expect("valid"))
    }

    fn neighbor(host: u8, more: &str) -> String {
        format!("[[neighbor]]\naddress = \"10.0.0.{host}\"\nasn = 65000\n{more}\n")
    }

    #[test]
    fn every_key_of_an_aggregate_reaches_its_route() {
        let keys = "[[aggregate]]\nprefix = \"10.64.0.0/26\"\nalways = true\nsuppress = true\nexcept = \"accept\"\n\
                    discard = \"unreachable\"\nlocal-pref = 7\nmed = 8\ncommunities = [\"65000:7\"]\n";
        let desired = desired(keys);
        let aggregation = Aggregation { always: true, suppress: true, except: Policy::accept_all() };
        let prefix: ipnet::IpNet = "10.64.0.0/26".parse().expect("a prefix");
        let route = Route::new(prefix).local_pref(7).med(8).community(Community::new(65000, 7));
        let route = route.discard(Discard::Unreachable).aggregation(aggregation);
        assert_eq!(desired.speaker.routes[&OWNER], [route]);
    }

    #[test]
    fn every_key_of_a_session_reaches_its_peer() {
        let keys = "port = 1179\npassive = true\nroute-reflector-client = true\nlocal-as = 65000\n\
                    local-address = \"10.0.0.7\"\nfamilies = [\"ipv4-unicast\", \"ipv6-unicast\"]\nkeepalive-interval = 4\n\
                    send-hold-time = 40\ntcp-user-timeout = 20\nconnect-retry = 7\nimport = \"reject\"\nexport = \"accept\"\nnext-hop = \"self\"\n\
                    next-hop-ipv6 = \"2001:db8::1\"\nttl = 3\npassword = \"s3cret\"\n\
                    interface = \"eth0\"\nallow-own-as = 2\nrestart-time = 60\nextended-message = false\nadd-path-receive = true\nadd-path-send = \"best 3\"";
        let desired = desired(&neighbor(2, keys));
        let peer = desired.speaker.peers.first().expect("one peer");
        let expected = PeerConfig {
            address: IpAddr::from([10, 0, 0, 2]),
            port: 1179,
            peer_as: PeerAs::Exact(Asn(65000)),
            class: PeerClass::ReflectorClient,
            options: SessionOptions {
                local_as: Some(Asn(65000)),
                source: Some(IpAddr::from([10, 0, 0, 7])),
                passive: true,
                route_reflector_client: true,
                families: Some(FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST])),
                timers: Timers {
                    hold_time: Duration::from_secs(30),
                    keepalive: Some(Duration::from_secs(4)),
                    connect_retry: Duration::from_secs(7),
                    send_hold: Some(Duration::from_secs(40)),
                    tcp_user_timeout: Some(Duration::from_secs(20)),
                    ..Timers::default()
                },
                import: Some(Policy::reject_all()),
                export: Some(Policy::accept_all()),
                next_hop: NextHopMode::SelfAlways,
                next_hop_v6: Some("2001:db8::1".parse().expect("an address")),
                ttl: Some(3),
                password: Some(Secret::Value("s3cret".parse().expect("a password"))),
                interface: Some("eth0".into()),
                allow_own_as: 2,
                add_path: AddPath { receive: true, send: Some(AddPathSend::Best(3)), send_in: Vec::new() },
                graceful_restart: Some(Duration::from_secs(60)),
                extended_message: false,
                ..SessionOptions::default()
            },
        };
        assert_eq!(peer, &expected);
    }

    /// A field that comes new does not compile here before somebody says which key it has, or why none.
    #[test]
    fn every_option_of_a_session_has_a_key_or_a_reason_not_to() {
        let SessionOptions {
            local_as: _,
            source: _,
            passive: _,
            route_reflector_client: _,
            families: _,
            timers: _,
            import: _,
            export: _,
            next_hop: _,
            next_hop_v4: _,
            next_hop_v6: _,
            ttl: _,
            ttl_security: _,
            password: _,
            tcp_ao: _,
            interface: _,
            add_path: _,
            allow_own_as: _,
            rules: _,
            limits: _,
            limit_restart: _,
            graceful_restart: _,
            extended_message: _,
            long_lived: _,
            // What a reflector demands of its clients is up to their configuration.
            required: _,
            role: _,
            role_strict: _,
            // Nothing tells this program what a BFD says.
            bfd_strict: _,
            collision_detect_established: _,
        } = SessionOptions::default();
        let Timers {
            hold_time: _,
            keepalive: _,
            connect_retry: _,
            // The pauses after failures and the wait for an OPEN are fine for a daemon as they are.
            idle_hold_min: _,
            idle_hold_max: _,
            idle_hold_forgive: _,
            open_hold: _,
            delay_open: _,
            send_hold: _,
            tcp_user_timeout: _,
        } = Timers::default();
        let RouteRules {
            enforce_first_as: _,
            route_server_client: _,
            best_per_client: _,
            aigp: _,
            honour_graceful_shutdown: _,
            // Said of a session for a while, and not by a file.
            leaving: _,
            long_lived_partial: _,
            private_as: _,
            as_override: _,
            // `local-as` stands alone; a next hop of a third party takes a network, which `unchanged` does without.
            local_as: _,
            shared_network: _,
        } = RouteRules::default();
        let keys = [
            "local-as = 65003",
            "local-address = \"10.0.0.7\"",
            "passive = true",
            "families = [\"ipv4-unicast\"]",
            "hold-time = 31",
            "keepalive-interval = 4",
            "connect-retry = 7",
            "delay-open = 2",
            "send-hold-time = 40",
            "tcp-user-timeout = 20",
            "import = \"reject\"",
            "export = \"accept\"",
            "next-hop = \"self\"",
            "next-hop-ipv6 = \"2001:db8::1\"",
            "ttl = 3",
            "ttl-security = 2",
            "password = \"s3cret\"",
            "tcp-ao = [{ send-id = 1, password = \"s3cret\" }]",
            "interface = \"eth0\"",
            "add-path-receive = true",
            "add-path-send = \"all\"",
            "allow-own-as = 1",
            "max-prefixes = 10",
            "max-prefixes = 10\nmax-prefixes-action = \"warn\"\nlimit-restart = 9",
            "graceful-restart = false",
            "restart-time = 7",
            "extended-message = false",
            "long-lived-time = 3600",
            "role = \"customer\"",
            "role-strict = true",
            "collision-detect-established = true",
            "enforce-first-as = false",
            "route-server-client = true",
            "aigp = true",
            "best-per-client = true",
            "honour-graceful-shutdown = false",
            "long-lived-partial = true",
            "private-as = \"remove\"",
            "as-override = true",
        ];
        let options = |keys: &str| {
            let neighbor = format!("[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 65009\n{keys}\n");
            desired(&neighbor).speaker.peers[0].options.clone()
        };
        let plain = options("");
        for key in keys {
            assert_ne!(options(key), plain, "{key} changes nothing");
        }
        let bounded = options(keys[23]);
        assert_eq!(bounded.limit_restart, Some(Duration::from_secs(9)));
        let bound = bounded.limits.of(Family::IPV4_UNICAST).received;
        assert_eq!(bound, Some(Limit::new(10, LimitAction::Warn)));
    }

    #[test]
    fn every_key_of_the_kernel_export_reaches_it() {
        let text = "kernel-export = true\nmax-paths = 4\n[kernel]\ntable = 100\nprotocol = 77\nmetric = 5\n\
                    tables = [101, 102]\nnexthop-objects = false\ntrack-next-hops = false\nresolve-via-default = false\n";
        let desired = desired(text);
        assert_eq!(desired.identity.max_paths, 4);
        let config = desired.identity.kernel.expect("it is on").config();
        assert_eq!((config.table, config.protocol, config.metric), (100, 77, 5));
        assert_eq!(config.tables, [101, 102]);
        assert!(!config.nexthop_objects && !config.track_next_hops && !config.resolve_via_default);
    }

    #[test]
    fn what_protects_a_session_is_told_the_speaker() {
        let keys = "ttl-security = 2\npassword-file = \"/run/secret\"";
        let chain = "tcp-ao = [{ send-id = 1, recv-id = 2, algorithm = \"aes-128-cmac-96\", password = \"s3cret\" },\n\
                     { send-id = 3, password-file = \"/run/secret\" }]";
        let link_local = "[[neighbor]]\naddress = \"fe80::1%eth1\"\nasn = 65001\n";
        let desired = desired(&[&neighbor(2, keys), link_local, &neighbor(3, chain)].concat());
        let options: Vec<_> = desired.speaker.peers.iter().map(|peer| &peer.options).collect();
        assert_eq!(options[0].ttl_security, Some(2));
        assert_eq!(options[0].password, Some(Secret::File("/run/secret".into())));
        assert_eq!(options[1].interface.as_deref(), Some("eth1"));
        let secret = "s3cret".parse::<bgp_speaker::Password>().expect("a password").into();
        let first = AoKey { send_id: 1, recv_id: 2, algorithm: AoAlgorithm::CmacAes128, secret };
        assert_eq!(options[2].tcp_ao, [first, AoKey::new(3, Secret::File("/run/secret".into()))]);
    }

    #[test]
    fn what_a_speaker_is_born_with_needs_a_restart() {
        let before = desired("");
        assert_eq!(
            before.needs_restart(&desired("kernel-export = true\n")),
            Some("kernel-export or [kernel]")
        );
        assert_eq!(before.needs_restart(&desired("max-paths = 4\n")), Some("max-paths"));
        let keys = ["always-compare-med", "missing-med-as-worst", "prefer-oldest"];
        for key in keys {
            let decision = desired(&format!("[decision]\n{key} = true\n"));
            assert_eq!(before.needs_restart(&decision), Some("[decision]"), "{key}");
        }
        assert_eq!(before.needs_restart(&desired("cluster-id = \"10.0.0.9\"\n")), None);
        assert_eq!(before.needs_restart(&desired("[log]\nformat = \"json\"\n")), Some("[log]"));
    }

    /// What a policy of the file makes of a route with these attributes.
    fn judged(policy: &Policy, prefix: &str, attributes: &PathAttributes) -> Option<PathAttributes> {
        let mut block = Vec::new();
        attributes.encode_block(&mut block).expect("they fit");
        let block = AttributeBlock::parse(&block).expect("they were just written");
        let route = RouteView {
            source: RouteSource::Peer {
                kind: PeerKind::External,
                client: false,
                address: "10.0.0.253".parse().expect("an address"),
            },
            peer: PeerKind::External,
            ..RouteView::new(prefix.parse().expect("a prefix"), block, OwnerId(0))
        };
        let outcome = policy.evaluate(&route);
        let mut edited = block.as_bytes().to_vec();
        if let Some(edits) = &outcome.edits {
            edited.clear();
            edits.apply(block, &mut edited).expect("they fit");
        }
        let edited = AttributeBlock::parse(&edited).expect("edits keep attributes lawful");
        outcome.is_accepted().then(|| PathAttributes::from_block(edited))
    }

    #[test]
    fn the_policies_of_the_example_judge_as_its_remarks_say() {
        let config = config::parse(include_str!("../example.toml")).expect("valid");
        let desired = Desired::of(&config);
        let peer =
            desired.speaker.peers.iter().find(|p| p.address.to_string() == "10.0.0.253").expect("there");
        let (import, export) = (peer.options.import.clone(), peer.options.export.clone());
        let (import, export) = (import.expect("named"), export.expect("named"));
        let path = |asns: &[u32]| PathAttributes {
            as_path: AsPath::sequence(asns.iter().copied().map(Asn)),
            ..PathAttributes::default()
        };
        let taken = judged(&import, "10.9.0.0/24", &path(&[65100, 64512, 65009])).expect("it passes");
        assert_eq!(taken.local_pref, Some(200));
        assert_eq!(taken.large_communities.len(), 1);
        assert_eq!(judged(&import, "10.9.0.0/24", &path(&[65100, 1, 65009])), None, "another path");
        assert_eq!(judged(&import, "0.0.0.0/0", &path(&[65100, 65009])), None, "the default route");
        assert_eq!(judged(&import, "10.9.0.1/32", &path(&[65100, 65009])), None, "a host route");
        let marked =
            PathAttributes { communities: vec![Community::new(65100, 666)], ..path(&[65100, 65009]) };
        assert_eq!(judged(&import, "10.9.0.0/24", &marked), None, "a community that it must not have");
        assert!(judged(&export, "10.64.3.0/26", &path(&[65100])).is_some());
        assert_eq!(judged(&export, "10.64.3.7/32", &path(&[65100])), None, "longer than the pools' blocks");
        let line = import.rules().first().and_then(|rule| rule.line).expect("a line");
        let text = include_str!("../example.toml").lines().nth(line as usize - 1).expect("in the file");
        assert!(text.starts_with("[[policy.rule]]"), "rules know their lines");
    }
}
