//! routecore 0.7. Reading a message checks every attribute and NLRI; its iterators check each once more.
use benches::corpus::Corpus;
use benches::meter::Op;
use routecore::bgp::aspath::AsPath;
use routecore::bgp::message::update::UpdateMessage;
use routecore::bgp::message::{Message, SessionConfig};
use routecore::bgp::nlri::afisafi::{IsPrefix, Nlri};
use routecore::bgp::path_attributes::WireformatPathAttribute as Attribute;

pub fn operations(c: &Corpus) -> Vec<Op<'_>> {
    vec![
        Op {
            name: "routecore: view, validated, no RFC 7606 verdict",
            pass: pass(c, |u| Some(u.total_path_attribute_len() as u64)),
        },
        Op { name: "routecore: view, visited", pass: pass(c, visit) },
    ]
}

fn pass<'c>(c: &'c Corpus, each: fn(&UpdateMessage<&[u8]>) -> Option<u64>) -> Box<dyn FnMut() -> u64 + 'c> {
    let session = SessionConfig::modern();
    Box::new(move || {
        c.frames().fold(0, |sum, frame| match Message::from_octets(frame, Some(&session)) {
            Ok(Message::Update(update)) => sum.wrapping_add(each(&update).unwrap_or(0)),
            _ => sum,
        })
    })
}

fn route<O>(nlri: &Nlri<O>) -> u64 {
    let prefix = match nlri {
        Nlri::Ipv4Unicast(nlri) => nlri.prefix(),
        Nlri::Ipv6Unicast(nlri) => nlri.prefix(),
        _ => return 0,
    };
    let address = match prefix.addr() {
        std::net::IpAddr::V4(address) => u64::from(u32::from(address)),
        std::net::IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    };
    address.wrapping_add(prefix.len().into())
}

fn visit(update: &UpdateMessage<&[u8]>) -> Option<u64> {
    let mut sum = 0u64;
    let mut add = |value: u64| sum = sum.wrapping_add(value);
    for nlri in update.withdrawals().ok()? {
        add(route(&nlri.ok()?));
    }
    for attribute in update.path_attributes().ok()? {
        match attribute.ok()? {
            Attribute::AsPath(path) => {
                let four_octet = path.pdu_parse_info().four_octet_enabled();
                let mut value = path.value_into_parser();
                let octets = value.parse_octets(value.remaining()).ok()?;
                let path = AsPath::new(octets, four_octet).ok()?;
                path.segments().for_each(|s| s.asns().for_each(|asn| add(asn.into_u32().into())));
            }
            Attribute::MultiExitDisc(value) => add(value.value_into_parser().parse_u32_be().ok()?.into()),
            Attribute::LocalPref(value) => add(value.value_into_parser().parse_u32_be().ok()?.into()),
            Attribute::StandardCommunities(list) => {
                let mut list = list.value_into_parser();
                while list.remaining() > 0 {
                    add(list.parse_u32_be().ok()?.into());
                }
            }
            Attribute::ClusterList(list) => add(list.value_into_parser().remaining() as u64 / 4),
            Attribute::LargeCommunities(list) => add(list.value_into_parser().remaining() as u64 / 12),
            _ => {}
        }
    }
    for nlri in update.announcements().ok()? {
        add(route(&nlri.ok()?));
    }
    Some(sum)
}
