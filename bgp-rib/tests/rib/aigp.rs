//! The accumulated IGP metric (RFC 7311): what it decides, who hears of it, and what it grows by.

use bgp_rib::policy::{Action, PolicyConfig, Rule, Verdict};
use bgp_rib::{Input, NextHopMode, Origination, PathVerdict, PeerId, PeerParams, Policy, Reachability, Rung};
use bgp_wire::PathAttributes;

use crate::support::*;

const HERE: &str = "10.1.0.0/24";

fn with_aigp(metric: u64, attributes: PathAttributes) -> PathAttributes {
    let mut attributes = attributes;
    attributes.set_aigp(Some(metric));
    attributes
}

fn far_away(lab: &mut Lab, last: u8, metric: u32) {
    lab.input(Input::NextHop(address(last), Reachability::Metric(metric)));
    lab.settle();
}

fn told(lab: &Lab, peer: PeerId) -> Option<u64> {
    lab.view(peer)[&net(HERE)].attributes.aigp()
}

/// An external session on which AIGP is on, as between AS of one administration.
fn related(n: u8, asn: u32) -> PeerParams {
    let mut params = external(n, asn);
    (params.aigp, params.codec.external_aigp) = (true, true);
    params
}

#[test]
fn the_least_sum_of_aigp_and_interior_cost_is_best_and_the_loser_knows_why() {
    let mut lab = Lab::new();
    let (near, far) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let to = lab.up(3, client(3));
    far_away(&mut lab, 1, 50);
    far_away(&mut lab, 2, 10);
    lab.announce(near, &[net(HERE)], next_hop(1), &with_aigp(100, attributes(&[])));
    lab.announce(far, &[net(HERE)], next_hop(2), &with_aigp(120, attributes(&[64512, 64513])));
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].next_hop, next_hop(2), "130 is less than 150, however long its path");
    let explained = lab.rib.explain(net(HERE)).unwrap();
    assert_eq!(explained.paths[1].verdict, PathVerdict::Lost(Rung::Aigp));
    assert_eq!(Rung::Aigp.to_string(), "accumulated IGP metric");
    far_away(&mut lab, 1, 20);
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].next_hop, next_hop(1));
}

#[test]
fn a_route_with_aigp_is_before_one_without_but_behind_a_greater_local_pref() {
    let mut lab = Lab::new();
    let (with, without) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let to = lab.up(3, client(3));
    lab.announce(without, &[net(HERE)], next_hop(2), &attributes(&[]));
    lab.announce(with, &[net(HERE)], next_hop(1), &with_aigp(u64::MAX - 1, attributes(&[64512])));
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].next_hop, next_hop(1));
    let preferred = PathAttributes { local_pref: Some(101), ..attributes(&[]) };
    lab.announce(without, &[net(HERE)], next_hop(2), &preferred);
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].next_hop, next_hop(2));
}

#[test]
fn it_stays_inside_unless_an_external_session_is_told_to_carry_it() {
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let (inside, stranger, sister) =
        (lab.up(2, client(2)), lab.up(3, external(3, 65003)), lab.up(4, related(4, 65004)));
    let mute = lab.up(5, PeerParams { aigp: false, ..client(5) });
    far_away(&mut lab, 1, 7);
    lab.announce(from, &[net(HERE)], next_hop(1), &with_aigp(100, attributes(&[])));
    lab.drain_all();
    assert_eq!(told(&lab, inside), Some(100), "the next hop is kept, and so is the metric");
    assert_eq!(told(&lab, sister), Some(107), "our address stands for the next hop, 7 away");
    assert_eq!((told(&lab, stranger), told(&lab, mute)), (None, None));
}

#[test]
fn what_is_told_grows_when_the_next_hop_moves_away_though_the_same_route_is_best() {
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let myself = PeerParams { next_hop: NextHopMode::SelfAlways, ..client(2) };
    let (of_us, kept) = (lab.up(2, myself), lab.up(3, client(3)));
    let more = net("10.2.0.0/24");
    lab.announce(from, &[net(HERE)], next_hop(1), &with_aigp(100, attributes(&[])));
    lab.announce(from, &[more], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(told(&lab, of_us), Some(101), "at no cost it grows nevertheless");
    lab.quiet(of_us);
    far_away(&mut lab, 1, 30);
    lab.drain_all();
    assert_eq!(told(&lab, of_us), Some(130));
    assert_eq!(lab.remotes[&of_us].announced, [net(HERE)], "what has none is not told again");
    assert_eq!(told(&lab, kept), Some(100));
}

#[test]
fn from_a_session_on_which_it_is_off_it_neither_counts_nor_goes_on() {
    let mut lab = Lab::new();
    let mut stranger = related(1, 65001);
    stranger.aigp = false;
    let from = lab.up(1, stranger.clone());
    let (other, to) = (lab.up(2, client(2)), lab.up(3, client(3)));
    lab.announce(from, &[net(HERE)], next_hop(1), &with_aigp(5, external_attributes(&[65001])));
    lab.announce(other, &[net(HERE)], next_hop(2), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].next_hop, next_hop(2), "the shorter path wins");
    // Switched on while the session goes on, without its routes being told again.
    lab.input(Input::PeerChange(from, Box::new(PeerParams { aigp: true, ..stranger })));
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].next_hop, next_hop(1));
    assert_eq!(told(&lab, to), Some(5));
}

#[test]
fn an_originator_gives_it_by_itself_or_by_policy() {
    let mut lab = Lab::new();
    let set = Rule::accept("set").then(Action::Aigp(40));
    let set = Policy::compile(PolicyConfig::new("p", Verdict::Reject).rule(set)).unwrap();
    let unset = Rule::accept("unset").then(Action::RemoveAigp);
    let unset = Policy::compile(PolicyConfig::new("p", Verdict::Reject).rule(unset)).unwrap();
    let (to, edited) = (lab.up(1, internal(1)), lab.up(2, PeerParams { export: set, ..internal(2) }));
    let (bare, stranger) =
        (lab.up(3, PeerParams { export: unset.clone(), ..internal(3) }), lab.up(4, external(4, 65004)));
    let own = Origination { attributes: with_aigp(9, attributes(&[])), ..Origination::new(net(HERE)) };
    lab.originate(0, &[own]);
    lab.drain_all();
    assert_eq!((told(&lab, to), told(&lab, edited)), (Some(9), Some(40)));
    assert_eq!((told(&lab, bare), told(&lab, stranger)), (None, None));
}

#[test]
fn what_a_policy_says_stays_where_the_peers_own_aigp_is_ignored() {
    let rule = Rule::accept("originate").then(Action::Aigp(50));
    let import = Policy::compile(PolicyConfig::new("p", Verdict::Reject).rule(rule)).unwrap();
    for told in [None, Some(7)] {
        let mut lab = Lab::new();
        let from = lab.up(1, PeerParams { aigp: false, import: import.clone(), ..related(1, 65001) });
        let inside = lab.up(2, client(2));
        let mut attributes = external_attributes(&[65001]);
        attributes.set_aigp(told);
        lab.announce(from, &[net(HERE)], next_hop(1), &attributes);
        lab.drain_all();
        assert_eq!(self::told(&lab, inside), Some(50), "told with {told:?}");
    }
}

#[test]
fn what_an_export_policy_says_is_told_as_it_says_though_the_next_hop_is_replaced() {
    let rule = Rule::accept("originate").then(Action::Aigp(50));
    let export = Policy::compile(PolicyConfig::new("p", Verdict::Reject).rule(rule)).unwrap();
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let (says, adds) = (PeerParams { export, ..client(2) }, client(3));
    let with_self = |params| PeerParams { next_hop: NextHopMode::SelfAlways, ..params };
    let (says, adds) = (lab.up(2, with_self(says)), lab.up(3, with_self(adds)));
    far_away(&mut lab, 1, 30);
    lab.announce(from, &[net(HERE)], next_hop(1), &with_aigp(7, attributes(&[])));
    lab.drain_all();
    assert_eq!((told(&lab, says), told(&lab, adds)), (Some(50), Some(37)));
}
