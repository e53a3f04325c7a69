//! Counters and gauges in the OpenMetrics form, for a registry that the program brings: nothing here is global.
//!
//! A [`SpeakerMetrics`] is registered once and reads [`Speaker::status`] whenever the registry is encoded, so that nothing is
//! counted twice and nothing is kept for peers that have gone.
//!
//! ```
//! # use bgp_speaker::{Asn, RouterId, Speaker, metrics::SpeakerMetrics};
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let speaker = Speaker::builder(Asn(64512), RouterId(1)).start().await?;
//! let mut registry = prometheus_client::registry::Registry::default();
//! registry.register_collector(Box::new(SpeakerMetrics::new(&speaker)));
//! let mut text = String::new();
//! prometheus_client::encoding::text::encode(&mut text, &registry)?;
//! assert!(text.contains("bgp_rib_prefixes 0"));
//! # Ok(()) }
//! ```
//!
//! | name | labels | what |
//! |---|---|---|
//! | `bgp_peers` | `class`, `state` | peers in each state |
//! | `bgp_peer_state` | `peer`, `peer_as` | 1 Idle, 2 Connect, 3 Active, 4 OpenSent, 5 OpenConfirm, 6 Established (RFC 4273) |
//! | `bgp_peer_in_state_seconds` | `peer`, `peer_as` | for how long |
//! | `bgp_peer_established_total` | `peer`, `peer_as` | times that the session came up |
//! | `bgp_peer_routes` | `peer`, `peer_as`, `view` | routes `received`, `accepted`, `advertised`, `stale`; rejected by policy: `import_rejected`, `export_rejected`; kept out by a limit: `held_out`, `withheld` |
//! | `bgp_peer_backlog_octets` | `peer`, `peer_as` | octets that its socket does not take |
//! | `bgp_peer_backlog_changes` | `peer`, `peer_as` | changes of the tables that it is behind, at most |
//! | `bgp_messages_total` | `peer`, `peer_as` or `class`; `direction`, `type` | messages |
//! | `bgp_message_octets_total` | as before without `type` | octets of them |
//! | `bgp_routes` | `class`, `view` | routes of all peers of a class |
//! | `bgp_rib_prefixes`, `bgp_rib_paths` | | the tables |
//! | `bgp_strangers_total` | | connections from addresses that no peer has |
//! | `bgp_keepalive_lateness_microseconds` | `quantile` | how late our keepalives went out; 1 is the latest |
//! | `bgp_rib_turn_microseconds` | `quantile` | how long turns of the tables took; 1 is the longest |
//! | `bgp_rib_turns_total`, `bgp_rib_long_turns_total` | | turns of the tables; those longer than 10 ms |
//! | `bgp_kernel_routes` | `state` | prefixes in each state of kernel export |
//! | `bgp_kernel_writes_total` | `kind` | routes `added`, `replaced`, `removed`, `adopted`, `repaired` |
//! | `bgp_kernel_refused_total` | `errno` | writes that the kernel refused |
//! | `bgp_kernel_events_total` | `kind` | `conflict`, `resync`, `overrun` |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bgp_fsm::{PeerAs, State};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::kernel::{FollowerStatus, RouteState};
use crate::shared::Shared;
use crate::speaker::Speaker;
use crate::status::{MessageCounters, PeerStatus, PrefixCounters, Status};

type Label = (&'static str, String);
type Counted = Vec<(Vec<Label>, u64)>;

/// What a registry collects of one speaker.
#[derive(Debug)]
pub struct SpeakerMetrics {
    shared: Arc<Shared>,
    per_peer: bool,
}

impl SpeakerMetrics {
    /// With series for each peer. The collector does not keep the speaker.
    pub fn new(speaker: &Speaker) -> Self {
        Self { shared: speaker.shared(), per_peer: true }
    }

    /// Series for each class of peers only: the nodes of a full mesh would have as many series as there are pairs of them.
    #[must_use]
    pub fn by_class(mut self) -> Self {
        self.per_peer = false;
        self
    }
}

impl Collector for SpeakerMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.shared.status();
        let mut out = Writer { encoder };
        out.gauges("bgp_peers", "Peers by class and state", peers(&status))?;
        if self.per_peer {
            each_peer(&mut out, &status)?;
        }
        traffic(&mut out, &status, self.per_peer)?;
        out.gauge("bgp_rib_prefixes", "Prefixes with a route", status.table.prefixes)?;
        out.gauge("bgp_rib_paths", "Paths to all prefixes", status.table.paths)?;
        let help = "Connections from addresses that no peer and no range has";
        out.counter("bgp_strangers", help, status.strangers)?;
        let help = "How late keepalives went out, in microseconds";
        let late = status.keepalive_lateness;
        let late = quantiles(late.median, late.p999, late.max);
        out.gauges("bgp_keepalive_lateness_microseconds", help, late)?;
        let turns = status.turns;
        let help = "How long turns of the tables took, in microseconds";
        out.gauges("bgp_rib_turn_microseconds", help, quantiles(turns.median, turns.p999, turns.max))?;
        out.counter("bgp_rib_turns", "Turns of the tables", turns.turns)?;
        out.counter("bgp_rib_long_turns", "Turns of the tables longer than 10 ms", turns.long)?;
        match status.kernel.as_deref() {
            Some(follower) => kernel(&mut out, follower),
            None => Ok(()),
        }
    }
}

struct Writer<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        gauge(value).encode(encoder)
    }

    fn gauges(&mut self, name: &str, help: &str, values: Counted) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| gauge(value).encode(family.encode_family(&labels)?))
    }

    /// The encoder adds `_total` to the name, here and below.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn counters(&mut self, name: &str, help: &str, values: Counted) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        values
            .into_iter()
            .try_for_each(|(labels, value)| ConstCounter::new(value).encode(family.encode_family(&labels)?))
    }
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

fn quantiles(median: Duration, p999: Duration, max: Duration) -> Counted {
    let of = |quantile: &str, time: Duration| {
        (vec![("quantile", quantile.to_owned())], u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    };
    vec![of("0.5", median), of("0.999", p999), of("1", max)]
}

fn peers(status: &Status) -> Counted {
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for peer in &status.peers {
        *counts.entry((peer.class.to_string(), peer.state.to_string())).or_default() += 1;
    }
    let labels = |(class, state)| vec![("class", class), ("state", state)];
    counts.into_iter().map(|(key, count)| (labels(key), count)).collect()
}

/// Which peer: with its AS as it is, or as it must be while that is one number.
fn name(peer: &PeerStatus) -> Vec<Label> {
    let asn = match (peer.asn.as_ref(), &peer.configured_as) {
        (Some(asn), _) | (None, PeerAs::Exact(asn)) => asn.to_string(),
        (None, _) => String::new(),
    };
    vec![("peer", peer.address.to_string()), ("peer_as", asn)]
}

/// The number of a state in the MIB (RFC 4273).
fn number(state: State) -> u64 {
    match state {
        State::Idle => 1,
        State::Connect => 2,
        State::Active => 3,
        State::OpenSent => 4,
        State::OpenConfirm => 5,
        State::Established => 6,
    }
}

fn each_peer(out: &mut Writer<'_>, status: &Status) -> fmt::Result {
    let of_all =
        |value: fn(&PeerStatus) -> u64| status.peers.iter().map(|p| (name(p), value(p))).collect::<Vec<_>>();
    let help = "1 Idle, 2 Connect, 3 Active, 4 OpenSent, 5 OpenConfirm, 6 Established";
    out.gauges("bgp_peer_state", help, of_all(|peer| number(peer.state)))?;
    out.gauges(
        "bgp_peer_in_state_seconds",
        "How long the session has been in its state",
        of_all(|peer| peer.in_state.as_secs()),
    )?;
    out.counters("bgp_peer_established", "Times that the session came up", of_all(|peer| peer.established))?;
    let help = "Octets that the socket of a peer does not take";
    out.gauges("bgp_peer_backlog_octets", help, of_all(|peer| peer.backlog.octets))?;
    let help = "Changes of the tables that a peer is behind, at most";
    out.gauges("bgp_peer_backlog_changes", help, of_all(|peer| peer.backlog.changes))?;
    let routes = status.peers.iter().flat_map(|peer| views(name(peer), peer.prefixes)).collect();
    out.gauges("bgp_peer_routes", "Routes of a peer, by where they are or why they are not", routes)
}

fn views(labels: Vec<Label>, routes: PrefixCounters) -> impl Iterator<Item = (Vec<Label>, u64)> {
    let views = [
        ("received", routes.received),
        ("accepted", routes.accepted),
        ("import_rejected", routes.import_rejected),
        ("advertised", routes.advertised),
        ("export_rejected", routes.export_rejected),
        ("held_out", routes.held_out),
        ("withheld", routes.withheld),
        ("stale", routes.stale),
    ];
    views.into_iter().map(move |(view, count)| (with(&labels, &[("view", view)]), count))
}

fn with(labels: &[Label], more: &[(&'static str, &str)]) -> Vec<Label> {
    labels.iter().cloned().chain(more.iter().map(|&(key, value)| (key, value.to_owned()))).collect()
}

/// Messages and routes, of each peer or of each class.
fn traffic(out: &mut Writer<'_>, status: &Status, per_peer: bool) -> fmt::Result {
    let mut sums: BTreeMap<Vec<Label>, (MessageCounters, MessageCounters)> = BTreeMap::new();
    let mut routes: BTreeMap<String, PrefixCounters> = BTreeMap::new();
    for peer in &status.peers {
        let class = peer.class.to_string();
        let labels = if per_peer { name(peer) } else { vec![("class", class.clone())] };
        let (received, sent) = sums.entry(labels).or_default();
        *received = sum(*received, peer.received);
        *sent = sum(*sent, peer.sent);
        let of_class = routes.entry(class).or_default();
        of_class.received += peer.prefixes.received;
        of_class.accepted += peer.prefixes.accepted;
        of_class.import_rejected += peer.prefixes.import_rejected;
        of_class.advertised += peer.prefixes.advertised;
        of_class.export_rejected += peer.prefixes.export_rejected;
        of_class.held_out += peer.prefixes.held_out;
        of_class.withheld += peer.prefixes.withheld;
        of_class.stale += peer.prefixes.stale;
    }
    let (mut messages, mut octets) = (Counted::new(), Counted::new());
    for (labels, (received, sent)) in &sums {
        for (direction, counters) in [("received", received), ("sent", sent)] {
            octets.push((with(labels, &[("direction", direction)]), counters.octets));
            for (kind, count) in kinds(counters) {
                messages.push((with(labels, &[("direction", direction), ("type", kind)]), count));
            }
        }
    }
    out.counters("bgp_messages", "Messages by direction and type", messages)?;
    out.counters("bgp_message_octets", "Octets of messages by direction", octets)?;
    let routes =
        routes.into_iter().flat_map(|(class, routes)| views(vec![("class", class)], routes)).collect();
    out.gauges("bgp_routes", "Routes of all peers of a class", routes)
}

fn kinds(counters: &MessageCounters) -> [(&'static str, u64); 5] {
    [
        ("open", counters.open),
        ("update", counters.update),
        ("notification", counters.notification),
        ("keepalive", counters.keepalive),
        ("route-refresh", counters.refresh),
    ]
}

fn sum(a: MessageCounters, b: MessageCounters) -> MessageCounters {
    MessageCounters {
        open: a.open + b.open,
        update: a.update + b.update,
        notification: a.notification + b.notification,
        keepalive: a.keepalive + b.keepalive,
        refresh: a.refresh + b.refresh,
        octets: a.octets + b.octets,
    }
}

fn kernel(out: &mut Writer<'_>, follower: &FollowerStatus) -> fmt::Result {
    let states = RouteState::ALL.into_iter();
    let states =
        states.map(|state| (vec![("state", state.to_string())], follower.routes.get(state) as u64)).collect();
    out.gauges("bgp_kernel_routes", "Prefixes by state of kernel export", states)?;
    let kinds = |kinds: &[(&str, u64)]| -> Counted {
        kinds.iter().map(|&(kind, count)| (vec![("kind", kind.to_owned())], count)).collect()
    };
    let writes = kinds(&[
        ("added", follower.added),
        ("replaced", follower.replaced),
        ("removed", follower.removed),
        ("adopted", follower.adopted),
        ("repaired", follower.repaired),
    ]);
    out.counters("bgp_kernel_writes", "Routes written to the kernel, or found there as wanted", writes)?;
    let refused = follower.refused.iter();
    let refused = refused.map(|(errno, count)| (vec![("errno", errno.to_string())], *count)).collect();
    out.counters("bgp_kernel_refused", "Writes that the kernel refused", refused)?;
    let events = kinds(&[
        ("conflict", follower.conflicts),
        ("resync", follower.resyncs),
        ("overrun", follower.overruns),
    ]);
    out.counters("bgp_kernel_events", "Conflicts, whole comparisons, and messages lost", events)
}
