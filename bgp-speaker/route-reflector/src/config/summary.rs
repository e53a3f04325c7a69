//! What `check` says of a configuration that is valid.

use std::net::SocketAddr;

use super::file::{Config, PeerKeys};
use super::value::PeerAs;

impl Config {
    /// Where to listen.
    pub(crate) fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.listeners().into_iter().map(|(address, _)| address).collect()
    }

    /// One line on what the file describes.
    pub(crate) fn summary(&self) -> String {
        let mut parts = vec![format!("AS {}, router id {}", self.asn.0, self.router_id.0)];
        let mesh = self.mesh.as_ref().map_or(0, |mesh| mesh.get_ref().nodes.get_ref().len());
        for (count, one, many) in [
            (self.neighbor.len(), "neighbor", "neighbors"),
            (self.neighbor_range.len(), "neighbor range", "neighbor ranges"),
            (mesh, "mesh node", "mesh nodes"),
            (self.route.len(), "route", "routes"),
            (self.aggregate.len(), "aggregate", "aggregates"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {}", if count == 1 { one } else { many }));
            }
        }
        parts.join(", ")
    }

    /// What is allowed but may surprise.
    pub(crate) fn notes(&self) -> Vec<String> {
        let neighbors = self.neighbor.iter().map(|n| (n.host().to_string(), n.peer()));
        let ranges = self.neighbor_range.iter().map(|r| (r.prefix.get_ref().0.to_string(), r.peer()));
        let mut notes: Vec<String> =
            neighbors.chain(ranges).filter_map(|(name, peer)| self.without_policy(&name, peer)).collect();
        if self.neighbor.is_empty() && self.neighbor_range.is_empty() && self.mesh.is_none() {
            notes.push("there are no peers: add [[neighbor]], [[neighbor-range]] or [mesh]".to_owned());
        }
        notes
    }

    /// RFC 8212: an external peer without a policy exchanges nothing, which is right and often not meant.
    fn without_policy(&self, name: &str, peer: PeerKeys<'_>) -> Option<String> {
        let keys = peer.session;
        let ours = keys.local_as.unwrap_or(self.asn).0;
        let external = match peer.asn.get_ref() {
            PeerAs::Exact(asn) => *asn != ours,
            PeerAs::AnyOf(all) => all.iter().any(|asn| *asn != ours),
            PeerAs::External | PeerAs::Any => true,
            PeerAs::Internal => false,
        };
        let missing = match (&keys.import, &keys.export) {
            (None, None) => "import and export",
            (None, Some(_)) => "import",
            (Some(_), None) => "export",
            (Some(_), Some(_)) => return None,
        };
        external.then(|| {
            format!("{name} may be of another AS and says no {missing}: nothing passes that way until it does (RFC 8212)")
        })
    }
}
