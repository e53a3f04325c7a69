//! Socket options of Linux that no safe crate offers: the one file of the speaker with `unsafe` in it.
#![allow(unsafe_code, reason = "setsockopt; each block says why it is sound")]

use std::ffi::c_int;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use ipnet::IpNet;
use rustix::net::RecvFlags;

use super::password::{MAX_PASSWORD_LEN, wipe};
use super::{AoAlgorithm, MasterKey};

/// `TCP_MD5SIG_FLAG_PREFIX`: the key is for a prefix.
const FLAG_PREFIX: u8 = 1;
/// `sizeof(struct sockaddr_storage)`.
const SOCKADDR_STORAGE: usize = 128;

/// `struct tcp_md5sig` of linux/tcp.h: plain integers, no padding.
#[repr(C)]
struct Md5Signature {
    address: [u8; SOCKADDR_STORAGE],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: c_int,
    key: [u8; MAX_PASSWORD_LEN],
}

const _: () = assert!(size_of::<Md5Signature>() == 216);

/// `TCP_AO_ADD_KEY` and its like of linux/tcp.h, since Linux 6.7; libc does not have them.
const TCP_AO_ADD_KEY: c_int = 38;
const TCP_AO_DEL_KEY: c_int = 39;
const TCP_AO_INFO: c_int = 40;
const TCP_AO_GET_KEYS: c_int = 41;
/// The first bit fields of the structures below, `set_current` and `set_rnext`, and `del_async` of the second.
const SET_CURRENT: u32 = bit_field(0);
const SET_RNEXT: u32 = bit_field(1);
const DEL_ASYNC: u32 = bit_field(2);

/// The n-th bit field of one bit in a word: C compilers begin at the low end on little-endian machines, at the high end on
/// others.
const fn bit_field(n: u32) -> u32 {
    if cfg!(target_endian = "little") { 1 << n } else { 1 << (31 - n) }
}

/// The bit field `get_all` of `struct tcp_ao_getsockopt`, the third in a half word.
const GET_ALL: u16 = if cfg!(target_endian = "little") { 1 << 2 } else { 1 << 13 };
/// Octets of a key of AES-128.
const AES_KEY: usize = 16;
/// Master keys that one question has room for at first; a chain is seldom longer than the two of a rollover.
const LISTED_KEYS: usize = 4;
/// More than these cannot be for one connection: each has a receive id of its own (RFC 5925 §3.1).
const MOST_KEYS: usize = 256;

/// `struct tcp_ao_add`: plain integers, no padding.
#[repr(C, align(8))]
struct AoAdd {
    address: [u8; SOCKADDR_STORAGE],
    algorithm: [u8; 64],
    interface: i32,
    flags: u32,
    reserved: u16,
    prefix_length: u8,
    send_id: u8,
    recv_id: u8,
    mac_length: u8,
    key_flags: u8,
    key_length: u8,
    key: [u8; MAX_PASSWORD_LEN],
}

/// `struct tcp_ao_del`: plain integers, no padding.
#[repr(C, align(8))]
struct AoDelete {
    address: [u8; SOCKADDR_STORAGE],
    interface: i32,
    flags: u32,
    reserved: u16,
    prefix_length: u8,
    send_id: u8,
    recv_id: u8,
    current_key: u8,
    rnext: u8,
    key_flags: u8,
}

/// `struct tcp_ao_info_opt`: plain integers, no padding.
#[repr(C, align(8))]
struct AoInfo {
    flags: u32,
    reserved: u16,
    current_key: u8,
    rnext: u8,
    counters: [u64; 5],
}

/// `struct tcp_ao_getsockopt`, whose padding is spelled out.
#[repr(C, align(8))]
#[derive(Clone)]
struct AoListed {
    address: [u8; SOCKADDR_STORAGE],
    algorithm: [u8; 64],
    key: [u8; MAX_PASSWORD_LEN],
    keys: u32,
    flags: u16,
    send_id: u8,
    recv_id: u8,
    prefix_length: u8,
    mac_length: u8,
    key_flags: u8,
    key_length: u8,
    interface: i32,
    counters: [u64; 2],
}

impl Drop for AoListed {
    fn drop(&mut self) {
        wipe(&mut self.key);
    }
}

const _: () = assert!(size_of::<AoListed>() == 304);
const _: () = assert!(size_of::<AoAdd>() == 288 && size_of::<AoDelete>() == 144 && size_of::<AoInfo>() == 48);

/// The types that the options below take: integers without padding, so that every octet of them is initialised.
trait OptionValue {}
impl OptionValue for c_int {}
impl OptionValue for Md5Signature {}
impl OptionValue for AoAdd {}
impl OptionValue for AoDelete {}
impl OptionValue for AoInfo {}

fn set<T: OptionValue>(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("option values are a few hundred octets");
    // SAFETY: the descriptor is open while it is borrowed; `value` is valid for reads of `length` initialised octets,
    // which the kernel copies before the call returns.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Signs and demands signed segments to and from `peers` with `key` (RFC 2385); an empty key ends it.
pub(super) fn set_md5_key(socket: impl AsFd, peers: IpNet, key: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut value = Md5Signature {
        address: socket_address(peers.addr()),
        flags: 0,
        prefix_length: 0,
        key_length: u16::try_from(key.len()).map_err(|_| too_long())?,
        interface: 0,
        key: [0; MAX_PASSWORD_LEN],
    };
    value.key.get_mut(..key.len()).ok_or_else(too_long)?.copy_from_slice(key);
    // The older option for one host works on every kernel with TCP-MD5, the extended one since Linux 4.13.
    let mut option = libc::TCP_MD5SIG;
    if peers.prefix_len() < peers.max_prefix_len() {
        option = libc::TCP_MD5SIG_EXT;
        value.flags = FLAG_PREFIX;
        value.prefix_length = peers.prefix_len();
    }
    let result = set(socket.as_fd(), libc::IPPROTO_TCP, option, &value);
    wipe(&mut value.key);
    result
}

/// Takes, and may sign, segments of `peers` with this master key (RFC 5925); with `first`, which a listening socket does not
/// know, it is the one that is signed with and that the peer is asked to sign with.
pub(super) fn add_ao_key(socket: impl AsFd, peers: IpNet, key: &MasterKey, first: bool) -> io::Result<()> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    let secret = key.secret.octets();
    let mut value = AoAdd {
        address: socket_address(peers.addr()),
        algorithm: [0; 64],
        interface: 0,
        flags: if first { SET_CURRENT | SET_RNEXT } else { 0 },
        reserved: 0,
        prefix_length: peers.prefix_len(),
        send_id: key.send_id,
        recv_id: key.recv_id,
        // The kernel's choice: the 96 bits of RFC 5926.
        mac_length: 0,
        key_flags: 0,
        key_length: u8::try_from(secret.len()).map_err(|_| too_long())?,
        key: [0; MAX_PASSWORD_LEN],
    };
    let name = key.algorithm.kernel_name().as_bytes();
    value.algorithm[..name.len()].copy_from_slice(name);
    value.key.get_mut(..secret.len()).ok_or_else(too_long)?.copy_from_slice(secret);
    let result = set(socket.as_fd(), libc::IPPROTO_TCP, TCP_AO_ADD_KEY, &value);
    wipe(&mut value.key);
    result
}

/// Forgets a master key, given by its send and receive ids. On a connection, `next` is the one to use from then on; a
/// listening socket has none.
pub(super) fn delete_ao_key(
    socket: impl AsFd,
    peers: IpNet,
    (send_id, recv_id): (u8, u8),
    next: Option<(u8, u8)>,
) -> io::Result<()> {
    let (current_key, rnext) = next.unwrap_or_default();
    let value = AoDelete {
        address: socket_address(peers.addr()),
        interface: 0,
        flags: if next.is_some() { SET_CURRENT | SET_RNEXT } else { DEL_ASYNC },
        reserved: 0,
        prefix_length: peers.prefix_len(),
        send_id,
        recv_id,
        current_key,
        rnext,
        key_flags: 0,
    };
    set(socket.as_fd(), libc::IPPROTO_TCP, TCP_AO_DEL_KEY, &value)
}

/// Asks the peer of a connection to sign with this master key from now on (RNextKeyID, RFC 5925 §5.3); we do as the peer asks.
pub(super) fn ask_for_ao_key(socket: impl AsFd, (_, recv_id): (u8, u8)) -> io::Result<()> {
    let value = AoInfo { flags: SET_RNEXT, reserved: 0, current_key: 0, rnext: recv_id, counters: [0; 5] };
    set(socket.as_fd(), libc::IPPROTO_TCP, TCP_AO_INFO, &value)
}

/// A master key that a connection has.
pub(super) struct ListedKey {
    peers: IpNet,
    listed: AoListed,
}

impl ListedKey {
    /// How both ends and the kernel tell it from others.
    pub(super) fn ids(&self) -> (u8, u8) {
        (self.listed.send_id, self.listed.recv_id)
    }

    /// Whose segments it is for; a connection that came through a range has the keys of the range.
    pub(super) fn peers(&self) -> IpNet {
        self.peers
    }

    /// Whether it is this master key, as far as can be told: the kernel shows what it made of a secret for AES that has not
    /// the length of an AES key (RFC 5926 §3.1.1.2), and not the secret.
    pub(super) fn is(&self, key: &MasterKey) -> bool {
        let secret = self.listed.key.get(..usize::from(self.listed.key_length));
        let derived = key.algorithm == AoAlgorithm::CmacAes128 && key.secret.octets().len() != AES_KEY;
        self.ids() == key.ids()
            && (derived || secret == Some(key.secret.octets()))
            && key.algorithm.is_named(&self.listed.algorithm)
    }
}

/// The master keys that a connection has. It is an error of kind `NotFound` that TCP-AO does not protect it.
pub(super) fn ao_keys(socket: impl AsFd) -> io::Result<Vec<ListedKey>> {
    let mut room = LISTED_KEYS;
    loop {
        let mut rows = vec![NO_KEY; room];
        let total = list_ao_keys(socket.as_fd(), &mut rows)?;
        if total <= room || room == MOST_KEYS {
            rows.truncate(total);
            return rows.into_iter().map(ListedKey::try_from).collect();
        }
        room = MOST_KEYS;
    }
}

const NO_KEY: AoListed = AoListed {
    address: [0; SOCKADDR_STORAGE],
    algorithm: [0; 64],
    key: [0; MAX_PASSWORD_LEN],
    keys: 0,
    flags: 0,
    send_id: 0,
    recv_id: 0,
    prefix_length: 0,
    mac_length: 0,
    key_flags: 0,
    key_length: 0,
    interface: 0,
    counters: [0; 2],
};

/// Fills in as many master keys as there is room for; how many there are.
fn list_ao_keys(socket: BorrowedFd<'_>, rows: &mut [AoListed]) -> io::Result<usize> {
    let count = u32::try_from(rows.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let Some(first) = rows.first_mut() else { return Err(io::ErrorKind::InvalidInput.into()) };
    (first.keys, first.flags) = (count, GET_ALL);
    let mut row = libc::socklen_t::try_from(size_of::<AoListed>()).expect("a row is a few hundred octets");
    // SAFETY: the descriptor is open while it is borrowed. The kernel takes the length to be that of one row, reads one
    // row, and writes at most `keys` rows of that length, which `rows` has room for; any octets are a valid row.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_AO_GET_KEYS,
            rows.as_mut_ptr().cast(),
            std::ptr::from_mut(&mut row),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(rows.first().map_or(0, |first| usize::try_from(first.keys).unwrap_or(usize::MAX)))
}

impl TryFrom<AoListed> for ListedKey {
    type Error = io::Error;

    fn try_from(listed: AoListed) -> io::Result<Self> {
        let unknown = || io::Error::from(io::ErrorKind::InvalidData);
        let family = c_int::from(u16::from_ne_bytes([listed.address[0], listed.address[1]]));
        let octets = &listed.address;
        let address = if family == libc::AF_INET {
            IpAddr::from(<[u8; 4]>::try_from(&octets[4..8]).map_err(|_| unknown())?)
        } else {
            IpAddr::from(<[u8; 16]>::try_from(&octets[8..24]).map_err(|_| unknown())?)
        };
        let peers = IpNet::new(address, listed.prefix_length).map_err(|_| unknown())?;
        Ok(Self { peers, listed })
    }
}

/// Drops received packets whose TTL or hop limit is below `least` (RFC 5082 §3); 0 ends it.
pub(super) fn set_min_ttl(socket: impl AsFd, ipv4: bool, least: u8) -> io::Result<()> {
    let (level, option) = match ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_MINTTL),
        false => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    set(socket.as_fd(), level, option, &c_int::from(least))
}

/// Copies what has been received and not read, without waiting for more.
pub(super) fn peek(socket: impl AsFd, octets: &mut [u8]) -> io::Result<usize> {
    let (copied, _) = rustix::net::recv(socket, octets, RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    Ok(copied)
}

/// `struct sockaddr_in` or `sockaddr_in6` with no port, in the space of a `sockaddr_storage`.
fn socket_address(address: IpAddr) -> [u8; SOCKADDR_STORAGE] {
    let mut octets = [0; SOCKADDR_STORAGE];
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let family = u16::try_from(family).expect("both constants are small").to_ne_bytes();
    octets[..2].copy_from_slice(&family);
    match address {
        IpAddr::V4(v4) => octets[4..8].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => octets[8..24].copy_from_slice(&v6.octets()),
    }
    octets
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// The offsets of linux/tcp.h, counted by hand from its declarations.
    #[test]
    fn structures_are_laid_out_as_the_kernel_reads_them() {
        let add = [
            offset_of!(AoAdd, algorithm),
            offset_of!(AoAdd, interface),
            offset_of!(AoAdd, flags),
            offset_of!(AoAdd, reserved),
            offset_of!(AoAdd, prefix_length),
            offset_of!(AoAdd, send_id),
            offset_of!(AoAdd, recv_id),
            offset_of!(AoAdd, mac_length),
            offset_of!(AoAdd, key_flags),
            offset_of!(AoAdd, key_length),
            offset_of!(AoAdd, key),
        ];
        assert_eq!(add, [128, 192, 196, 200, 202, 203, 204, 205, 206, 207, 208]);
        let delete = [
            offset_of!(AoDelete, interface),
            offset_of!(AoDelete, flags),
            offset_of!(AoDelete, reserved),
            offset_of!(AoDelete, prefix_length),
            offset_of!(AoDelete, send_id),
            offset_of!(AoDelete, recv_id),
            offset_of!(AoDelete, current_key),
            offset_of!(AoDelete, rnext),
            offset_of!(AoDelete, key_flags),
        ];
        assert_eq!(delete, [128, 132, 136, 138, 139, 140, 141, 142, 143]);
        let info = [
            offset_of!(AoInfo, reserved),
            offset_of!(AoInfo, current_key),
            offset_of!(AoInfo, rnext),
            offset_of!(AoInfo, counters),
        ];
        assert_eq!(info, [4, 6, 7, 8]);
        let listed = [
            offset_of!(AoListed, algorithm),
            offset_of!(AoListed, key),
            offset_of!(AoListed, keys),
            offset_of!(AoListed, flags),
            offset_of!(AoListed, send_id),
            offset_of!(AoListed, recv_id),
            offset_of!(AoListed, prefix_length),
            offset_of!(AoListed, mac_length),
            offset_of!(AoListed, key_flags),
            offset_of!(AoListed, key_length),
            offset_of!(AoListed, interface),
            offset_of!(AoListed, counters),
        ];
        assert_eq!(listed, [128, 192, 272, 276, 278, 279, 280, 281, 282, 283, 284, 288]);
        let md5 = [
            offset_of!(Md5Signature, flags),
            offset_of!(Md5Signature, prefix_length),
            offset_of!(Md5Signature, key_length),
            offset_of!(Md5Signature, interface),
            offset_of!(Md5Signature, key),
        ];
        assert_eq!(md5, [128, 129, 130, 132, 136]);
    }

    #[test]
    fn addresses_are_laid_out_as_the_kernel_reads_them() {
        let four = socket_address(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(four[..8], [2_u16.to_ne_bytes(), [0, 0], [192, 0], [2, 1]].concat()[..]);
        let six = socket_address("2001:db8::1".parse().unwrap());
        assert_eq!(six[..2], 10_u16.to_ne_bytes());
        assert_eq!(six[8..24], [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!(six[24..].iter().all(|o| *o == 0));
    }
}
