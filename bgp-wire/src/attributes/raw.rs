//! Attributes as octets: flags, type, length, value (RFC 4271 §4.3).
use core::iter::FusedIterator;

use super::AttributeCode;

/// An attribute's flags octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeFlags(pub u8);

impl AttributeFlags {
    /// Optional.
    pub const OPTIONAL: u8 = 0x80;
    /// Transitive.
    pub const TRANSITIVE: u8 = 0x40;
    /// Partial.
    pub const PARTIAL: u8 = 0x20;
    /// Two octets of length.
    pub const EXTENDED_LENGTH: u8 = 0x10;

    /// Whether the Optional bit is set.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        self.0 & Self::OPTIONAL != 0
    }

    /// Whether the Transitive bit is set.
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        self.0 & Self::TRANSITIVE != 0
    }

    /// Whether the Partial bit is set.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.0 & Self::PARTIAL != 0
    }
}

/// One attribute, not interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RawAttribute<'a> {
    /// Flags octet.
    pub flags: AttributeFlags,
    /// Type.
    pub code: AttributeCode,
    /// Value.
    pub value: &'a [u8],
}

/// The attributes of a section that are whole, in order. What is left over after the last is no attribute.
#[derive(Debug, Clone)]
pub(crate) struct RawAttributes<'a> {
    rest: &'a [u8],
}

impl<'a> RawAttributes<'a> {
    #[inline]
    pub(crate) const fn new(section: &'a [u8]) -> Self {
        Self { rest: section }
    }

    /// What has not been read: empty after a whole section.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for RawAttributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawAttribute<'a>> {
        let [flags, code, len, body @ ..] = self.rest else { return None };
        let (len, body) = if flags & AttributeFlags::EXTENDED_LENGTH == 0 {
            (usize::from(*len), body)
        } else {
            let [low, body @ ..] = body else { return None };
            (usize::from(u16::from_be_bytes([*len, *low])), body)
        };
        let (value, rest) = body.split_at_checked(len)?;
        self.rest = rest;
        Some(RawAttribute { flags: AttributeFlags(*flags), code: AttributeCode(*code), value })
    }
}

impl FusedIterator for RawAttributes<'_> {}
