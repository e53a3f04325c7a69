//! A standalone BGP route reflector.
fn main() {}
