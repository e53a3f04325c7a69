//! The table of known attributes: flags, error class, and the judgement on receipt (RFC 7606 §3, §7).
use super::{AttributeCode, AttributeFlags};
use super::{
    aggregator, aigp, as_path, as4_aggregator, as4_path, atomic_aggregate, attr_set, cluster_list,
    communities, extended_communities, ipv6_extended_communities, large_communities, link_state, local_pref,
    med, mp, next_hop, only_to_customer, origin, originator_id, pmsi_tunnel, prefix_sid,
    tunnel_encapsulation,
};
use crate::reaction::{FaultKind, Reaction};
use crate::{Codec, PeerKind};

/// What a check may need to know of the session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) peer: PeerKind,
    pub(crate) four_octet_as: bool,
    pub(crate) external_aigp: bool,
    pub(crate) same_domain: bool,
}

impl From<&Codec> for Context {
    fn from(codec: &Codec) -> Self {
        let Codec { peer, four_octet_as, external_aigp, .. } = *codec;
        let same_domain = codec.same_domain || matches!(peer, PeerKind::Internal);
        Self { peer, four_octet_as, external_aigp, same_domain }
    }
}

/// From whom an attribute means anything. From others it is discarded unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Anyone,
    InternalPeers,
    AigpPeers,
    /// Internal peers, and external ones of the same administration.
    SameDomain,
    TwoOctetPeers,
}

/// One attribute's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Optional and Transitive bits.
    pub(crate) flags: u8,
    pub(crate) source: Source,
    /// The reaction to a wrong Optional or Transitive bit (RFC 7606 §3 (c)).
    pub(crate) flag_error: Reaction,
    /// The reaction to a wrong length or value.
    pub(crate) error: Reaction,
}

const OPTIONAL: u8 = AttributeFlags::OPTIONAL;
const TRANSITIVE: u8 = AttributeFlags::TRANSITIVE;

impl Row {
    const fn new(flags: u8) -> Self {
        let withdraw = Reaction::TreatAsWithdraw;
        Self { flags, source: Source::Anyone, flag_error: withdraw, error: withdraw }
    }

    /// Well-known: Transitive.
    pub(crate) const WELL_KNOWN: Self = Self::new(TRANSITIVE);
    /// Optional transitive.
    pub(crate) const OPTIONAL_TRANSITIVE: Self = Self::new(OPTIONAL | TRANSITIVE);
    /// Optional non-transitive.
    pub(crate) const OPTIONAL: Self = Self::new(OPTIONAL);

    /// With a milder reaction to wrong values.
    pub(crate) const fn discard(self) -> Self {
        Self { error: Reaction::AttributeDiscard, ..self }
    }

    /// The judgement on one attribute; `None` is good.
    #[inline(always)]
    fn examine(
        self,
        flags: u8,
        cx: Context,
        check: impl FnOnce() -> Result<(), FaultKind>,
    ) -> Option<(FaultKind, Reaction)> {
        let expected = match self.source {
            Source::Anyone => true,
            Source::InternalPeers => matches!(cx.peer, PeerKind::Internal),
            Source::AigpPeers => matches!(cx.peer, PeerKind::Internal) || cx.external_aigp,
            Source::SameDomain => cx.same_domain,
            Source::TwoOctetPeers => !cx.four_octet_as,
        };
        if !expected {
            return Some((FaultKind::NotExpected, Reaction::AttributeDiscard));
        }
        if flags & (OPTIONAL | TRANSITIVE) != self.flags {
            return Some((FaultKind::Flags, self.flag_error));
        }
        match check() {
            Ok(()) => None,
            Err(FaultKind::Service) => Some((FaultKind::Service, Reaction::TreatAsWithdraw)),
            Err(kind) => Some((kind, self.error)),
        }
    }
}

/// The attributes that are judged by their own value alone: module, code, and slot in the table.
macro_rules! table {
    ($($module:ident = $code:literal),* $(,)?) => {
        /// Judges one received attribute by its row. MP attributes are judged with their NLRI, elsewhere.
        #[inline(always)]
        pub(crate) fn examine(
            flags: u8,
            code: AttributeCode,
            value: &[u8],
            cx: Context,
        ) -> Option<(FaultKind, Reaction)> {
            match code.0 {
                $($code => $module::ROW.examine(flags, cx, || $module::check(value, cx)),)*
                _ => unknown(flags),
            }
        }

        /// The Optional and Transitive bits of a known type.
        pub(crate) const fn wire_flags(code: AttributeCode) -> Option<u8> {
            match code.0 {
                $($code => Some($module::ROW.flags),)*
                14 | 15 => Some(mp::ROW.flags),
                _ => None,
            }
        }
    };
}

table! {
    origin = 1,
    as_path = 2,
    next_hop = 3,
    med = 4,
    local_pref = 5,
    atomic_aggregate = 6,
    aggregator = 7,
    communities = 8,
    originator_id = 9,
    cluster_list = 10,
    extended_communities = 16,
    as4_path = 17,
    as4_aggregator = 18,
    pmsi_tunnel = 22,
    tunnel_encapsulation = 23,
    ipv6_extended_communities = 25,
    aigp = 26,
    link_state = 29,
    large_communities = 32,
    only_to_customer = 35,
    prefix_sid = 40,
    attr_set = 128,
}

/// Of an attribute's flags, those that mean something beyond the message: not Extended Length, nor the unused four.
/// Partial is for optional transitive types; on others it must be 0 (RFC 4271 §4.3), whatever was received.
#[inline]
pub(crate) const fn lasting_flags(flags: u8, code: AttributeCode) -> u8 {
    let own = match wire_flags(code) {
        Some(own) => own,
        None => flags,
    };
    let both = OPTIONAL | TRANSITIVE;
    flags & if own & both == both { both | AttributeFlags::PARTIAL } else { both }
}

/// The one flags octet that an attribute of so many octets has in a canonical block: what lasts, and the shortest length
/// field.
#[inline]
pub(crate) const fn canonical_flags(flags: u8, code: AttributeCode, len: usize) -> u8 {
    let long = if len > u8::MAX as usize { AttributeFlags::EXTENDED_LENGTH } else { 0 };
    lasting_flags(flags, code) | long
}

/// RFC 4271 §6.3: a well-known attribute must be known. RFC 7606 leaves that as it was.
const fn unknown(flags: u8) -> Option<(FaultKind, Reaction)> {
    if flags & OPTIONAL == 0 { Some((FaultKind::UnknownWellKnown, Reaction::SessionReset)) } else { None }
}

/// Exactly so many octets.
#[inline(always)]
pub(crate) const fn exactly(value: &[u8], len: usize) -> Result<(), FaultKind> {
    if value.len() == len { Ok(()) } else { Err(FaultKind::Length) }
}

/// A non-zero multiple of so many octets.
#[inline(always)]
pub(crate) const fn multiple(value: &[u8], of: usize) -> Result<(), FaultKind> {
    if !value.is_empty() && value.len().is_multiple_of(of) { Ok(()) } else { Err(FaultKind::Length) }
}
