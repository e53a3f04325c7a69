//! Weights of next hops that are behind other routes.

use super::*;

fn weighed(gateway: &str, weight: u16) -> FibNextHop {
    FibNextHop { weight, ..FibNextHop::new(gateway.parse().unwrap()) }
}

fn legs(of: &[(&str, u16)]) -> KernelAction {
    let leg = |&(gateway, weight): &(&str, u16)| {
        let gateway = Some(gateway.parse().unwrap());
        KernelHop { gateway, device: 2, onlink: false, weight }
    };
    KernelAction::Unicast(of.iter().map(leg).collect())
}

/// 172.16/16 leads to 10.0.0.1 and 172.17/16 to 10.0.0.2, by routes of the system; 172.20/16 to both of them.
fn story() -> Story {
    let mut story = Story::new();
    story.fib.lead(net("172.16.0.0/16"), "10.0.0.1".parse().unwrap(), 2, 10);
    story.fib.lead(net("172.17.0.0/16"), "10.0.0.2".parse().unwrap(), 2, 10);
    story.set(FibRoute::unicast(net("172.20.0.0/16"), [weighed("10.0.0.1", 1), weighed("10.0.0.2", 1)]));
    story.fib.take_log();
    story
}

fn written(hops: &[(&str, u16)]) -> KernelAction {
    let mut story = story();
    let hops = hops.iter().map(|(gateway, weight)| weighed(gateway, *weight));
    story.set(FibRoute::unicast(net("192.0.2.0/24"), hops));
    match &story.fib.take_log()[..] {
        [FibOp::Add(at, action)] if *at == key("192.0.2.0/24") => action.clone(),
        other => panic!("one route, not {other:?}"),
    }
}

#[test]
fn next_hops_behind_the_same_gateway_weigh_there_what_they_weigh_together() {
    let weights = written(&[("172.16.0.1", 1), ("172.16.0.2", 200), ("172.17.0.3", 100)]);
    assert_eq!(weights, legs(&[("10.0.0.1", 201), ("10.0.0.2", 100)]));
    let equal = written(&[("172.16.0.1", 1), ("172.16.0.2", 1), ("172.17.0.3", 1)]);
    assert_eq!(equal, legs(&[("10.0.0.1", 2), ("10.0.0.2", 1)]));
}

#[test]
fn a_next_hop_behind_two_legs_divides_its_weight_between_them() {
    let weights = written(&[("172.20.0.1", 1), ("10.0.0.3", 1)]);
    assert_eq!(weights, legs(&[("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 2)]));
    let shared = written(&[("172.20.0.1", 1), ("172.16.0.1", 1)]);
    assert_eq!(shared, legs(&[("10.0.0.1", 3), ("10.0.0.2", 1)]));
    assert_eq!(written(&[("172.20.0.1", 7)]), legs(&[("10.0.0.1", 7), ("10.0.0.2", 7)]));
}

#[test]
fn weights_that_come_together_beyond_what_the_kernel_can_express_keep_their_proportion() {
    let weights = written(&[("172.16.0.1", 256), ("172.16.0.2", 256), ("172.17.0.3", 256)]);
    assert_eq!(weights, legs(&[("10.0.0.1", 2), ("10.0.0.2", 1)]));
    let uneven = written(&[("172.16.0.1", 256), ("172.16.0.2", 255), ("172.17.0.3", 1)]);
    assert_eq!(uneven, legs(&[("10.0.0.1", 256), ("10.0.0.2", 1)]));
    let kept = written(&[("10.0.0.1", 6), ("10.0.0.2", 3)]);
    assert_eq!(
        kept,
        legs(&[("10.0.0.1", 6), ("10.0.0.2", 3)]),
        "what needs no scaling is as it was asked for"
    );
}
