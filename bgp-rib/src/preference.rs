//! Preference of routes by where they come from, as far as neither policy ([`Action::Preference`]) nor their originator says
//! another: the greater wins, before anything that peers say of a route is compared.
//!
//! [`Action::Preference`]: crate::policy::Action::Preference

/// Connected networks, where an originator tells them as such.
pub const DIRECT: u32 = 240;
/// What this speaker originates.
pub const OWN: u32 = 200;
/// What peers tell.
pub const PEER: u32 = 100;
/// What other programs wrote into the kernel.
pub const LEARNED: u32 = 10;
