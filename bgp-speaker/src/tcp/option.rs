//! Socket options of Linux that no safe crate offers: the one file of the speaker with `unsafe` in it.
#![allow(unsafe_code, reason = "setsockopt; each block says why it is sound")]

use std::ffi::c_int;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use ipnet::IpNet;
use rustix::net::RecvFlags;

use super::password::{MAX_PASSWORD_LEN, wipe};

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

/// The types that the options below take: integers without padding, so that every octet of them is initialised.
trait OptionValue {}
impl OptionValue for c_int {}
impl OptionValue for Md5Signature {}

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
    use super::*;

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
