//! What is known of a peer from outside: its task and the table's task write it, `status` reads it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bgp_fsm::{Bfd, State};
use bgp_rib::{LimitEvent, LimitLevel, PeerId, Policy};
use bgp_wire::{Asn, Family, FamilySet, MessageType, Notification, PeerKind, RouterId};

use crate::config::PeerConfig;
use crate::peer_address::PeerAddress;
use crate::shared::lock;
use crate::status::{
    Backlog, LimitStatus, MessageCounters, NegotiatedStatus, NotificationStatus, PeerStatus, PrefixCounters,
};

#[derive(Debug)]
pub(crate) struct PeerCell {
    pub(crate) id: PeerId,
    pub(crate) address: PeerAddress,
    config: Mutex<Arc<PeerConfig>>,
    /// It came through a listen range, and goes when it ends.
    dynamic: AtomicBool,
    /// It has told its whole table once since this speaker started.
    recovered: AtomicBool,
    pub(crate) local_as: Asn,
    pub(crate) received: MessageCells,
    pub(crate) sent: MessageCells,
    session: Mutex<SessionCell>,
    prefixes: Mutex<PrefixCounters>,
    /// What BFD said last.
    bfd: Mutex<Option<Bfd>>,
    drain: Mutex<Drain>,
    /// Octets that the socket does not take, and since when.
    unsent: Mutex<Option<(u64, Duration)>>,
    /// Changes of the tables that it is behind.
    behind: AtomicU64,
    /// Limits that are nearly reached or passed.
    limits: Mutex<Vec<LimitEvent>>,
    /// All limits as they were counted last, while the session is up.
    counted_limits: Mutex<Vec<LimitEvent>>,
}

/// Counters that one task adds to and others read.
#[derive(Debug, Default)]
pub(crate) struct MessageCells {
    by_type: [AtomicU64; 5],
    octets: AtomicU64,
}

/// How far a peer is on its way out of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Drain {
    #[default]
    No,
    /// What it is told says that it is about to go.
    Leaving,
    /// It is held down.
    Done,
}

#[derive(Debug)]
struct SessionCell {
    state: State,
    since: SystemTime,
    established: u64,
    last_error: Option<String>,
    last_notification: Option<NotificationStatus>,
    /// Until when its routes are kept for its return.
    kept_until: Option<Duration>,
    /// What stands between this peer and the best of sessions, besides the session itself.
    note: Option<String>,
    /// It is to go and has not gone yet, in words.
    stays: Option<&'static str>,
    /// It is held down after a limit, in words.
    held: Option<String>,
    negotiated: Option<UpCell>,
    /// An attempt to reach it failed, or its session ended, when the network was seen to work.
    absent: bool,
    /// Families whose End-of-RIB has come.
    told: FamilySet,
}

/// What is known of a session that is up.
#[derive(Debug)]
pub(crate) struct UpCell {
    pub(crate) asn: Asn,
    pub(crate) router_id: RouterId,
    pub(crate) kind: PeerKind,
    /// It will say End-of-RIB, and does not wait for ours: it has no graceful restart of its own going on.
    pub(crate) awaited: bool,
    /// It will say End-of-RIB some time.
    pub(crate) says_end: bool,
    pub(crate) status: NegotiatedStatus,
}

/// What a change of configuration is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) asn: Asn,
    pub(crate) kind: PeerKind,
    /// Our address on the connection.
    pub(crate) local: IpAddr,
    pub(crate) hold_time: Duration,
}

impl PeerCell {
    pub(crate) fn new(id: PeerId, config: Arc<PeerConfig>, local_as: Asn, dynamic: bool) -> Self {
        Self {
            id,
            address: config.at(),
            config: Mutex::new(config),
            dynamic: AtomicBool::new(dynamic),
            recovered: AtomicBool::new(false),
            local_as,
            received: MessageCells::default(),
            sent: MessageCells::default(),
            session: Mutex::new(SessionCell {
                state: State::Idle,
                since: SystemTime::now(),
                established: 0,
                last_error: None,
                last_notification: None,
                kept_until: None,
                note: None,
                stays: None,
                held: None,
                negotiated: None,
                absent: false,
                told: FamilySet::empty(),
            }),
            prefixes: Mutex::default(),
            bfd: Mutex::default(),
            drain: Mutex::default(),
            unsent: Mutex::default(),
            behind: AtomicU64::new(0),
            limits: Mutex::default(),
            counted_limits: Mutex::default(),
        }
    }

    /// What the peer is configured with now.
    pub(crate) fn config(&self) -> Arc<PeerConfig> {
        lock(&self.config).clone()
    }

    pub(crate) fn set_config(&self, config: Arc<PeerConfig>, dynamic: bool) {
        *lock(&self.config) = config;
        self.dynamic.store(dynamic, Ordering::Relaxed);
    }

    pub(crate) fn is_dynamic(&self) -> bool {
        self.dynamic.load(Ordering::Relaxed)
    }

    /// What the session that is up is, as far as a change of configuration may concern it.
    pub(crate) fn live(&self) -> Option<Live> {
        let session = lock(&self.session);
        let up = session.negotiated.as_ref()?;
        Some(Live { asn: up.asn, kind: up.kind, local: up.status.local.ip(), hold_time: up.status.hold_time })
    }

    pub(crate) fn state_changed(&self, to: State) {
        let mut session = lock(&self.session);
        session.state = to;
        session.since = SystemTime::now();
    }

    pub(crate) fn up(&self, up: UpCell) {
        let mut session = lock(&self.session);
        session.established += 1;
        session.last_error = None;
        session.negotiated = Some(up);
        session.absent = false;
        session.told = FamilySet::empty();
    }

    /// What an earlier session told does not count for this one.
    pub(crate) fn forget_told(&self) {
        lock(&self.session).told = FamilySet::empty();
    }

    /// The peer's End-of-RIB has come.
    pub(crate) fn told(&self, family: Family) {
        lock(&self.session).told.insert(family);
        if self.has_told_all() {
            self.recovered.store(true, Ordering::Relaxed);
        }
    }

    /// The peer has told its whole table once since this speaker started: for it, no restart goes on.
    pub(crate) fn has_recovered(&self) -> bool {
        self.recovered.load(Ordering::Relaxed)
    }

    /// Whether a speaker that restarted waits for this peer's table: it may be on its way, and is not waiting for ours
    /// (RFC 4724 §4.1). One that is found to be down has none to tell, and so has one that nothing is heard of for as long
    /// after the first session came up as two attempts take: whether it is for us or for it to dial.
    pub(crate) fn is_awaited(&self, since_first: Duration) -> bool {
        self.is_missing(since_first, |up| up.awaited)
    }

    /// Whether more of its first table may come: from one that restarts itself as well, which nobody need wait for to speak.
    pub(crate) fn may_tell_more(&self, since_first: Duration) -> bool {
        self.is_missing(since_first, |up| up.says_end)
    }

    fn is_missing(&self, since_first: Duration, if_up: impl FnOnce(&UpCell) -> bool) -> bool {
        let patience = self.config().options.timers.patience();
        let session = lock(&self.session);
        let expected = || !session.absent && since_first < patience;
        !self.has_recovered() && session.negotiated.as_ref().map_or_else(expected, if_up)
    }

    /// The network works from here on: attempts to reach the peer that failed before say nothing about it.
    pub(crate) fn expect(&self) {
        lock(&self.session).absent = false;
    }

    /// What the session that is up has agreed on.
    pub(crate) fn agreed(&self) -> Option<NegotiatedStatus> {
        lock(&self.session).negotiated.as_ref().map(|up| up.status.clone())
    }

    pub(crate) fn has_told_all(&self) -> bool {
        let session = lock(&self.session);
        let up = session.negotiated.as_ref();
        up.is_some_and(|u| u.status.families.iter().all(|family| session.told.contains(family)))
    }

    /// The interval between keepalives has become this.
    pub(crate) fn set_keepalive(&self, chosen: Option<Duration>) {
        if let Some(up) = &mut lock(&self.session).negotiated {
            let third = up.status.hold_time / 3;
            up.status.keepalive = chosen.map_or(third, |chosen| chosen.min(third));
        }
    }

    /// Notes why a session ended or did not come up; whether that is news.
    pub(crate) fn down(&self, reason: &str) -> bool {
        let mut session = lock(&self.session);
        let was_up = session.negotiated.take().is_some();
        session.absent = true;
        let news = was_up || session.last_error.as_deref() != Some(reason);
        if news {
            session.last_error = Some(reason.to_owned());
        }
        news
    }

    /// Notes a NOTIFICATION that went one way or the other.
    pub(crate) fn notification(&self, sent: bool, notification: &Notification) {
        lock(&self.session).last_notification = Some(NotificationStatus {
            sent,
            at: SystemTime::now(),
            code: notification.code.0,
            subcode: notification.subcode,
            text: notification.to_string(),
        });
    }

    /// Until when its routes are kept for its return, if they are.
    pub(crate) fn keep_until(&self, until: Option<Duration>) {
        lock(&self.session).kept_until = until;
    }

    /// The socket does not take these octets, or takes what there is; the oldest wait since then, or longer.
    pub(crate) fn set_unsent(&self, unsent: Option<(u64, Duration)>) {
        let mut cell = lock(&self.unsent);
        *cell = match (unsent, *cell) {
            (Some((octets, _)), Some((_, since))) => Some((octets, since)),
            (unsent, _) => unsent,
        };
    }

    pub(crate) fn set_behind(&self, changes: u64) {
        self.behind.store(changes, Ordering::Relaxed);
    }

    fn backlog(&self, now: Duration) -> Backlog {
        let unsent = *lock(&self.unsent);
        Backlog {
            octets: unsent.map_or(0, |(octets, _)| octets),
            oldest: unsent.map(|(_, since)| now.saturating_sub(since)),
            changes: self.behind.load(Ordering::Relaxed),
        }
    }

    /// Says something besides the state and the last error, or no longer; whether that is news.
    pub(crate) fn note(&self, note: Option<String>) -> bool {
        let mut session = lock(&self.session);
        let news = session.note != note;
        session.note = note;
        news
    }

    /// Says why a peer that is to go has not gone yet.
    pub(crate) fn stays(&self, words: Option<&'static str>) {
        lock(&self.session).stays = words;
    }

    pub(crate) fn drain(&self) -> Drain {
        *lock(&self.drain)
    }

    pub(crate) fn set_drain(&self, drain: Drain) {
        *lock(&self.drain) = drain;
    }

    pub(crate) fn bfd(&self) -> Option<Bfd> {
        *lock(&self.bfd)
    }

    pub(crate) fn set_bfd(&self, state: Bfd) {
        *lock(&self.bfd) = Some(state);
    }

    /// Says that the peer is held down after a limit, or no longer.
    pub(crate) fn hold(&self, words: Option<String>) {
        lock(&self.session).held = words;
    }

    /// Whether it is held down after a limit.
    pub(crate) fn is_held(&self) -> bool {
        lock(&self.session).held.is_some()
    }

    /// A limit came to another level; whether it was passed and has room again.
    pub(crate) fn limit(&self, event: LimitEvent) -> bool {
        let mut limits = lock(&self.limits);
        let same = |other: &LimitEvent| (other.what, other.family) == (event.what, event.family);
        let was = limits.iter().find(|other| same(other)).map_or(LimitLevel::Below, |other| other.level);
        limits.retain(|other| !same(other));
        if event.level > LimitLevel::Below {
            limits.push(event);
        }
        was == LimitLevel::Exceeded && event.level < was
    }

    /// How far all limits are.
    pub(crate) fn set_limits(&self, limits: Vec<LimitEvent>) {
        *lock(&self.counted_limits) = limits;
    }

    fn all_limits(&self) -> Vec<LimitStatus> {
        let counted = lock(&self.counted_limits);
        let limits = if counted.is_empty() { lock(&self.limits).clone() } else { counted.clone() };
        limits.into_iter().map(LimitStatus::of).collect()
    }

    /// A session begins: nothing is counted yet.
    pub(crate) fn forget_limits(&self) {
        lock(&self.limits).clear();
    }

    pub(crate) fn set_prefixes(&self, counters: PrefixCounters) {
        *lock(&self.prefixes) = counters;
    }

    pub(crate) fn status(&self, now: Duration) -> PeerStatus {
        let session = lock(&self.session);
        let kept = session.kept_until.and_then(|until| until.checked_sub(now));
        let up = session.negotiated.as_ref();
        let config = self.config();
        PeerStatus {
            address: self.address.ip(),
            interface: self.address.interface().map(str::to_owned),
            port: config.port,
            class: config.class,
            reflector_client: config.options.route_reflector_client,
            passive: config.options.passive,
            local_as: self.local_as,
            configured_as: config.peer_as.clone(),
            asn: up.map(|u| u.asn),
            router_id: up.map(|u| u.router_id),
            state: session.state,
            since: session.since,
            // A clock that was set back makes no age.
            in_state: session.since.elapsed().unwrap_or(Duration::ZERO),
            info: self.info(&session),
            last_error: session.last_error.clone(),
            held: session.held.clone(),
            last_notification: session.last_notification.clone(),
            backlog: self.backlog(now),
            kept_until: kept.and_then(|time| SystemTime::now().checked_add(time)),
            established: session.established,
            negotiated: up.map(|u| u.status.clone()),
            received: self.received.snapshot(),
            sent: self.sent.snapshot(),
            prefixes: *lock(&self.prefixes),
            bfd: self.bfd(),
            limits: self.all_limits(),
        }
    }

    fn info(&self, session: &SessionCell) -> String {
        let mut info = session.state.to_string();
        if session.state == State::Idle && self.waits_for_bfd() {
            info.push_str("; waits for BFD, which this peer's configuration makes a condition");
        }
        for words in [&session.note, &session.held, &session.last_error].into_iter().flatten() {
            info.push_str("; ");
            info.push_str(words);
        }
        if let Some(words) = session.stays {
            info.push_str("; ");
            info.push_str(words);
        }
        if self.drain() == Drain::Leaving {
            info.push_str("; draining: what it is told is about to go");
        }
        let external = session.negotiated.as_ref().is_some_and(|u| u.kind == PeerKind::External);
        if external && let Some(held) = self.held_back() {
            info.push_str("; ");
            info.push_str(held);
        }
        info
    }

    fn waits_for_bfd(&self) -> bool {
        self.config().options.bfd_strict && !matches!(self.bfd(), Some(Bfd::Up | Bfd::AdminDown))
    }

    /// Which direction has no policy, so that RFC 8212 lets nothing pass.
    fn held_back(&self) -> Option<&'static str> {
        let unset = |policy: &Option<Policy>| policy.is_none();
        let config = self.config();
        match (unset(&config.options.import), unset(&config.options.export)) {
            (true, true) => {
                Some("no routes either way: an eBGP peer needs an import and an export policy (RFC 8212)")
            }
            (true, false) => Some("no routes taken: an eBGP peer needs an import policy (RFC 8212)"),
            (false, true) => Some("no routes told: an eBGP peer needs an export policy (RFC 8212)"),
            (false, false) => None,
        }
    }
}

impl MessageCells {
    /// Counts messages of one type.
    pub(crate) fn count(&self, kind: MessageType, messages: u64, octets: u64) {
        let slot = usize::from(kind.0).checked_sub(1).and_then(|i| self.by_type.get(i));
        if let Some(cell) = slot {
            cell.fetch_add(messages, Ordering::Relaxed);
        }
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    fn snapshot(&self) -> MessageCounters {
        let [open, update, notification, keepalive, refresh] =
            [0, 1, 2, 3, 4].map(|i: usize| self.by_type[i].load(Ordering::Relaxed));
        MessageCounters {
            open,
            update,
            notification,
            keepalive,
            refresh,
            octets: self.octets.load(Ordering::Relaxed),
        }
    }
}
