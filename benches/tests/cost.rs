//! What the largest messages of the worst shapes cost: no allocation to read them, and no more than a few times their size
//! to make values and messages of them; in a release build, less than three milliseconds each.
//! `cargo test --release -p benches --test cost -- --nocapture` prints the table.
#![allow(unreachable_pub, dead_code, reason = "helpers of another test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

use benches::alloc::{self, Counting};
use benches::meter::cpu_ns;
use bgp_wire::{
    AttributeBlock, ClusterId, Codec, Notification, PathAttributes, PeerKind, Reaction, Reflection, RouterId,
    UpdateView,
};
use bytes::BytesMut;

#[path = "../../bgp-wire/tests/wire/build.rs"]
mod build;
#[path = "../../bgp-wire/tests/wire/shapes.rs"]
mod shapes;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Octets that may be asked for, for each of the message: it is copied a few times, and its costliest value, a segment of
/// one AS, takes a vector of its own for six octets.
const MEMORY: u64 = 16;

/// The same of an OPEN, which is never longer than 4,096 octets: a capability of two octets is a value of 72, in a list that
/// doubles as it grows.
const OPEN_MEMORY: u64 = 80;

/// The bound of the time that one message may take, in nanoseconds.
const BOUND: f64 = 3e6;

/// The least CPU time of some runs, with the allocations and the octets asked for in one.
fn cost<T>(mut run: impl FnMut() -> T) -> (f64, u64, u64) {
    let (mut best, mut calls, mut octets) = (f64::INFINITY, 0, 0);
    for _ in 0..5 {
        let (start, before, asked) = (cpu_ns(), alloc::calls(), alloc::asked());
        std::hint::black_box(run());
        best = best.min(cpu_ns() - start);
        (calls, octets) = (alloc::calls() - before, alloc::asked() - asked);
    }
    (best, calls, octets)
}

/// All that is read through a view.
fn visit(view: &UpdateView<'_>) -> usize {
    let announced = view.reach().flat_map(|r| r.nlri.iter()).count();
    let withdrawn = view.unreach().flat_map(|b| b.iter()).count();
    let ases = view.as_path().map_or(0, |p| p.asns().count());
    announced + withdrawn + ases + view.attributes().count() + view.communities().iter().count()
}

/// All that is made of a view.
fn make(codec: &Codec, view: &UpdateView<'_>) -> usize {
    let (mut block, mut again, mut out) = (vec![], vec![], BytesMut::new());
    view.canonical_attributes(&mut block);
    if view.origin().is_some() {
        let values = PathAttributes::from_block(AttributeBlock::parse(&block).unwrap());
        values.encode_block(&mut again).unwrap();
    }
    let how = Reflection { originator_id: RouterId(1), cluster_id: ClusterId(1) };
    let _ = view.reflect(codec, &how, &mut out);
    block.len() + again.len() + out.len() + view.to_update().as_bytes().len()
}

// One test, so that no other allocates at the same time.
#[test]
fn the_worst_messages_cost_no_more_than_their_size() {
    let codec = Codec::permissive(PeerKind::Internal);
    println!(
        "{:<32} {:>9} {:>9} {:>9} {:>12} {:>9}",
        "shape", "read us", "make us", "calls", "octets", "x size"
    );
    for (name, frame) in shapes::shapes() {
        let read = || -> Result<(Reaction, usize), Notification> {
            let view = codec.decode_update(&frame)?;
            Ok((view.outcome(), visit(&view)))
        };
        assert!(read().unwrap().0 <= Reaction::TreatAsWithdraw, "{name}");
        let (read_ns, calls, _) = cost(read);
        assert_eq!(calls, 0, "{name}: reading allocates");
        let view = codec.decode_update(&frame).unwrap();
        let mut out = BytesMut::with_capacity(2 * frame.len());
        let how = Reflection { originator_id: RouterId(1), cluster_id: ClusterId(1) };
        let (_, calls, _) = cost(|| {
            out.clear();
            view.reflect(&codec, &how, &mut out)
        });
        assert_eq!(calls, 0, "{name}: reflecting allocates");
        let (make_ns, calls, octets) = cost(|| make(&codec, &view));
        let size = frame.len() as u64;
        println!(
            "{name:<32} {:>9.0} {:>9.0} {calls:>9} {octets:>12} {:>9.1}",
            read_ns / 1e3,
            make_ns / 1e3,
            octets as f64 / size as f64
        );
        assert!(octets <= MEMORY * size, "{name}: {octets} octets asked for");
        assert!(cfg!(debug_assertions) || read_ns + make_ns < BOUND, "{name}: {read_ns} ns, {make_ns} ns");
    }
    // As many capabilities as an OPEN holds, of no octets, in one parameter (RFC 9072).
    let parameters = [build::hex("ffff 0fdf 02 0fdc"), [2, 0].repeat(2030)].concat();
    let open = build::message(1, &[build::hex("04 fde8 005a 0a000001"), parameters].concat());
    let open = bytes::Bytes::from(open);
    let (ns, calls, octets) = cost(|| codec.decode(&open).unwrap());
    println!("{:<32} {:>9.0} {:>9} {calls:>9} {octets:>12}", "capabilities of no octets", ns / 1e3, "");
    assert!(octets <= OPEN_MEMORY * open.len() as u64, "{octets} octets asked for");
    assert!(cfg!(debug_assertions) || ns < BOUND, "{ns} ns");
}
