//! From the speaker's values to the answers of the control socket.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bgp_speaker::kernel::{FollowerStatus, RouteState};
use bgp_speaker::metrics::SpeakerMetrics;
use bgp_speaker::{
    Bfd, Destination, ExportChange, Family, FamilySet, HeldBack, KeepaliveLateness, LimitAction, LimitLevel,
    LimitStatus, Limited, MessageCounters, NegotiatedStatus, NextHop, NotificationStatus, PathExplanation,
    PathVerdict, PeerAddress, PeerAs, PeerStatus, Policy, RangeStatus, Reset, RouteAttributes, RouteCursor,
    RouteFilter, RouteInfo, SessionCount, Source as Learned, Speaker, SpeakerError,
};
use bgp_wire::AttributeBlock;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::answer::{
    Backlog, BfdTold, Cleared, Difference, Explanation, Export, Kernel, Lateness, Limit, Messages, Migration,
    Negotiated, NotListening, Notification, Path, Peer, Range, ResetDone, Rpki, Sessions, SignatureFailures,
    Status, Told, ToldPath,
};
use super::query::{RoutesQuestion, Subject};
use super::request::{BfdState, ResetMode};
use crate::time::rfc3339;

/// A running speaker, and what the configuration remarks on its neighbors.
#[derive(Debug)]
pub(crate) struct Source {
    speaker: Speaker,
    metrics: RwLock<Registry>,
    descriptions: RwLock<HashMap<PeerAddress, String>>,
}

fn registry(speaker: &Speaker, per_peer: bool) -> Registry {
    let collector = SpeakerMetrics::new(speaker);
    let collector = if per_peer { collector } else { collector.by_class() };
    let mut metrics = Registry::default();
    metrics.register_collector(Box::new(collector));
    metrics
}

impl Source {
    /// With measurements of each peer, or of each class of peers only.
    pub(crate) fn new(speaker: Speaker, descriptions: HashMap<PeerAddress, String>, per_peer: bool) -> Self {
        let metrics = RwLock::new(registry(&speaker, per_peer));
        Source { speaker, metrics, descriptions: RwLock::new(descriptions) }
    }

    /// Measurements of each peer from now on, or of each class of peers only.
    pub(crate) fn measure(&self, per_peer: bool) {
        *self.metrics.write().unwrap_or_else(PoisonError::into_inner) = registry(&self.speaker, per_peer);
    }

    /// New remarks, after a reload.
    pub(crate) fn describe(&self, descriptions: HashMap<PeerAddress, String>) {
        *self.descriptions.write().unwrap_or_else(PoisonError::into_inner) = descriptions;
    }

    /// How things stand.
    pub(super) fn status(&self) -> Status {
        let status = self.speaker.status();
        let descriptions = self.descriptions.read().unwrap_or_else(PoisonError::into_inner);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            asn: status.asn.0,
            router_id: status.router_id.to_string(),
            cluster_id: cluster(&status),
            started: rfc3339(status.started),
            uptime_seconds: status.uptime.as_secs(),
            reconfigured: rfc3339(status.reconfigured),
            ipv4_sessions: sessions(status.ipv4_sessions()),
            ipv6_sessions: sessions(status.ipv6_sessions()),
            listen: status.listen.clone(),
            not_listening: status
                .not_listening
                .iter()
                .map(|(address, why)| NotListening { address: *address, why: why.clone() })
                .collect(),
            peers: status.peers.iter().map(|p| peer(p, descriptions.get(&p.at()))).collect(),
            migration: status.migration.as_ref().map(|migration| Migration {
                staying: migration.staying.iter().map(ToString::to_string).collect(),
                awaited: migration.awaited.iter().map(ToString::to_string).collect(),
                held: migration.held,
                needed: migration.needed,
            }),
            ranges: status.ranges.iter().map(range).collect(),
            strangers: status.strangers,
            signature_failures: status.signatures.map(|failures| SignatureFailures {
                md5_wrong: failures.md5_wrong,
                md5_missing: failures.md5_missing,
                md5_unexpected: failures.md5_unexpected,
                ao_wrong: failures.ao_wrong,
                ao_unknown_key: failures.ao_unknown_key,
                ao_missing: failures.ao_missing,
            }),
            keepalive_lateness: lateness(&status.keepalive_lateness),
            prefixes: status.table.prefixes,
            paths: status.table.paths,
            rpki: status.vrps.map(|vrps| Rpki {
                ipv4: vrps.ipv4,
                ipv6: vrps.ipv6,
                passed_over: vrps.passed_over,
                changed: rfc3339(vrps.changed),
            }),
            kernel: status.kernel.as_deref().map(kernel),
        }
    }

    /// Everything that is measured, as OpenMetrics text.
    pub(super) fn metrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.metrics.read().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }

    /// Ends the hold of a peer after a limit.
    pub(super) async fn clear(&self, peer: PeerAddress) -> Result<Cleared, SpeakerError> {
        let held = self.speaker.status().peer(peer).is_some_and(|status| status.held.is_some());
        self.speaker.clear_limit(peer).await?;
        Ok(Cleared { peer: peer.to_string(), held })
    }

    /// Begins a session anew, or has its routes told again.
    pub(super) async fn reset(&self, peer: PeerAddress, how: ResetMode) -> Result<ResetDone, SpeakerError> {
        let reset = match how {
            ResetMode::SoftIn => Reset::SoftIn,
            ResetMode::SoftOut => Reset::SoftOut,
            ResetMode::Soft => Reset::Soft,
            ResetMode::Hard => Reset::Hard { text: "reset by the operator".to_owned() },
        };
        self.speaker.reset(peer, reset).await?;
        Ok(ResetDone { peer: peer.to_string(), mode: how.to_string() })
    }

    /// Brings what BFD says about the way to a peer.
    pub(super) async fn bfd(&self, peer: PeerAddress, state: BfdState) -> Result<BfdTold, SpeakerError> {
        self.speaker.bfd(peer, state.into()).await?;
        Ok(BfdTold { peer: peer.to_string(), state: state.to_string() })
    }

    /// The families in which a peer can be asked what it would be told: this one, or all of its session.
    pub(super) fn families_of(
        &self,
        peer: PeerAddress,
        family: Option<Family>,
    ) -> Result<Vec<Family>, SpeakerError> {
        let status = self.speaker.status();
        let known = status.peer(peer).ok_or(SpeakerError::UnknownPeer(peer))?;
        let session = known.negotiated.as_ref().ok_or(SpeakerError::NotEstablished(peer))?;
        Ok(family.map_or_else(|| session.families.iter().collect(), |family| vec![family]))
    }

    /// One page of what a peer would be told by another export policy, and where the next begins.
    pub(super) async fn dry_run(
        &self,
        peer: PeerAddress,
        family: Family,
        export: Policy,
        from: Option<RouteCursor>,
        limit: usize,
    ) -> Result<(Vec<Difference>, Option<RouteCursor>), SpeakerError> {
        let page = self.speaker.dry_run(peer, family, export, from, limit).await?;
        Ok((page.changes.iter().map(difference).collect(), page.next))
    }

    /// One page of the table, and where the next begins.
    pub(super) async fn routes(
        &self,
        question: &RoutesQuestion,
        from: Option<RouteCursor>,
        limit: usize,
    ) -> Result<(Vec<Path>, Option<RouteCursor>), SpeakerError> {
        let filter = RouteFilter {
            family: question.family,
            prefix: question.within,
            longer: question.within.is_some(),
            peer: question.peer,
            advertised_to: question.advertised_to,
            best_only: question.best,
        };
        let page = self.speaker.routes(filter, from, limit).await?;
        Ok((page.routes.iter().map(listed).collect(), page.next))
    }

    /// Everything about one prefix; `None` without a path to it.
    pub(super) async fn explain(&self, subject: Subject) -> Result<Option<Explanation>, SpeakerError> {
        for prefix in subject.prefixes() {
            if let Some(told) = self.speaker.explain(prefix).await? {
                return Ok(Some(explanation(&told)));
            }
        }
        Ok(None)
    }
}

fn explanation(told: &bgp_speaker::Explanation) -> Explanation {
    let verdict = |verdict: &Result<NextHop, HeldBack>| match verdict {
        Ok(next_hop) => (true, next_hop.to_string()),
        Err(rule) => (false, rule.to_string()),
    };
    let peers = told.peers.iter().map(|peer| {
        let paths = peer.paths.iter().map(|path| {
            let (told, detail) = verdict(&path.verdict);
            ToldPath { from: teller(&path.source), path_id: path.path_id.0, told, detail }
        });
        let paths = paths.collect();
        let (told, detail) = verdict(&peer.verdict);
        Told {
            peer: peer.peer.to_string(),
            told,
            detail,
            policy: peer.policy.clone(),
            sent: peer.sent,
            paths,
        }
    });
    Explanation { prefix: told.destination.to_string(), paths: explained(told), peers: peers.collect() }
}

/// The cluster of a reflector: its router id where none was configured (RFC 4456 §7).
fn cluster(status: &bgp_speaker::Status) -> Option<String> {
    let reflects = status.peers.iter().any(|peer| peer.reflector_client);
    let default = reflects.then(|| status.router_id.to_string());
    status.cluster_id.map(|cluster| cluster.to_string()).or(default)
}

fn kernel(follower: &FollowerStatus) -> Kernel {
    let count = |state| follower.routes.get(state);
    Kernel {
        installed: count(RouteState::Installed),
        pending: count(RouteState::Pending),
        refused: count(RouteState::Refused),
        conflict: count(RouteState::Conflict),
        unresolved: count(RouteState::Unresolved),
        leftover: count(RouteState::Leftover),
        last_error: follower.last_error.as_deref().map(str::to_owned),
    }
}

fn sessions(count: SessionCount) -> Sessions {
    Sessions { established: count.established, not_established: count.not_established }
}

fn notification(last: &NotificationStatus) -> Notification {
    Notification {
        sent: last.sent,
        at: rfc3339(last.at),
        code: last.code,
        subcode: last.subcode,
        text: last.text.clone(),
    }
}

fn lateness(late: &KeepaliveLateness) -> Lateness {
    // A duration of more microseconds than fit has not happened yet.
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Lateness {
        keepalives: late.keepalives,
        median_microseconds: microseconds(late.median),
        p999_microseconds: microseconds(late.p999),
        max_microseconds: microseconds(late.max),
    }
}

fn families(families: FamilySet) -> Vec<String> {
    families.iter().map(|family| family.to_string()).collect()
}

fn peer(peer: &PeerStatus, description: Option<&String>) -> Peer {
    Peer {
        address: peer.address,
        interface: peer.interface.clone(),
        port: peer.port,
        peer_type: peer.class.to_string(),
        description: description.cloned(),
        state: peer.state.to_string(),
        since: rfc3339(peer.since),
        seconds_in_state: peer.in_state.as_secs(),
        info: peer.info.clone(),
        last_error: peer.last_error.clone(),
        last_notification: peer.last_notification.as_ref().map(notification),
        backlog: Backlog {
            octets: peer.backlog.octets,
            oldest_seconds: peer.backlog.oldest.map(|oldest| oldest.as_secs_f64()),
            changes: peer.backlog.changes,
        },
        kept_until: peer.kept_until.map(rfc3339),
        bfd: peer.bfd.map(bfd),
        reflector_client: peer.reflector_client,
        passive: peer.passive,
        local_as: peer.local_as.0,
        asn: peer.asn.map(|asn| asn.0),
        configured_as: configured_as(&peer.configured_as),
        router_id: peer.router_id.map(|id| id.to_string()),
        established: peer.established,
        negotiated: peer.negotiated.as_ref().map(negotiated),
        messages_received: messages(&peer.received),
        messages_sent: messages(&peer.sent),
        prefixes_received: peer.prefixes.received,
        prefixes_accepted: peer.prefixes.accepted,
        prefixes_import_rejected: peer.prefixes.import_rejected,
        prefixes_advertised: peer.prefixes.advertised,
        prefixes_export_rejected: peer.prefixes.export_rejected,
        prefixes_stale: peer.prefixes.stale,
        prefixes_held_out: peer.prefixes.held_out,
        prefixes_withheld: peer.prefixes.withheld,
        held: peer.held.clone(),
        limits: peer.limits.iter().map(limit).collect(),
    }
}

fn limit(limit: &LimitStatus) -> Limit {
    let what = match limit.what {
        Limited::Received => "received",
        Limited::Accepted => "accepted",
        Limited::Advertised => "sent",
        Limited::Memory => "memory",
    };
    let level = match limit.level {
        LimitLevel::Below => "below",
        LimitLevel::Warning => "warning",
        LimitLevel::Exceeded => "exceeded",
    };
    let action = match limit.action {
        LimitAction::Warn => "warn",
        LimitAction::Drop => "drop",
        LimitAction::Stop => "stop",
    };
    Limit {
        what: what.to_owned(),
        family: limit.family.map(|family| family.to_string()),
        level: level.to_owned(),
        count: limit.count,
        max: limit.max,
        action: action.to_owned(),
        held_out: limit.held_out,
    }
}

fn bfd(state: Bfd) -> String {
    match state {
        Bfd::Up => BfdState::Up,
        Bfd::Down { control_plane_independent: false } => BfdState::Down,
        Bfd::Down { control_plane_independent: true } => BfdState::DownIndependent,
        Bfd::AdminDown => BfdState::AdminDown,
    }
    .to_string()
}

fn range(range: &RangeStatus) -> Range {
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Range {
        prefix: range.prefix,
        peer_type: range.class.to_string(),
        configured_as: configured_as(&range.configured_as),
        reflector_client: range.reflector_client,
        peers: number(range.peers),
        limit: number(range.limit),
        refused: range.refused,
        trouble: range.trouble.clone(),
    }
}

fn configured_as(rule: &PeerAs) -> String {
    match rule {
        PeerAs::Exact(asn) => asn.to_string(),
        PeerAs::AnyOf(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
        PeerAs::Internal => "internal".to_owned(),
        PeerAs::External => "external".to_owned(),
        PeerAs::Any => "any".to_owned(),
    }
}

fn negotiated(negotiated: &NegotiatedStatus) -> Negotiated {
    Negotiated {
        local: negotiated.local,
        remote: negotiated.remote,
        families: families(negotiated.families),
        hold_seconds: negotiated.hold_time.as_secs_f64(),
        keepalive_seconds: negotiated.keepalive.as_secs_f64(),
        four_octet_as: negotiated.four_octet_as,
        extended_message: negotiated.extended_message,
        route_refresh: negotiated.route_refresh,
        enhanced_refresh: negotiated.enhanced_refresh,
        add_path_receive: families(negotiated.add_path_receive),
        add_path_send: families(negotiated.add_path_send),
        extended_next_hop: families(negotiated.extended_next_hop),
        peer_role: negotiated.peer_role.map(|role| role.to_string()),
        notification_restart: negotiated.notification_restart,
        long_lived_seconds: negotiated.long_lived.iter().map(|(_, time)| time.as_secs()).max(),
        graceful_restart_seconds: negotiated.graceful_restart.as_ref().map(Duration::as_secs),
    }
}

fn messages(counters: &MessageCounters) -> Messages {
    Messages {
        open: counters.open,
        update: counters.update,
        notification: counters.notification,
        keepalive: counters.keepalive,
        route_refresh: counters.refresh,
        octets: counters.octets,
    }
}

fn listed(route: &RouteInfo) -> Path {
    let reason = match (route.ineligible, route.lost) {
        _ if route.best => "best".to_owned(),
        (Some(why), _) => format!("not eligible: {why}"),
        (None, Some(rung)) if route.multipath => format!("used beside the best: equal up to {rung}"),
        (None, Some(rung)) => format!("not best: lost at {rung}"),
        (None, None) => "not best".to_owned(),
    };
    path(
        &route.destination,
        &route.source,
        route.path_id.0,
        &route.attributes,
        route.best,
        route.stale,
        reason,
    )
}

fn explained(told: &bgp_speaker::Explanation) -> Vec<Path> {
    // The best path won where its last rival lost.
    let decided = told.paths.iter().filter_map(|path| match path.verdict {
        PathVerdict::Multipath(rung) | PathVerdict::Lost(rung) => Some(rung),
        PathVerdict::Best | PathVerdict::Ineligible(_) => None,
    });
    let decided = decided.max();
    let reason = |verdict| match (verdict, decided) {
        (PathVerdict::Best, None) => "best: the only eligible path".to_owned(),
        (PathVerdict::Best, Some(rung)) => format!("best: its last rival lost at {rung}"),
        (PathVerdict::Multipath(rung), _) => format!("used beside the best: equal up to {rung}"),
        (PathVerdict::Lost(rung), _) => format!("not best: lost at {rung}"),
        (PathVerdict::Ineligible(why), _) => format!("not eligible: {why}"),
    };
    let path = |from: &PathExplanation| {
        let best = matches!(from.verdict, PathVerdict::Best);
        let path = path(
            &told.destination,
            &from.source,
            from.path_id.0,
            &from.attributes,
            best,
            from.stale,
            reason(from.verdict),
        );
        Path { policy: from.policy.clone(), ..path }
    };
    told.paths.iter().map(path).collect()
}

/// The peer that told a path.
fn teller(source: &Learned) -> Option<IpAddr> {
    match source {
        Learned::Local(_) => None,
        Learned::Peer { address, .. } => Some(*address),
    }
}

fn difference(change: &ExportChange) -> Difference {
    Difference {
        prefix: change.destination.to_string(),
        path_id: change.path_id.0,
        now: export(&change.now),
        then: export(&change.then),
    }
}

fn export(told: &Result<RouteAttributes, HeldBack>) -> Export {
    let attributes = match told {
        Ok(attributes) => attributes,
        Err(rule) => {
            let (none, held_back) = (Vec::new(), Some(rule.to_string()));
            return Export {
                told: false,
                held_back,
                next_hop: None,
                as_path: None,
                local_pref: None,
                med: None,
                communities: none.clone(),
                large_communities: none,
            };
        }
    };
    let block = AttributeBlock::parse(&attributes.block).expect("the table keeps canonical blocks only");
    Export {
        told: true,
        held_back: None,
        next_hop: attributes.next_hop.map(|next_hop| next_hop.to_string()),
        as_path: Some(block.as_path().to_string()),
        local_pref: block.local_pref(),
        med: block.med(),
        communities: block.communities().iter().map(|community| community.to_string()).collect(),
        large_communities: block.large_communities().iter().map(|community| community.to_string()).collect(),
    }
}

fn path(
    destination: &Destination,
    source: &Learned,
    path_id: u32,
    attributes: &RouteAttributes,
    best: bool,
    stale: bool,
    reason: String,
) -> Path {
    let from = teller(source);
    let block = AttributeBlock::parse(&attributes.block).expect("the table keeps canonical blocks only");
    Path {
        prefix: destination.to_string(),
        best,
        stale,
        from,
        path_id,
        next_hop: attributes.next_hop.map(|next_hop| next_hop.to_string()),
        origin: block.origin().to_string(),
        as_path: block.as_path().to_string(),
        local_pref: block.local_pref(),
        med: block.med(),
        communities: block.communities().iter().map(|community| community.to_string()).collect(),
        large_communities: block.large_communities().iter().map(|community| community.to_string()).collect(),
        originator_id: block.originator_id().map(|id| id.to_string()),
        cluster_list: block.cluster_list().iter().map(|cluster| cluster.to_string()).collect(),
        reason,
        policy: None,
    }
}
