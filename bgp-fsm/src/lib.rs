//! The BGP session state machine of RFC 4271 section 8 without I/O, clock or runtime.
#![forbid(unsafe_code)]
