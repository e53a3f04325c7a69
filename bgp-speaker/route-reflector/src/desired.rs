//! From a configuration to what the speaker is asked to be.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bgp_speaker::kernel::KernelConfig;
use bgp_speaker::policy::Discard;
use bgp_speaker::{
    Aggregation, AoAlgorithm, AoKey, ApplyReport, Asn, Builder, ClusterId, FamilySet, MeshDialer, MeshNode,
    NextHopMode, OwnerId, PeerAs, PeerClass, PeerConfig, Policy, RangeConfig, Route, RouterId, Secret,
    SessionOptions, Speaker, SpeakerError, Timers,
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
    asn: u32,
    router_id: u32,
    cluster_id: Option<u32>,
    listen: Vec<SocketAddr>,
    mesh_local: Option<IpAddr>,
    mesh_dialer: MeshDialer,
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
}

impl Desired {
    /// What `config` asks for.
    pub(crate) fn of(config: &Config) -> Self {
        let hold_time = config.hold_time.map(|hold| Duration::from_secs(hold.0.into()));
        let mesh = config.mesh.as_ref().map(Spanned::get_ref);
        Desired {
            identity: Identity {
                asn: config.asn.0,
                router_id: config.router_id.0.into(),
                cluster_id: config.cluster_id.map(|cluster| cluster.0.into()),
                listen: config.listen_addresses(),
                mesh_local: mesh.map(|mesh| mesh.local.get_ref().0),
                mesh_dialer: match mesh.and_then(|mesh| mesh.dialer) {
                    Some(Dialer::CalicoString) => MeshDialer::CalicoString,
                    Some(Dialer::Numeric) | None => MeshDialer::Numeric,
                },
                kernel: config.kernel_export.then(|| kernel(config)),
                metrics: metrics(config),
                control_socket: config.control_socket.as_ref().map(|path| path.get_ref().clone()),
                log: (config.log.filter.as_ref().map(|filter| filter.get_ref().clone()), config.log.format),
            },
            speaker: bgp_speaker::Desired {
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
        let mut builder = Speaker::builder(Asn(identity.asn), RouterId(identity.router_id))
            .mesh_dialer(identity.mesh_dialer)
            .desired(self.speaker.clone());
        for address in &identity.listen {
            builder = builder.listen(*address);
        }
        if let Some(cluster) = identity.cluster_id {
            builder = builder.cluster_id(ClusterId(cluster));
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
            ("asn", now.asn != next.asn),
            ("router-id", now.router_id != next.router_id),
            ("cluster-id", now.cluster_id != next.cluster_id),
            ("listen", now.listen != next.listen),
            ("mesh.local", now.mesh_local != next.mesh_local),
            ("mesh.dialer", now.mesh_dialer != next.mesh_dialer),
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
    options
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
        assert_eq!(before.needs_restart(&desired("cluster-id = \"10.0.0.9\"\n")), Some("cluster-id"));
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
