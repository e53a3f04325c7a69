//! The targets. None may panic; each also holds what it reads against what it must be.
use bgp_wire::{
    Afi, AsPath, Asn, AttributeBlock, AttributeCode, AttributeFlags, ClusterId, Codec, Community, EvpnRoute,
    Family, FamilySet, FlowSpec, LabeledPrefix, Message, NextHop, Nlri, NlriBlock, Notification, OpaqueNlri,
    OwnedAttribute, PathAttributes, PathId, PathSegment, PeerKind, Reaction, Reflection, RouterId,
    SegmentKind, UpdateView, VpnPrefix, WriteNlri, announce, withdraw,
};
use bytes::{Bytes, BytesMut};
use ipnet::Ipv4Net;

/// The negotiated context from the first octet, and the rest.
fn context(data: &[u8]) -> Option<(Codec, &[u8])> {
    let (bits, rest) = data.split_first()?;
    let bit = |n: u8| bits & 1 << n != 0;
    let known = FamilySet::of(Family::KNOWN);
    let both = if bit(7) { known } else { FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]) };
    let add_path = if bit(2) { both } else { FamilySet::empty() };
    let codec = Codec {
        peer: if bit(0) { PeerKind::Internal } else { PeerKind::External },
        four_octet_as: bit(1),
        extended_message_rx: bit(3),
        extended_message_tx: bit(3),
        enhanced_refresh: bit(3),
        add_path_rx: add_path,
        add_path_tx: add_path,
        multiple_labels: if bit(4) { both } else { FamilySet::empty() },
        extended_next_hop: if bit(4) { both } else { FamilySet::empty() },
        families: if bit(5) { FamilySet::of(&[Family::IPV4_UNICAST]) } else { both },
        external_aigp: bit(4),
        afi_safi_disable: bit(6),
        same_domain: bit(4),
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
    match (Codec { enhanced_refresh: true, ..Codec::before_open() }).decode(&bytes) {
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
        let may_hide = block.family().afi == Afi::BGP_LS || block.family() == Family::ROUTE_TARGET;
        if block.family().is_ipv4_prefix() || block.family().is_ipv6_prefix() {
            assert_eq!(count, block.ipv4().count() + block.ipv6().count());
        }
        // Of BGP-LS, those that are malformed inside are left out; of memberships, those of no known kind.
        assert!(count > 0 || may_hide);
        block.iter().for_each(|(_, nlri)| one_nlri(block.family(), &nlri));
        block.ipv4().for_each(|(_, p)| assert_eq!(p, p.trunc()));
        block.ipv6().for_each(|(_, p)| assert_eq!(p, p.trunc()));
    }
    reflected(codec, view);
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

/// One NLRI: shown, keyed, written, and read as it was.
fn one_nlri(family: Family, nlri: &Nlri<'_>) {
    assert!(nlri.is_of(family));
    let _ = nlri.to_string();
    let (mut out, mut key) = (BytesMut::new(), Vec::new());
    nlri.write(&mut out);
    nlri.append_key(&mut key);
    assert_eq!(out.len(), nlri.wire_len());
    assert!(key.len() <= out.len());
    match nlri {
        Nlri::Opaque(one) => {
            assert_eq!(one.as_bytes(), &out[..]);
            assert_eq!(one.key().len(), key.len());
            if let Some(route) = one.evpn() {
                let mut again = BytesMut::new();
                route.write(&mut again);
                assert_eq!(EvpnRoute::parse(&again), Some(route));
            }
            if let Some(flow) = one.flowspec() {
                for component in flow.components() {
                    let _ = (component.prefix(), component.operators().matches(0x1234));
                }
            }
        }
        // Whole stacks are read only where that was negotiated.
        Nlri::Labeled(LabeledPrefix { labels, .. }) | Nlri::Vpn(VpnPrefix { labels, .. })
            if labels.len() > 1 => {}
        _ => {
            let block = NlriBlock::parse(family, false, &out).expect("what is written is read");
            assert!(block.iter().map(|(_, n)| n).eq([*nlri]));
        }
    }
}

/// What goes out by octets shows the same routes, and two attributes.
fn reflected(codec: &Codec, view: &UpdateView<'_>) {
    let how = Reflection { originator_id: RouterId(7), cluster_id: ClusterId(9) };
    let mut out = BytesMut::new();
    if view.reflect(codec, &how, &mut out).is_err() {
        assert!(out.is_empty());
        return;
    }
    let again = codec.decode_update(&out).expect("what is reflected is lawful");
    assert_eq!(again.outcome(), Reaction::Accept);
    assert!(again.reach().eq(view.reach()) && again.unreach().eq(view.unreach()));
    if view.reach().next().is_some() {
        assert_eq!(again.cluster_list().iter().next(), Some(how.cluster_id));
        assert_eq!(again.cluster_list().len(), view.cluster_list().len() + 1);
        assert_eq!(again.originator_id(), view.originator_id().or(Some(how.originator_id)));
    }
}

/// NLRI: a family, whether with path identifiers, and the octets of a block.
pub fn nlri(data: &[u8]) {
    let Some(([family, add_path], octets)) = data.split_first_chunk::<2>() else { return };
    let family = Family::KNOWN[usize::from(*family) % Family::KNOWN.len()];
    let add_path = add_path & 1 != 0;
    if let Some(one) = OpaqueNlri::parse(family, octets) {
        one_nlri(family, &Nlri::Opaque(one));
    }
    let _ = (EvpnRoute::parse(octets), FlowSpec::parse(family, octets).map(|flow| flow.to_string()));
    let Some(block) = NlriBlock::parse(family, add_path, octets) else { return };
    let mut len = 0;
    for (_, nlri) in block.iter() {
        one_nlri(family, &nlri);
        len += nlri.wire_len() + if add_path { 4 } else { 0 };
    }
    assert_eq!(len, octets.len());
}

/// The owned message and the borrowed view agree in everything.
pub fn view_owned(data: &[u8]) {
    let Some((codec, body)) = context(data) else { return };
    let Some(bytes) = message(2, body) else { return };
    let borrowed = codec.decode_update(&bytes);
    match (codec.decode(&bytes), borrowed) {
        (Err(a), Err(b)) => assert_eq!(a, b),
        (Ok(Message::Update(owned)), Ok(borrowed)) => {
            assert_eq!(borrowed.to_update(), owned);
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

/// NLRI of the family that the next octet tells: announced and withdrawn, then read as they were.
fn families_round_trip(codec: &Codec, data: &[u8]) {
    let Some((family, octets)) = data.split_first() else { return };
    let family = Family::KNOWN[usize::from(*family) % Family::KNOWN.len()];
    let families = FamilySet::of(&[family]);
    let add_path = if codec.add_path_rx.is_empty() { FamilySet::empty() } else { families };
    let codec = Codec {
        families,
        add_path_rx: add_path,
        add_path_tx: add_path,
        multiple_labels: FamilySet::empty(),
        peer: PeerKind::Internal,
        four_octet_as: true,
        ..*codec
    };
    let Some(block) = NlriBlock::parse(family, !add_path.is_empty(), octets) else { return };
    let sent: Vec<_> = block.iter().collect();
    // Of a segment routing policy, what it cannot do without.
    let tunnels =
        OwnedAttribute { flags: AttributeFlags(0xc0), code: AttributeCode(23), value: vec![0, 15, 0, 0] };
    let attributes = PathAttributes {
        communities: vec![Community(0xffff_ff02)],
        other: vec![tunnels],
        ..PathAttributes::default()
    };
    let next_hop = match family.afi {
        Afi::IPV6 => NextHop::V6(std::net::Ipv6Addr::LOCALHOST),
        _ => NextHop::V4([10, 0, 0, 1].into()),
    };
    let (mut own, mut announced, mut withdrawn) = (Vec::new(), BytesMut::new(), BytesMut::new());
    attributes.encode_block(&mut own).expect("lawful");
    let told = announce(&mut announced, &codec, family, &next_hop, &own, sent.iter().copied());
    let gone = withdraw(&mut withdrawn, &codec, family, sent.iter().copied());
    assert_eq!((told.routes + told.too_large, told.refused), (sent.len(), 0));
    assert_eq!(gone.routes + gone.too_large, sent.len());
    for (out, routes, announces) in [(announced, told.routes, true), (withdrawn, gone.routes, false)] {
        let (mut bytes, mut read) = (out.freeze(), 0);
        while let Some(frame) = codec.frame(&bytes).expect("lawful") {
            let one = bytes.split_to(frame.len);
            let view = codec.decode_update(&one).expect("lawful");
            assert_eq!(view.outcome(), Reaction::Accept);
            for (id, nlri) in view.reach().flat_map(|r| r.nlri.iter()) {
                assert!(announces && sent.contains(&(id, nlri)));
                read += 1;
            }
            read += view.unreach().map(|b| b.iter().count()).sum::<usize>();
        }
        assert_eq!(read, routes);
    }
}

/// Values made of the octets: sent, then read as they were.
pub fn round_trip(data: &[u8]) {
    let Some((codec, rest)) = context(data) else { return };
    families_round_trip(&codec, rest);
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
