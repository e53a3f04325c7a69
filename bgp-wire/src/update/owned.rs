//! An UPDATE that owns its octets.
use bytes::Bytes;

use super::UpdateView;
use super::index::UpdateIndex;
use super::validate::validate;
use crate::{Codec, HEADER_LEN, MessageType, Notification};

/// A validated UPDATE that shares the octets it came in; a clone costs a reference count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    frame: Bytes,
    index: UpdateIndex,
}

impl Update {
    /// Validates a whole frame.
    pub(crate) fn decode(frame: &Bytes, codec: &Codec) -> Result<Self, Notification> {
        let view = validate(frame.get(HEADER_LEN..).unwrap_or_default(), codec)?;
        let index = *view.index();
        Ok(Self { frame: frame.clone(), index })
    }

    /// A copy of the octets of a view, behind a header of their own.
    #[inline]
    pub(super) fn from_view(view: &UpdateView<'_>) -> Self {
        let (body, index) = (view.body(), *view.index());
        let len = HEADER_LEN.saturating_add(body.len());
        let [l1, l0] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        // Of exact size, so that the buffer becomes the value without another allocation.
        let mut frame = Vec::with_capacity(len);
        let mut header = [0xff; HEADER_LEN];
        let [.., m1, m0, kind] = &mut header;
        (*m1, *m0, *kind) = (l1, l0, MessageType::UPDATE.0);
        frame.extend_from_slice(&header);
        frame.extend_from_slice(body);
        Self { frame: frame.into(), index }
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
