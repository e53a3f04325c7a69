//! Network layer reachability information: blocks of prefixes of one family (RFC 4271 §4.3, RFC 4760 §5).
mod block;
mod ip;
mod write;

pub use block::{Nlri, NlriBlock, NlriIter};
pub use ip::{Ipv4Nlri, Ipv6Nlri};
pub use write::WriteNlri;

pub(crate) use block::{check, is_decoded};
