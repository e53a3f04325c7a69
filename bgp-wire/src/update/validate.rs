//! The one pass over an UPDATE: sections, attributes, NLRI, and the verdict of RFC 7606.
use super::UpdateView;
use super::index::{Block, INDEXED, Span, UpdateIndex};
use crate::attributes::mp::Reached;
use crate::attributes::{AttributeCode, AttributeFlags, Context, RawAttribute, RawAttributes, examine, mp};
use crate::nlri::{self, Flaw, NlriForm};
use crate::notification::subcode::update as sub;
use crate::parse::front16;
use crate::reaction::{Fault, FaultKind, Faults, Reaction};
use crate::{Afi, Codec, Family, FamilySet, NextHop, Notification};

/// Validates a message body (all behind the header). The error ends the session.
// Not inlined, so that what calls it is; and the view is made where the caller wants it, once everything is known.
#[inline(never)]
pub(crate) fn validate<'a>(body: &'a [u8], codec: &Codec) -> Result<UpdateView<'a>, Notification> {
    let Some(sections) = Sections::split(body) else {
        return Err(Notification::update_error(sub::MALFORMED_LIST, &[]));
    };
    let classic = classic(codec, &sections)?;
    let mut pass = Pass::new(codec, &sections, classic.is_some() && !sections.nlri.is_empty());
    let seen = pass.attributes()?;
    let mut next_hop = seen.next_hop.filter(|_| pass.announces);
    if pass.faults.reaction() != Reaction::Accept || pass.reaches() {
        pass.conclude(&seen, &mut next_hop)?;
    }
    let index = UpdateIndex {
        attributes: Sections::span(sections.base(), sections.attributes.len()),
        classic,
        mp_reach: pass.mp_reach,
        mp_unreach: pass.mp_unreach,
        next_hop,
        mp_next_hop: pass.mp_next_hop,
        present: seen.present,
        discarded: pass.discarded,
        offsets: seen.offsets,
        repeated: pass.repeated,
        ascending: seen.ascending,
        four_octet_as: codec.four_octet_as,
        withdraw: pass.withdraw,
        disabled: pass.disabled,
        end_of_rib: pass.end_of_rib(&seen),
        faults: pass.faults,
    };
    Ok(UpdateView::from_parts(body, index))
}

/// The classic fields: how their NLRI are written, if IPv4 unicast was negotiated. A syntax error there leaves nothing to
/// rely on (RFC 7606 §3 (i), (j)).
#[inline]
fn classic(codec: &Codec, sections: &Sections<'_>) -> Result<Option<NlriForm>, Notification> {
    let family = Family::IPV4_UNICAST;
    let add_path = codec.add_path_rx.contains(family);
    if nlri::check(family, add_path, sections.withdrawn) && nlri::check(family, add_path, sections.nlri) {
        Ok(codec.families.contains(family).then_some(NlriForm { add_path, stacks: false }))
    } else {
        Err(Notification::update_error(sub::NETWORK_FIELD, &[]))
    }
}

/// Octets of AS_PATH, counted with four-octet numbers, and AS4_PATH that are sure to fit one attribute when put
/// together, segment headers included.
const MAX_HALVES: usize = 64_000;

/// The three variable sections (RFC 4271 §4.3).
struct Sections<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

impl<'a> Sections<'a> {
    #[inline]
    fn split(body: &'a [u8]) -> Option<Self> {
        let (withdrawn, rest) = body.get(2..)?.split_at_checked(usize::from(front16(body)?))?;
        let (attributes, nlri) = rest.get(2..)?.split_at_checked(usize::from(front16(rest)?))?;
        Some(Self { withdrawn, attributes, nlri })
    }

    /// Where the attribute section begins in the body.
    #[inline]
    fn base(&self) -> usize {
        self.withdrawn.len().wrapping_add(4)
    }

    /// A part of the body.
    #[inline]
    fn span(start: usize, len: usize) -> Span {
        Span { start: low16(start), len: low16(len) }
    }
}

/// An offset or length in a body; they fit 16 bits because the frame's length does.
#[inline]
fn low16(n: usize) -> u16 {
    let [b0, b1, ..] = n.to_le_bytes();
    u16::from_le_bytes([b0, b1])
}

/// What the loop over the attributes finds out about each: apart from [`Pass`], so that it stays in registers.
struct Seen {
    present: u64,
    /// The highest code so far.
    highest: u8,
    ascending: bool,
    offsets: [u16; INDEXED],
    next_hop: Option<[u8; 4]>,
}

impl Seen {
    /// Marks a code below 64; `false` when it was there before.
    #[inline]
    fn first(&mut self, code: AttributeCode, at: usize) -> bool {
        let bit = UpdateIndex::bit(code);
        if code.0 > self.highest {
            self.highest = code.0;
        } else {
            self.ascending = false;
            if self.present & bit != 0 {
                return false;
            }
        }
        self.present |= bit;
        if let Some(offset) = self.offsets.get_mut(usize::from(code.0)) {
            *offset = low16(at);
        }
        true
    }
}

struct Pass<'a> {
    codec: &'a Codec,
    sections: &'a Sections<'a>,
    /// There are classic NLRI to announce.
    announces: bool,
    mp_reach: Option<Block>,
    mp_unreach: Option<Block>,
    mp_next_hop: Option<u8>,
    /// MP_REACH_NLRI carries NLRI, lawful or not.
    mp_reaches: bool,
    /// Codes from 64 on that were seen.
    seen_high: [u64; 3],
    overrun: bool,
    repeated: bool,
    withdraw: bool,
    discarded: u64,
    disabled: FamilySet,
    faults: Faults,
}

impl<'a> Pass<'a> {
    #[inline]
    fn new(codec: &'a Codec, sections: &'a Sections<'a>, announces: bool) -> Self {
        Self {
            codec,
            sections,
            announces,
            mp_reach: None,
            mp_unreach: None,
            mp_next_hop: None,
            mp_reaches: false,
            seen_high: [0; 3],
            overrun: false,
            repeated: false,
            withdraw: false,
            discarded: 0,
            disabled: FamilySet::empty(),
            faults: Faults::new(),
        }
    }

    #[inline]
    fn attributes(&mut self) -> Result<Seen, Notification> {
        let cx = Context::from(self.codec);
        let section = self.sections.attributes;
        let mut seen =
            Seen { present: 0, highest: 0, ascending: true, offsets: [0; INDEXED], next_hop: None };
        let mut attributes = RawAttributes::new(section);
        loop {
            let at = section.len().wrapping_sub(attributes.rest().len());
            let Some(RawAttribute { flags, code, value }) = attributes.next() else { break };
            let first = if code.0 < 64 { seen.first(code, at) } else { self.first_high(code, &mut seen) };
            if !first {
                self.repeats(code, at)?;
                continue;
            }
            let fault = match code {
                AttributeCode::MP_REACH_NLRI => {
                    self.mp_reach(flags.0, value, at)?;
                    continue;
                }
                AttributeCode::MP_UNREACH_NLRI => {
                    self.mp_unreach(flags.0, value, at)?;
                    continue;
                }
                AttributeCode::NEXT_HOP => {
                    seen.next_hop = value.first_chunk().copied();
                    examine(flags.0, code, value, cx)
                }
                _ => examine(flags.0, code, value, cx),
            };
            if let Some((kind, reaction)) = fault {
                self.fault(code, kind, reaction, at)?;
            }
        }
        if !attributes.rest().is_empty() {
            self.overruns(attributes.rest())?;
        }
        Ok(seen)
    }

    /// Marks a code from 64 on; `false` when it was there before.
    #[inline(never)]
    fn first_high(&mut self, code: AttributeCode, seen: &mut Seen) -> bool {
        seen.ascending &= code.0 > seen.highest;
        seen.highest = seen.highest.max(code.0);
        let Some(word) = self.seen_high.get_mut(usize::from(code.0 >> 6).wrapping_sub(1)) else {
            return true;
        };
        let bit = 1u64 << (code.0 & 63);
        let first = *word & bit == 0;
        *word |= bit;
        first
    }

    /// RFC 7606 §3 (g): the first stands; MP attributes must not repeat.
    #[cold]
    fn repeats(&mut self, code: AttributeCode, at: usize) -> Result<(), Notification> {
        self.repeated = true;
        let mp = matches!(code, AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI);
        let reaction = if mp { Reaction::SessionReset } else { Reaction::AttributeDiscard };
        self.note(code, FaultKind::Repeated, reaction, at)
    }

    /// Notes a fault of an attribute and applies its reaction.
    #[cold]
    fn fault(
        &mut self,
        code: AttributeCode,
        kind: FaultKind,
        reaction: Reaction,
        at: usize,
    ) -> Result<(), Notification> {
        match reaction {
            Reaction::AttributeDiscard => self.discarded |= UpdateIndex::bit(code),
            Reaction::TreatAsWithdraw => self.withdraw = true,
            _ => {}
        }
        self.note(code, kind, reaction, at)
    }

    #[cold]
    fn note(
        &mut self,
        attribute: AttributeCode,
        kind: FaultKind,
        reaction: Reaction,
        at: usize,
    ) -> Result<(), Notification> {
        let fault = Fault { attribute, kind, reaction, at: low16(at) };
        self.faults.push(fault);
        if reaction == Reaction::SessionReset {
            Err(notification(&fault, self.sections.attributes))
        } else {
            Ok(())
        }
    }

    /// RFC 7606 §4: the section's length holds, the attribute's does not. When it is an MP attribute that is cut
    /// short, prefixes are lost with it, and only a reset remains (§3 (j)).
    #[cold]
    fn overruns(&mut self, rest: &[u8]) -> Result<(), Notification> {
        self.overrun = true;
        let code = AttributeCode(rest.get(1).copied().unwrap_or(0));
        let mp = matches!(code, AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI);
        let reaction = if mp { Reaction::SessionReset } else { Reaction::TreatAsWithdraw };
        let at = self.sections.attributes.len().wrapping_sub(rest.len());
        self.fault(code, FaultKind::Overrun, reaction, at)
    }

    /// Whether a family's MP attributes are read at all. Others are passed over (RFC 4760 §8).
    #[inline]
    fn is_read(&self, family: Family) -> bool {
        self.codec.families.contains(family) && nlri::is_decoded(family)
    }

    /// A malformed MP attribute: its family goes, or the session (RFC 7606 §7.11, §7.12; RFC 4760 §7).
    #[cold]
    fn mp_fault(
        &mut self,
        code: AttributeCode,
        value: &[u8],
        kind: FaultKind,
        at: usize,
    ) -> Result<(), Notification> {
        let family = mp::family(value).filter(|_| self.codec.afi_safi_disable);
        let reaction = match family {
            Some(family) if self.codec.families.len() > 1 => {
                self.disabled.insert(family);
                Reaction::AfiSafiDisable
            }
            _ => Reaction::SessionReset,
        };
        self.fault(code, kind, reaction, at)
    }

    #[inline(never)]
    fn mp_reach(&mut self, flags: u8, value: &[u8], at: usize) -> Result<(), Notification> {
        let code = AttributeCode::MP_REACH_NLRI;
        let Some(family) = mp::family(value) else {
            return self.mp_fault(code, value, FaultKind::Length, at);
        };
        self.mp_reaches = mp::split_reach(value).is_some_and(|parts| !parts.nlri.is_empty());
        if !self.is_read(family) {
            return self.fault(code, FaultKind::Family, Reaction::AttributeDiscard, at);
        }
        if !mp::flags_are_right(flags) {
            return self.mp_fault(code, value, FaultKind::Flags, at);
        }
        let form = NlriForm {
            add_path: self.codec.add_path_rx.contains(family),
            stacks: self.codec.multiple_labels.contains(family),
        };
        let extended = family.afi == Afi::IPV4 && self.codec.extended_next_hop.contains(family);
        let Reached { next_hop, nlri, flaw } = match mp::reach(value, family, extended, form) {
            Err(kind) => return self.mp_fault(code, value, kind, at),
            Ok(reached) => reached,
        };
        self.mp_reach = Some(self.mp_block(family, form, nlri.len(), flags, value.len(), at));
        if let Some(flaw) = flaw {
            let reaction = match flaw {
                Flaw::Discard => Reaction::AttributeDiscard,
                Flaw::Withdraw => Reaction::TreatAsWithdraw,
            };
            self.fault(code, FaultKind::NlriInside, reaction, at)?;
        }
        match next_hop {
            Ok(len) => {
                self.mp_next_hop = Some(len);
                Ok(())
            }
            Err(kind) => self.fault(code, kind, Reaction::TreatAsWithdraw, at),
        }
    }

    #[inline(never)]
    fn mp_unreach(&mut self, flags: u8, value: &[u8], at: usize) -> Result<(), Notification> {
        let code = AttributeCode::MP_UNREACH_NLRI;
        let (Some(family), Some(octets)) = (mp::family(value), value.get(3..)) else {
            return self.mp_fault(code, value, FaultKind::Length, at);
        };
        if !self.is_read(family) {
            return self.fault(code, FaultKind::Family, Reaction::AttributeDiscard, at);
        }
        if !mp::flags_are_right(flags) {
            return self.mp_fault(code, value, FaultKind::Flags, at);
        }
        // A withdrawal has one label's place whatever was negotiated (RFC 8277 §2.4).
        let form = NlriForm { add_path: self.codec.add_path_rx.contains(family), stacks: false };
        match mp::unreach(family, form, octets) {
            Err(kind) => return self.mp_fault(code, value, kind, at),
            Ok(None) => {}
            // It is withdrawn already, which is all that treat-as-withdraw could do.
            Ok(Some(_)) => self.fault(code, FaultKind::NlriInside, Reaction::AttributeDiscard, at)?,
        }
        self.mp_unreach = Some(self.mp_block(family, form, octets.len(), flags, value.len(), at));
        Ok(())
    }

    /// The NLRI at the end of an MP attribute's value, which ends where the next attribute begins.
    #[inline]
    fn mp_block(
        &self,
        family: Family,
        form: NlriForm,
        octets: usize,
        flags: u8,
        value: usize,
        at: usize,
    ) -> Block {
        let header = if flags & AttributeFlags::EXTENDED_LENGTH != 0 { 4 } else { 3 };
        let end = self.sections.base().wrapping_add(at).wrapping_add(header).wrapping_add(value);
        Block { family, form, nlri: Sections::span(end.wrapping_sub(octets), octets) }
    }

    /// Whether there are routes to announce.
    #[inline]
    fn reaches(&self) -> bool {
        self.announces || self.mp_reach.is_some_and(|b| b.nlri.len != 0)
    }

    /// The checks that need the whole message.
    #[inline]
    fn conclude(&mut self, seen: &Seen, next_hop: &mut Option<[u8; 4]>) -> Result<(), Notification> {
        if self.reaches() {
            self.mandatory(seen)?;
        }
        if next_hop.is_some_and(|octets| NextHop::host4(octets.into()).is_err()) {
            *next_hop = None;
            let at = self.offset(AttributeCode::NEXT_HOP, seen);
            self.fault(AttributeCode::NEXT_HOP, FaultKind::NextHop, Reaction::TreatAsWithdraw, at)?;
        }
        if !self.codec.four_octet_as {
            self.halves_fit(seen)?;
        }
        if self.faults.reaction() > Reaction::AttributeDiscard {
            self.without_reachable_nlri(seen)?;
        }
        Ok(())
    }

    /// RFC 7606 §3 (d): treat-as-withdraw. Behind an overrun they may well be there.
    #[inline]
    fn mandatory(&mut self, seen: &Seen) -> Result<(), Notification> {
        const ALWAYS: u64 = 0b110;
        const NEXT_HOP: u64 = 0b1000;
        let wanted = if self.announces { ALWAYS | NEXT_HOP } else { ALWAYS };
        let missing = wanted & !seen.present;
        if missing == 0 || self.overrun {
            return Ok(());
        }
        for code in [AttributeCode::ORIGIN, AttributeCode::AS_PATH, AttributeCode::NEXT_HOP] {
            if missing & UpdateIndex::bit(code) != 0 {
                self.fault(code, FaultKind::Missing, Reaction::TreatAsWithdraw, 0)?;
            }
        }
        Ok(())
    }

    /// The path put together from AS_PATH and AS4_PATH must fit one attribute, or AS4_PATH is left out.
    #[inline(never)]
    fn halves_fit(&mut self, seen: &Seen) -> Result<(), Notification> {
        let Some((at, as4_path)) = self.find(AttributeCode::AS4_PATH, seen) else { return Ok(()) };
        let as_path = self.find(AttributeCode::AS_PATH, seen).map_or(0, |(_, a)| a.value.len());
        if as_path.saturating_mul(2).saturating_add(as4_path.value.len()) <= MAX_HALVES {
            return Ok(());
        }
        self.fault(AttributeCode::AS4_PATH, FaultKind::Length, Reaction::AttributeDiscard, at)
    }

    /// Where an attribute with a low code begins; 0 for others.
    fn offset(&self, code: AttributeCode, seen: &Seen) -> usize {
        seen.offsets.get(usize::from(code.0)).map_or(0, |at| usize::from(*at))
    }

    /// An attribute that is there and was not discarded, and where it begins.
    fn find(&self, code: AttributeCode, seen: &Seen) -> Option<(usize, RawAttribute<'a>)> {
        if seen.present & !self.discarded & UpdateIndex::bit(code) == 0 {
            return None;
        }
        let section = self.sections.attributes;
        let mut raw = RawAttributes::new(section.get(self.offset(code, seen)..)?);
        loop {
            let at = section.len().wrapping_sub(raw.rest().len());
            let attribute = raw.next()?;
            if attribute.code == code {
                return Some((at, attribute));
            }
        }
    }

    /// Whether there is nothing but MP_UNREACH_NLRI.
    #[inline]
    fn only_unreaches(&self, seen: &Seen) -> bool {
        seen.present == UpdateIndex::bit(AttributeCode::MP_UNREACH_NLRI)
            && self.seen_high == [0; 3]
            && !self.overrun
    }

    /// RFC 7606 §5.2: with attributes but no reachable NLRI, the NLRI may be what was damaged,
    /// so anything stronger than discard ends the session.
    #[cold]
    fn without_reachable_nlri(&self, seen: &Seen) -> Result<(), Notification> {
        let reachable = !self.sections.nlri.is_empty() || self.mp_reaches;
        match self.faults.strongest() {
            Some(fault) if !reachable && !self.only_unreaches(seen) => {
                Err(notification(&fault, self.sections.attributes))
            }
            _ => Ok(()),
        }
    }

    /// RFC 4724 §2: an empty UPDATE, or one with nothing but an empty MP_UNREACH_NLRI.
    #[inline]
    fn end_of_rib(&self, seen: &Seen) -> Option<Family> {
        let Sections { withdrawn, attributes, nlri } = self.sections;
        if !withdrawn.is_empty() || !nlri.is_empty() {
            return None;
        }
        if attributes.is_empty() {
            return Some(Family::IPV4_UNICAST).filter(|f| self.codec.families.contains(*f));
        }
        self.mp_unreach.filter(|b| b.nlri.len == 0 && self.only_unreaches(seen)).map(|b| b.family)
    }
}

/// The NOTIFICATION for a fault: the attribute as data where RFC 4271 §6.3 says so, never more than was received.
pub(super) fn notification(fault: &Fault, section: &[u8]) -> Notification {
    if fault.kind == FaultKind::Missing {
        return Notification::update_error(fault.subcode(), &[fault.attribute.0]);
    }
    if !fault.carries_attribute() {
        return Notification::update_error(fault.subcode(), &[]);
    }
    let from = section.get(usize::from(fault.at)..).unwrap_or_default();
    let mut attributes = RawAttributes::new(from);
    let end = if attributes.next().is_some() {
        from.len().saturating_sub(attributes.rest().len())
    } else {
        from.len()
    };
    Notification::update_error(fault.subcode(), from.get(..end).unwrap_or_default())
}
