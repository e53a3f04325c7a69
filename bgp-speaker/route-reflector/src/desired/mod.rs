//! From a configuration to what the speaker is asked to be.

mod kernel;
mod routes;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bgp_speaker::{
    ApplyReport, Asn, Builder, ClusterId, DecisionOptions, MeshDialer, Multipath, OwnerId, PeerAddress,
    RouterId, Speaker, SpeakerError,
};
use toml::Spanned;

use crate::config::{Config, Dialer, LogFormat};
use crate::measurements;
use crate::rpki;

/// The configuration file owns what it originates; nothing else does in this program.
const OWNER: OwnerId = OwnerId(0);

/// Everything that a configuration asks of this program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desired {
    /// What a speaker is born with.
    identity: Identity,
    /// What it is asked to do.
    speaker: bgp_speaker::Desired,
    descriptions: HashMap<PeerAddress, String>,
    /// Where the payloads of origin validation are.
    payloads: Option<PathBuf>,
    /// What is logged, where the file says it.
    log_filter: Option<String>,
    metrics: measurements::Wanted,
}

/// What cannot be changed while a speaker runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Identity {
    control_socket: Option<PathBuf>,
    selection_deferral: Option<Duration>,
    log_format: Option<LogFormat>,
}

impl Desired {
    /// What `config` asks for.
    pub(crate) fn of(config: &Config) -> Self {
        let mesh = config.mesh.as_ref().map(Spanned::get_ref);
        Desired {
            identity: Identity {
                control_socket: config.control_socket.as_ref().map(|path| path.get_ref().clone()),
                selection_deferral: config
                    .selection_deferral_time
                    .map(|time| Duration::from_secs(time.0.into())),
                log_format: config.log.format,
            },
            speaker: bgp_speaker::Desired {
                identity: Some(bgp_speaker::Identity {
                    asn: Asn(config.asn.0),
                    router_id: RouterId(config.router_id.0.into()),
                }),
                cluster_id: config.cluster_id.map(|cluster| ClusterId(cluster.0.into())),
                listen: Some(config.listen_addresses()),
                local_addresses: Some(mesh.map(|mesh| mesh.local.get_ref().0).into_iter().collect()),
                peers: config.neighbor.iter().map(|n| session::peer(config, n)).collect(),
                ranges: config.neighbor_range.iter().map(|r| session::range(config, r)).collect(),
                mesh: mesh.map(|mesh| session::nodes(config, mesh)).unwrap_or_default(),
                mesh_options: mesh.map(|mesh| session::mesh(config, mesh)),
                mesh_dialer: Some(match mesh.and_then(|mesh| mesh.dialer) {
                    Some(Dialer::CalicoString) => MeshDialer::CalicoString,
                    Some(Dialer::Numeric) | None => MeshDialer::Numeric,
                }),
                kernel: Some(kernel::export(config)),
                learn: Some(kernel::learning(config)),
                multipath: Some(Multipath {
                    paths: config.max_paths.map_or(1, |paths| paths.0.into()),
                    internal: config.max_paths_internal.map(|paths| paths.0.into()),
                    relax: config.multipath_relax,
                }),
                unique_origins: config.unique_origins.iter().map(|within| within.0).collect(),
                decision: Some(DecisionOptions {
                    always_compare_med: config.decision.always_compare_med,
                    missing_med_as_worst: config.decision.missing_med_as_worst,
                    prefer_oldest: config.decision.prefer_oldest,
                }),
                migration_patience: config.migration_patience.map(|time| Duration::from_secs(time.0.into())),
                vrps: None,
                routes: BTreeMap::from([(OWNER, routes::originated(config))]),
                ..bgp_speaker::Desired::default()
            },
            payloads: config.rpki.as_ref().map(|rpki| rpki.file.clone()),
            log_filter: config.log.filter.as_ref().map(|filter| filter.get_ref().clone()),
            metrics: metrics(config),
            descriptions: config
                .neighbor
                .iter()
                .filter_map(|n| Some((n.at(), n.description.clone()?)))
                .collect(),
        }
    }

    /// A speaker that does all this from its first moment.
    pub(crate) fn builder(&self) -> Builder {
        let identity = &self.identity;
        // Names of the file are part of what is desired, and change with it.
        let us = self.speaker.identity;
        let (asn, router_id) = us.map_or((Asn(0), RouterId(0)), |us| (us.asn, us.router_id));
        let builder = Speaker::builder(asn, router_id);
        let builder = match identity.selection_deferral {
            Some(time) => builder.sweep_after(time),
            None => builder,
        };
        builder.version(concat!("route-reflector ", env!("CARGO_PKG_VERSION"))).desired(self.speaker.clone())
    }

    /// Reads the payloads of origin validation, if there are to be any; `before` had some. Where they cannot be read, those
    /// before stay.
    pub(crate) fn read_payloads(&mut self, before: Option<&Desired>) -> Result<(), rpki::Fault> {
        let had_some = before.is_some_and(|before| before.payloads.is_some());
        self.speaker.vrps = match &self.payloads {
            Some(path) => Some(rpki::load(path, SystemTime::now())?.into()),
            None if had_some => Some(Arc::from([])),
            None => None,
        };
        Ok(())
    }

    /// What the configuration remarks on its neighbors.
    pub(crate) fn descriptions(&self) -> HashMap<PeerAddress, String> {
        self.descriptions.clone()
    }

    /// What is logged, where the file says it.
    pub(crate) fn log_filter(&self) -> Option<&str> {
        self.log_filter.as_deref()
    }

    /// How the log is written.
    pub(crate) fn log_format(&self) -> Option<LogFormat> {
        self.identity.log_format
    }

    /// Where measurements are given, and which.
    pub(crate) fn metrics(&self) -> measurements::Wanted {
        self.metrics
    }

    /// The measurements stay what they are in `other`.
    pub(crate) fn keep_metrics(&mut self, other: &Desired) {
        self.metrics = other.metrics;
    }

    /// Keeps of `now` what only a restart can change; the keys that would.
    pub(crate) fn keep_until_restart(&mut self, now: &Desired) -> Vec<&'static str> {
        let wanted = core::mem::replace(&mut self.identity, now.identity.clone());
        let now = &self.identity;
        let keys = [
            ("selection-deferral-time", now.selection_deferral != wanted.selection_deferral),
            ("control-socket", now.control_socket != wanted.control_socket),
            ("format of [log]", now.log_format != wanted.log_format),
        ];
        keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
    }

    /// Makes the speaker do what this asks for; what it does already is not touched.
    pub(crate) async fn apply(&self, speaker: &Speaker) -> Result<ApplyReport, SpeakerError> {
        speaker.apply(self.speaker.clone()).await
    }
}

fn metrics(config: &Config) -> measurements::Wanted {
    let metrics = config.metrics.as_ref().map(Spanned::get_ref);
    let listen = metrics.and_then(|metrics| metrics.listen.as_ref()).map(|listen| listen.get_ref().0);
    measurements::Wanted { listen, per_peer: metrics.and_then(|metrics| metrics.per_peer).unwrap_or(true) }
}

#[cfg(test)]
mod tests;
