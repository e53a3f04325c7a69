//! The fuzz target's operations, on stable: its seed, and octets at random.

use proptest::prelude::*;

#[path = "../../../fuzz/src/rib.rs"]
#[allow(unreachable_pub, reason = "the crate that it is written for is a library")]
mod fuzzed;

#[test]
fn the_seed_of_the_fuzz_target() {
    fuzzed::rib(include_bytes!("../../../fuzz/seeds/rib/reflected"));
}

#[test]
fn a_choice_of_its_own_is_told_again_after_a_next_hop_blinked() {
    fuzzed::rib(include_bytes!("../../../fuzz/seeds/rib/own_choice_after_a_blink"));
}

#[test]
fn a_choice_of_its_own_goes_with_the_bound_that_made_it() {
    fuzzed::rib(include_bytes!("../../../fuzz/seeds/rib/own_choice_after_a_bound"));
    fuzzed::rib(include_bytes!("../../../fuzz/seeds/rib/own_choice_after_a_bound_2"));
}

#[test]
fn a_choice_of_its_own_goes_when_its_group_is_left_before_a_lost_next_hop_is_decided() {
    fuzzed::rib(include_bytes!("../../../fuzz/seeds/rib/own_choice_left_behind"));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_each_view_is_what_is_explained(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzzed::rib(&data);
    }
}
