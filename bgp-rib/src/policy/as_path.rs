//! An AS path as conditions see it: what the policy has put in front, then what was received.

use bgp_wire::{AsPathView, Asn, Segment, SegmentKind};

use super::span::AsnSet;

/// A received path with the AS numbers that rules have prepended so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathSoFar<'a> {
    pub(crate) prepended: &'a [Asn],
    pub(crate) received: AsPathView<'a>,
}

/// One step of a path: an AS, or a set of which any may be meant.
#[derive(Clone, Debug)]
pub(crate) enum Step<'a> {
    One(Asn),
    Set(Segment<'a>),
}

impl Step<'_> {
    pub(crate) fn is_any_of(&self, set: &AsnSet) -> bool {
        match self {
            Self::One(asn) => set.contains(*asn),
            Self::Set(segment) => segment.asns().any(|asn| set.contains(asn)),
        }
    }

    fn may_be(&self, wanted: Asn) -> bool {
        match self {
            Self::One(asn) => *asn == wanted,
            Self::Set(segment) => segment.asns().any(|asn| asn == wanted),
        }
    }
}

impl<'a> PathSoFar<'a> {
    /// The steps, the latest first; sets are one step, confederation sequences stand like others.
    pub(crate) fn steps(self) -> impl Iterator<Item = Step<'a>> {
        let received = self.received.segments().flat_map(|segment| {
            let is_set = matches!(segment.kind, SegmentKind::Set | SegmentKind::ConfedSet);
            let set = is_set.then_some(Step::Set(segment));
            let sequence = (!is_set).then(|| segment.asns().map(Step::One));
            set.into_iter().chain(sequence.into_iter().flatten())
        });
        self.prepended.iter().copied().map(Step::One).chain(received)
    }

    /// The length that route selection compares (RFC 4271 §9.1.2.2 (a)).
    pub(crate) fn length(self) -> u32 {
        let length = self.prepended.len().saturating_add(self.received.length());
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    pub(crate) fn neighbour(self) -> Option<Asn> {
        self.prepended.first().copied().or_else(|| self.received.first())
    }

    pub(crate) fn origin(self) -> Option<Asn> {
        let plain = self.received.segments().any(|segment| !segment.kind.is_confederation());
        if plain { self.received.origin_as() } else { self.prepended.last().copied() }
    }

    pub(crate) fn contains(self, set: &AsnSet) -> bool {
        self.prepended.iter().copied().chain(self.received.asns()).any(|asn| set.contains(asn))
    }

    pub(crate) fn starts_with(self, list: &[Asn]) -> bool {
        let mut steps = self.steps();
        list.iter().all(|asn| steps.next().is_some_and(|step| step.may_be(*asn)))
    }
}
