//! BGP routing tables: decision, reflection, one change log and a cursor per reader.
#![forbid(unsafe_code)]
