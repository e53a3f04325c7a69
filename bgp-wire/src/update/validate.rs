//! The one pass over an UPDATE: sections, attributes, NLRI, and the verdict of RFC 7606.
use super::index::{Block, Span, UpdateIndex};
use crate::attributes::mp::Reached;
use crate::attributes::{AttributeCode, Context, RawAttribute, RawAttributes, examine, mp};
use crate::nlri::{self, Flaw, NlriForm};
use crate::notification::subcode::update as sub;
use crate::parse::front16;
use crate::reaction::{Fault, FaultKind, Reaction};
use crate::{Afi, Codec, Family, NextHop, Notification};

/// Validates a message body (all behind the header) into a fresh index. The error ends the session.
/// Not inlined, so that what calls it is, and the index is made where it stays.
#[inline(never)]
pub(super) fn validate(body: &[u8], codec: &Codec, index: &mut UpdateIndex) -> Result<(), Notification> {
    let Some(sections) = Sections::split(body) else {
        return Err(Notification::update_error(sub::MALFORMED_LIST, &[]));
    };
    let mut pass = Pass { codec, index, seen_high: [0; 3], last_code: 0, overrun: false, mp_reaches: false };
    pass.classic(&sections)?;
    pass.attributes(&sections)?;
    if pass.index.faults.reaction() != Reaction::Accept || pass.reaches() {
        pass.conclude(&sections)?;
    }
    pass.index.end_of_rib = pass.end_of_rib(&sections);
    Ok(())
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

    /// A part of the body; offsets of a body fit 16 bits because the frame's length does.
    #[inline]
    fn span(start: usize, len: usize) -> Span {
        let fit = |n| u16::try_from(n).unwrap_or(u16::MAX);
        Span { start: fit(start), len: fit(len) }
    }
}

struct Pass<'c> {
    codec: &'c Codec,
    index: &'c mut UpdateIndex,
    /// Codes from 64 on that were seen.
    seen_high: [u64; 3],
    last_code: u8,
    overrun: bool,
    /// MP_REACH_NLRI carries NLRI, lawful or not.
    mp_reaches: bool,
}

impl Pass<'_> {
    /// The classic fields. A syntax error there leaves nothing to rely on (RFC 7606 §3 (i), (j)).
    #[inline]
    fn classic(&mut self, sections: &Sections<'_>) -> Result<(), Notification> {
        let family = Family::IPV4_UNICAST;
        let add_path = self.codec.add_path_rx.contains(family);
        let form = NlriForm { add_path, stacks: false };
        let negotiated = self.codec.families.contains(family);
        if !nlri::check(family, add_path, sections.withdrawn) || !nlri::check(family, add_path, sections.nlri)
        {
            return Err(Notification::update_error(sub::NETWORK_FIELD, &[]));
        }
        let base = sections.base();
        let block = |octets: &[u8], start| {
            let nlri = Sections::span(start, octets.len());
            (negotiated && !octets.is_empty()).then_some(Block { family, form, nlri })
        };
        self.index.four_octet_as = self.codec.four_octet_as;
        self.index.attributes = Sections::span(base, sections.attributes.len());
        self.index.withdrawn = block(sections.withdrawn, 2);
        self.index.announced = block(sections.nlri, base.wrapping_add(sections.attributes.len()));
        Ok(())
    }

    #[inline]
    fn attributes(&mut self, sections: &Sections<'_>) -> Result<(), Notification> {
        let cx = Context::from(self.codec);
        let section = sections.attributes;
        let mut attributes = RawAttributes::new(section);
        loop {
            let at = section.len().wrapping_sub(attributes.rest().len());
            let Some(attribute) = attributes.next() else { break };
            let code = attribute.code;
            if !self.first_of_its_kind(code, at) {
                self.repeated(code, at, section)?;
                continue;
            }
            match code {
                AttributeCode::MP_REACH_NLRI => self.mp_reach(attribute, at, sections)?,
                AttributeCode::MP_UNREACH_NLRI => self.mp_unreach(attribute, at, sections)?,
                _ => {
                    if let Some((kind, reaction)) = examine(attribute.flags.0, code, attribute.value, cx) {
                        self.fault(code, kind, reaction, at, section)?;
                    }
                }
            }
        }
        if !attributes.rest().is_empty() {
            self.overrun(attributes.rest(), section)?;
        }
        Ok(())
    }

    /// Marks a code as seen; `false` when it was before.
    #[inline]
    fn first_of_its_kind(&mut self, code: AttributeCode, at: usize) -> bool {
        self.index.ascending &= code.0 > self.last_code;
        self.last_code = code.0;
        let bit = UpdateIndex::bit(code);
        if bit == 0 {
            return self.first_high(code);
        }
        let first = self.index.present & bit == 0;
        self.index.present |= bit;
        if let Some(offset) = self.index.offsets.get_mut(usize::from(code.0)).filter(|_| first) {
            *offset = u16::try_from(at).unwrap_or(u16::MAX);
        }
        first
    }

    /// The same for codes from 64 on.
    fn first_high(&mut self, code: AttributeCode) -> bool {
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
    fn repeated(&mut self, code: AttributeCode, at: usize, section: &[u8]) -> Result<(), Notification> {
        self.index.repeated = true;
        let mp = matches!(code, AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI);
        let reaction = if mp { Reaction::SessionReset } else { Reaction::AttributeDiscard };
        self.note(code, FaultKind::Repeated, reaction, at, section)
    }

    /// Notes a fault of an attribute and applies its reaction.
    #[cold]
    fn fault(
        &mut self,
        code: AttributeCode,
        kind: FaultKind,
        reaction: Reaction,
        at: usize,
        section: &[u8],
    ) -> Result<(), Notification> {
        match reaction {
            Reaction::AttributeDiscard => self.index.discarded |= UpdateIndex::bit(code),
            Reaction::TreatAsWithdraw => self.index.withdraw = true,
            _ => {}
        }
        self.note(code, kind, reaction, at, section)
    }

    #[cold]
    fn note(
        &mut self,
        attribute: AttributeCode,
        kind: FaultKind,
        reaction: Reaction,
        at: usize,
        section: &[u8],
    ) -> Result<(), Notification> {
        let fault = Fault { attribute, kind, reaction, at: u16::try_from(at).unwrap_or(u16::MAX) };
        self.index.faults.push(fault);
        if reaction == Reaction::SessionReset { Err(notification(&fault, section)) } else { Ok(()) }
    }

    /// RFC 7606 §4: the section's length holds, the attribute's does not. When it is an MP attribute that is cut
    /// short, prefixes are lost with it, and only a reset remains (§3 (j)).
    #[cold]
    fn overrun(&mut self, rest: &[u8], section: &[u8]) -> Result<(), Notification> {
        self.overrun = true;
        let code = AttributeCode(rest.get(1).copied().unwrap_or(0));
        let mp = matches!(code, AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI);
        let reaction = if mp { Reaction::SessionReset } else { Reaction::TreatAsWithdraw };
        let at = section.len().wrapping_sub(rest.len());
        self.fault(code, FaultKind::Overrun, reaction, at, section)
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
        attribute: RawAttribute<'_>,
        kind: FaultKind,
        at: usize,
        section: &[u8],
    ) -> Result<(), Notification> {
        let family = mp::family(attribute.value).filter(|_| self.codec.afi_safi_disable);
        let reaction = match family {
            Some(family) if self.codec.families.len() > 1 => {
                self.index.disabled.insert(family);
                Reaction::AfiSafiDisable
            }
            _ => Reaction::SessionReset,
        };
        self.fault(attribute.code, kind, reaction, at, section)
    }

    fn mp_reach(
        &mut self,
        attribute: RawAttribute<'_>,
        at: usize,
        sections: &Sections<'_>,
    ) -> Result<(), Notification> {
        let (section, value) = (sections.attributes, attribute.value);
        let Some(family) = mp::family(value) else {
            return self.mp_fault(attribute, FaultKind::Length, at, section);
        };
        self.mp_reaches = mp::split_reach(value).is_none_or(|parts| !parts.nlri.is_empty());
        if !self.is_read(family) {
            return self.fault(attribute.code, FaultKind::Family, Reaction::AttributeDiscard, at, section);
        }
        if !mp::flags_are_right(attribute.flags.0) {
            return self.mp_fault(attribute, FaultKind::Flags, at, section);
        }
        let form = NlriForm {
            add_path: self.codec.add_path_rx.contains(family),
            stacks: self.codec.multiple_labels.contains(family),
        };
        let extended = family.afi == Afi::IPV4 && self.codec.extended_next_hop.contains(family);
        match mp::reach(value, family, extended, form) {
            Err(kind) => self.mp_fault(attribute, kind, at, section),
            Ok(Reached { next_hop, nlri: octets, flaw }) => {
                self.index.mp_reach = self.mp_block(family, form, octets, value, at, sections);
                if let Some(flaw) = flaw {
                    let reaction = match flaw {
                        Flaw::Discard => Reaction::AttributeDiscard,
                        Flaw::Withdraw => Reaction::TreatAsWithdraw,
                    };
                    self.fault(attribute.code, FaultKind::NlriInside, reaction, at, section)?;
                }
                // Next hop, one octet, NLRI.
                let nlri = self.index.mp_reach.map_or(0, |block| usize::from(block.nlri.start));
                match next_hop {
                    Ok(len) => {
                        self.index.mp_next_hop =
                            Some(Sections::span(nlri.wrapping_sub(len).wrapping_sub(1), len));
                    }
                    Err(kind) => self.fault(attribute.code, kind, Reaction::TreatAsWithdraw, at, section)?,
                }
                Ok(())
            }
        }
    }

    fn mp_unreach(
        &mut self,
        attribute: RawAttribute<'_>,
        at: usize,
        sections: &Sections<'_>,
    ) -> Result<(), Notification> {
        let (section, value) = (sections.attributes, attribute.value);
        let (Some(family), Some(octets)) = (mp::family(value), value.get(3..)) else {
            return self.mp_fault(attribute, FaultKind::Length, at, section);
        };
        if !self.is_read(family) {
            return self.fault(attribute.code, FaultKind::Family, Reaction::AttributeDiscard, at, section);
        }
        if !mp::flags_are_right(attribute.flags.0) {
            return self.mp_fault(attribute, FaultKind::Flags, at, section);
        }
        // A withdrawal has one label's place whatever was negotiated (RFC 8277 §2.4).
        let form = NlriForm { add_path: self.codec.add_path_rx.contains(family), stacks: false };
        match mp::unreach(family, form, octets) {
            Err(kind) => return self.mp_fault(attribute, kind, at, section),
            Ok(None) => {}
            // It is withdrawn already, which is all that treat-as-withdraw could do.
            Ok(Some(_)) => {
                let discard = Reaction::AttributeDiscard;
                self.fault(attribute.code, FaultKind::NlriInside, discard, at, section)?;
            }
        }
        self.index.mp_unreach = self.mp_block(family, form, octets, value, at, sections);
        Ok(())
    }

    /// The NLRI at the end of an MP attribute's value.
    #[inline]
    fn mp_block(
        &self,
        family: Family,
        form: NlriForm,
        octets: &[u8],
        value: &[u8],
        at: usize,
        sections: &Sections<'_>,
    ) -> Option<Block> {
        // The NLRI reach to the end of the value, which ends where the next attribute begins.
        let header = match sections.attributes.get(at) {
            Some(flags) if flags & 0x10 != 0 => 4,
            _ => 3,
        };
        let end = sections.base().wrapping_add(at).wrapping_add(header).wrapping_add(value.len());
        Some(Block { family, form, nlri: Sections::span(end.wrapping_sub(octets.len()), octets.len()) })
    }

    /// Whether there are routes to announce.
    #[inline]
    fn reaches(&self) -> bool {
        self.index.announced.is_some() || self.index.mp_reach.is_some_and(|b| b.nlri.len != 0)
    }

    /// The checks that need the whole message.
    #[inline]
    fn conclude(&mut self, sections: &Sections<'_>) -> Result<(), Notification> {
        if self.reaches() {
            self.mandatory(sections)?;
        }
        if self.index.announced.is_some() {
            self.classic_next_hop(sections)?;
        }
        if !self.codec.four_octet_as {
            self.halves_fit(sections)?;
        }
        if self.index.faults.reaction() > Reaction::AttributeDiscard {
            self.without_reachable_nlri(sections)?;
        }
        Ok(())
    }

    /// RFC 7606 §3 (d): treat-as-withdraw. Behind an overrun they may well be there.
    #[inline]
    fn mandatory(&mut self, sections: &Sections<'_>) -> Result<(), Notification> {
        const ALWAYS: u64 = 0b110;
        const NEXT_HOP: u64 = 0b1000;
        let wanted = if self.index.announced.is_some() { ALWAYS | NEXT_HOP } else { ALWAYS };
        let missing = wanted & !self.index.present;
        if missing == 0 || self.overrun {
            return Ok(());
        }
        for code in [AttributeCode::ORIGIN, AttributeCode::AS_PATH, AttributeCode::NEXT_HOP] {
            if missing & UpdateIndex::bit(code) != 0 {
                self.fault(code, FaultKind::Missing, Reaction::TreatAsWithdraw, 0, sections.attributes)?;
            }
        }
        Ok(())
    }

    /// The value of NEXT_HOP, which matters to classic NLRI alone (RFC 4760 §3).
    #[inline]
    fn classic_next_hop(&mut self, sections: &Sections<'_>) -> Result<(), Notification> {
        let Some((at, attribute)) = self.find(AttributeCode::NEXT_HOP, sections) else { return Ok(()) };
        let Some(octets) = attribute.value.first_chunk::<4>() else { return Ok(()) };
        match NextHop::host4((*octets).into()) {
            Ok(_) => self.index.next_hop = Some(*octets),
            Err(_) => {
                let withdraw = Reaction::TreatAsWithdraw;
                self.fault(AttributeCode::NEXT_HOP, FaultKind::NextHop, withdraw, at, sections.attributes)?;
            }
        }
        Ok(())
    }

    /// The path put together from AS_PATH and AS4_PATH must fit one attribute, or AS4_PATH is left out.
    fn halves_fit(&mut self, sections: &Sections<'_>) -> Result<(), Notification> {
        let Some((at, as4_path)) = self.find(AttributeCode::AS4_PATH, sections) else { return Ok(()) };
        let as_path = self.find(AttributeCode::AS_PATH, sections).map_or(0, |(_, a)| a.value.len());
        if as_path.saturating_mul(2).saturating_add(as4_path.value.len()) <= MAX_HALVES {
            return Ok(());
        }
        let discard = Reaction::AttributeDiscard;
        self.fault(AttributeCode::AS4_PATH, FaultKind::Length, discard, at, sections.attributes)
    }

    /// An attribute that is there and was not discarded, and where it begins.
    #[inline]
    fn find<'a>(&self, code: AttributeCode, sections: &Sections<'a>) -> Option<(usize, RawAttribute<'a>)> {
        if !self.index.shows(code) {
            return None;
        }
        let section = sections.attributes;
        let from = self.index.offsets.get(usize::from(code.0)).map_or(0, |at| usize::from(*at));
        let mut raw = RawAttributes::new(section.get(from..)?);
        loop {
            let at = section.len().wrapping_sub(raw.rest().len());
            let attribute = raw.next()?;
            if attribute.code == code {
                return Some((at, attribute));
            }
        }
    }

    /// RFC 7606 §5.2: with attributes but no reachable NLRI, the NLRI may be what was damaged,
    /// so anything stronger than discard ends the session.
    #[cold]
    fn without_reachable_nlri(&self, sections: &Sections<'_>) -> Result<(), Notification> {
        let reachable = !sections.nlri.is_empty() || self.mp_reaches;
        let only_unreach = self.index.present == UpdateIndex::bit(AttributeCode::MP_UNREACH_NLRI)
            && self.seen_high == [0; 3]
            && !self.overrun;
        match self.index.faults.strongest() {
            Some(fault) if !reachable && !only_unreach => Err(notification(&fault, sections.attributes)),
            _ => Ok(()),
        }
    }

    /// RFC 4724 §2: an empty UPDATE, or one with nothing but an empty MP_UNREACH_NLRI.
    #[inline]
    fn end_of_rib(&self, sections: &Sections<'_>) -> Option<Family> {
        if !sections.withdrawn.is_empty() || !sections.nlri.is_empty() {
            return None;
        }
        if sections.attributes.is_empty() {
            return Some(Family::IPV4_UNICAST).filter(|f| self.codec.families.contains(*f));
        }
        let only = self.index.present == UpdateIndex::bit(AttributeCode::MP_UNREACH_NLRI)
            && self.seen_high == [0; 3]
            && !self.overrun;
        self.index.mp_unreach.filter(|b| only && b.nlri.len == 0).map(|b| b.family)
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
