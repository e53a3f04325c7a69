//! The targets. None may panic; each also holds what it reads against what it must be.
use bgp_wire::{
    AsPath, Asn, AttributeBlock, Codec, Community, Family, FamilySet, Message, NextHop, Notification,
    PathAttributes, PathId, PathSegment, PeerKind, Reaction, SegmentKind, UpdateView, announce,
};
use bytes::{Bytes, BytesMut};
use ipnet::Ipv4Net;

/// The negotiated context from the first octet, and the rest.
fn context(data: &[u8]) -> Option<(Codec, &[u8])> {
    let (bits, rest) = data.split_first()?;
    let bit = |n: u8| bits & 1 << n != 0;
    let both = FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    let add_path = if bit(2) { both } else { FamilySet::empty() };
    let codec = Codec {
        peer: if bit(0) { PeerKind::Internal } else { PeerKind::External },
        four_octet_as: bit(1),
        extended_message: bit(3),
        add_path_rx: add_path,
        add_path_tx: add_path,
        multiple_labels: FamilySet::empty(),
        extended_next_hop: if bit(4) { both } else { FamilySet::empty() },
        families: if bit(5) { FamilySet::of(&[Family::IPV4_UNICAST]) } else { both },
        afi_safi_disable: bit(6),
    };
    Some((codec, rest))
}

/// A message with the octets as its body; `None` when they are too many.
fn message(kind: u8, body: &[u8]) -> Option<Bytes> {
    let mut m = vec![0xff; 16];
    m.extend(u16::try_from(body.len() + 19).ok()?.to_be_bytes());
    m.push(kind);
    m.extend(body);
    Some(m.into())
}

/// An error must be sendable, and no longer than what it answers leaves room for.
fn check_error(n: &Notification, received: usize) {
    let mut out = BytesMut::new();
    n.encode(&mut out);
    assert!(out.len() <= 4096 && n.data.len() <= received.max(2));
    let _ = n.to_string();
}

/// The framer over a stream.
pub fn frame(data: &[u8]) {
    let Some((codec, mut rest)) = context(data) else { return };
    loop {
        match codec.frame(rest) {
            Ok(None) => return,
            Err(n) => return check_error(&n, rest.len()),
            Ok(Some(frame)) => {
                assert!((19..=65535).contains(&frame.len) && frame.len <= rest.len());
                let (one, after) = rest.split_at(frame.len);
                assert_eq!(codec.frame(one), Ok(Some(frame)));
                assert_eq!(codec.frame(&one[..frame.len - 1]), Ok(None));
                if let Err(n) = codec.decode(&Bytes::copy_from_slice(one)) {
                    check_error(&n, one.len());
                }
                rest = after;
            }
        }
    }
}

/// OPEN: what is accepted is read again as it was.
pub fn open(data: &[u8]) {
    let Some(bytes) = message(1, data) else { return };
    match Codec::before_open().decode(&bytes) {
        Ok(Message::Open(open)) => {
            let mut out = BytesMut::new();
            open.encode(&mut out);
            assert_eq!(Codec::before_open().decode(&out.freeze()), Ok(Message::Open(open)));
        }
        Ok(other) => panic!("{other:?}"),
        Err(n) => check_error(&n, bytes.len()),
    }
}

/// NOTIFICATION: read, shown, written.
pub fn notification(data: &[u8]) {
    let Some(bytes) = message(3, data) else { return };
    if let Ok(Message::Notification(n)) = Codec::before_open().decode(&bytes) {
        let text = n.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        if let Some(text) = n.shutdown_text() {
            assert!(text.chars().count() <= 255);
        }
        let _ = n.hard_reset_reason().map(|why| why.to_string());
        let mut out = BytesMut::new();
        n.encode(&mut out);
        assert_eq!(out, bytes);
    }
}

/// ROUTE-REFRESH: read and written.
pub fn refresh(data: &[u8]) {
    let Some(bytes) = message(5, data) else { return };
    match Codec::before_open().decode(&bytes) {
        Ok(Message::RouteRefresh(refresh)) => {
            let mut out = BytesMut::new();
            refresh.encode(&mut out);
            assert_eq!(out[19..], bytes[19..23]);
        }
        Ok(other) => panic!("{other:?}"),
        Err(n) => check_error(&n, bytes.len()),
    }
}

/// UPDATE: context, then the body. All that a view shows must be lawful.
pub fn update(data: &[u8]) {
    let Some((codec, body)) = context(data) else { return };
    let Some(bytes) = message(2, body) else { return };
    match codec.decode_update(&bytes) {
        Ok(view) => lawful(&codec, &view),
        Err(n) => check_error(&n, bytes.len()),
    }
}

fn lawful(codec: &Codec, view: &UpdateView<'_>) {
    assert_ne!(view.outcome(), Reaction::SessionReset);
    let strongest = view.faults().map(|f| f.reaction).max().unwrap_or_default();
    assert!(strongest <= view.outcome());
    view.faults().for_each(|f| assert!(!f.to_string().is_empty()));
    let reach: Vec<_> = view.reach().collect();
    assert!(reach.len() <= 2 && view.unreach().count() <= 4);
    for block in view.unreach().chain(reach.iter().map(|r| r.nlri)) {
        assert!(codec.families.contains(block.family()) && !block.is_empty());
        let count = block.iter().count();
        assert_eq!(count, block.ipv4().count() + block.ipv6().count());
        assert!(count > 0);
        block.ipv4().for_each(|(_, p)| assert_eq!(p, p.trunc()));
        block.ipv6().for_each(|(_, p)| assert_eq!(p, p.trunc()));
    }
    let mut canonical = Vec::new();
    view.canonical_attributes(&mut canonical);
    let block = AttributeBlock::parse(&canonical).expect("a canonical block");
    if !reach.is_empty() {
        assert!(view.origin().is_some() && view.as_path().is_some());
        let _ = (block.as_path().length(), block.as_path().first(), block.as_path().origin_as());
    }
    let owned = PathAttributes::from_block(block);
    // ORIGIN is in every block of a route; in others it need not be.
    if view.origin().is_some() && view.as_path().is_some() {
        let mut again = Vec::new();
        owned.encode_block(&mut again).expect("what was received can be sent");
        assert_eq!(again, canonical);
    }
}

/// The owned message and the borrowed view agree in everything.
pub fn view_owned(data: &[u8]) {
    let Some((codec, body)) = context(data) else { return };
    let Some(bytes) = message(2, body) else { return };
    let borrowed = codec.decode_update(&bytes);
    match (codec.decode(&bytes), borrowed) {
        (Err(a), Err(b)) => assert_eq!(a, b),
        (Ok(Message::Update(owned)), Ok(borrowed)) => {
            let view = owned.view();
            assert_eq!((view.outcome(), view.end_of_rib()), (borrowed.outcome(), borrowed.end_of_rib()));
            assert!(view.faults().eq(borrowed.faults()));
            assert!(view.reach().eq(borrowed.reach()) && view.unreach().eq(borrowed.unreach()));
            assert!(view.attributes().eq(borrowed.attributes()));
            for attribute in view.attributes() {
                assert_eq!(view.attribute(attribute.code), Some(attribute));
            }
        }
        other => panic!("{other:?}"),
    }
}

/// Values made of the octets: sent, then read as they were.
pub fn round_trip(data: &[u8]) {
    let Some((codec, rest)) = context(data) else { return };
    let codec = Codec { families: FamilySet::of(&[Family::IPV4_UNICAST]), four_octet_as: true, ..codec };
    let (kinds, rest) = rest.split_at(rest.len() / 8);
    let mut words = rest.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]));
    let internal = codec.peer == PeerKind::Internal;
    let mut segments = Vec::new();
    for kind in kinds {
        let allowed =
            [SegmentKind::Sequence, SegmentKind::Set, SegmentKind::ConfedSequence, SegmentKind::ConfedSet];
        let kind_of = allowed[usize::from(kind & if internal { 3 } else { 1 })];
        let asns: Vec<_> =
            words.by_ref().take(usize::from(kind >> 2) + 1).filter(|n| *n != 0).map(Asn).collect();
        if !asns.is_empty() {
            segments.push(PathSegment { kind: kind_of, asns });
        }
    }
    let attributes = PathAttributes {
        as_path: AsPath { segments },
        med: words.next(),
        local_pref: words.next().filter(|_| internal),
        communities: words.by_ref().take(8).map(Community).collect(),
        ..PathAttributes::default()
    };
    let mut block = Vec::new();
    if attributes.encode_block(&mut block).is_err() {
        return;
    }
    let nets: Vec<_> = words
        .map(|w| {
            (
                PathId(w),
                Ipv4Net::new(w.into(), u8::try_from(w % 33).unwrap_or(0)).expect("at most 32").trunc(),
            )
        })
        .collect();
    let mut out = BytesMut::new();
    let next_hop = NextHop::V4([10, 0, 0, 1].into());
    let packed = announce(&mut out, &codec, Family::IPV4_UNICAST, &next_hop, &block, nets.iter().copied());
    assert_eq!(packed.routes + packed.too_large, nets.len());
    let (mut bytes, mut routes) = (out.freeze(), 0);
    while let Some(frame) = codec.frame(&bytes).expect("lawful") {
        let one = bytes.split_to(frame.len);
        let view = codec.decode_update(&one).expect("lawful");
        assert_eq!(view.outcome(), Reaction::Accept);
        let mut back = Vec::new();
        view.canonical_attributes(&mut back);
        assert_eq!(back, block);
        routes += view.reach().map(|r| r.nlri.ipv4().count()).sum::<usize>();
    }
    assert_eq!(routes, packed.routes);
}
