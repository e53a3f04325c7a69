//! The one pass over an UPDATE: sections, attributes, NLRI, and the verdict of RFC 7606.
use super::index::{Block, MP, Span, UpdateIndex};
use super::{UpdateView, sr_policy};
use crate::attributes::mp::Reached;
use crate::attributes::{AttributeCode, AttributeFlags, Context, RawAttribute, RawAttributes, examine, mp};
use crate::nlri::{self, Flaw, NlriForm};
use crate::notification::subcode::update as sub;
use crate::parse::front16;
use crate::reaction::{Fault, FaultKind, Reaction};
use crate::{Afi, Codec, Family, NextHop, Notification, Safi};

/// Validates a message body (all behind the header). The error ends the session.
// Not inlined, so that what calls it is.
#[inline(never)]
pub(crate) fn validate<'a>(body: &'a [u8], codec: &Codec) -> Result<UpdateView<'a>, Notification> {
    let Some(sections) = Sections::split(body) else {
        return Err(Notification::update_error(sub::MALFORMED_LIST, &[]));
    };
    let mut pass = Pass::new(codec, sections, classic(codec, &sections)?);
    pass.attributes()?;
    if pass.index.classic.is_none() && !(pass.sections.withdrawn.is_empty() && pass.sections.nlri.is_empty())
    {
        pass.unspoken_classic()?;
    }
    if pass.index.reaction() != Reaction::Accept || pass.reaches() {
        pass.conclude()?;
    }
    pass.index.end_of_rib = pass.end_of_rib();
    Ok(UpdateView::from_parts(body, pass.index))
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
#[derive(Clone, Copy)]
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

struct Pass<'a> {
    codec: &'a Codec,
    cx: Context,
    sections: Sections<'a>,
    index: UpdateIndex,
    /// There are classic NLRI to announce.
    announces: bool,
    /// The MP attributes that were seen.
    mp_seen: u64,
    /// MP_REACH_NLRI carries NLRI, lawful or not.
    mp_reaches: bool,
    /// The attributes do not end where their section does.
    overrun: bool,
    /// Codes from 64 on that were seen, and the last of them.
    high: [u64; 3],
    last_high: u8,
    /// The codes below 64 that came before those: in ascending order, all of them.
    low_before_high: u64,
}

impl<'a> Pass<'a> {
    #[inline]
    fn new(codec: &'a Codec, sections: Sections<'a>, classic: Option<NlriForm>) -> Self {
        let attributes = Sections::span(sections.base(), sections.attributes.len());
        let cx = Context::from(codec);
        Self {
            codec,
            cx,
            announces: classic.is_some() && !sections.nlri.is_empty(),
            sections,
            index: UpdateIndex::new(attributes, classic, cx),
            mp_seen: 0,
            mp_reaches: false,
            overrun: false,
            high: [0; 3],
            last_high: 0,
            low_before_high: 0,
        }
    }

    /// The loop over the attributes. A function of its own with few values that live across its rounds, so that they stay
    /// in registers.
    #[inline(never)]
    fn attributes(&mut self) -> Result<(), Notification> {
        let mut present = 0u64;
        let mut attributes = RawAttributes::new(self.sections.attributes);
        loop {
            let left = attributes.rest().len();
            let Some(RawAttribute { flags, code, value }) = attributes.next() else { break };
            self.index.flags |= flags.0;
            if code.0 < 64 {
                // Where codes ascend, none can be there already; the MP attributes look for themselves.
                if (present & !MP) >> code.0 != 0 && self.descends(code, present) {
                    self.repeats(code, left)?;
                    continue;
                }
                present |= 1 << code.0;
                if let Some(slot) = self.index.left.get_mut(usize::from(code.0)) {
                    *slot = low16(left);
                }
            } else if !self.first_high(code, present) {
                self.repeats(code, left)?;
                continue;
            }
            let fault = match code {
                AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI => {
                    self.mp(flags.0, code, value, left)?;
                    continue;
                }
                _ => examine(flags.0, code, value, self.cx),
            };
            if let Some((kind, reaction)) = fault {
                self.fault(code, kind, reaction, left)?;
            }
        }
        self.index.present = present;
        if self.last_high != 0 {
            self.index.high = true;
            self.index.ascending &= (present ^ self.low_before_high) & !MP == 0;
        }
        if attributes.rest().is_empty() { Ok(()) } else { self.overruns(attributes.rest()) }
    }

    /// Notes that codes do not ascend; whether this one was there before.
    #[inline(never)]
    fn descends(&mut self, code: AttributeCode, present: u64) -> bool {
        self.index.ascending &= UpdateIndex::bit(code) & MP != 0;
        present & UpdateIndex::bit(code) != 0
    }

    /// Marks a code from 64 on; `false` when it was there before.
    #[inline(never)]
    fn first_high(&mut self, code: AttributeCode, present: u64) -> bool {
        if self.last_high == 0 {
            self.low_before_high = present;
        }
        self.index.ascending &= code.0 > self.last_high;
        self.last_high = code.0;
        let Some(word) = self.high.get_mut(usize::from(code.0 >> 6).wrapping_sub(1)) else { return true };
        let bit = 1u64 << (code.0 & 63);
        let first = *word & bit == 0;
        *word |= bit;
        first
    }

    /// RFC 7606 §3 (g): the first stands; MP attributes must not repeat.
    #[cold]
    fn repeats(&mut self, code: AttributeCode, left: usize) -> Result<(), Notification> {
        self.index.repeated = true;
        let mp = matches!(code, AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI);
        let reaction = if mp { Reaction::SessionReset } else { Reaction::AttributeDiscard };
        self.note(code, FaultKind::Repeated, reaction, left)
    }

    /// Notes a fault of an attribute and applies its reaction; `left` is what is left of the section where it begins.
    #[cold]
    fn fault(
        &mut self,
        code: AttributeCode,
        kind: FaultKind,
        reaction: Reaction,
        left: usize,
    ) -> Result<(), Notification> {
        match reaction {
            Reaction::AttributeDiscard => self.index.discarded |= UpdateIndex::bit(code),
            Reaction::TreatAsWithdraw => self.index.withdraw = true,
            _ => {}
        }
        self.note(code, kind, reaction, left)
    }

    #[cold]
    fn note(
        &mut self,
        attribute: AttributeCode,
        kind: FaultKind,
        reaction: Reaction,
        left: usize,
    ) -> Result<(), Notification> {
        let at = self.sections.attributes.len().wrapping_sub(left);
        let fault = Fault { attribute, kind, reaction, at: low16(at) };
        self.index.faults.push(fault);
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
        self.fault(code, FaultKind::Overrun, reaction, rest.len())
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
        left: usize,
    ) -> Result<(), Notification> {
        let family = mp::family(value).filter(|_| self.codec.afi_safi_disable);
        let reaction = match family {
            Some(family) if self.codec.families.len() > 1 => {
                self.index.disabled.insert(family);
                Reaction::AfiSafiDisable
            }
            _ => Reaction::SessionReset,
        };
        self.fault(code, kind, reaction, left)
    }

    #[inline(never)]
    fn mp(&mut self, flags: u8, code: AttributeCode, value: &[u8], left: usize) -> Result<(), Notification> {
        let bit = UpdateIndex::bit(code);
        if self.mp_seen & bit != 0 {
            return self.repeats(code, left);
        }
        self.mp_seen |= bit;
        if code == AttributeCode::MP_REACH_NLRI {
            self.mp_reach(flags, value, left)
        } else {
            self.mp_unreach(flags, value, left)
        }
    }

    #[inline]
    fn mp_reach(&mut self, flags: u8, value: &[u8], left: usize) -> Result<(), Notification> {
        let code = AttributeCode::MP_REACH_NLRI;
        let Some(family) = mp::family(value) else {
            return self.mp_fault(code, value, FaultKind::Length, left);
        };
        self.mp_reaches = mp::split_reach(value).is_some_and(|parts| !parts.nlri.is_empty());
        if !self.is_read(family) {
            return self.fault(code, FaultKind::Family, Reaction::AttributeDiscard, left);
        }
        if !mp::flags_are_right(flags) {
            return self.mp_fault(code, value, FaultKind::Flags, left);
        }
        let form = NlriForm {
            add_path: self.codec.add_path_rx.contains(family),
            stacks: self.codec.multiple_labels.contains(family),
        };
        let extended = family.afi == Afi::IPV4 && self.codec.extended_next_hop.contains(family);
        let Reached { next_hop, nlri, flaw } = match mp::reach(value, family, extended, form) {
            Err(kind) => return self.mp_fault(code, value, kind, left),
            Ok(reached) => reached,
        };
        self.index.mp_reach = Some(self.mp_block(family, form, nlri.len(), flags, value.len(), left));
        if let Some(flaw) = flaw {
            let reaction = match flaw {
                Flaw::Discard => Reaction::AttributeDiscard,
                Flaw::Withdraw => Reaction::TreatAsWithdraw,
            };
            self.fault(code, FaultKind::NlriInside, reaction, left)?;
        }
        match next_hop {
            Ok(len) => {
                self.index.mp_next_hop = Some(len);
                Ok(())
            }
            Err(kind) => self.fault(code, kind, Reaction::TreatAsWithdraw, left),
        }
    }

    #[inline]
    fn mp_unreach(&mut self, flags: u8, value: &[u8], left: usize) -> Result<(), Notification> {
        let code = AttributeCode::MP_UNREACH_NLRI;
        let (Some(family), Some(octets)) = (mp::family(value), value.get(3..)) else {
            return self.mp_fault(code, value, FaultKind::Length, left);
        };
        if !self.is_read(family) {
            return self.fault(code, FaultKind::Family, Reaction::AttributeDiscard, left);
        }
        if !mp::flags_are_right(flags) {
            return self.mp_fault(code, value, FaultKind::Flags, left);
        }
        // A withdrawal has one label's place whatever was negotiated (RFC 8277 §2.4).
        let form = NlriForm { add_path: self.codec.add_path_rx.contains(family), stacks: false };
        match mp::unreach(family, form, octets) {
            Err(kind) => return self.mp_fault(code, value, kind, left),
            Ok(None) => {}
            // It is withdrawn already, which is all that treat-as-withdraw could do.
            Ok(Some(_)) => self.fault(code, FaultKind::NlriInside, Reaction::AttributeDiscard, left)?,
        }
        self.index.mp_unreach = Some(self.mp_block(family, form, octets.len(), flags, value.len(), left));
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
        left: usize,
    ) -> Block {
        let header = if flags & AttributeFlags::EXTENDED_LENGTH != 0 { 4 } else { 3 };
        let behind = left.wrapping_sub(header).wrapping_sub(value);
        let end = self.index.attributes.end().wrapping_sub(behind);
        Block { family, form, nlri: Sections::span(end.wrapping_sub(octets), octets) }
    }

    /// IPv4 routes in the classic fields where IPv4 unicast was not negotiated: passed over, as in an MP attribute.
    #[cold]
    fn unspoken_classic(&mut self) -> Result<(), Notification> {
        let left = self.sections.attributes.len();
        self.note(AttributeCode(0), FaultKind::Family, Reaction::AttributeDiscard, left)
    }

    /// Whether there are routes to announce.
    #[inline]
    fn reaches(&self) -> bool {
        self.announces || self.index.mp_reach.is_some_and(|b| b.nlri.len != 0)
    }

    /// The checks that need the whole message.
    #[inline]
    fn conclude(&mut self) -> Result<(), Notification> {
        if self.reaches() {
            self.mandatory()?;
        }
        if self.announces {
            self.next_hop()?;
        }
        if !self.codec.four_octet_as {
            self.halves_fit()?;
        }
        if self.index.mp_reach.is_some_and(|b| b.family.safi == Safi::SR_POLICY && b.nlri.len != 0) {
            self.sr_policy()?;
        }
        if self.index.reaction() > Reaction::AttributeDiscard {
            self.without_reachable_nlri()?;
            self.index.give_up_disabled();
        }
        Ok(())
    }

    /// The value of NEXT_HOP, which matters to classic NLRI alone (RFC 4760 §3).
    #[inline]
    fn next_hop(&mut self) -> Result<(), Notification> {
        let [_, _, _, left, ..] = self.index.left;
        let left = usize::from(left);
        let section = self.sections.attributes;
        let attribute =
            section.get(section.len().wrapping_sub(left)..).and_then(|b| RawAttributes::new(b).next());
        let Some(octets) = attribute.and_then(|a| a.value.first_chunk::<4>()) else { return Ok(()) };
        match NextHop::host4((*octets).into()) {
            Ok(_) => {
                self.index.next_hop = Some(*octets);
                Ok(())
            }
            Err(_) => {
                self.fault(AttributeCode::NEXT_HOP, FaultKind::NextHop, Reaction::TreatAsWithdraw, left)
            }
        }
    }

    /// RFC 7606 §3 (d): treat-as-withdraw. Behind an overrun they may well be there.
    #[inline]
    fn mandatory(&mut self) -> Result<(), Notification> {
        const ALWAYS: u64 = 0b110;
        const NEXT_HOP: u64 = 0b1000;
        let wanted = if self.announces { ALWAYS | NEXT_HOP } else { ALWAYS };
        let missing = wanted & !self.index.present;
        if missing == 0 || self.overrun {
            return Ok(());
        }
        for code in [AttributeCode::ORIGIN, AttributeCode::AS_PATH, AttributeCode::NEXT_HOP] {
            if missing & UpdateIndex::bit(code) != 0 {
                self.fault(
                    code,
                    FaultKind::Missing,
                    Reaction::TreatAsWithdraw,
                    self.sections.attributes.len(),
                )?;
            }
        }
        Ok(())
    }

    /// The path put together from AS_PATH and AS4_PATH must fit one attribute, or AS4_PATH is left out.
    #[inline(never)]
    fn halves_fit(&mut self) -> Result<(), Notification> {
        let Some((left, as4_path)) = self.find(AttributeCode::AS4_PATH) else { return Ok(()) };
        let as_path = self.find(AttributeCode::AS_PATH).map_or(0, |(_, a)| a.value.len());
        if as_path.saturating_mul(2).saturating_add(as4_path.value.len()) <= MAX_HALVES {
            return Ok(());
        }
        self.fault(AttributeCode::AS4_PATH, FaultKind::Length, Reaction::AttributeDiscard, left)
    }

    /// An attribute that is there and was not discarded, and what is left of the section where it begins.
    fn find(&self, code: AttributeCode) -> Option<(usize, RawAttribute<'a>)> {
        if !self.index.shows(code) {
            return None;
        }
        let mut raw = RawAttributes::new(self.sections.attributes);
        loop {
            let left = raw.rest().len();
            let attribute = raw.next()?;
            if attribute.code == code {
                return Some((left, attribute));
            }
        }
    }

    #[cold]
    fn sr_policy(&mut self) -> Result<(), Notification> {
        let Some((code, kind)) = sr_policy::flaw(|code| self.find(code).map(|(_, a)| a.value)) else {
            return Ok(());
        };
        let left = self.find(code).map_or(self.sections.attributes.len(), |(left, _)| left);
        self.fault(code, kind, Reaction::TreatAsWithdraw, left)
    }

    /// Whether there is nothing but MP_UNREACH_NLRI.
    #[inline]
    fn only_unreaches(&self) -> bool {
        self.index.present == UpdateIndex::bit(AttributeCode::MP_UNREACH_NLRI)
            && self.high == [0; 3]
            && !self.overrun
    }

    /// RFC 7606 §5.2: with attributes but no reachable NLRI, the NLRI may be what was damaged,
    /// so anything stronger than discard ends the session.
    #[cold]
    fn without_reachable_nlri(&self) -> Result<(), Notification> {
        let reachable = !self.sections.nlri.is_empty() || self.mp_reaches;
        match self.index.faults.strongest() {
            Some(fault) if !reachable && !self.only_unreaches() => {
                Err(notification(&fault, self.sections.attributes))
            }
            _ => Ok(()),
        }
    }

    /// RFC 4724 §2: an empty UPDATE, or one with nothing but an empty MP_UNREACH_NLRI.
    #[inline]
    fn end_of_rib(&self) -> Option<Family> {
        let Sections { withdrawn, attributes, nlri } = self.sections;
        if !withdrawn.is_empty() || !nlri.is_empty() {
            return None;
        }
        if attributes.is_empty() {
            return Some(Family::IPV4_UNICAST).filter(|f| self.codec.families.contains(*f));
        }
        self.index.mp_unreach.filter(|b| b.nlri.len == 0 && self.only_unreaches()).map(|b| b.family)
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
