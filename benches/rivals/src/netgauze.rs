//! netgauze-bgp-pkt 0.13.
use benches::codec::FLUSH;
use benches::corpus::Corpus;
use benches::meter::Op;
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::nlri::{Ipv4UnicastAddress, Ipv6UnicastAddress};
use netgauze_bgp_pkt::path_attribute::{AsPath, MpReach, MpUnreach, PathAttributeValue};
use netgauze_bgp_pkt::update::BgpUpdateMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use std::collections::HashMap;

pub fn operations(c: &Corpus) -> Vec<Op<'_>> {
    vec![
        Op { name: "netgauze-bgp-pkt: owned, visited", pass: decode(c) },
        Op { name: "netgauze-bgp-pkt: encode", pass: encode(c) },
    ]
}

fn context() -> BgpParsingContext {
    BgpParsingContext::new(true, HashMap::new(), HashMap::new(), false, false, false, false)
}

fn decode(c: &Corpus) -> Box<dyn FnMut() -> u64 + '_> {
    let mut context = context();
    Box::new(move || {
        let mut sum = 0u64;
        for frame in c.frames() {
            if let Ok(BgpMessage::Update(u)) = BgpMessage::parse(&mut SliceReader::new(frame), &mut context) {
                sum = sum.wrapping_add(visit(&u));
            }
            context.reset_parsing_errors();
        }
        sum
    })
}

fn sum4(routes: &[Ipv4UnicastAddress]) -> u64 {
    let one = |a: &Ipv4UnicastAddress| {
        let net = a.network().address();
        u64::from(u32::from(net.addr())) + u64::from(net.prefix_len())
    };
    routes.iter().map(one).sum()
}

fn sum6(routes: &[Ipv6UnicastAddress]) -> u64 {
    routes.iter().fold(0, |sum, a| {
        let net = a.network().address();
        sum.wrapping_add((u128::from(net.addr()) >> 64) as u64).wrapping_add(net.prefix_len().into())
    })
}

fn visit(u: &BgpUpdateMessage) -> u64 {
    let mut sum = sum4(u.nlri()).wrapping_add(sum4(u.withdraw_routes()));
    for attribute in u.path_attributes() {
        let value = match attribute.value() {
            PathAttributeValue::AsPath(AsPath::As4PathSegments(segments)) => {
                segments.iter().flat_map(|s| s.as_numbers()).map(|asn| u64::from(*asn)).sum()
            }
            PathAttributeValue::LocalPreference(v) => u64::from(v.metric()),
            PathAttributeValue::MultiExitDiscriminator(v) => u64::from(v.metric()),
            PathAttributeValue::Communities(v) => v.communities().iter().map(|c| u64::from(c.value())).sum(),
            PathAttributeValue::LargeCommunities(v) => v.communities().len() as u64,
            PathAttributeValue::ClusterList(v) => v.cluster_list().len() as u64,
            PathAttributeValue::MpReach(MpReach::Ipv6Unicast { nlri, .. }) => sum6(nlri),
            PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => sum6(nlri),
            _ => 1,
        };
        sum = sum.wrapping_add(value);
    }
    sum
}

fn encode(c: &Corpus) -> Box<dyn FnMut() -> u64 + '_> {
    let mut context = context();
    let parse = |frame| BgpMessage::parse(&mut SliceReader::new(frame), &mut context).ok();
    let values: Vec<BgpMessage> = c.frames().filter_map(parse).collect();
    let mut out: Vec<u8> = Vec::with_capacity(1 << 16);
    Box::new(move || {
        let mut sent = 0;
        for v in &values {
            if out.len() > FLUSH {
                std::hint::black_box(&out);
                out.clear();
            }
            sent += u64::from(v.write(&mut out).is_ok());
        }
        sent
    })
}
