//! The command line.
use bgp_wire::{Codec, Family, FamilySet, PeerKind};

pub(crate) const USAGE: &str = "\
usage: decode [--json] [--hex|--raw|--pcap|--mrt] [--ibgp|--ebgp] [--two-octet-as] [--extended-message]
              [--families LIST] [--add-path FAMILY]... [--extended-next-hop FAMILY]...
              [--single-label] [--no-afi-safi-disable] [--same-domain] [--aigp] [FILE...]";
/// The \"error\" of somebody who asks for help.
pub(crate) const HELP: &str = "shows BGP messages in words or as JSON lines";

/// What the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Hex,
    Raw,
    Pcap,
    Mrt,
    Compressed,
}

impl Form {
    /// By the first octets; `None`: take it for text.
    pub(crate) fn detect(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', b'1'..=b'9', ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                Some(Self::Compressed)
            }
            [0xd4 | 0x4d, 0xc3 | 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3 | 0x3c, 0xd4 | 0x4d, ..]
            | [0x0a, 0x0d, 0x0d, 0x0a, ..] => Some(Self::Pcap),
            [0xff, 0xff, ..] => Some(Self::Raw),
            // Time stamp, type, subtype: no text has zeros there.
            [_, _, _, _, 0, 12..=49, 0, 0..=15, ..] => Some(Self::Mrt),
            _ => None,
        }
    }
}

pub(crate) struct Options {
    pub(crate) codec: Codec,
    /// Whether somebody said what the peer is; records of MRT that name both ASes tell it otherwise.
    pub(crate) peer_is_told: bool,
    pub(crate) json: bool,
    pub(crate) form: Option<Form>,
    pub(crate) files: Vec<String>,
}

impl Options {
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut codec = Codec::permissive(PeerKind::Internal);
        codec.extended_message_rx = false;
        codec.extended_next_hop = FamilySet::empty();
        let mut this = Self { codec, peer_is_told: false, json: false, form: None, files: Vec::new() };
        // `--flag=value` is `--flag value`.
        let mut args = args.flat_map(|a| match a.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => vec![flag.to_owned(), value.to_owned()],
            _ => vec![a],
        });
        while let Some(arg) = args.next() {
            this.take(&arg, &mut args)?;
        }
        if this.files.is_empty() {
            this.files.push("-".into());
        }
        Ok(this)
    }

    fn take(&mut self, arg: &str, more: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let mut families = || {
            let list = more.next().ok_or_else(|| format!("{arg} needs a family, such as ipv4-unicast"))?;
            read_families(&list)
        };
        let codec = &mut self.codec;
        match arg {
            "--json" => self.json = true,
            "--hex" => self.form = Some(Form::Hex),
            "--raw" => self.form = Some(Form::Raw),
            "--pcap" => self.form = Some(Form::Pcap),
            "--mrt" => self.form = Some(Form::Mrt),
            "--ibgp" => (codec.peer, self.peer_is_told) = (PeerKind::Internal, true),
            "--ebgp" => (codec.peer, self.peer_is_told) = (PeerKind::External, true),
            "--two-octet-as" => codec.four_octet_as = false,
            "--extended-message" => codec.extended_message_rx = true,
            "--single-label" => codec.multiple_labels = FamilySet::empty(),
            "--no-afi-safi-disable" => codec.afi_safi_disable = false,
            "--same-domain" => codec.same_domain = true,
            "--aigp" => codec.external_aigp = true,
            "--families" => codec.families = families()?,
            "--add-path" => codec.add_path_rx = codec.add_path_rx.union(families()?),
            "--extended-next-hop" => codec.extended_next_hop = codec.extended_next_hop.union(families()?),
            "--help" | "-h" => return Err(HELP.into()),
            _ if arg.starts_with("--") => return Err(format!("no such option: {arg}")),
            file => self.files.push(file.to_owned()),
        }
        Ok(())
    }
}

/// The library's name for a family that is called by a short name, by its numbers as in `1/1`, or with other marks
/// between the words.
fn family_name(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase().replace(['_', '/', ' ', '.'], "-");
    match name.as_str() {
        "ipv4" => "ipv4-unicast".into(),
        "ipv6" => "ipv6-unicast".into(),
        "vpnv4" | "ipv4-mpls-vpn" => "ipv4-vpn".into(),
        "vpnv6" | "ipv6-mpls-vpn" => "ipv6-vpn".into(),
        "evpn" => "l2vpn-evpn".into(),
        "vpls" => "l2vpn-vpls".into(),
        "rtc" | "rt-constraint" => "route-target".into(),
        "bgp-ls" => "link-state".into(),
        _ => match name.split_once('-') {
            Some((afi, safi)) if afi.bytes().chain(safi.bytes()).all(|b| b.is_ascii_digit()) => {
                format!("afi-{afi}-safi-{safi}")
            }
            _ => name,
        },
    }
}

fn read_families(list: &str) -> Result<FamilySet, String> {
    if list == "all" {
        return Ok(FamilySet::of(Family::KNOWN));
    }
    let mut set = FamilySet::empty();
    for name in list.split(',').filter(|n| !n.is_empty()) {
        let family: Family = family_name(name).parse().map_err(|e| format!("{name}: {e}"))?;
        if !set.insert(family) {
            return Err(format!("{name}: a family that the library does not know"));
        }
    }
    Ok(set)
}
