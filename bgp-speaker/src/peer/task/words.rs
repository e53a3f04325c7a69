//! What the system said about a connection, in words for a status page.

use std::io;

pub(super) fn connect_failed(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "Connection refused: nothing listens there".into(),
        io::ErrorKind::AddrNotAvailable => "Cannot connect: the source address is not on this machine".into(),
        _ => format!("Cannot connect: {error}"),
    }
}

pub(super) fn connection_lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "Connection reset by the peer".into(),
        io::ErrorKind::TimedOut => "Connection timed out".into(),
        _ => format!("Connection lost: {error}"),
    }
}
