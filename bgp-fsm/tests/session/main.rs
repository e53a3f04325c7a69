//! Protocol stories of one session, or two, in virtual time.

mod bfd;
mod collision;
mod ending;
mod matrix;
mod negotiation;
mod opening;
mod pair;
mod random;
mod support;
mod timers;
