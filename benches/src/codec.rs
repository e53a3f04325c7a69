//! The codec's operations on a corpus.
use std::hint::black_box;

use bgp_wire::{
    AsPathView, AttributeBlock, AttributeCode, ClusterEdit, ClusterId, ClusterList, Codec, Communities, Edit,
    Family, FamilySet, LargeCommunities, Message, NextHop, NlriBlock, PathAttributes, PathId, PeerKind,
    Reaction, Reflection, Rewrite, RouterId, UpdateView, announce, rewrite, withdraw,
};
use bytes::{Bytes, BytesMut};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::corpus::Corpus;
use crate::floor;
use crate::meter::Op;

fn codec() -> Codec {
    let families = FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    Codec { peer: PeerKind::Internal, four_octet_as: true, families, ..Codec::before_open() }
}

/// All of them, the floor first.
#[must_use]
pub fn operations(c: &Corpus) -> Vec<Op<'_>> {
    let op = |name, pass| Op { name, pass };
    vec![
        op("floor: one pass, nothing built", over(c, |frame| floor::walk(frame).unwrap_or(0))),
        op("frame", frame(c)),
        op("view, built and validated", view(c)),
        op("view, and every route and attribute visited", visited(c)),
        op("owned, sharing the buffer, visited", shared(c)),
        op("owned, a copy of its own, visited", copied(c)),
        op("reflect by octets: received UPDATE to sent one", reflect(c)),
        op("reflect by values: stored block, rewrite, NLRI", rewritten(c)),
        op("encode from typed parts", encode(c)),
    ]
}

type Pass<'a> = Box<dyn FnMut() -> u64 + 'a>;

/// A pass that adds up what each message gives.
fn over<'a>(c: &'a Corpus, each: impl Fn(&[u8]) -> u64 + 'a) -> Pass<'a> {
    Box::new(move || c.frames().fold(0, |sum, frame| sum.wrapping_add(each(frame))))
}

fn frame(c: &Corpus) -> Pass<'_> {
    let codec = codec();
    Box::new(move || {
        let (mut rest, mut sum) = (&c.stream[..], 0u64);
        while let Ok(Some(frame)) = codec.frame(rest) {
            sum = sum.wrapping_add(u64::from(frame.kind.0));
            rest = rest.get(frame.len..).unwrap_or_default();
        }
        sum
    })
}

fn view(c: &Corpus) -> Pass<'_> {
    let codec = codec();
    over(c, move |frame| match codec.decode_update(frame) {
        Ok(view) => u64::from(black_box(&view).outcome() == Reaction::Accept),
        Err(_) => 0,
    })
}

fn visited(c: &Corpus) -> Pass<'_> {
    let codec = codec();
    over(c, move |frame| codec.decode_update(frame).map_or(0, |view| visit(&view)))
}

fn shared(c: &Corpus) -> Pass<'_> {
    let (codec, all) = (codec(), Bytes::copy_from_slice(&c.stream));
    Box::new(move || {
        let (mut at, mut sum) = (0, 0u64);
        for frame in c.frames() {
            let message = all.slice(at..at + frame.len());
            at += frame.len();
            if let Ok(Message::Update(update)) = codec.decode(&message) {
                sum = sum.wrapping_add(visit(&black_box(&update).view()));
            }
        }
        sum
    })
}

fn copied(c: &Corpus) -> Pass<'_> {
    let codec = codec();
    over(c, move |frame| {
        let update = codec.decode_update(frame).map(|view| view.to_update());
        update.map_or(0, |update| visit(&black_box(&update).view()))
    })
}

/// The sum that the floor has, but for codes that it only counts.
fn visit(view: &UpdateView<'_>) -> u64 {
    let mut sum = 0u64;
    for block in view.unreach() {
        sum = sum.wrapping_add(routes(&block));
    }
    for reach in view.reach() {
        sum = sum.wrapping_add(routes(&reach.nlri));
    }
    for attribute in view.attributes() {
        let value = match attribute.code {
            AttributeCode::AS_PATH => {
                let segments = AsPathView::new(attribute.value, true).segments();
                segments.map(|s| s.asns().map(|asn| u64::from(asn.0)).sum::<u64>()).sum()
            }
            AttributeCode::MULTI_EXIT_DISC => view.med().unwrap_or(0).into(),
            AttributeCode::LOCAL_PREF => view.local_pref().unwrap_or(0).into(),
            AttributeCode::COMMUNITIES => {
                Communities::new(attribute.value).iter().map(|c| u64::from(c.0)).sum()
            }
            AttributeCode::CLUSTER_LIST => {
                ClusterList::new(attribute.value).iter().map(|c| u64::from(c.0)).sum()
            }
            AttributeCode::LARGE_COMMUNITIES => {
                LargeCommunities::new(attribute.value).iter().map(|c| u64::from(c.local1)).sum()
            }
            code => u64::from(code.0),
        };
        sum = sum.wrapping_add(value);
    }
    sum
}

fn routes(block: &NlriBlock<'_>) -> u64 {
    let v4 = |p: Ipv4Net| (u64::from(u32::from(p.addr())) << 32).wrapping_add(p.prefix_len().into());
    let v6 = |p: Ipv6Net| ((u128::from(p.addr()) >> 64) as u64).wrapping_add(p.prefix_len().into());
    if block.family() == Family::IPV4_UNICAST {
        block.ipv4().fold(0, |sum, (_, p)| sum.wrapping_add(v4(p)))
    } else {
        block.ipv6().fold(0, |sum, (_, p)| sum.wrapping_add(v6(p)))
    }
}

/// What a table holds of one message.
struct Parts {
    attributes: PathAttributes,
    block: Vec<u8>,
    next_hop: Option<NextHop>,
    reach4: Vec<(PathId, Ipv4Net)>,
    reach6: Vec<(PathId, Ipv6Net)>,
    unreach4: Vec<(PathId, Ipv4Net)>,
}

fn parts(c: &Corpus) -> Vec<Parts> {
    let codec = codec();
    let views = c.frames().filter_map(move |frame| codec.decode_update(frame).ok());
    views
        .map(|view| {
            let mut block = Vec::new();
            view.canonical_attributes(&mut block);
            Parts {
                attributes: PathAttributes::from_block(AttributeBlock::trusted(&block)),
                block,
                next_hop: view.reach().next().map(|r| r.next_hop),
                reach4: view.reach().flat_map(|r| r.nlri.ipv4()).collect(),
                reach6: view.reach().flat_map(|r| r.nlri.ipv6()).collect(),
                unreach4: view.unreach().flat_map(|b| b.ipv4()).collect(),
            }
        })
        .collect()
}

/// A send buffer is flushed at this size, as a speaker would.
pub const FLUSH: usize = 60_000;

/// A pass that sends everything; `attributes` appends the block of a message.
fn sending<'a>(c: &'a Corpus, attributes: impl Fn(&Parts, &mut Vec<u8>) -> bool + 'a) -> Pass<'a> {
    let (codec, parts) = (codec(), parts(c));
    let (mut out, mut block) = (BytesMut::with_capacity(1 << 16), Vec::with_capacity(1 << 12));
    Box::new(move || {
        let mut sent = 0u64;
        for p in &parts {
            if out.len() > FLUSH {
                black_box(&out);
                out.clear();
            }
            if !p.unreach4.is_empty() {
                sent += withdraw(&mut out, &codec, Family::IPV4_UNICAST, p.unreach4.iter().copied()).routes
                    as u64;
            }
            let Some(next_hop) = &p.next_hop else { continue };
            block.clear();
            if !attributes(p, &mut block) {
                continue;
            }
            let packed = if p.reach6.is_empty() {
                announce(&mut out, &codec, Family::IPV4_UNICAST, next_hop, &block, p.reach4.iter().copied())
            } else {
                announce(&mut out, &codec, Family::IPV6_UNICAST, next_hop, &block, p.reach6.iter().copied())
            };
            sent += packed.routes as u64;
        }
        sent
    })
}

fn rewritten(c: &Corpus) -> Pass<'_> {
    let how = Rewrite {
        originator_id: Edit::SetIfAbsent(RouterId(0x0a00_0001)),
        cluster_list: ClusterEdit::Prepend(ClusterId(0x0a00_0002)),
        ..Rewrite::default()
    };
    sending(c, move |p, out| rewrite(AttributeBlock::trusted(&p.block), &how, out).is_ok())
}

fn reflect(c: &Corpus) -> Pass<'_> {
    let codec = codec();
    let views: Vec<_> = c.frames().filter_map(|frame| codec.decode_update(frame).ok()).collect();
    let how = Reflection { originator_id: RouterId(0x0a00_0001), cluster_id: ClusterId(0x0a00_0002) };
    let mut out = BytesMut::with_capacity(1 << 16);
    Box::new(move || {
        let mut sent = 0;
        for view in &views {
            if out.len() > FLUSH {
                black_box(&out);
                out.clear();
            }
            sent += u64::from(view.reflect(&codec, &how, &mut out).is_ok());
        }
        sent
    })
}

fn encode(c: &Corpus) -> Pass<'_> {
    sending(c, |p, out| p.attributes.encode_block(out).is_ok())
}
