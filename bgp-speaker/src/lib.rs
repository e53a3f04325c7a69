//! An embeddable BGP speaker and route reflector.
