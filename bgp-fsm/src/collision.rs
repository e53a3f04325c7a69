//! Connection collision resolution (RFC 4271 §6.8, RFC 6286 §2.3) as one pure function over both connections.
//!
//! The connection that was opened by the speaker with the higher BGP Identifier is the *preferred* one. RFC 4271
//! lets each speaker look at its own connections whenever an OPEN arrives; two speakers that do so at different
//! moments can each close the connection that the other keeps. To exclude that, the opener of the preferred
//! connection decides alone, and at one moment, when the other connection's OPEN arrives:
//!
//! - it has already sent its OPEN on the preferred connection: the other one is closed, unless that OPEN has gone without
//!   an answer for as long as an attempt to connect may take: then the peer is not there, and the other one is kept;
//! - it has not: it will never send one there, and keeps the other.
//!
//! The speaker on the other side keeps both until it can tell: an OPEN on the preferred connection means the first,
//! a KEEPALIVE on the other one means the second. RFC 4271 leaves it open whether a connection in OpenSent is looked
//! at; a peer that does it otherwise costs at worst a second attempt.

use bgp_wire::{Asn, RouterId};

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Opener {
    Us,
    Peer,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Progress {
    /// Connected, DelayOpenTimer running.
    DelayOpen,
    OpenSent,
    OpenConfirm,
    Established,
}

/// One of the two connections. The session keeps them in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) opener: Opener,
    pub(crate) progress: Progress,
}

/// What becomes of the connection on which an OPEN has just arrived, and of the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    CloseThis,
    CloseOther,
    /// Nothing is decided yet.
    KeepBoth,
}

/// Whose connection is preferred: that of the higher BGP Identifier, and if both have the same, that of the
/// larger AS number (RFC 6286 §2.3).
pub(crate) fn preferred(local: (RouterId, Asn), peer: (RouterId, Asn)) -> Opener {
    if local > peer { Opener::Us } else { Opener::Peer }
}

/// Decides when a good OPEN has arrived on `this` while there is an `other`.
pub(crate) fn resolve(
    preferred: Opener,
    this: Contender,
    other: Contender,
    this_is_newer: bool,
    detect_established: bool,
) -> Verdict {
    use Progress::{DelayOpen, Established, OpenConfirm, OpenSent};
    if other.progress == Established && !detect_established {
        return Verdict::CloseThis;
    }
    if this.opener == other.opener {
        // A peer opens one connection at a time, so it has given up the older.
        return if this_is_newer { Verdict::CloseOther } else { Verdict::CloseThis };
    }
    if this.opener == preferred {
        return Verdict::CloseOther;
    }
    match (preferred, other.progress) {
        (_, OpenConfirm | Established) | (Opener::Us, OpenSent) => Verdict::CloseThis,
        (Opener::Us, DelayOpen) => Verdict::CloseOther,
        (Opener::Peer, DelayOpen | OpenSent) => Verdict::KeepBoth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(opener: Opener, progress: Progress) -> Contender {
        Contender { opener, progress }
    }

    #[test]
    fn the_higher_identifier_wins_as_an_unsigned_number() {
        let id = |n| (RouterId(n), Asn(65000));
        assert_eq!(preferred(id(0x8000_0000), id(0x7fff_ffff)), Opener::Us);
        assert_eq!(preferred(id(1), id(0xffff_ffff)), Opener::Peer);
    }

    #[test]
    fn equal_identifiers_are_decided_by_the_larger_as() {
        let of = |asn| (RouterId(7), Asn(asn));
        assert_eq!(preferred(of(65001), of(65000)), Opener::Us);
        assert_eq!(preferred(of(65000), of(4_200_000_000)), Opener::Peer);
    }

    #[test]
    fn established_keeps_unless_the_operator_says_otherwise() {
        let this = contender(Opener::Peer, Progress::OpenSent);
        let other = contender(Opener::Us, Progress::Established);
        assert_eq!(resolve(Opener::Peer, this, other, true, false), Verdict::CloseThis);
        assert_eq!(resolve(Opener::Peer, this, other, true, true), Verdict::CloseOther);
        assert_eq!(resolve(Opener::Us, this, other, true, true), Verdict::CloseThis);
    }

    #[test]
    fn the_speaker_with_the_preferred_connection_commits_at_once() {
        let this = contender(Opener::Peer, Progress::OpenSent);
        for (progress, verdict) in [
            (Progress::DelayOpen, Verdict::CloseOther),
            (Progress::OpenSent, Verdict::CloseThis),
            (Progress::OpenConfirm, Verdict::CloseThis),
        ] {
            assert_eq!(resolve(Opener::Us, this, contender(Opener::Us, progress), true, false), verdict);
        }
    }

    #[test]
    fn the_other_speaker_waits_until_it_can_tell() {
        let this = contender(Opener::Us, Progress::OpenSent);
        for (progress, verdict) in [
            (Progress::DelayOpen, Verdict::KeepBoth),
            (Progress::OpenSent, Verdict::KeepBoth),
            (Progress::OpenConfirm, Verdict::CloseThis),
        ] {
            assert_eq!(resolve(Opener::Peer, this, contender(Opener::Peer, progress), true, false), verdict);
        }
    }

    #[test]
    fn of_two_connections_of_the_peer_the_newer_is_alive() {
        let one = contender(Opener::Peer, Progress::OpenSent);
        assert_eq!(resolve(Opener::Us, one, one, true, false), Verdict::CloseOther);
        assert_eq!(resolve(Opener::Us, one, one, false, false), Verdict::CloseThis);
    }
}
