//! The decoder is total: octets at random, good messages damaged, and the worst shapes of 65,535 octets.
use bgp_wire::{Codec, PeerKind, Reaction};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::build::{NET, NET6, as_path, attribute, mandatory, mp_reach, mp_unreach, update};
use crate::corpus::targets;

/// An UPDATE body with a little of everything.
fn rich() -> Vec<u8> {
    let mut attributes = mandatory();
    attributes.extend([
        attribute(0x80, 4, &[0, 0, 0, 9]),
        attribute(0x40, 5, &[0, 0, 0, 9]),
        attribute(0xc0, 7, &[0, 0, 0, 9, 1, 2, 3, 4]),
        attribute(0xc0, 8, &[0; 8]),
        attribute(0x80, 9, &[1; 4]),
        attribute(0x80, 10, &[1; 8]),
        mp_reach(0x80, &NET6),
        mp_unreach(&NET6),
        attribute(0xc0, 16, &[0; 8]),
        attribute(0xc0, 17, &[2, 1, 0, 0, 0, 9]),
        attribute(0xc0, 18, &[0, 0, 0, 9, 1, 2, 3, 4]),
        attribute(0xc0, 23, &[0, 8, 0, 3, 4, 1, 1]),
        attribute(0x80, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]),
        attribute(0xc0, 32, &[1; 24]),
        attribute(0xc0, 35, &[0, 0, 0, 1]),
        attribute(0xc0, 128, &[0, 0, 0, 1, 0x40, 1, 1, 0]),
        attribute(0xc0, 200, &[5; 9]),
    ]);
    update(&[8, 10, 16, 172, 16], &attributes, &NET)[19..].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn octets_at_random_break_nothing(data in vec(any::<u8>(), 0..300)) {
        targets::frame(&data);
        targets::open(&data);
        targets::notification(&data);
        targets::refresh(&data);
        targets::update(&data);
        targets::view_owned(&data);
        targets::round_trip(&data);
        targets::nlri(&data);
    }

    #[test]
    fn damaged_updates_break_nothing(
        context: u8,
        hits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut data = vec![context];
        data.extend(rich());
        for (at, value) in hits {
            let at = at.index(data.len());
            data[at] = value;
        }
        if !whole {
            data.truncate(cut.index(data.len()));
        }
        targets::update(&data);
        targets::view_owned(&data);
    }
}

#[test]
fn the_undamaged_update_is_accepted() {
    let frame = crate::build::message(2, &rich());
    let view = Codec::permissive(PeerKind::Internal).decode_update(&frame).map(|v| v.outcome());
    // AS4_PATH and AS4_AGGREGATOR have no business between four-octet speakers.
    assert_eq!(view, Ok(Reaction::AttributeDiscard));
}

/// The largest messages of the most parts still read in one pass.
#[test]
fn the_worst_shapes_are_read_whole() {
    let codec = Codec::permissive(PeerKind::Internal);
    let long_path: Vec<u8> = std::iter::repeat_n([2, 1, 0, 0, 0, 9], 10_000).flatten().collect();
    let many_attributes: Vec<Vec<u8>> =
        (0..20_000).map(|n: u32| attribute(0xc0, (n % 256) as u8 | 0x80, &[])).collect();
    let shapes = [
        update(&[], &mandatory(), &[0; 65_000]),
        update(&[], &[&mandatory()[..], &[attribute(0xc0, 8, &[1; 65_000])]].concat(), &NET),
        update(&[], &[mandatory()[0].clone(), attribute(0x40, 2, &long_path), mandatory()[2].clone()], &NET),
        update(&[], &[&mandatory()[..], &many_attributes].concat(), &NET),
        update(&[], &[mandatory()[0].clone(), as_path(&[1]), mp_reach(0x80, &[0; 65_000])], &[]),
    ];
    for frame in &shapes {
        let view = codec.decode_update(frame).unwrap();
        assert!(view.outcome() <= Reaction::AttributeDiscard || view.outcome() == Reaction::TreatAsWithdraw);
        let mut out = Vec::new();
        view.canonical_attributes(&mut out);
        assert!(out.len() <= 65_535);
    }
    assert_eq!(
        codec.decode_update(&shapes[0]).unwrap().reach().map(|r| r.nlri.iter().count()).sum::<usize>(),
        65_000
    );
}
