//! An UPDATE that owns its octets.
use bytes::Bytes;

use super::UpdateView;
use super::index::UpdateIndex;
use super::validate::validate;
use crate::{Codec, HEADER_LEN, Notification};

/// A validated UPDATE that shares the octets it came in; a clone costs a reference count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    frame: Bytes,
    index: UpdateIndex,
}

impl Update {
    /// Validates a whole frame.
    pub(crate) fn decode(frame: &Bytes, codec: &Codec) -> Result<Self, Notification> {
        let mut index = UpdateIndex::new();
        validate(frame.get(HEADER_LEN..).unwrap_or_default(), codec, &mut index)?;
        Ok(Self { frame: frame.clone(), index })
    }

    /// The view, at no cost.
    #[inline]
    #[must_use]
    pub fn view(&self) -> UpdateView<'_> {
        UpdateView::from_parts(self.frame.get(HEADER_LEN..).unwrap_or_default(), self.index)
    }

    /// The whole message as received.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.frame
    }
}
