//! MPLS labels in NLRI (RFC 8277 §2).
use core::fmt;

/// An MPLS label: twenty bits (RFC 3032 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub u32);

impl Label {
    /// Implicit NULL: the hop before pops (RFC 3032 §2.1).
    pub const IMPLICIT_NULL: Self = Self(3);
    /// Explicit NULL, IPv4 (RFC 3032 §2.1).
    pub const IPV4_EXPLICIT_NULL: Self = Self(0);
    /// Explicit NULL, IPv6 (RFC 3032 §2.1).
    pub const IPV6_EXPLICIT_NULL: Self = Self(2);
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Octets of one label in an NLRI: the label, three bits of no meaning, bottom of stack.
const ENTRY: usize = 3;
/// The last bit of an entry: no label follows.
const BOTTOM: u8 = 1;
/// The most labels: the NLRI's length octet counts no more than 255 bits.
const MAX_LABELS: usize = 10;
/// The largest label: twenty bits.
const MAX_LABEL: u32 = 0x000f_ffff;
/// What stands in a withdrawal in place of labels (RFC 8277 §2.4).
const WITHDRAWN: [u8; ENTRY] = [0x80, 0, 0];

/// The labels of one NLRI, the outermost first, with the octets as received.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelStack {
    octets: [u8; ENTRY * MAX_LABELS],
    len: u8,
}

impl LabelStack {
    /// No label.
    pub const EMPTY: Self = Self { octets: [0; ENTRY * MAX_LABELS], len: 0 };

    /// A stack of labels, the outermost first; `None` for more than ten, which no NLRI can hold, and for one beyond 20 bits.
    #[must_use]
    pub fn new(labels: &[Label]) -> Option<Self> {
        let mut this = Self::EMPTY;
        let most = labels.len();
        if most > MAX_LABELS || labels.iter().any(|label| label.0 > MAX_LABEL) {
            return None;
        }
        for (at, (label, entry)) in labels.iter().zip(this.octets.as_chunks_mut::<ENTRY>().0).enumerate() {
            let bottom = if at.saturating_add(1) == most { BOTTOM } else { 0 };
            let [_, a, b, c] = (label.0 << 4).to_be_bytes();
            *entry = [a, b, c | bottom];
        }
        this.len = u8::try_from(most.saturating_mul(ENTRY)).ok()?;
        Some(this)
    }

    /// The marker of a withdrawal.
    pub(super) fn withdrawn() -> Self {
        let mut this = Self::EMPTY;
        if let Some(entry) = this.octets.first_chunk_mut() {
            *entry = WITHDRAWN;
            this.len = 3;
        }
        this
    }

    /// Takes the labels from the front: up to the bottom of the stack, or one alone, whose bottom bit does not count, and is
    /// set as it is when sent (RFC 8277 §2.2).
    pub(super) fn split(octets: &[u8], whole_stack: bool) -> Option<(Self, &[u8])> {
        let mut end = 0usize;
        loop {
            let [.., last] = octets.get(end..)?.first_chunk::<ENTRY>()?;
            end = end.saturating_add(ENTRY);
            if !whole_stack || last & BOTTOM != 0 {
                break;
            }
        }
        let (labels, rest) = octets.split_at_checked(end)?;
        let mut this = Self::EMPTY;
        this.octets.get_mut(..end)?.copy_from_slice(labels);
        if let Some(bottom) = this.octets.get_mut(end.checked_sub(1)?) {
            *bottom |= BOTTOM;
        }
        this.len = u8::try_from(end).ok()?;
        Some((this, rest))
    }

    /// The labels, the outermost first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Label> + '_ {
        self.as_bytes()
            .as_chunks::<ENTRY>()
            .0
            .iter()
            .map(|[a, b, c]| Label(u32::from_be_bytes([0, *a, *b, *c]) >> 4))
    }

    /// The number of labels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize / ENTRY
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The octets of the NLRI.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether a reader of whole stacks finds its end: the last label, and no other, has the bottom bit.
    pub(super) fn is_closed(&self) -> bool {
        let entries = self.as_bytes().as_chunks::<ENTRY>().0;
        let bottom = entries.iter().position(|[.., last]| last & BOTTOM != 0);
        bottom.is_some_and(|at| at.saturating_add(1) == entries.len())
    }
}

impl Default for LabelStack {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// `16/17`, the outermost first.
impl fmt::Display for LabelStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, label) in self.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            write!(f, "{label}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LabelStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LabelStack({self})")
    }
}
