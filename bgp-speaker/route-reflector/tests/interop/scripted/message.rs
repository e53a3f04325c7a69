//! The few messages that a scripted speaker needs, written and read by hand (RFC 4271 §4, RFC 4760 §3, §4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const HEADER: usize = 19;
pub(crate) const OPEN: u8 = 1;
pub(crate) const UPDATE: u8 = 2;
pub(crate) const NOTIFICATION: u8 = 3;
pub(crate) const KEEPALIVE: u8 = 4;

const ORIGIN: u8 = 1;
const AS_PATH: u8 = 2;
const NEXT_HOP: u8 = 3;
const MULTI_EXIT_DISC: u8 = 4;
const LOCAL_PREF: u8 = 5;
const ORIGINATOR_ID: u8 = 9;
const CLUSTER_LIST: u8 = 10;
const MP_REACH_NLRI: u8 = 14;
const MP_UNREACH_NLRI: u8 = 15;

const TRANSITIVE: u8 = 0x40;
const OPTIONAL: u8 = 0x80;
const EXTENDED_LENGTH: u8 = 0x10;

const AS_SEQUENCE: u8 = 2;

/// Path attributes that a scripted speaker sends or understands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) as_path: Vec<u32>,
    pub(crate) next_hop: Option<Ipv4Addr>,
    pub(crate) med: Option<u32>,
    pub(crate) local_pref: Option<u32>,
    pub(crate) originator: Option<Ipv4Addr>,
    pub(crate) clusters: Vec<Ipv4Addr>,
}

impl Attributes {
    /// What a speaker sends with its own routes: inside an AS with an empty path.
    pub(crate) fn plain(next_hop: Ipv4Addr, as_path: Vec<u32>) -> Self {
        let local_pref = as_path.is_empty().then_some(100);
        Self { as_path, next_hop: Some(next_hop), local_pref, ..Self::default() }
    }

    /// The attributes of an UPDATE without its reachability.
    fn encode(&self, with_next_hop: bool) -> Vec<u8> {
        let mut out = attribute(TRANSITIVE, ORIGIN, &[0]);
        let mut path = Vec::new();
        if !self.as_path.is_empty() {
            path.extend([AS_SEQUENCE, u8::try_from(self.as_path.len()).expect("tests have short paths")]);
            path.extend(self.as_path.iter().flat_map(|asn| asn.to_be_bytes()));
        }
        out.extend(attribute(TRANSITIVE, AS_PATH, &path));
        if let Some(next_hop) = self.next_hop.filter(|_| with_next_hop) {
            out.extend(attribute(TRANSITIVE, NEXT_HOP, &next_hop.octets()));
        }
        if let Some(med) = self.med {
            out.extend(attribute(OPTIONAL, MULTI_EXIT_DISC, &med.to_be_bytes()));
        }
        if let Some(local_pref) = self.local_pref {
            out.extend(attribute(TRANSITIVE, LOCAL_PREF, &local_pref.to_be_bytes()));
        }
        out
    }
}

/// A whole message of this type around a body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).expect("a message has at most 65535 octets");
    let mut out = vec![0xff; 16];
    out.extend(length.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(body);
    out
}

/// OPEN with both unicast families and four-octet AS numbers.
pub(crate) fn open(asn: u32, hold_time: u16, id: Ipv4Addr) -> Vec<u8> {
    open_with(asn, hold_time, id, &[])
}

/// The same OPEN with further capabilities: code and value.
pub(crate) fn open_with(asn: u32, hold_time: u16, id: Ipv4Addr, more: &[(u8, &[u8])]) -> Vec<u8> {
    let mut capabilities = vec![1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4];
    capabilities.extend(asn.to_be_bytes());
    for (code, value) in more {
        capabilities.extend([*code, u8::try_from(value.len()).expect("a capability is short")]);
        capabilities.extend_from_slice(value);
    }
    let length = u8::try_from(capabilities.len()).expect("a few capabilities");
    let mut body = vec![4];
    body.extend(u16::try_from(asn).unwrap_or(23456).to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend(id.octets());
    body.extend([length + 2, 2, length]);
    body.extend(capabilities);
    message(OPEN, &body)
}

pub(crate) fn keepalive() -> Vec<u8> {
    message(KEEPALIVE, &[])
}

/// End-of-RIB of IPv6 unicast (RFC 4724 §2); that of IPv4 is an empty UPDATE.
pub(crate) fn end_of_rib_ipv6() -> Vec<u8> {
    update(&[], &attribute(OPTIONAL, MP_UNREACH_NLRI, &[0, 2, 1]), &[])
}

/// Whether the body of an UPDATE is End-of-RIB, and if so whether that of IPv6 unicast.
pub(crate) fn is_end_of_rib(body: &[u8]) -> Option<bool> {
    match body {
        [0, 0, 0, 0] => Some(false),
        [0, 0, 0, 6, _, MP_UNREACH_NLRI, 3, 0, 2, 1] | [0, 0, 0, 7, _, MP_UNREACH_NLRI, 0, 3, 0, 2, 1] => {
            Some(true)
        }
        _ => None,
    }
}

/// One attribute with its flags, type and length.
pub(crate) fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = match u8::try_from(value.len()) {
        Ok(length) => vec![flags, code, length],
        Err(_) => {
            let length = u16::try_from(value.len()).expect("an attribute fits a message").to_be_bytes();
            vec![flags | EXTENDED_LENGTH, code, length[0], length[1]]
        }
    };
    out.extend_from_slice(value);
    out
}

/// UPDATE from its three parts (RFC 4271 §4.3).
pub(crate) fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u16::try_from(part.len()).expect("a part fits a message").to_be_bytes();
    let mut body = length(withdrawn).to_vec();
    body.extend_from_slice(withdrawn);
    body.extend(length(attributes));
    body.extend_from_slice(attributes);
    body.extend_from_slice(nlri);
    message(UPDATE, &body)
}

/// Announces prefixes of one family: IPv4 in the classic fields, IPv6 in MP_REACH_NLRI with the address that
/// the laboratory gives to the same host.
pub(crate) fn announce(attributes: &Attributes, prefixes: &[&str]) -> Vec<u8> {
    let nlri = encode_prefixes(prefixes);
    if !prefixes[0].contains(':') {
        return update(&[], &attributes.encode(true), &nlri);
    }
    let host = attributes.next_hop.map_or(1, |next_hop| next_hop.octets()[3]);
    let mut reach = vec![0, 2, 1, 16];
    reach.extend(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, u16::from(host)).octets());
    reach.push(0);
    reach.extend(nlri);
    let mut all = attribute(OPTIONAL, MP_REACH_NLRI, &reach);
    all.extend(attributes.encode(false));
    update(&[], &all, &[])
}

/// Withdraws prefixes of one family.
pub(crate) fn withdraw(prefixes: &[&str]) -> Vec<u8> {
    let nlri = encode_prefixes(prefixes);
    if !prefixes[0].contains(':') {
        return update(&nlri, &[], &[]);
    }
    let mut unreach = vec![0, 2, 1];
    unreach.extend(nlri);
    update(&[], &attribute(OPTIONAL, MP_UNREACH_NLRI, &unreach), &[])
}

/// Prefixes in wire form: length in bits, then as many octets as that needs.
pub(crate) fn encode_prefixes(prefixes: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for prefix in prefixes {
        let (address, length) = prefix.split_once('/').expect("a prefix has a length");
        let length: u8 = length.parse().expect("a length is a number");
        let octets = match address.parse().expect("a prefix begins with an address") {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        out.push(length);
        out.extend_from_slice(&octets[..usize::from(length).div_ceil(8)]);
    }
    out
}

/// An UPDATE as a scripted speaker reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) withdrawn: Vec<String>,
    /// Prefixes with their next hops.
    pub(crate) announced: Vec<(String, String)>,
    pub(crate) attributes: Attributes,
}

impl Update {
    /// Reads the body of an UPDATE; `None` when it does not hang together.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let (withdrawn, rest) = take_sized(body)?;
        let (mut attributes, nlri) = take_sized(rest)?;
        let mut update = Self { withdrawn: parse_prefixes(withdrawn, false)?, ..Self::default() };
        while let [flags, code, rest @ ..] = attributes {
            let (value, rest) = if flags & EXTENDED_LENGTH != 0 {
                take_sized(rest)?
            } else {
                let (length, rest) = rest.split_first()?;
                rest.split_at_checked(usize::from(*length))?
            };
            update.attribute(*code, value)?;
            attributes = rest;
        }
        let next_hop = update.attributes.next_hop.map(|next_hop| next_hop.to_string()).unwrap_or_default();
        let classic = parse_prefixes(nlri, false)?;
        update.announced.extend(classic.into_iter().map(|prefix| (prefix, next_hop.clone())));
        Some(update)
    }

    fn attribute(&mut self, code: u8, value: &[u8]) -> Option<()> {
        let number = || Some(u32::from_be_bytes(value.try_into().ok()?));
        match code {
            AS_PATH => {
                let mut rest = value;
                while let [_, count, tail @ ..] = rest {
                    let (asns, tail) = tail.split_at_checked(usize::from(*count) * 4)?;
                    self.attributes.as_path.extend(numbers(asns));
                    rest = tail;
                }
            }
            NEXT_HOP => self.attributes.next_hop = Some(Ipv4Addr::from(number()?)),
            MULTI_EXIT_DISC => self.attributes.med = Some(number()?),
            LOCAL_PREF => self.attributes.local_pref = Some(number()?),
            ORIGINATOR_ID => self.attributes.originator = Some(Ipv4Addr::from(number()?)),
            CLUSTER_LIST => self.attributes.clusters = numbers(value).map(Ipv4Addr::from).collect(),
            MP_REACH_NLRI => {
                let [0, 2, 1, length, rest @ ..] = value else { return Some(()) };
                let (next_hop, rest) = rest.split_at_checked(usize::from(*length))?;
                let next_hop = Ipv6Addr::from(<[u8; 16]>::try_from(next_hop.get(..16)?).ok()?);
                let prefixes = parse_prefixes(rest.get(1..)?, true)?;
                self.announced.extend(prefixes.into_iter().map(|prefix| (prefix, next_hop.to_string())));
            }
            MP_UNREACH_NLRI => {
                let [0, 2, 1, rest @ ..] = value else { return Some(()) };
                self.withdrawn.extend(parse_prefixes(rest, true)?);
            }
            _ => {}
        }
        Some(())
    }
}

fn take_sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [high, low, rest @ ..] = bytes else { return None };
    rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

fn parse_prefixes(mut bytes: &[u8], v6: bool) -> Option<Vec<String>> {
    let mut prefixes = Vec::new();
    while let [length, rest @ ..] = bytes {
        let (octets, rest) = rest.split_at_checked(usize::from(*length).div_ceil(8))?;
        let mut address = [0; 16];
        address.get_mut(..octets.len())?.copy_from_slice(octets);
        let host = if v6 {
            IpAddr::from(address)
        } else {
            IpAddr::from([address[0], address[1], address[2], address[3]])
        };
        prefixes.push(format!("{host}/{length}"));
        bytes = rest;
    }
    Some(prefixes)
}
