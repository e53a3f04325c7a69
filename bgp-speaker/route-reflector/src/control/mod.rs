//! Looking into a running speaker: HTTP/1 with JSON over a Unix socket.

pub(crate) mod answer;
pub(crate) mod client;
mod places;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod source;
