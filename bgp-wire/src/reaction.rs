//! What a fault in an UPDATE leads to (RFC 7606 §2), and the faults themselves.
use core::fmt;

use crate::attributes::AttributeCode;
use crate::notification::subcode::update as sub;

/// The reactions of RFC 7606 §2, from mildest to strongest; the strongest in a message wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Reaction {
    /// Nothing is wrong.
    #[default]
    Accept,
    /// The attribute is left out, the routes stand.
    AttributeDiscard,
    /// The announced routes count as withdrawn.
    TreatAsWithdraw,
    /// The family is given up for the rest of the session (RFC 4760 §7).
    AfiSafiDisable,
    /// A NOTIFICATION ends the session.
    SessionReset,
}

impl Reaction {
    /// The name as RFC 7606 writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::AttributeDiscard => "attribute-discard",
            Self::TreatAsWithdraw => "treat-as-withdraw",
            Self::AfiSafiDisable => "afi-safi-disable",
            Self::SessionReset => "session-reset",
        }
    }
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The Optional or Transitive bit contradicts the attribute's type.
    Flags,
    /// The length does not fit the attribute's type.
    Length,
    /// The value is none that the type allows.
    Value,
    /// A segment of the path is empty, cut short or of no known type.
    Segment,
    /// AS 0 (RFC 7607).
    ReservedAs,
    /// A service of SRv6 is malformed (RFC 9252 §7).
    Service,
    /// The attribute repeats an earlier one, which stands.
    Repeated,
    /// The attribute is not for this kind of peer or session.
    NotExpected,
    /// A mandatory attribute is not there.
    Missing,
    /// Optional bit clear, but the type is unknown.
    UnknownWellKnown,
    /// The attributes do not end where the section does.
    Overrun,
    /// The NLRI do not parse.
    Nlri,
    /// NLRI whose ends are known are malformed inside.
    NlriInside,
    /// The next hop's length does not fit the family.
    NextHopLength,
    /// The next hop is no address of a host.
    NextHop,
    /// The family was not negotiated.
    Family,
}

impl FaultKind {
    const fn words(self) -> &'static str {
        match self {
            Self::Flags => "wrong flags",
            Self::Length => "wrong length",
            Self::Value => "invalid value",
            Self::Segment => "malformed segment",
            Self::ReservedAs => "AS 0",
            Self::Service => "malformed SRv6 service",
            Self::Repeated => "repeated",
            Self::NotExpected => "not expected from this peer",
            Self::Missing => "missing",
            Self::UnknownWellKnown => "unknown, but marked well-known",
            Self::Overrun => "runs past the end of the attributes",
            Self::Nlri => "malformed NLRI",
            Self::NlriInside => "NLRI malformed inside",
            Self::NextHopLength => "wrong next hop length",
            Self::NextHop => "invalid next hop",
            Self::Family => "family not negotiated",
        }
    }
}

/// One fault of an UPDATE: which attribute, what about it, and what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The attribute; 0 where it is none's.
    pub attribute: AttributeCode,
    /// What is wrong.
    pub kind: FaultKind,
    /// What that leads to.
    pub reaction: Reaction,
    /// Where the attribute begins, from the start of the attribute section.
    pub(crate) at: u16,
}

impl Fault {
    /// Whether the sender did wrong. Otherwise the standard itself says to pass over what was sent: an attribute that
    /// means nothing from this kind of peer (RFC 7606 §7.5, §7.9, §7.10), or routes of a family that is not spoken here
    /// (RFC 4760 §6).
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        !matches!(self.kind, FaultKind::NotExpected | FaultKind::Family)
    }

    /// The UPDATE Message Error subcode of RFC 4271 §6.3.
    #[must_use]
    pub const fn subcode(&self) -> u8 {
        match (self.kind, self.attribute) {
            (FaultKind::Flags, _) => sub::FLAGS,
            (FaultKind::Length, AttributeCode::AS_PATH) => sub::AS_PATH,
            // RFC 4760 §7 names the subcode for whatever is wrong inside.
            (FaultKind::Length, AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI) => {
                sub::OPTIONAL
            }
            (FaultKind::Length, _) => sub::LENGTH,
            (FaultKind::Value, AttributeCode::ORIGIN) => sub::ORIGIN,
            (FaultKind::Segment | FaultKind::ReservedAs, AttributeCode::AS_PATH) => sub::AS_PATH,
            (FaultKind::NextHop, AttributeCode::NEXT_HOP) => sub::NEXT_HOP,
            // No well-known ones: a segment routing policy cannot do without (RFC 9830 §4.2.1).
            (
                FaultKind::Missing,
                AttributeCode::TUNNEL_ENCAPSULATION | AttributeCode::EXTENDED_COMMUNITIES,
            ) => sub::OPTIONAL,
            (FaultKind::Missing, _) => sub::MISSING_WELL_KNOWN,
            (FaultKind::UnknownWellKnown, _) => sub::UNRECOGNIZED_WELL_KNOWN,
            (FaultKind::Repeated | FaultKind::Overrun, _) => sub::MALFORMED_LIST,
            (FaultKind::Nlri | FaultKind::Family, AttributeCode(0)) => sub::NETWORK_FIELD,
            _ => sub::OPTIONAL,
        }
    }

    /// Whether the NOTIFICATION for it carries the whole attribute (RFC 4271 §6.3).
    pub(crate) const fn carries_attribute(&self) -> bool {
        matches!(
            self.subcode(),
            sub::FLAGS
                | sub::LENGTH
                | sub::ORIGIN
                | sub::NEXT_HOP
                | sub::UNRECOGNIZED_WELL_KNOWN
                | sub::OPTIONAL
        )
    }
}

/// `ORIGIN: wrong length (treat-as-withdraw)`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attribute.0 != 0 {
            write!(f, "{}: ", self.attribute)?;
        }
        write!(f, "{} ({})", self.kind.words(), self.reaction)
    }
}

/// Of more faults than these only a stronger one is still noted: enough to say what is wrong, few enough to live in the
/// view, which is copied for each message.
pub(crate) const MAX_FAULTS: usize = 6;

/// The first faults of a message, inline, among them always the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// Behind the first `len`, nothing that counts.
    list: [Fault; MAX_FAULTS],
    len: u8,
    reaction: Reaction,
    malformed: bool,
}

/// In place of a fault. All zeros, so that a message without faults costs few stores.
const NO_FAULT: Fault =
    Fault { attribute: AttributeCode(0), kind: FaultKind::Flags, reaction: Reaction::Accept, at: 0 };

impl Faults {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { list: [NO_FAULT; MAX_FAULTS], len: 0, reaction: Reaction::Accept, malformed: false }
    }

    #[cold]
    pub(crate) fn push(&mut self, fault: Fault) {
        let outdone = self.is_outdone(&fault);
        if let Some(slot) = self.list.get_mut(usize::from(self.len)) {
            *slot = fault;
            self.len = self.len.saturating_add(1);
        } else if let Some(last) = self.list.last_mut().filter(|_| outdone) {
            *last = fault;
        }
        self.reaction = self.reaction.max(fault.reaction);
        self.malformed |= fault.is_malformed();
    }

    /// Whether a fault says more than all that are listed.
    const fn is_outdone(&self, fault: &Fault) -> bool {
        fault.reaction as u8 > self.reaction as u8 || (fault.is_malformed() && !self.malformed)
    }

    /// Whether one of them is the sender's doing.
    #[inline]
    pub(crate) const fn malformed(&self) -> bool {
        self.malformed
    }

    /// The strongest; of equally strong ones the first.
    pub(crate) fn strongest(&self) -> Option<Fault> {
        self.iter().find(|f| f.reaction == self.reaction)
    }

    #[inline]
    pub(crate) const fn reaction(&self) -> Reaction {
        self.reaction
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Fault> + use<> {
        self.list.into_iter().take(usize::from(self.len))
    }
}
