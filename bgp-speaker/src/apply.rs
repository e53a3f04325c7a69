//! What a changed configuration asks of a peer that is there: nothing, something on its session as it runs, or a new one.
//!
//! | what differs | takes effect | class |
//! |---|---|---|
//! | port, passive, waits between attempts, range limit, class name | with the next connection, or in `status` | none |
//! | AS rule, source address (also where it follows from our addresses) | not at all where the session that is up satisfies the new one | none |
//! | keepalive interval | with the next keepalive | soft |
//! | TCP user timeout | at once | soft |
//! | open-hold and send-hold time | when the timer starts next | none |
//! | password, for another one; TCP-AO keys, for others of other ids | with the next segment | soft |
//! | TCP-AO keys, another secret or algorithm under ids in use (RFC 5925 §3.1) | with a new session | hard |
//! | hold time | not at all where the negotiated one stays the same (RFC 4271 §4.2: the smaller counts) | none |
//! | whether there is a password or TCP-AO | with a new session, or none as long as the key cannot be had | hard |
//! | anything in our OPEN: families, restart time, message size, a hold time that would count | with a new session | hard |
//! | several paths of a prefix, whether an external peer is of our administration | with a new session | hard |
//! | client role, policies, next hops, own AS allowed, limits | at once: the difference is told, and nothing else | soft |
//! | our BGP identifier, our AS (where no session names another) | with a new session, of each peer | hard |
//! | the cluster | at once: what is reflected is told anew | soft |
//! | own AS, AS rule or source address that the session does not satisfy, TTL, and what else a connection is made with | with a new session | hard |
//!
//! A session that ends for a change says Cease / Other Configuration Change, so that both ends keep its routes until it is
//! back where graceful restart with the N bit was agreed on (RFC 8538).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bgp_fsm::SessionConfig;
use bgp_rib::Policy;
use bgp_wire::{Asn, PeerKind};
use ipnet::IpNet;

use crate::config::{MAX_ORIGINATED_PER_CALL, PeerConfig, RangeConfig, SessionOptions};
use crate::desired::{ChangeClass, Desired};
use crate::error::SpeakerError;
use crate::originations::check_owner;
use crate::peer::{Depth, Live};
use crate::peer_address::PeerAddress;
use crate::route::Route;
use crate::session;
use crate::shared::{Shared, Us};
use crate::tcp::AoKey;
use crate::update::MeshBook;

/// What the supervisor is to have, checked: the desired state without its originations.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) us: Us,
    pub(crate) listen: Vec<SocketAddr>,
    /// How long a migration waits for a new peer when another one is there.
    pub(crate) patience: Duration,
    pub(crate) peers: BTreeMap<PeerAddress, Arc<PeerConfig>>,
    pub(crate) ranges: BTreeMap<IpNet, RangeConfig>,
    pub(crate) mesh: BTreeMap<PeerAddress, Arc<PeerConfig>>,
}

impl Wanted {
    /// With what the handles have to know of the mesh from then on.
    ///
    /// # Errors
    /// Something in it is out of range or there twice.
    pub(crate) fn of(desired: &Desired, shared: &Shared) -> Result<(Self, MeshBook), SpeakerError> {
        let us = shared.us_as(desired)?;
        let (peers, ranges, mesh) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let listen = shared.listen_as(desired).to_vec();
        let patience = shared.patience_as(desired);
        let mut wanted = Self { us, listen, patience, peers, ranges, mesh };
        for peer in &desired.peers {
            peer.check(wanted.us.asn, &wanted.us.addresses)?;
            if wanted.peers.insert(peer.at(), Arc::new(peer.clone())).is_some() {
                return Err(SpeakerError::DuplicatePeer(peer.at()));
            }
        }
        for range in &desired.ranges {
            range.check(wanted.us.asn)?;
            let range = range.clone().canonical();
            if wanted.ranges.insert(range.prefix, range.clone()).is_some() {
                return Err(SpeakerError::DuplicateRange(range.prefix));
            }
        }
        // Without the nodes, peerings would be nobody's, and nothing would say so.
        if desired.mesh.is_empty() && !desired.peerings.is_empty() {
            return Err(SpeakerError::NotInMesh);
        }
        let (book, mesh) = shared.mesh_of(&desired.mesh, MeshBook::of(desired), &wanted.us)?;
        wanted.us = shared.us_with(&wanted.us, &book);
        wanted.mesh = mesh;
        Ok((wanted, book))
    }
}

/// Refuses routes that cannot be announced, and more than the tables take at once.
pub(crate) fn check_routes(desired: &Desired) -> Result<(), SpeakerError> {
    let routes = || desired.routes.values().flatten();
    if routes().count() > MAX_ORIGINATED_PER_CALL {
        return Err(SpeakerError::TooManyRoutes(routes().count()));
    }
    desired.routes.keys().copied().try_for_each(check_owner)?;
    routes().try_for_each(Route::check)
}

/// What a change of one peer's configuration takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) class: ChangeClass,
    /// What the peer's task is to do; `None`: the peer that is meant is another one, which takes this one's place.
    pub(crate) depth: Option<Depth>,
    /// It begins or ends with a password, or with TCP-AO.
    pub(crate) resigns: bool,
    /// What differs in effect, in words.
    pub(crate) why: Option<String>,
}

/// What leads from one configuration to another of the same address, with the session that is up.
pub(crate) fn step(
    shared: &Shared,
    former: &Us,
    old: &PeerConfig,
    new: &PeerConfig,
    live: Option<Live>,
) -> Step {
    let us = &shared.us();
    if let Some(why) = is_another((former.asn, us.asn), old, new, live) {
        let why = Some(format!("changed: {why}"));
        return Step { class: ChangeClass::Hard, depth: None, resigns: false, why };
    }
    let signed = |config: &PeerConfig| (config.options.password.is_some(), config.options.tcp_ao.is_empty());
    let resigns = signed(old) != signed(new);
    let mut reasons = Reasons::default();
    if resigns {
        reasons.add(ChangeClass::Hard, "whether there is a password or TCP-AO");
    }
    reasons.compare(ChangeClass::None, "class", &old.class, &new.class);
    let told_only = reasons.words.len();
    compare_way(&mut reasons, (former, us), old, new, live);
    let session = |us, config| session::config(shared, us, config, false);
    compare_session(&mut reasons, &session(former, old), &session(us, new), live);
    compare_rules(&mut reasons, old, new, live);
    if differs_elsewhere(old, new) {
        reasons.add(ChangeClass::Hard, "an option of the connection");
    }
    // What would end a session ends one that comes up just now.
    let depth = match (reasons.class, live) {
        (ChangeClass::Hard, _) => Depth::Session,
        (_, None) if reasons.words.len() > told_only => Depth::Attempt,
        _ => Depth::Configuration,
    };
    // What needs a new session needs nothing where there is none.
    let class = if live.is_some() { reasons.class } else { ChangeClass::None };
    Step { class, depth: Some(depth), resigns, why: reasons.text() }
}

#[derive(Debug, Default)]
struct Reasons {
    class: ChangeClass,
    words: Vec<(ChangeClass, &'static str)>,
}

impl Reasons {
    fn add(&mut self, class: ChangeClass, what: &'static str) {
        self.class = self.class.max(class);
        self.words.push((class, what));
    }

    fn compare<T: PartialEq>(&mut self, class: ChangeClass, what: &'static str, old: &T, new: &T) {
        if old != new {
            self.add(class, what);
        }
    }

    /// What decided the class first; nothing where nothing differs in effect.
    fn text(mut self) -> Option<String> {
        if self.words.is_empty() {
            return None;
        }
        self.words.sort_by_key(|(class, _)| std::cmp::Reverse(*class));
        let words: Vec<&str> = self.words.into_iter().map(|(_, what)| what).collect();
        Some(format!("changed: {}", words.join(", ")))
    }
}

/// How the peer is reached.
fn compare_way(
    reasons: &mut Reasons,
    (former, us): (&Us, &Us),
    old: &PeerConfig,
    new: &PeerConfig,
    live: Option<Live>,
) {
    reasons.compare(ChangeClass::None, "port", &old.port, &new.port);
    let (was, is) = (former.source(old), us.source(new));
    if was != is {
        // A session whose connection begins where it is wanted to, or that may begin anywhere, is what is wanted. Where nobody
        // named a source, any address of ours is one.
        let ours = |live: Live| new.options.source.is_none() && us.addresses.contains(&live.local);
        let suits = is.is_none_or(|is| live.is_some_and(|live| live.local == is || ours(live)));
        let class = if suits { ChangeClass::None } else { ChangeClass::Hard };
        reasons.add(class, "source address");
    }
    let user_timeout = |config: &PeerConfig| config.options.timers.tcp_user_timeout;
    reasons.compare(ChangeClass::Soft, "TCP user timeout", &user_timeout(old), &user_timeout(new));
    // To begin or to end with one is told elsewhere.
    if let (Some(was), Some(is)) = (&old.options.password, &new.options.password) {
        reasons.compare(ChangeClass::Soft, "password", was, is);
    }
    if !old.options.tcp_ao.is_empty() && !new.options.tcp_ao.is_empty() {
        let ao = ao_change(&old.options.tcp_ao, &new.options.tcp_ao);
        reasons.compare(ao, "TCP-AO keys", &old.options.tcp_ao, &new.options.tcp_ao);
    }
    let ttl = |config: &PeerConfig| config.options.ttl_for(&config.peer_as, config.class, us.asn);
    reasons.compare(ChangeClass::Hard, "TTL", &ttl(old), &ttl(new));
}

/// A connection rolls over to keys of other ids; ids that are in use name no other key while it lasts (RFC 5925 §3.1).
fn ao_change(old: &[AoKey], new: &[AoKey]) -> ChangeClass {
    let share_one = |is: &AoKey, was: &AoKey| is.send_id == was.send_id || is.recv_id == was.recv_id;
    let reused = |is: &AoKey| old.iter().any(|was| share_one(is, was) && is != was);
    if new.iter().any(reused) { ChangeClass::Hard } else { ChangeClass::Soft }
}

/// What the session is run with.
fn compare_session(reasons: &mut Reasons, old: &SessionConfig, new: &SessionConfig, live: Option<Live>) {
    reasons.compare(ChangeClass::None, "passive", &old.passive, &new.passive);
    reasons.compare(ChangeClass::None, "connect-retry time", &old.connect_retry, &new.connect_retry);
    reasons.compare(ChangeClass::None, "idle-hold time", &old.idle_hold, &new.idle_hold);
    reasons.compare(ChangeClass::None, "delay-open time", &old.delay_open, &new.delay_open);
    reasons.compare(ChangeClass::None, "collision wait", &old.collision_wait, &new.collision_wait);
    reasons.compare(ChangeClass::None, "open-hold time", &old.open_hold_time, &new.open_hold_time);
    reasons.compare(ChangeClass::None, "send-hold time", &old.send_hold, &new.send_hold);
    reasons.compare(ChangeClass::None, "strict BFD", &old.bfd_strict, &new.bfd_strict);
    let (was, is) = (old.collision_detect_established, new.collision_detect_established);
    reasons.compare(ChangeClass::None, "collision detection when established", &was, &is);
    reasons.compare(ChangeClass::Soft, "keepalive interval", &old.keepalive, &new.keepalive);
    reasons.compare(ChangeClass::Hard, "families", &old.families, &new.families);
    if old.hold_time != new.hold_time {
        // The smaller of both proposals counts. If it was the peer's and ours stays above it, nothing would change.
        let stays = live.is_some_and(|live| {
            let peers = live.hold_time < old.hold_time || old.hold_time.is_zero();
            peers && !live.hold_time.is_zero() && new.hold_time >= live.hold_time
        });
        let class = if stays { ChangeClass::None } else { ChangeClass::Hard };
        reasons.add(class, "hold time");
    }
    // Its families follow from those of the session.
    let restart = |config: &SessionConfig| config.graceful_restart.as_ref().map(|restart| restart.time);
    reasons.compare(ChangeClass::Hard, "graceful restart", &restart(old), &restart(new));
    reasons.compare(ChangeClass::Hard, "message size", &old.extended_message, &new.extended_message);
    // Its families follow from those of the session as well.
    let stale_time = |config: &SessionConfig| {
        config.long_lived.as_ref().map(|rows| rows.first().map_or(0, |row| row.stale_time))
    };
    let what = "long-lived graceful restart";
    reasons.compare(ChangeClass::Hard, what, &stale_time(old), &stale_time(new));
    // Its families follow from those of the session as well.
    let next_hop = |config: &SessionConfig| !config.extended_next_hop.is_empty();
    reasons.compare(ChangeClass::Hard, "extended next hop", &next_hop(old), &next_hop(new));
    reasons.compare(ChangeClass::Hard, "required capabilities", &old.required, &new.required);
    reasons.compare(ChangeClass::Hard, "administrative domain", &old.same_domain, &new.same_domain);
    reasons.compare(ChangeClass::Hard, "our BGP identifier", &old.router_id, &new.router_id);
    let role = |config: &SessionConfig| (config.role, config.role_strict);
    reasons.compare(ChangeClass::Hard, "role", &role(old), &role(new));
    let mut rest = old.clone();
    rest.peer_as = new.peer_as.clone();
    rest.passive = new.passive;
    rest.same_domain = new.same_domain;
    rest.paths_limit.clone_from(&new.paths_limit);
    rest.delay_open = new.delay_open;
    rest.collision_wait = new.collision_wait;
    rest.open_hold_time = new.open_hold_time;
    rest.send_hold = new.send_hold;
    rest.bfd_strict = new.bfd_strict;
    rest.collision_detect_established = new.collision_detect_established;
    rest.long_lived.clone_from(&new.long_lived);
    rest.extended_next_hop.clone_from(&new.extended_next_hop);
    rest.required = new.required.clone();
    rest.role = new.role;
    rest.role_strict = new.role_strict;
    rest.connect_retry = new.connect_retry;
    rest.idle_hold = new.idle_hold;
    rest.keepalive = new.keepalive;
    rest.families = new.families;
    rest.add_path.clone_from(&new.add_path);
    rest.hold_time = new.hold_time;
    rest.graceful_restart = new.graceful_restart.clone();
    rest.extended_message = new.extended_message;
    rest.local_as = new.local_as;
    rest.router_id = new.router_id;
    reasons.compare(ChangeClass::Hard, "what the OPEN says", &rest, new);
}

/// What the tables know of a session; it changes while the session goes on.
fn compare_rules(reasons: &mut Reasons, old: &PeerConfig, new: &PeerConfig, live: Option<Live>) {
    let soft = ChangeClass::Soft;
    let kind = live.map_or(PeerKind::Internal, |live| live.kind);
    let (was, is) = (&old.options, &new.options);
    if kind == PeerKind::Internal {
        let role = "reflector-client role";
        reasons.compare(soft, role, &was.route_reflector_client, &is.route_reflector_client);
    }
    // An internal session without a policy takes and tells as one that accepts everything.
    let policy = |policy: &Option<Policy>| match live {
        Some(_) => Some(policy.clone().unwrap_or_else(|| Policy::default_for(kind))),
        None => policy.clone(),
    };
    reasons.compare(soft, "import policy", &policy(&was.import), &policy(&is.import));
    reasons.compare(soft, "export policy", &policy(&was.export), &policy(&is.export));
    reasons.compare(soft, "next-hop mode", &was.next_hop, &is.next_hop);
    reasons.compare(soft, "IPv4 next hop", &was.next_hop_v4, &is.next_hop_v4);
    reasons.compare(soft, "IPv6 next hop", &was.next_hop_v6, &is.next_hop_v6);
    let both = was.offered_families().intersection(is.offered_families());
    let paths = |options: &SessionOptions| -> Vec<_> {
        let of = |family| {
            let paths = &options.add_path;
            (paths.mode(family), paths.limit(family), paths.sends(family))
        };
        both.iter().map(of).collect()
    };
    reasons.compare(ChangeClass::Hard, "several paths", &paths(was), &paths(is));
    reasons.compare(soft, "own AS in the path", &was.allow_own_as, &is.allow_own_as);
    reasons.compare(soft, "rules for routes", &was.rules, &is.rules);
    reasons.compare(soft, "limits", &was.limits, &is.limits);
    reasons.compare(ChangeClass::None, "pause after a limit", &was.limit_restart, &is.limit_restart);
}

/// Why the peer that is meant cannot be the one that is there.
fn is_another(
    (former_as, our_as): (Asn, Asn),
    old: &PeerConfig,
    new: &PeerConfig,
    live: Option<Live>,
) -> Option<&'static str> {
    let local_as = new.options.local_as.unwrap_or(our_as);
    if old.options.local_as.unwrap_or(former_as) != local_as {
        return Some("our AS");
    }
    let welcome = |live: Live| new.peer_as.admits(local_as, live.asn);
    (old.peer_as != new.peer_as && !live.is_some_and(welcome)).then_some("AS of the peer")
}

/// Whether they differ in an option that none of the comparisons knows.
fn differs_elsewhere(old: &PeerConfig, new: &PeerConfig) -> bool {
    let mut rest = old.clone();
    rest.port = new.port;
    rest.peer_as = new.peer_as.clone();
    rest.class = new.class;
    let (to, from) = (&mut rest.options, &new.options);
    to.local_as = from.local_as;
    to.source = from.source;
    to.passive = from.passive;
    to.route_reflector_client = from.route_reflector_client;
    to.families = from.families;
    to.timers = from.timers;
    to.import.clone_from(&from.import);
    to.export.clone_from(&from.export);
    to.next_hop = from.next_hop;
    to.next_hop_v4 = from.next_hop_v4;
    to.next_hop_v6 = from.next_hop_v6;
    to.ttl = from.ttl;
    to.password.clone_from(&from.password);
    to.tcp_ao.clone_from(&from.tcp_ao);
    to.allow_own_as = from.allow_own_as;
    to.rules = from.rules;
    to.add_path.clone_from(&from.add_path);
    to.limits.clone_from(&from.limits);
    to.limit_restart = from.limit_restart;
    to.same_domain = from.same_domain;
    to.graceful_restart = from.graceful_restart;
    to.extended_message = from.extended_message;
    to.long_lived = from.long_lived;
    to.extended_next_hop = from.extended_next_hop;
    to.required = from.required.clone();
    to.role = from.role;
    to.role_strict = from.role_strict;
    to.bfd_strict = from.bfd_strict;
    to.collision_detect_established = from.collision_detect_established;
    rest != *new
}

#[cfg(test)]
mod tests {
    use super::{AoKey, ChangeClass, ao_change};
    use crate::tcp::Password;

    fn key(id: u8, secret: &str) -> AoKey {
        AoKey::new(id, secret.parse::<Password>().unwrap())
    }

    #[test]
    fn another_secret_under_ids_in_use_takes_a_new_session_and_other_ids_do_not() {
        let (old, new) = (key(1, "first"), key(2, "second"));
        let both = [new.clone(), old.clone()];
        assert_eq!(ao_change(std::slice::from_ref(&old), &both), ChangeClass::Soft);
        assert_eq!(ao_change(&both, std::slice::from_ref(&new)), ChangeClass::Soft);
        assert_eq!(ao_change(&[old], &[key(1, "other")]), ChangeClass::Hard);
        let one_way = AoKey { recv_id: 3, ..key(1, "other") };
        assert_eq!(ao_change(&[new], &[one_way]), ChangeClass::Soft);
    }
}
