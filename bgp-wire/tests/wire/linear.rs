//! The largest messages of the worst shapes cost no more than their size: what is quadratic in 30,000 parts takes a
//! billion steps, which no bound here leaves time for.
use std::time::{Duration, Instant};

use bgp_wire::{AttributeBlock, ClusterId, Codec, PathAttributes, PeerKind, Reaction, Reflection, RouterId};
use bytes::BytesMut;

use crate::shapes::shapes;

/// Ten times what the slowest shape takes in a test build on a slow machine, a hundredth of what a billion steps would.
const BOUND: Duration = Duration::from_millis(150);

/// All that is read of a message, and all that is made of it.
fn everything(codec: &Codec, frame: &[u8]) -> (Reaction, usize) {
    let view = codec.decode_update(frame).unwrap();
    let announced = view.reach().flat_map(|r| r.nlri.iter()).count();
    let withdrawn = view.unreach().flat_map(|b| b.iter()).count();
    let (mut block, mut again, mut out) = (vec![], vec![], BytesMut::new());
    let mut key = vec![];
    for (_, nlri) in view.reach().flat_map(|r| r.nlri.iter()) {
        key.clear();
        nlri.append_key(&mut key);
    }
    view.canonical_attributes(&mut block);
    assert!(block.len() <= frame.len());
    if view.origin().is_some() {
        PathAttributes::from_block(AttributeBlock::parse(&block).unwrap()).encode_block(&mut again).unwrap();
        assert_eq!(block, again);
    }
    let how = Reflection { originator_id: RouterId(1), cluster_id: ClusterId(1) };
    let _ = view.reflect(codec, &how, &mut out);
    (view.outcome(), announced + withdrawn)
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn no_shape_of_a_message_costs_more_than_its_size() {
    let codec = Codec::permissive(PeerKind::Internal);
    for (name, frame) in shapes() {
        assert!(frame.len() > 57_000 && frame.len() <= 65_535, "{name}: {}", frame.len());
        let passes = (0..3).map(|_| {
            let start = Instant::now();
            let (outcome, routes) = everything(&codec, &frame);
            assert!(outcome <= Reaction::TreatAsWithdraw, "{name}: {outcome}");
            assert!(routes > 0 || name == "malformed nodes", "{name}");
            start.elapsed()
        });
        let best = passes.min().unwrap();
        assert!(best < BOUND, "{name}: {best:?}");
    }
}
