//! What segments are signed with: one password (TCP-MD5, RFC 2385), or a chain of master keys (TCP-AO, RFC 5925).

use std::fmt;
use std::sync::Arc;

use super::{Password, Secret};

/// How TCP-AO makes traffic keys and signs with them (RFC 5926).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AoAlgorithm {
    /// HMAC-SHA-1-96, which every implementation has (RFC 5926 §3.2.1).
    #[default]
    HmacSha1,
    /// AES-128-CMAC-96 (RFC 5926 §3.2.2).
    CmacAes128,
}

impl AoAlgorithm {
    /// What the kernel calls it.
    pub(super) fn kernel_name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac(sha1)",
            Self::CmacAes128 => "cmac(aes128)",
        }
    }

    /// Whether the kernel means this one by a name; it leaves the length of an AES key out.
    pub(super) fn is_named(self, name: &[u8]) -> bool {
        name.starts_with(match self {
            Self::HmacSha1 => b"hmac(sha1)",
            Self::CmacAes128 => b"cmac(aes",
        })
    }
}

/// One master key of a session that is protected by TCP-AO (RFC 5925 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AoKey {
    /// The KeyID of what we send: the `recv_id` of the peer's.
    pub send_id: u8,
    /// The KeyID of what we are sent: the `send_id` of the peer's.
    pub recv_id: u8,
    /// How it signs.
    pub algorithm: AoAlgorithm,
    /// The secret.
    pub secret: Secret,
}

impl AoKey {
    /// A key of [`AoAlgorithm::HmacSha1`] with the same id in both directions.
    pub fn new(id: u8, secret: impl Into<Secret>) -> Self {
        Self { send_id: id, recv_id: id, algorithm: AoAlgorithm::default(), secret: secret.into() }
    }
}

/// A master key whose secret is at hand.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MasterKey {
    pub(crate) send_id: u8,
    pub(crate) recv_id: u8,
    pub(crate) algorithm: AoAlgorithm,
    pub(crate) secret: Password,
}

impl MasterKey {
    /// How both ends and the kernel tell it from others.
    pub(super) fn ids(&self) -> (u8, u8) {
        (self.send_id, self.recv_id)
    }

    /// Whether the kernel does not let both be for the same peer (RFC 5925 §3.1).
    pub(super) fn clashes(&self, (send_id, recv_id): (u8, u8)) -> bool {
        self.send_id == send_id || self.recv_id == recv_id
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ***", self.send_id, self.recv_id)
    }
}

/// What the segments of a session are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// TCP-MD5.
    Md5(Password),
    /// TCP-AO; the first is the one to use, the others are taken until the peer uses it too.
    Ao(Arc<[MasterKey]>),
}

impl Key {
    /// What the protocol and its secret are called, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Md5(_) => "TCP-MD5",
            Self::Ao(_) => "TCP-AO",
        }
    }

    /// The master keys of a chain; none of a password.
    pub(super) fn chain(&self) -> &[MasterKey] {
        match self {
            Self::Md5(_) => &[],
            Self::Ao(chain) => chain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_show_their_secrets() {
        let secret = Password::new("hunter2").unwrap();
        let key = AoKey::new(7, secret.clone());
        let master = MasterKey { send_id: 7, recv_id: 8, algorithm: AoAlgorithm::CmacAes128, secret };
        let shown = format!("{key:?} {:?}", Key::Ao([master].into()));
        assert!(shown.contains("7/8") && !shown.contains("hunter2"), "{shown}");
    }
}
