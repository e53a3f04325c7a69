//! BGP-4 messages to bytes and back: a total, allocation-free codec.
#![forbid(unsafe_code)]
