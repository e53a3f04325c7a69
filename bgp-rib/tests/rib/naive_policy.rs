//! Some policies, each as rules and once more as plain code.

use bgp_rib::Policy;
use bgp_rib::policy::{
    Action, CommunityEdit, Condition, Number, PolicyConfig, PrefixSet, RpkiState, Rule, SetNextHop, Span,
    Verdict,
};
use bgp_wire::{Asn, Community, NextHop, PathAttributes};
use ipnet::IpNet;

use crate::naive_border::in_front;
use crate::support::*;

/// How many there are.
pub(crate) const POLICIES: u8 = 8;
/// The one that sets a next hop.
pub(crate) const SETS_NEXT_HOP: u8 = 4;

/// The one that sets a preference.
const PREFERS: u8 = 6;
/// The one that sets AIGP, and puts our own AS in front.
const SETS_AIGP: u8 = 7;

const MARK: Community = Community::new(65000, 1);
const VALID: Community = Community::new(65000, 2);

/// The policy of a number.
pub(crate) fn policy(number: u8) -> Policy {
    let config = match number {
        0 => return Policy::accept_all(),
        1 => return Policy::reject_all(),
        2 => {
            let some = PrefixSet::equal(&[net("10.1.0.0/26"), net("2001:db8:1::/64")]);
            let mark = CommunityEdit::Add(vec![MARK]);
            PolicyConfig::new("two", Verdict::Accept)
                .rule(Rule::reject("some").when(Condition::Prefix(some)))
                .rule(Rule::go_on("mark").then(Action::Communities(mark)))
        }
        3 => {
            let preferred = Condition::LocalPref(Span::from(150..=u32::MAX));
            PolicyConfig::new("three", Verdict::Accept)
                .rule(Rule::reject("preferred").when(preferred))
                .rule(Rule::go_on("med").when(Condition::Med(Span::ANY)).then(Action::Med(Number::Set(7))))
                .rule(Rule::go_on("prepend").then(Action::Prepend(vec![Asn(64999)])))
        }
        SETS_NEXT_HOP => {
            let inside = Condition::Prefix(PrefixSet::or_longer(&[net("10.1.0.0/24")]));
            let there = Action::NextHop(SetNextHop::Address(address(3)));
            PolicyConfig::new("four", Verdict::Accept).rule(Rule::accept("there").when(inside).then(there))
        }
        PREFERS => {
            let inside = Condition::Prefix(PrefixSet::or_longer(&[net("10.1.0.0/24")]));
            let rule = Rule::accept("preferred").when(inside).then(Action::Preference(250));
            PolicyConfig::new("six", Verdict::Accept).rule(rule)
        }
        SETS_AIGP => {
            let inside = Condition::Prefix(PrefixSet::or_longer(&[net("10.1.0.0/24")]));
            PolicyConfig::new("seven", Verdict::Accept)
                .rule(Rule::go_on("aigp").when(inside).then(Action::Aigp(50)))
                .rule(Rule::go_on("own").then(Action::PrependOwn(1)))
        }
        _ => {
            let is = Condition::Rpki;
            let mark = Action::Communities(CommunityEdit::Add(vec![VALID]));
            PolicyConfig::new("five", Verdict::Accept)
                .rule(Rule::reject("invalid").when(is(RpkiState::Invalid)))
                .rule(Rule::accept("valid").when(is(RpkiState::Valid)).then(mark))
        }
    };
    Policy::compile(config).unwrap()
}

/// The preference that a policy gives a route, if it does.
pub(crate) fn preference(which: &Policy, prefix: IpNet) -> Option<u32> {
    (*which == policy(PREFERS) && net("10.1.0.0/24").contains(&prefix)).then_some(250)
}

/// Whether a policy gives a route an AIGP.
pub(crate) fn sets_aigp(which: &Policy, prefix: IpNet) -> bool {
    *which == policy(SETS_AIGP) && net("10.1.0.0/24").contains(&prefix)
}

/// What a policy makes of a route, on a session on which we are the AS `own`: its attributes and, where it sets one, its next hop. `None`: rejected.
pub(crate) fn apply(
    which: &Policy,
    prefix: IpNet,
    attributes: &PathAttributes,
    rpki: RpkiState,
    own: Asn,
) -> Option<(PathAttributes, Option<NextHop>)> {
    let mut attributes = attributes.clone();
    let mut next_hop = None;
    match (0..POLICIES).find(|&number| policy(number) == *which).expect("one of ours") {
        0 => {}
        1 => return None,
        2 => {
            if [net("10.1.0.0/26"), net("2001:db8:1::/64")].contains(&prefix) {
                return None;
            }
            if !attributes.communities.contains(&MARK) {
                attributes.communities.push(MARK);
            }
        }
        3 => {
            if attributes.local_pref.unwrap_or(100) >= 150 {
                return None;
            }
            attributes.med = attributes.med.map(|_| 7);
            attributes.as_path = in_front(&[Asn(64999)], &attributes.as_path);
        }
        SETS_NEXT_HOP => {
            if net("10.1.0.0/24").contains(&prefix) {
                next_hop = Some(crate::support::next_hop(3));
            }
        }
        PREFERS => {}
        SETS_AIGP => {
            if net("10.1.0.0/24").contains(&prefix) {
                attributes.set_aigp(Some(50));
            }
            attributes.as_path = in_front(&[own], &attributes.as_path);
        }
        _ if rpki == RpkiState::Invalid => return None,
        _ => {
            if rpki == RpkiState::Valid && !attributes.communities.contains(&VALID) {
                attributes.communities.push(VALID);
            }
        }
    }
    Some((attributes, next_hop))
}
