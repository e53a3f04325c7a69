//! What a file may say only together: each check points at all the places involved.

mod session;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use bgp_speaker::PeerAddress;
use bgp_speaker::kernel::KernelConfig;
use ipnet::IpNet;
use toml::Spanned;
use tracing_subscriber::EnvFilter;

use super::diagnostic::Diagnostic;
use super::file::{Config, Mesh, MeshNode, Neighbor, NeighborRange, StaticRoute};
use super::parse::BGP_PORT;

/// `sun_path` of a Unix socket address on Linux, without its final zero.
const MAX_SOCKET_PATH: usize = 107;

type Outcome = Result<(), Diagnostic>;

/// The first contradiction in `config`, if there is one.
pub(super) fn check(config: &Config) -> Outcome {
    let listen = config.listeners();
    listeners(&listen)?;
    log_filter(config)?;
    control_socket(config)?;
    kernel(config)?;
    learn(config)?;
    let mut peers = Once::default();
    for neighbor in &config.neighbor {
        single_peer(config, neighbor, &listen)?;
        peers.add(neighbor.at(), neighbor.address.span(), |first| {
            Diagnostic::new(
                neighbor.address.span(),
                format!("two neighbors have the address {}", neighbor.at()),
            )
            .label("the second one")
            .related(first, "the first one")
            .mend("give each [[neighbor]] its own address, or remove one of the two")
        })?;
    }
    if let Some(mesh) = &config.mesh {
        mesh_nodes(config, mesh, &listen, &mut peers)?;
    }
    let mut ranges = Once::default();
    for range in &config.neighbor_range {
        peer_range(config, range, &listen)?;
        let prefix = range.prefix.get_ref().0;
        ranges.add(prefix, range.prefix.span(), |first| {
            Diagnostic::new(range.prefix.span(), format!("two ranges have the prefix {prefix}"))
                .label("the second one")
                .related(first, "the first one")
                .mend("remove one of the two [[neighbor-range]]")
        })?;
    }
    let mut routes = Once::default();
    for route in &config.route {
        static_route(route)?;
        let prefix = route.prefix.get_ref().0;
        routes.add(prefix, route.prefix.span(), |first| {
            Diagnostic::new(route.prefix.span(), format!("two routes have the prefix {prefix}"))
                .label("the second one")
                .related(first, "the first one")
                .mend("remove one of the two [[route]]")
        })?;
    }
    for aggregate in &config.aggregate {
        let prefix = aggregate.prefix.get_ref().0;
        routes.add(prefix, aggregate.prefix.span(), |first| {
            Diagnostic::new(aggregate.prefix.span(), format!("two routes have the prefix {prefix}"))
                .label("the second one")
                .related(first, "the first one")
                .mend("remove the [[route]] or [[aggregate]] that is not meant")
        })?;
        if let Some(except) = aggregate.except.as_ref().filter(|_| aggregate.suppress != Some(true)) {
            return Err(Diagnostic::new(except.span(), "nothing is suppressed that could be excepted")
                .mend("write suppress = true, or remove except"));
        }
    }
    Ok(())
}

/// Keys that may be there once, with the place of each.
struct Once<K>(HashMap<K, Range<usize>>);

impl<K> Default for Once<K> {
    fn default() -> Self {
        Once(HashMap::new())
    }
}

impl<K: Hash + Eq> Once<K> {
    fn add(&mut self, key: K, at: Range<usize>, twice: impl FnOnce(Range<usize>) -> Diagnostic) -> Outcome {
        match self.0.insert(key, at) {
            Some(first) => Err(twice(first)),
            None => Ok(()),
        }
    }
}

fn listeners(listen: &[(SocketAddr, Range<usize>)]) -> Outcome {
    for (index, (address, at)) in listen.iter().enumerate() {
        for (other, first) in &listen[..index] {
            let same_family = address.is_ipv4() == other.is_ipv4() && address.port() == other.port();
            let wildcard = address.ip().is_unspecified() || other.ip().is_unspecified();
            if address == other || (same_family && wildcard) {
                return Err(Diagnostic::new(
                    at.clone(),
                    format!("{address} and {other} cannot both be listened on"),
                )
                .label("the second one")
                .related(first.clone(), "the first one")
                .mend("keep one of the two: the wildcard address takes in all others"));
            }
        }
    }
    Ok(())
}

fn log_filter(config: &Config) -> Outcome {
    let Some(filter) = &config.log.filter else { return Ok(()) };
    EnvFilter::try_new(filter.get_ref()).map(drop).map_err(|error| {
        Diagnostic::new(filter.span(), format!("the log filter is not valid: {error}")).mend(
            "write a level (error, warn, info, debug, trace), or target=level pairs with commas between them",
        )
    })
}

fn control_socket(config: &Config) -> Outcome {
    let Some(path) = &config.control_socket else { return Ok(()) };
    let bytes = path.get_ref().as_os_str().as_bytes();
    let mend = "write the path of a socket, such as \"/run/route-reflector.sock\"";
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(Diagnostic::new(path.span(), "this is not the path of a socket").mend(mend));
    }
    if bytes.len() > MAX_SOCKET_PATH {
        let title =
            format!("a socket's path has at most {MAX_SOCKET_PATH} bytes, this one has {}", bytes.len());
        return Err(Diagnostic::new(path.span(), title).mend("choose a shorter path"));
    }
    Ok(())
}

fn kernel(config: &Config) -> Outcome {
    let Some(kernel) = &config.kernel else { return Ok(()) };
    if !config.kernel_export {
        return Err(Diagnostic::new(kernel.span(), "[kernel] has no effect without kernel export")
            .mend("write kernel-export = true above the first table, or remove [kernel]"));
    }
    let kernel = kernel.get_ref();
    if let Some(protocol) = kernel.protocol.as_ref().filter(|protocol| *protocol.get_ref() <= 4) {
        // rtnetlink(7): RTPROT_UNSPEC, REDIRECT, KERNEL, BOOT, STATIC.
        let title = format!("protocol {} belongs to the kernel and the administrator", protocol.get_ref());
        return Err(Diagnostic::new(protocol.span(), title).mend(
            "write a number from 5 to 255 that no other program uses: routes with it are ours to remove",
        ));
    }
    if let Some(table) = kernel.table.as_ref().filter(|table| matches!(table.get_ref(), 0 | 255)) {
        let title = format!("table {} is not a table for routes like these", table.get_ref());
        return Err(
            Diagnostic::new(table.span(), title).mend("write 254 for the main table, or another number")
        );
    }
    if let Some(tables) =
        kernel.tables.as_ref().filter(|tables| tables.get_ref().iter().any(|table| matches!(table, 0 | 255)))
    {
        return Err(Diagnostic::new(tables.span(), "tables 0 and 255 are not tables for routes like these")
            .mend("name other tables"));
    }
    if let Some(vrf) = &kernel.vrf
        && kernel.table.as_ref().is_none_or(|table| *table.get_ref() == 254)
    {
        return Err(Diagnostic::new(vrf.span(), "a VRF has a table of its own, which is not the main one")
            .mend("write table = with the number that the VRF was made with"));
    }
    if let Some(metric) = kernel.metric.as_ref().filter(|metric| *metric.get_ref() == 0) {
        return Err(Diagnostic::new(
            metric.span(),
            "metric 0 is the kernel's own choice for routes without one",
        )
        .mend("write 1 or more, or remove the line"));
    }
    Ok(())
}

fn learn(config: &Config) -> Outcome {
    let Some(learn) = config.learn.as_ref().map(Spanned::get_ref) else { return Ok(()) };
    if let Some(tables) =
        learn.tables.as_ref().filter(|tables| tables.get_ref().iter().any(|table| matches!(table, 0 | 255)))
    {
        return Err(Diagnostic::new(tables.span(), "tables 0 and 255 hold no routes to learn")
            .mend("write 254 for the main table, or other numbers"));
    }
    let ours = config.kernel.as_ref().and_then(|kernel| kernel.get_ref().protocol.as_ref());
    let ours = ours.map_or(KernelConfig::default().protocol, |protocol| *protocol.get_ref());
    if let Some(protocols) = learn.protocols.as_ref().filter(|protocols| protocols.get_ref().contains(&ours))
        && config.kernel_export
    {
        let title = format!("routes of protocol {ours} are what we write ourselves");
        return Err(Diagnostic::new(protocols.span(), title)
            .mend("name the protocols of other programs, or give [kernel] another protocol"));
    }
    Ok(())
}

fn single_peer(config: &Config, neighbor: &Neighbor, listen: &[(SocketAddr, Range<usize>)]) -> Outcome {
    let address = neighbor.host();
    if matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        return Err(Diagnostic::new(neighbor.address.span(), format!("{address} is the broadcast address"))
            .mend("write the address of one host"));
    }
    if let Some((_, own)) = listen.iter().find(|(own, _)| own.ip() == address) {
        return Err(Diagnostic::new(
            neighbor.address.span(),
            format!("{address} is this speaker's own address"),
        )
        .label("the neighbor")
        .related(own.clone(), "we listen here")
        .mend("write the address of the other router"));
    }
    if let Some(passive) = neighbor.passive.as_ref().filter(|passive| *passive.get_ref()) {
        listens_in_family(listen, address, &passive.span(), "a passive neighbor")?;
    }
    on_a_link(neighbor)?;
    session::peer(config, neighbor.peer(), address)
}

/// A link-local address says nothing without its interface, which is named once.
fn on_a_link(neighbor: &Neighbor) -> Outcome {
    let scoped = &neighbor.address.get_ref().0;
    let link_local = matches!(scoped.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    match (&scoped.interface, &neighbor.session.interface) {
        (None, None) if link_local => {
            let title = format!("{} is a link-local address without an interface", scoped.address);
            Err(Diagnostic::new(neighbor.address.span(), title).mend(format!(
                "write \"{}%eth0\" with the interface that the neighbor is behind",
                scoped.address
            )))
        }
        (Some(one), Some(other)) if *one != other.get_ref().0 => Err(Diagnostic::new(
            other.span(),
            format!("the neighbor is behind {one} and behind {}", other.get_ref().0),
        )
        .related(neighbor.address.span(), "the address names its interface")
        .mend("remove interface, or write the same one")),
        _ => Ok(()),
    }
}

fn peer_range(config: &Config, range: &NeighborRange, listen: &[(SocketAddr, Range<usize>)]) -> Outcome {
    let address = range.prefix.get_ref().0.addr();
    if let (IpAddr::V4(four), Some(length)) =
        (address.to_canonical(), range.prefix.get_ref().0.prefix_len().checked_sub(96))
        && address.is_ipv6()
    {
        let title = format!(
            "{} holds IPv4 addresses, written as ones of IPv6 (RFC 4291 §2.5.5.2)",
            range.prefix.get_ref().0
        );
        return Err(Diagnostic::new(range.prefix.span(), title)
            .label("peers come from IPv4 addresses as they are")
            .mend(format!("write \"{four}/{length}\"")));
    }
    listens_in_family(listen, address, &range.prefix.span(), "a neighbor range")?;
    session::peer(config, range.peer(), address)
}

/// Who waits for a peer has to listen where that peer can reach.
fn listens_in_family(
    listen: &[(SocketAddr, Range<usize>)],
    peer: IpAddr,
    at: &Range<usize>,
    who: &str,
) -> Outcome {
    if listen.iter().any(|(own, _)| own.is_ipv4() == peer.is_ipv4()) {
        return Ok(());
    }
    let (family, example) = match peer {
        IpAddr::V4(_) => ("IPv4", "0.0.0.0:179"),
        IpAddr::V6(_) => ("IPv6", "[::]:179"),
    };
    let diagnostic = Diagnostic::new(at.clone(), format!("{who} over {family} can never connect"))
        .label(format!("we do not listen on any {family} address"));
    Err(match listen.first() {
        Some((_, own)) => diagnostic.related(own.clone(), "the only place to listen is of the other family"),
        None => diagnostic,
    }
    .mend(format!("add an address such as \"{example}\" to listen")))
}

fn family_name(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn static_route(route: &StaticRoute) -> Outcome {
    let Some(next_hop) = &route.next_hop else { return Ok(()) };
    match (route.prefix.get_ref().0, next_hop.get_ref().0) {
        // An IPv4 prefix may have an IPv6 next hop (RFC 8950), not the other way round.
        (IpNet::V6(prefix), IpAddr::V4(address)) => Err(Diagnostic::new(
            next_hop.span(),
            format!("the IPv6 prefix {prefix} has the IPv4 next hop {address}"),
        )
        .related(route.prefix.span(), "an IPv6 prefix")
        .mend("write an IPv6 next hop, or remove next-hop for our own address")),
        _ => Ok(()),
    }
}

fn mesh_nodes(
    config: &Config,
    mesh: &Spanned<Mesh>,
    listen: &[(SocketAddr, Range<usize>)],
    peers: &mut Once<PeerAddress>,
) -> Outcome {
    let mesh = mesh.get_ref();
    session::session(config, &mesh.session)?;
    let local = mesh.local.get_ref().0;
    let mut this = None;
    for node in mesh.nodes.get_ref() {
        let places = node.address.get_ref().places(node.address.span());
        one_of_each_family(&places, &node.address.span())?;
        if places.iter().any(|(address, _)| *address == local) {
            this = Some(node);
        }
        for (address, at) in places {
            peers.add(address.into(), at.clone(), |first| {
                Diagnostic::new(at, format!("two peers have the address {address}"))
                    .label("the second one")
                    .related(first, "the first one")
                    .mend("give each node of the mesh and each [[neighbor]] its own address")
            })?;
        }
    }
    match this {
        Some(node) => reachable_node(mesh, node, listen),
        None => {
            Err(Diagnostic::new(mesh.local.span(), format!("no node of the mesh has the address {local}"))
                .related(mesh.nodes.span(), "the nodes")
                .mend("list this node too: every node has the same list"))
        }
    }
}

/// The other nodes dial this one at the address and port that the list gives it.
fn reachable_node(mesh: &Mesh, this: &MeshNode, listen: &[(SocketAddr, Range<usize>)]) -> Outcome {
    let local = mesh.local.get_ref().0;
    let port = this.port.as_ref().map_or(BGP_PORT, |port| port.get_ref().0);
    let wanted = SocketAddr::new(local, port);
    let takes = |own: &SocketAddr| {
        own.ip() == local || (own.ip().is_unspecified() && own.is_ipv4() == local.is_ipv4())
    };
    let here: Vec<_> = listen.iter().filter(|(own, _)| takes(own)).collect();
    match here.first() {
        Some(_) if here.iter().any(|(own, _)| own.port() == port) => Ok(()),
        Some((own, at)) => {
            let place = this.port.as_ref().map_or(this.address.span(), Spanned::span);
            Err(Diagnostic::new(place, format!("the other nodes dial this one at port {port}"))
                .related(at.clone(), format!("we listen at port {}", own.port()))
                .mend(format!("write port = {} for this node, or listen on \"{wanted}\"", own.port())))
        }
        None => Err(Diagnostic::new(mesh.local.span(), format!("this node does not listen on {local}"))
            .label("the other nodes dial this address")
            .mend(format!("add \"{wanted}\" to listen"))),
    }
}

fn one_of_each_family(places: &[(IpAddr, Range<usize>)], whole: &Range<usize>) -> Outcome {
    let (mut four, mut six) = (None, None);
    for (address, at) in places {
        let known = if address.is_ipv4() { &mut four } else { &mut six };
        if let Some(first) = known.replace(at.clone()) {
            return Err(Diagnostic::new(
                at.clone(),
                format!("a node has one {} address", family_name(*address)),
            )
            .label("the second one")
            .related(first, "the first one")
            .mend("keep one of the two"));
        }
    }
    match places.is_empty() {
        true => Err(Diagnostic::new(whole.clone(), "a node without an address").mend("write its address")),
        false => Ok(()),
    }
}

impl Config {
    /// Where to listen, with the place of each address in the file.
    pub(super) fn listeners(&self) -> Vec<(SocketAddr, Range<usize>)> {
        self.listen.as_ref().map_or_else(Vec::new, |listen| listen.get_ref().places(listen.span()))
    }
}
