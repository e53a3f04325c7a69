//! The other implementations, each behind the same small face: start with a set of neighbours, originate
//! prefixes, and show what was learned.

mod bird;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::{Lab, Node, eventually, is_installed};

/// Restart time of a daemon that does graceful restart: longer than any scenario takes to start it again.
const RESTART_TIME: u16 = 60;

/// Hold time that every daemon is given unless a scenario says otherwise: short, so that a cut cable shows soon.
pub(crate) const HOLD_TIME: u16 = 9;

/// Longest time that a session may take to come up: a daemon's start, its connect delay, one retry.
pub(crate) const UP: Duration = Duration::from_secs(30);

/// Longest time that a change may take to arrive; OpenBGPD and FRR batch for seconds between eBGP peers.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An implementation of BGP from the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bird,
    Frr,
    GoBgp,
    OpenBgpd,
    ExaBgp,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Bird, Self::Frr, Self::GoBgp, Self::OpenBgpd, Self::ExaBgp];

    /// Name in the names of tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::GoBgp => "gobgp",
            Self::OpenBgpd => "openbgpd",
            Self::ExaBgp => "exabgp",
        }
    }

    /// Whether it can reflect routes; ExaBGP has no table and only speaks for itself.
    pub(crate) fn can_reflect(self) -> bool {
        self != Self::ExaBgp
    }

    /// Whether the programs are installed; otherwise what is missing and which package has it.
    pub(crate) fn is_installed(self) -> Result<(), String> {
        let (package, programs): (_, &[&str]) = match self {
            Self::Bird => ("bird2", &["bird", "birdc"]),
            Self::Frr => ("frr", &["vtysh", "/usr/lib/frr/bgpd", "/usr/lib/frr/zebra"]),
            Self::GoBgp => ("gobgpd", &["gobgpd", "gobgp"]),
            Self::OpenBgpd => ("openbgpd", &["bgpd", "bgpctl"]),
            Self::ExaBgp => ("exabgp", &["exabgp"]),
        };
        is_installed(package, programs)
    }

    /// Starts it on `node` and waits until it can be asked.
    pub(crate) fn start<'a>(self, lab: &'a Lab, node: &Node, setup: Setup) -> Box<dyn Daemon + 'a> {
        let site = Site { lab, node: node.clone(), setup };
        match self {
            Self::Bird => Box::new(bird::Bird::start(site)),
            Self::Frr => Box::new(frr::Frr::start(site)),
            Self::GoBgp => Box::new(gobgp::GoBgp::start(site)),
            Self::OpenBgpd => Box::new(openbgpd::OpenBgpd::start(site)),
            Self::ExaBgp => Box::new(exabgp::ExaBgp::start(site)),
        }
    }
}

/// One neighbour as a daemon is told about it.
#[derive(Clone, Debug)]
pub(crate) struct Neighbor {
    pub(crate) address: IpAddr,
    pub(crate) asn: u32,
    pub(crate) client: bool,
    pub(crate) passive: bool,
    /// What else the session is to be, in the daemon's own words (BIRD).
    pub(crate) words: String,
    /// What becomes of a route that is told, in the daemon's own words (BIRD); everything is told without.
    pub(crate) filter: Option<String>,
}

impl Neighbor {
    /// A plain neighbour; the daemon waits to be called.
    pub(crate) fn passive(address: impl Into<IpAddr>, asn: u32) -> Self {
        Self { passive: true, ..Self::active(address, asn) }
    }

    /// A plain neighbour that the daemon calls.
    pub(crate) fn active(address: impl Into<IpAddr>, asn: u32) -> Self {
        let (words, filter) = (String::new(), None);
        Self { address: address.into(), asn, client: false, passive: false, words, filter }
    }

    /// The same neighbour, with more words about the session.
    pub(crate) fn words(self, words: &str) -> Self {
        Self { words: words.to_owned(), ..self }
    }

    /// The same neighbour, told what this filter makes of a route.
    pub(crate) fn filter(self, filter: &str) -> Self {
        Self { filter: Some(filter.to_owned()), ..self }
    }

    /// The same neighbour as a route-reflector client of the daemon.
    pub(crate) fn client(self) -> Self {
        Self { client: true, ..self }
    }
}

/// How a daemon is configured.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) asn: u32,
    pub(crate) neighbors: Vec<Neighbor>,
    /// Prefixes that it originates, of both families, and rules of flows in its own words (BIRD).
    pub(crate) networks: Vec<String>,
    /// Whether it writes what it learns into its kernel (BIRD and FRR).
    pub(crate) kernel: bool,
    /// Whether it does graceful restart (BIRD, FRR and GoBGP), and says so in a restart that it has forwarded all along.
    pub(crate) graceful: bool,
    /// Whether it sends and takes several paths of a prefix (BIRD, FRR and GoBGP).
    pub(crate) add_path: bool,
    /// Whether it is set up as Calico sets up its nodes (BIRD): multihop, several paths, LOCAL_PREF of directly connected ones.
    pub(crate) calico: bool,
    /// Whether its kernel spreads packets over equal routes, through different AS too (BIRD and FRR).
    pub(crate) spread: bool,
    /// Families besides unicast, as our programs name them (FRR and GoBGP; of BIRD, ipv4-flowspec).
    pub(crate) families: Vec<&'static str>,
}

/// LOCAL_PREF of a route that Calico's nodes have themselves: the highest signed number, less the metric 1024.
pub(crate) const CALICO_PREFERENCE: u32 = 2_147_482_623;

impl Setup {
    pub(crate) fn new(asn: u32, neighbors: Vec<Neighbor>, networks: &[&str]) -> Self {
        let networks = networks.iter().map(|prefix| (*prefix).to_owned()).collect();
        Self {
            asn,
            neighbors,
            networks,
            kernel: false,
            graceful: false,
            add_path: false,
            calico: false,
            spread: false,
            families: Vec::new(),
        }
    }

    pub(crate) fn add_path(self) -> Self {
        Self { add_path: true, ..self }
    }

    pub(crate) fn calico(self) -> Self {
        Self { calico: true, add_path: true, graceful: true, kernel: true, spread: true, ..self }
    }

    pub(crate) fn families(self, families: &[&'static str]) -> Self {
        Self { families: families.to_vec(), ..self }
    }

    pub(crate) fn with_kernel(self) -> Self {
        Self { kernel: true, ..self }
    }

    pub(crate) fn spread(self) -> Self {
        Self { spread: true, ..self }
    }

    pub(crate) fn graceful(self) -> Self {
        Self { graceful: true, ..self }
    }

    fn networks_of(&self, v6: bool) -> impl Iterator<Item = &str> {
        let prefixes = self.networks.iter().map(String::as_str).filter(|network| !network.contains(' '));
        prefixes.filter(move |prefix| is_v6(prefix) == v6)
    }

    /// What it originates that is no prefix, in the daemon's own words (BIRD).
    fn rules(&self) -> impl Iterator<Item = &str> {
        self.networks.iter().map(String::as_str).filter(|network| network.contains(' '))
    }
}

/// A path as a daemon shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) next_hop: String,
    pub(crate) as_path: Vec<u32>,
    pub(crate) originator: Option<String>,
    pub(crate) clusters: Vec<String>,
}

/// A daemon under test.
pub(crate) trait Daemon {
    /// The path to exactly this prefix that it learned or originated, if any.
    fn route(&self, prefix: &str) -> Result<Option<Route>, String>;

    /// The next hops of all paths to exactly this prefix that it has.
    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        Ok(self.route(prefix)?.map(|route| route.next_hop).into_iter().collect())
    }

    /// Asks it in the words of its own command line.
    fn ask(&self, command: &[&str]) -> Result<String, String> {
        Err(format!("nobody asks it {command:?}"))
    }

    /// Whether its session with a neighbour is up; otherwise its words about it.
    fn established(&self, neighbor: IpAddr) -> Result<(), String>;

    /// Originates one more prefix.
    fn announce(&mut self, prefix: &str);

    /// Stops originating a prefix.
    fn withdraw(&mut self, prefix: &str);

    /// Forgets a prefix that it originated, while it does not run.
    fn lose(&mut self, prefix: &str);

    /// Ends it as `kill -9` does: no NOTIFICATION, the sockets are closed by the kernel.
    fn kill(&mut self);

    /// Starts it again after [`Daemon::kill`], with what it originates now.
    fn restart(&mut self);
}

impl dyn Daemon + '_ {
    /// Waits until it has a path to the prefix.
    #[track_caller]
    pub(crate) fn learns(&self, prefix: &str) -> Route {
        eventually(&format!("the daemon learns {prefix}"), SOON, || {
            self.route(prefix)?.ok_or_else(|| "no route".to_owned())
        })
    }

    /// Waits until it has no path to the prefix.
    #[track_caller]
    pub(crate) fn forgets(&self, prefix: &str) {
        eventually(&format!("the daemon forgets {prefix}"), SOON, || match self.route(prefix)? {
            None => Ok(()),
            Some(route) => Err(format!("{route:?}")),
        });
    }

    /// Waits until its session with a neighbour is up.
    #[track_caller]
    pub(crate) fn comes_up_with(&self, neighbor: impl Into<IpAddr>) {
        let neighbor = neighbor.into();
        eventually(&format!("the daemon's session with {neighbor} comes up"), UP, || {
            self.established(neighbor)
        });
    }
}

/// Where and how one daemon runs.
struct Site<'a> {
    lab: &'a Lab,
    node: Node,
    setup: Setup,
}

impl Site<'_> {
    /// Its own end of a session with this neighbour.
    fn local(&self, neighbor: IpAddr) -> IpAddr {
        if neighbor.is_ipv4() { self.node.v4().into() } else { self.node.v6().into() }
    }

    fn originate(&mut self, prefix: &str) {
        self.setup.networks.push(prefix.to_owned());
    }

    fn cease(&mut self, prefix: &str) {
        self.setup.networks.retain(|network| network != prefix);
    }
}

/// Whether a prefix in text is of IPv6.
pub(crate) fn is_v6(prefix: &str) -> bool {
    prefix.contains(':')
}

/// `ipv4` or `ipv6`.
fn family(prefix: &str) -> &'static str {
    if is_v6(prefix) { "ipv6" } else { "ipv4" }
}

/// AS numbers from text such as `65000 65010`.
fn as_path(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|asn| asn.parse().ok()).collect()
}
