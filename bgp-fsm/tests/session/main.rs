//! Protocol stories of one session, or two, in virtual time.

mod collision;
mod ending;
mod negotiation;
mod opening;
mod support;
mod timers;
