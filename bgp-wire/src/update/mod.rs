//! UPDATE (RFC 4271 §4.3): decoded in one pass that settles RFC 7606, read through a view.
mod attributes;
mod canonical;
mod index;
mod owned;
mod reflect;
mod sr_policy;
mod validate;
mod view;

pub use attributes::Attributes;
pub use owned::Update;
pub use reflect::{NotReflected, Reflection};
pub(crate) use validate::validate;
pub use view::{Reach, UpdateView};
