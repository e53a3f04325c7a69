//! Mistakes in a configuration, found before a peer does.

use core::fmt;
use core::time::Duration;

use bgp_wire::{Asn, Family, FamilySet, RouterId};

use crate::{PeerAs, SessionConfig};

/// What is wrong with a [`SessionConfig`]. The message says how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mistake {
    /// AS 0 (RFC 7607) or AS_TRANS (RFC 6793) as an AS of our own.
    ReservedAs(Asn),
    /// An AS of our own that does not fit two octets, without four-octet AS numbers (RFC 6793 §4.2).
    FourOctetAs(Asn),
    /// A BGP Identifier of zero (RFC 6286 §2.1).
    NoRouterId,
    /// A Hold Time that an OPEN cannot carry (RFC 4271 §4.2).
    HoldTime(Duration),
    /// No keepalives, though there is a Hold Time after which the peer would miss them (RFC 4271 §4.4).
    NoKeepalive,
    /// A restart time that the capability cannot carry (RFC 4724 §3).
    RestartTime(u16),
    /// A list of peer AS numbers with nobody in it.
    NoPeerAs,
    /// ADD-PATH for a family that the session does not announce.
    AddPathFamily(Family),
    /// A required family that the session does not announce.
    RequiredFamily(Family),
    /// ADD-PATH or an extended next hop that is required in a family but not announced for it.
    RequiredRow(Family),
    /// Long-lived graceful restart without graceful restart (RFC 9494 §3.1).
    LongLivedAlone,
    /// A long-lived stale time that the capability cannot carry (RFC 9494 §3.1).
    StaleTime(u32),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedAs(asn) => write!(f, "AS {asn} is reserved: choose another local AS"),
            Self::FourOctetAs(asn) => {
                write!(f, "AS {asn} needs four-octet AS numbers: turn them on, or choose a local AS up to 65535")
            }
            Self::NoRouterId => {
                f.write_str("the router id is 0.0.0.0: choose another, such as an address of this node")
            }
            Self::HoldTime(time) => {
                write!(
                    f,
                    "a hold time of {} s is not possible: use 0 (off) or 3 to 65535 s",
                    time.as_secs_f64()
                )
            }
            Self::NoKeepalive => f.write_str(
                "a keepalive time of 0 s with a hold time: leave it out, or turn both off with a hold time of 0",
            ),
            Self::RestartTime(time) => {
                write!(f, "a restart time of {time} s is too long: use at most 4095 s")
            }
            Self::NoPeerAs => f.write_str("the list of peer AS numbers is empty: name at least one"),
            Self::AddPathFamily(family) => {
                write!(f, "ADD-PATH for {family} needs {family} among the families")
            }
            Self::RequiredFamily(family) => {
                write!(f, "{family} is required of the peer but not among the families")
            }
            Self::RequiredRow(family) => {
                write!(f, "a capability is required of the peer for {family} that is not announced for {family}")
            }
            Self::LongLivedAlone => f.write_str(
                "long-lived graceful restart needs graceful restart: turn that on, a restart time of 0 s will do",
            ),
            Self::StaleTime(time) => {
                write!(f, "a long-lived stale time of {time} s is too long: use at most 16777215 s")
            }
        }
    }
}

impl core::error::Error for Mistake {}

/// The restart time has twelve bits (RFC 4724 §3).
const MAX_RESTART_TIME: u16 = 0x0fff;
/// The long-lived stale time has 24 bits (RFC 9494 §3.1).
const MAX_STALE_TIME: u32 = 0x00ff_ffff;

impl SessionConfig {
    /// Looks for mistakes. A session runs with any configuration, but not as one with a mistake means it.
    pub fn check(&self) -> Result<(), Mistake> {
        if [Asn(0), Asn::TRANS].contains(&self.local_as) {
            return Err(Mistake::ReservedAs(self.local_as));
        }
        if !self.four_octet_as && self.local_as.0 > u32::from(u16::MAX) {
            return Err(Mistake::FourOctetAs(self.local_as));
        }
        if self.router_id == RouterId(0) {
            return Err(Mistake::NoRouterId);
        }
        let possible = Duration::from_secs(3)..=Duration::from_secs(u16::MAX.into());
        if !self.hold_time.is_zero() && !possible.contains(&self.hold_time) {
            return Err(Mistake::HoldTime(self.hold_time));
        }
        if !self.hold_time.is_zero() && self.keepalive == Some(Duration::ZERO) {
            return Err(Mistake::NoKeepalive);
        }
        if self.peer_as == PeerAs::AnyOf(Vec::new()) {
            return Err(Mistake::NoPeerAs);
        }
        if let Some(restart) = self.graceful_restart.as_ref().filter(|gr| gr.time > MAX_RESTART_TIME) {
            return Err(Mistake::RestartTime(restart.time));
        }
        if self.long_lived.is_some() && self.graceful_restart.is_none() {
            return Err(Mistake::LongLivedAlone);
        }
        let mut long_lived = self.long_lived.iter().flatten();
        if let Some(row) = long_lived.find(|row| row.stale_time > MAX_STALE_TIME) {
            return Err(Mistake::StaleTime(row.stale_time));
        }
        self.check_families()
    }

    fn check_families(&self) -> Result<(), Mistake> {
        let missing = |family: &Family| !self.families.contains(*family);
        if let Some(family) = self.add_path.iter().map(|(family, _)| *family).find(missing) {
            return Err(Mistake::AddPathFamily(family));
        }
        if let Some(family) = self.required.families.iter().find(missing) {
            return Err(Mistake::RequiredFamily(family));
        }
        let add_path: FamilySet = self.add_path.iter().map(|(family, _)| *family).collect();
        let next_hop: FamilySet = self.extended_next_hop.iter().map(|(family, _)| *family).collect();
        let unannounced = |required: FamilySet, row: FamilySet| required.iter().find(|f| !row.contains(*f));
        unannounced(self.required.add_path, add_path)
            .or_else(|| unannounced(self.required.extended_next_hop, next_hop))
            .map_or(Ok(()), |family| Err(Mistake::RequiredRow(family)))
    }
}

#[cfg(test)]
mod tests {
    use bgp_wire::{AddPathMode, GracefulRestart, LongLivedFamily};

    use super::*;
    use crate::Required;

    fn good() -> SessionConfig {
        SessionConfig::new(Asn(65000), RouterId(1), PeerAs::Internal)
    }

    #[test]
    fn each_mistake_is_found() {
        let v6 = Family::IPV6_UNICAST;
        let seconds = Duration::from_secs;
        let required = Required { families: FamilySet::of(&[v6]), ..Required::default() };
        let rows = Required { add_path: FamilySet::of(&[v6]), ..Required::default() };
        let long = LongLivedFamily { family: v6, forwarding: false, stale_time: 1 << 24 };
        let large = Asn(4_200_000_000);
        let restart = GracefulRestart { time: 4096, ..GracefulRestart::default() };
        let cases = [
            (SessionConfig { local_as: Asn(0), ..good() }, Mistake::ReservedAs(Asn(0))),
            (SessionConfig { local_as: Asn::TRANS, ..good() }, Mistake::ReservedAs(Asn::TRANS)),
            (SessionConfig { local_as: large, four_octet_as: false, ..good() }, Mistake::FourOctetAs(large)),
            (SessionConfig { keepalive: Some(Duration::ZERO), ..good() }, Mistake::NoKeepalive),
            (SessionConfig { router_id: RouterId(0), ..good() }, Mistake::NoRouterId),
            (SessionConfig { hold_time: seconds(2), ..good() }, Mistake::HoldTime(seconds(2))),
            (SessionConfig { hold_time: seconds(65_536), ..good() }, Mistake::HoldTime(seconds(65_536))),
            (SessionConfig { peer_as: PeerAs::AnyOf(vec![]), ..good() }, Mistake::NoPeerAs),
            (SessionConfig { graceful_restart: Some(restart), ..good() }, Mistake::RestartTime(4096)),
            (SessionConfig { add_path: vec![(v6, AddPathMode::BOTH)], ..good() }, Mistake::AddPathFamily(v6)),
            (SessionConfig { required, ..good() }, Mistake::RequiredFamily(v6)),
            (SessionConfig { required: rows, ..good() }, Mistake::RequiredRow(v6)),
            (
                SessionConfig { long_lived: Some(vec![]), graceful_restart: None, ..good() },
                Mistake::LongLivedAlone,
            ),
            (SessionConfig { long_lived: Some(vec![long]), ..good() }, Mistake::StaleTime(1 << 24)),
        ];
        for (config, mistake) in cases {
            assert_eq!(config.check(), Err(mistake));
        }
        assert_eq!(good().check(), Ok(()));
        assert_eq!(SessionConfig { hold_time: Duration::ZERO, ..good() }.check(), Ok(()));
        assert_eq!(SessionConfig { local_as: large, ..good() }.check(), Ok(()));
        let silent = SessionConfig { keepalive: Some(Duration::ZERO), hold_time: Duration::ZERO, ..good() };
        assert_eq!(silent.check(), Ok(()));
    }
}
