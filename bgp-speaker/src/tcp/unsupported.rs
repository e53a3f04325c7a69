//! Systems other than Linux: what cannot be protected is refused, not left open.

use std::io;

use ipnet::IpNet;

use super::MasterKey;

pub(super) fn set_md5_key<S>(_: S, _: IpNet, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn add_ao_key<S>(_: S, _: IpNet, _: &MasterKey, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn delete_ao_key<S>(_: S, _: IpNet, _: (u8, u8), _: Option<(u8, u8)>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn ask_for_ao_key<S>(_: S, _: (u8, u8)) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is none.
pub(super) enum ListedKey {}

impl ListedKey {
    pub(super) fn ids(&self) -> (u8, u8) {
        match *self {}
    }

    pub(super) fn peers(&self) -> IpNet {
        match *self {}
    }

    pub(super) fn is(&self, _: &MasterKey) -> bool {
        match *self {}
    }
}

pub(super) fn ao_keys<S>(_: S) -> io::Result<Vec<ListedKey>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn set_min_ttl<S>(_: S, _: bool, least: u8) -> io::Result<()> {
    if least == 0 { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

pub(super) fn peek<S>(_: S, _: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
