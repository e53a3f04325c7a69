//! What BGP asks of TCP besides carrying octets: signed segments (RFC 2385, RFC 5925), a bound on hops (RFC 5082), one interface.
//!
//! [`Guard`] is what one peer's connections are to be protected with, [`Listeners`] the listening sockets with the keys and
//! the hop limit that they need so that a connection is protected from its first segment on. Everything fails closed: a
//! connection that cannot be given its protection is not used.

mod failures;
mod guard;
mod key;
mod keyring;
mod listeners;
mod password;

#[cfg(target_os = "linux")]
mod option;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
mod option;

pub(crate) use failures::signature_failures;
pub(crate) use guard::Guard;
pub use key::{AoAlgorithm, AoKey};
pub(crate) use key::{Key, MasterKey};
pub(crate) use listeners::Listeners;
pub use password::{Password, PasswordError, Secret};
