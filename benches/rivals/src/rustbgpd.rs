//! rustbgpd-wire 0.27.
use benches::codec::FLUSH;
use benches::corpus::Corpus;
use benches::meter::Op;
use bytes::Bytes;
use rustbgpd_wire::{
    AsPathSegment, EXTENDED_MAX_MESSAGE_LEN, Ipv4UnicastMode, Message, ParsedUpdate, PathAttribute, Prefix,
    UpdateMessage, decode_message,
};

pub fn operations(c: &Corpus) -> Vec<Op<'_>> {
    vec![
        Op { name: "rustbgpd-wire: owned, RFC 7606, visited", pass: decode(c) },
        Op { name: "rustbgpd-wire: encode", pass: encode(c) },
    ]
}

fn update(mut frame: Bytes) -> Option<UpdateMessage> {
    match decode_message(&mut frame, EXTENDED_MAX_MESSAGE_LEN) {
        Ok(Message::Update(update)) => Some(update),
        _ => None,
    }
}

fn decode(c: &Corpus) -> Box<dyn FnMut() -> u64 + '_> {
    let all = Bytes::copy_from_slice(&c.stream);
    Box::new(move || {
        let (mut at, mut sum) = (0, 0u64);
        for frame in c.frames() {
            let message = all.slice(at..at + frame.len());
            at += frame.len();
            let parsed = update(message).and_then(|u| u.parse_revised(true, true, false, &[]).ok());
            sum = sum.wrapping_add(parsed.map_or(0, |p| visit(&p.update)));
        }
        sum
    })
}

fn prefix(p: &Prefix) -> u64 {
    match p {
        Prefix::V4(p) => u64::from(u32::from(p.addr)) + u64::from(p.len),
        Prefix::V6(p) => ((u128::from(p.addr) >> 64) as u64).wrapping_add(p.len.into()),
    }
}

fn visit(u: &ParsedUpdate) -> u64 {
    let mut sum = 0u64;
    for e in u.announced.iter().chain(&u.withdrawn) {
        sum = sum.wrapping_add(u64::from(u32::from(e.prefix.addr)) + u64::from(e.prefix.len));
    }
    for attribute in &u.attributes {
        let value = match attribute {
            PathAttribute::AsPath(path) => path
                .segments
                .iter()
                .map(|s| {
                    let (AsPathSegment::AsSet(v) | AsPathSegment::AsSequence(v)) = s;
                    v.iter().map(|asn| u64::from(*asn)).sum::<u64>()
                })
                .sum(),
            PathAttribute::LocalPref(v) | PathAttribute::Med(v) => u64::from(*v),
            PathAttribute::Communities(v) => v.iter().map(|c| u64::from(*c)).sum(),
            PathAttribute::LargeCommunities(v) => v.len() as u64,
            PathAttribute::ClusterList(v) => v.len() as u64,
            PathAttribute::MpReachNlri(m) => {
                m.announced.iter().fold(0u64, |s, e| s.wrapping_add(prefix(&e.prefix)))
            }
            PathAttribute::MpUnreachNlri(m) => {
                m.withdrawn.iter().fold(0u64, |s, e| s.wrapping_add(prefix(&e.prefix)))
            }
            _ => 1,
        };
        sum = sum.wrapping_add(value);
    }
    sum
}

fn encode(c: &Corpus) -> Box<dyn FnMut() -> u64 + '_> {
    let frames = c.frames().map(Bytes::copy_from_slice);
    let values: Vec<ParsedUpdate> = frames.filter_map(|f| update(f)?.parse(true, false, &[]).ok()).collect();
    let mut out = Vec::with_capacity(1 << 16);
    Box::new(move || {
        let mut sent = 0;
        for v in &values {
            if out.len() > FLUSH {
                std::hint::black_box(&out);
                out.clear();
            }
            let (announced, withdrawn) = (&v.announced, &v.withdrawn);
            let built = UpdateMessage::try_build(
                announced,
                withdrawn,
                &v.attributes,
                true,
                false,
                Ipv4UnicastMode::Body,
            );
            let written = built.map(|m| m.encode_with_limit(&mut out, EXTENDED_MAX_MESSAGE_LEN));
            sent += u64::from(matches!(written, Ok(Ok(_))));
        }
        sent
    })
}
