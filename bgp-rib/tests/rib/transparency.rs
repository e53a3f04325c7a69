//! What an external peer sees of AS_PATH, next hop and MED: route servers, private and own AS numbers.

use bgp_rib::{LocalAsMode, NextHopMode, PeerParams, PrivateAs};
use bgp_wire::{AsPath, Asn, PathAttributes, PathSegment, SegmentKind};

use crate::support::*;

const HERE: &str = "10.1.0.0/24";

fn path(asns: &[u32]) -> AsPath {
    AsPath::sequence(asns.iter().copied().map(Asn))
}

/// The path that a peer with these parameters is told of a route with that one.
fn told(to: PeerParams, asns: &[u32]) -> AsPath {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, to));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(asns));
    lab.drain_all();
    lab.view(to)[&net(HERE)].attributes.as_path.clone()
}

#[test]
fn a_route_server_passes_on_path_next_hop_and_med_as_they_are() {
    let mut lab = Lab::new();
    let client = |n: u8, asn| PeerParams { route_server_client: true, ..external(n, asn) };
    let (a, b) = (lab.up(1, client(1, 65001)), lab.up(2, client(2, 65002)));
    let attributes = PathAttributes { med: Some(7), ..external_attributes(&[65001, 64999]) };
    lab.announce(a, &[net(HERE)], next_hop(1), &attributes);
    lab.originate(0, &[bgp_rib::Origination::new(net("10.9.0.0/24"))]);
    lab.drain_all();
    let route = &lab.view(b)[&net(HERE)];
    assert_eq!((route.next_hop, route.attributes.med), (next_hop(1), Some(7)));
    assert_eq!(route.attributes.as_path, path(&[65001, 64999]));
    // Its own routes are those of any external peer.
    let own = &lab.view(b)[&net("10.9.0.0/24")];
    assert_eq!((own.next_hop, own.attributes.as_path.clone()), (next_hop(254), path(&[LOCAL_AS.0])));
    assert!(lab.view(a).keys().all(|prefix| *prefix != net(HERE)), "not back to who told it");
}

/// What an internal peer begins is of our AS, and an empty path is refused by external peers (RFC 4271 §6.3).
#[test]
fn a_route_that_begins_inside_has_our_as_in_what_a_client_of_a_route_server_is_told() {
    let mut lab = Lab::new();
    let served = PeerParams { route_server_client: true, ..external(2, 65002) };
    let (inside, to) = (lab.up(1, internal(1)), lab.up(2, served));
    lab.announce(inside, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.announce(inside, &[net("10.9.0.0/24")], next_hop(1), &attributes(&[65010]));
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].attributes.as_path, path(&[LOCAL_AS.0]));
    assert_eq!(
        lab.view(to)[&net("10.9.0.0/24")].attributes.as_path,
        path(&[65010]),
        "others stay as they are"
    );
}

#[test]
fn private_as_numbers_go_or_are_replaced_as_asked() {
    let with = |private_as| PeerParams { private_as, ..external(2, 70000) };
    let all = [64512, 65534, 4200000000, 3000, 64600, 4294967294];
    for (how, expected) in [
        (PrivateAs::Keep, vec![64512, 65534, 4200000000, 3000, 64600, 4294967294]),
        (PrivateAs::RemoveLeading, vec![3000, 64600, 4294967294]),
        (PrivateAs::Remove, vec![3000]),
        (PrivateAs::Replace, vec![65000, 65000, 65000, 3000, 65000, 65000]),
    ] {
        let expected: Vec<u32> = [LOCAL_AS.0].into_iter().chain(expected).collect();
        assert_eq!(told(with(how), &all), path(&expected), "{how:?}");
    }
    // The ends of the ranges are no private numbers (RFC 6996 §5, RFC 7300).
    let bounds = [64511, 65535, 4199999999, 4294967295];
    let expected: Vec<u32> = [LOCAL_AS.0].into_iter().chain(bounds).collect();
    assert_eq!(told(with(PrivateAs::Remove), &bounds), path(&expected));
}

#[test]
fn a_set_of_private_as_numbers_vanishes_with_its_last_one() {
    let mut lab = Lab::new();
    let (from, to) =
        (lab.up(1, client(1)), lab.up(2, PeerParams { private_as: PrivateAs::Remove, ..external(2, 70000) }));
    let set = PathSegment { kind: SegmentKind::Set, asns: vec![Asn(64512), Asn(64513)] };
    let mut as_path = path(&[3000]);
    as_path.segments.push(set);
    lab.announce(from, &[net(HERE)], next_hop(1), &PathAttributes { as_path, ..attributes(&[]) });
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].attributes.as_path, path(&[LOCAL_AS.0, 3000]));
}

#[test]
fn sites_that_share_one_as_are_told_of_each_other_with_ours_in_its_place() {
    let to = PeerParams { as_override: true, ..external(2, 64700) };
    assert_eq!(told(to, &[64700, 3000, 64700]), path(&[65000, 65000, 3000, 65000]));
}

/// The session is of AS 65100 while the speaker is of AS 65000.
fn of_another_as(n: u8, asn: u32, mode: LocalAsMode) -> PeerParams {
    PeerParams { local_as: Asn(65100), local_as_mode: mode, ..external(n, asn) }
}

#[test]
fn an_as_of_its_own_stands_alone_unless_the_speakers_is_to_be_seen() {
    assert_eq!(told(of_another_as(2, 70000, LocalAsMode::default()), &[3000]), path(&[65100, 3000]));
    let both = LocalAsMode { keep_speaker_as: true, ..LocalAsMode::default() };
    assert_eq!(told(of_another_as(2, 70000, both), &[3000]), path(&[65100, 65000, 3000]));
}

#[test]
fn an_as_of_its_own_is_put_in_front_of_what_came_where_asked_for() {
    for (prepend_received, expected) in [(false, vec![65001]), (true, vec![65100, 65001])] {
        let mut lab = Lab::new();
        let mode = LocalAsMode { prepend_received, ..LocalAsMode::default() };
        let (from, inside) = (lab.up(1, of_another_as(1, 65001, mode)), lab.up(2, client(2)));
        lab.announce(from, &[net(HERE)], next_hop(1), &external_attributes(&[65001]));
        lab.drain_all();
        assert_eq!(lab.view(inside)[&net(HERE)].attributes.as_path, path(&expected));
        // Policies may come and go: it is put there once.
        let params = PeerParams { allow_own_as: 1, ..lab.remotes[&from].params.clone() };
        lab.input(bgp_rib::Input::PeerChange(from, Box::new(params)));
        lab.drain_all();
        assert_eq!(lab.view(inside)[&net(HERE)].attributes.as_path, path(&expected));
    }
}

#[test]
fn a_path_with_the_speakers_as_is_a_loop_on_a_session_of_another_as_too() {
    let mut lab = Lab::new();
    let from = lab.up(1, of_another_as(1, 65001, LocalAsMode::default()));
    let inside = lab.up(2, client(2));
    lab.announce(from, &[net(HERE)], next_hop(1), &external_attributes(&[65001, 65000]));
    lab.announce(from, &[net("10.2.0.0/24")], next_hop(1), &external_attributes(&[65001, 65100]));
    lab.drain_all();
    assert!(lab.view(inside).is_empty());
}

#[test]
fn a_third_party_on_the_shared_network_stays_the_next_hop() {
    let mut lab = Lab::new();
    let shared_network = Some(net("10.0.0.0/24"));
    let from = lab.up(1, client(1));
    let to =
        lab.up(2, PeerParams { next_hop: NextHopMode::ThirdParty, shared_network, ..external(2, 65002) });
    lab.announce(from, &[net(HERE)], next_hop(9), &attributes(&[]));
    let far = bgp_wire::NextHop::V4("198.51.100.1".parse().unwrap());
    lab.announce(from, &[net("10.2.0.0/24")], far, &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].next_hop, next_hop(9));
    assert_eq!(lab.view(to)[&net("10.2.0.0/24")].next_hop, next_hop(254));
}

#[test]
fn confederation_segments_do_not_leave_by_way_of_a_route_server() {
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let to = lab.up(2, PeerParams { route_server_client: true, ..external(2, 65002) });
    let (mut as_path, inside) = (path(&[3000]), lab.up(3, client(3)));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[3000]));
    lab.drain_all();
    let confederation = PathSegment { kind: SegmentKind::ConfedSequence, asns: vec![Asn(64512)] };
    as_path.segments.insert(0, confederation);
    let attributes = PathAttributes { as_path: as_path.clone(), ..attributes(&[]) };
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes);
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].attributes.as_path, path(&[3000]));
    assert_eq!(lab.view(inside)[&net(HERE)].attributes.as_path, as_path);
}

#[test]
fn private_as_numbers_behind_a_confederation_lead_the_path_that_leaves_the_as() {
    let to = PeerParams { private_as: PrivateAs::RemoveLeading, ..external(2, 70000) };
    let (mut lab, mut as_path) = (Lab::new(), path(&[64600, 3000, 64601]));
    let confederation = PathSegment { kind: SegmentKind::ConfedSequence, asns: vec![Asn(64512), Asn(3001)] };
    as_path.segments.insert(0, confederation);
    let (from, to) = (lab.up(1, client(1)), lab.up(2, to));
    lab.announce(from, &[net(HERE)], next_hop(1), &PathAttributes { as_path, ..attributes(&[]) });
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].attributes.as_path, path(&[LOCAL_AS.0, 3000, 64601]));
}

#[test]
fn a_path_of_a_confederation_alone_is_empty_outside_and_a_route_server_puts_its_as_there() {
    let mut lab = Lab::new();
    let served = PeerParams { route_server_client: true, ..external(2, 65002) };
    let (from, to) = (lab.up(1, client(1)), lab.up(2, served));
    let segments = vec![PathSegment { kind: SegmentKind::ConfedSet, asns: vec![Asn(64512)] }];
    let told = PathAttributes { as_path: AsPath { segments }, ..attributes(&[]) };
    lab.announce(from, &[net(HERE)], next_hop(1), &told);
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].attributes.as_path, path(&[LOCAL_AS.0]));
}

#[test]
fn a_route_server_shows_no_as_of_its_own_in_what_others_told_though_it_is_another_to_the_client() {
    let mut lab = Lab::new();
    let both = LocalAsMode { keep_speaker_as: true, ..LocalAsMode::default() };
    let served = PeerParams { route_server_client: true, ..of_another_as(2, 65002, both) };
    let (from, to) = (lab.up(1, external(1, 65001)), lab.up(2, served));
    lab.announce(from, &[net(HERE)], next_hop(1), &external_attributes(&[65001]));
    lab.originate(0, &[bgp_rib::Origination::new(net("10.9.0.0/24"))]);
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].attributes.as_path, path(&[65001]));
    assert_eq!(lab.view(to)[&net("10.9.0.0/24")].attributes.as_path, path(&[65100, LOCAL_AS.0]));
}

#[test]
fn a_set_in_front_ends_what_leads_a_path() {
    let to = PeerParams { private_as: PrivateAs::RemoveLeading, ..external(2, 70000) };
    let (mut lab, set) = (Lab::new(), |asns| PathSegment { kind: SegmentKind::Set, asns });
    let segments = vec![set(vec![Asn(64512), Asn(64513)])];
    let (from, to) = (lab.up(1, client(1)), lab.up(2, to));
    let told = PathAttributes { as_path: AsPath { segments: segments.clone() }, ..attributes(&[]) };
    lab.announce(from, &[net(HERE)], next_hop(1), &told);
    lab.drain_all();
    let mut expected = path(&[LOCAL_AS.0]);
    expected.segments.extend(segments);
    assert_eq!(lab.view(to)[&net(HERE)].attributes.as_path, expected);
}
