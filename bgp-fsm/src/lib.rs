//! The BGP session state machine of RFC 4271 section 8 without I/O, clock or runtime.
#![forbid(unsafe_code)]

mod check;
mod collision;
mod config;
mod connection;
mod counters;
mod damping;
mod down;
mod input;
mod jitter;
mod negotiate;
mod open;
mod output;
mod reach;
mod session;
mod state;
mod states;
mod timer;

pub use config::{IdleHold, PeerAs, Required, SessionConfig};
pub use counters::Counters;
pub use down::{Cause, DownReason};
pub use input::{ConnId, Input, Stop};
pub use negotiate::Negotiated;
pub use output::{Event, Output};
pub use session::Session;
pub use state::State;
