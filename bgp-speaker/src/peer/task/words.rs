//! What the system said about a connection, in words for a status page.

use std::io;

use bgp_fsm::DownReason;

use crate::tcp::Key;

pub(super) fn connect_failed(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "Connection refused: nothing listens there".into(),
        io::ErrorKind::AddrNotAvailable => "Cannot connect: the source address is not on this machine".into(),
        _ => format!("Cannot connect: {error}"),
    }
}

/// The kernel drops unsigned and wrongly signed segments without a word, at either end.
pub(super) fn no_answer_with_key(reason: &DownReason, key: &Key) -> String {
    let what = match key {
        Key::Md5(_) => "password",
        Key::Ao(_) => "keys",
    };
    format!("{reason}: unreachable, or the two ends do not have the same {what} ({})", key.name())
}

pub(super) fn connection_lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "Connection reset by the peer".into(),
        io::ErrorKind::TimedOut => "Connection timed out".into(),
        _ => format!("Connection lost: {error}"),
    }
}
