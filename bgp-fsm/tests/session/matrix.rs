//! The complete state × event table of RFC 4271 §8.2.2, as `matrix.txt` beside this file has it.

use core::fmt::Write as _;
use core::time::Duration;

use crate::support::{Bench, Done, HIGH_ID, IN, LOW_ID, OUT, config, peer_open, seconds};
use bgp_fsm::{Bfd, ConnId, Event, Input, Output, SessionConfig, Stop};
use bgp_wire::{Codec, Family, Message, Notification, Open, RouteRefresh, subcode};
use bytes::Bytes;

type Row = (&'static str, fn() -> Bench);
type Column = (&'static str, fn(&mut Bench) -> Done);

fn delayed() -> SessionConfig {
    SessionConfig { delay_open: Some(seconds(5)), ..config() }
}

/// The connection that the events of a row concern.
fn subject(bench: &mut Bench) -> ConnId {
    let has_out = bench.subject != Some(IN);
    if has_out { OUT } else { IN }
}

const ROWS: &[Row] = &[
    ("Idle, stopped", || Bench::new(config())),
    ("Idle, holding", || {
        let mut bench = Bench::open_sent(config());
        bench.message(OUT, &Message::Notification(Notification::cease_rejected()));
        bench
    }),
    ("Idle, holding off a peer that oscillates", || {
        let mut bench = Bench::open_sent(config());
        bench.message(OUT, &Message::Notification(Notification::cease_rejected()));
        bench.feed(Input::Accepted(IN));
        bench.message(IN, &Message::Notification(Notification::cease_rejected()));
        bench
    }),
    ("Idle, waiting for BFD", || {
        let mut bench = Bench::new(SessionConfig { bfd_strict: true, ..config() });
        bench.feed(Input::Start);
        bench
    }),
    ("Connect", || Bench::connecting(config())),
    ("Connect, DelayOpen", || {
        let mut bench = Bench::connecting(delayed());
        bench.feed(Input::Connected(OUT));
        bench
    }),
    ("Active", || Bench::active(config())),
    ("Active, passive", || {
        let mut bench = Bench::new(SessionConfig { passive: true, ..config() });
        bench.feed(Input::Start);
        bench
    }),
    ("Active, DelayOpen", || {
        let mut bench = Bench::active(delayed());
        bench.feed(Input::Accepted(IN));
        bench.on(IN)
    }),
    ("OpenSent", || Bench::open_sent(config())),
    ("OpenSent, accepted while dialling", || {
        let mut bench = Bench::connecting(config());
        bench.feed(Input::Accepted(IN));
        bench.on(IN)
    }),
    ("OpenSent, beside one of the peer", || {
        let mut bench = Bench::open_sent(config());
        bench.feed(Input::Accepted(IN));
        bench
    }),
    ("OpenConfirm", || Bench::open_confirm(config(), peer_open(LOW_ID))),
    ("OpenConfirm, beside one of the peer that decides", || {
        let mut bench = Bench::open_sent(config());
        bench.feed(Input::Accepted(IN));
        bench.open(OUT, peer_open(HIGH_ID));
        bench
    }),
    ("OpenConfirm, confirmed, beside one of the peer that decides", || {
        let mut bench = Bench::open_sent(config());
        bench.feed(Input::Accepted(IN));
        bench.open(OUT, peer_open(HIGH_ID));
        bench.keepalive(OUT);
        bench
    }),
    ("OpenConfirm on both, the peer decides", || {
        let mut bench = Bench::open_sent(config());
        bench.feed(Input::Accepted(IN));
        bench.open(OUT, peer_open(HIGH_ID));
        bench.open(IN, peer_open(HIGH_ID));
        bench.on(IN)
    }),
    ("OpenConfirm, beside a late one of the peer that decides", || {
        let mut bench = Bench::open_confirm(config(), peer_open(HIGH_ID));
        bench.feed(Input::Accepted(IN));
        bench.on(IN)
    }),
    ("OpenConfirm, beside an OPEN of the peer that decides, unanswered", || {
        let mut bench = Bench::open_confirm(config(), peer_open(HIGH_ID));
        bench.feed(Input::Accepted(IN));
        bench.open(IN, peer_open(HIGH_ID));
        bench.on(IN)
    }),
    ("Established", || Bench::established(config(), peer_open(LOW_ID))),
    ("Established, beside a new one of the peer", || {
        let mut bench = Bench::established(config(), peer_open(LOW_ID));
        bench.feed(Input::Accepted(IN));
        bench
    }),
    ("Established just now, beside an OPEN of a peer that decides, unanswered", || {
        let mut bench = Bench::established(config(), peer_open(HIGH_ID));
        bench.feed(Input::Accepted(IN));
        bench.open(IN, peer_open(HIGH_ID));
        bench.on(IN)
    }),
    ("Established, graceful restart, beside an OPEN soon after", || {
        let open = || crate::support::restarting_open(LOW_ID, true);
        let mut bench = Bench::established(config(), open());
        bench.feed(Input::Accepted(IN));
        bench.open(IN, open());
        bench.on(IN)
    }),
    ("Established, graceful restart", || {
        Bench::established(config(), crate::support::restarting_open(LOW_ID, true))
    }),
];

fn message(bench: &mut Bench, message: &Message) -> Done {
    let id = subject(bench);
    bench.message(id, message)
}

/// Fires what is due within `time` without anything that it starts.
fn late_tick(bench: &mut Bench, time: Duration) -> Done {
    bench.now += time;
    bench.feed(Input::Tick)
}

fn bfd_goes_down(bench: &mut Bench, control_plane_independent: bool) -> Done {
    let mut done = bench.feed(Input::Bfd(Bfd::Up));
    done.0.extend(bench.feed(Input::Bfd(Bfd::Down { control_plane_independent })).0);
    done
}

const COLUMNS: &[Column] = &[
    ("ManualStart", |b| b.feed(Input::Start)),
    ("ManualStop", |b| b.feed(Input::Stop(Stop::Notify(Notification::cease_shutdown("bye"))))),
    ("ManualStop, silent", |b| b.feed(Input::Stop(Stop::Silent))),
    ("AutomaticStop", |b| b.feed(Input::Reset(Notification::cease_config_change()))),
    ("ConnectRetry-, IdleHold-, DelayOpen- or CollisionTimer expires", |b| late_tick(b, seconds(5))),
    ("KeepaliveTimer expires", |b| late_tick(b, seconds(31))),
    ("HoldTimer expires", |b| late_tick(b, seconds(241))),
    ("Tcp_CR_Acked", |b| b.feed(Input::Connected(ConnId(3)))),
    ("TcpConnectionConfirmed", |b| b.feed(Input::Accepted(ConnId(4)))),
    ("TcpConnectionFails, attempt", |b| b.feed(Input::ConnectFailed("Connection refused"))),
    ("TcpConnectionFails", |b| {
        let id = subject(b);
        b.feed(Input::Closed(id, "Connection reset by peer"))
    }),
    ("BGPHeaderErr", |b| {
        let id = subject(b);
        b.feed(Input::DecodeError(id, Notification::not_synchronized()))
    }),
    ("BGPOpen, lower identifier", |b| message(b, &Message::Open(peer_open(LOW_ID)))),
    ("BGPOpen, higher identifier", |b| message(b, &Message::Open(peer_open(HIGH_ID)))),
    ("BGPOpenMsgErr", |b| message(b, &Message::Open(Open { hold_time: 1, ..peer_open(LOW_ID) }))),
    ("BGPOpenMsgErr, undecodable", |b| {
        let id = subject(b);
        b.feed(Input::DecodeError(id, Notification::open_error(subcode::open::UNSPECIFIC, &[])))
    }),
    ("NotifMsg", |b| message(b, &Message::Notification(Notification::cease_reset("")))),
    ("KeepAliveMsg", |b| message(b, &Message::KeepAlive)),
    ("UpdateMsg", |b| {
        let id = subject(b);
        b.feed(Input::Update(id))
    }),
    ("UpdateMsgErr", |b| {
        let id = subject(b);
        b.feed(Input::DecodeError(id, Notification::update_error(subcode::update::MALFORMED_LIST, &[])))
    }),
    ("RouteRefreshMsg", |b| message(b, &Message::RouteRefresh(RouteRefresh::request(Family::IPV4_UNICAST)))),
    ("unread input", |b| {
        let id = subject(b);
        b.feed(Input::InputPending(id))
    }),
    ("BFD goes down", |b| bfd_goes_down(b, false)),
    ("BFD goes down, forwarding lost", |b| bfd_goes_down(b, true)),
    ("SendHoldTimer expires", |b| {
        let id = subject(b);
        b.feed(Input::WriteBlocked(id));
        // Only what the blocked writer leads to: nothing of the peer is missed meanwhile.
        b.keep_hearing(id, seconds(480))
    }),
];

fn act(output: &Output) -> Option<String> {
    Some(match output {
        Output::Connect => "dial".into(),
        Output::AbortConnect => "abort the dial".into(),
        Output::Send(id, bytes) => format!("{} on {}", sent(bytes), name(*id)),
        Output::Close(id) => format!("close {}", name(*id)),
        Output::Event(Event::StateChanged { .. }) => return None,
        Output::Event(Event::Established(id, _)) => format!("up on {}", name(*id)),
        Output::Event(Event::Refresh(_)) => "tell of the refresh".into(),
        Output::Event(Event::Down(reason)) => {
            if reason.retain {
                "down, routes kept".into()
            } else {
                "down".into()
            }
        }
        Output::Event(Event::AttemptFailed(_)) => "failed".into(),
        Output::Event(Event::ForwardingLost) => "forwarding lost".into(),
        other => panic!("not in the table: {other:?}"),
    })
}

fn name(id: ConnId) -> &'static str {
    match id {
        OUT => "out",
        IN => "in",
        _ => "new",
    }
}

fn sent(bytes: &Bytes) -> String {
    match Codec::before_open().decode(bytes).expect("a session sends lawful messages") {
        Message::Open(_) => "OPEN".into(),
        Message::KeepAlive => "KEEPALIVE".into(),
        Message::Notification(n) => format!("NOTIFICATION {}/{}", n.code.0, n.subcode),
        other => panic!("a session never sends {other:?}"),
    }
}

fn table() -> String {
    let mut out = String::new();
    for (row, build) in ROWS {
        writeln!(out, "{row}").expect("a string takes all");
        for (column, event) in COLUMNS {
            let mut bench = build();
            let before = bench.state();
            let done = event(&mut bench);
            let acts: Vec<String> = done.0.iter().filter_map(act).collect();
            let after = bench.state();
            let to = if before == after { "-".to_string() } else { after.to_string() };
            let acts = if acts.is_empty() { String::new() } else { format!("  {}", acts.join(", ")) };
            writeln!(out, "  {column:<62} {to:<11}{acts}").expect("a string takes all");
        }
        out.push('\n');
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_string() + "\n"
}

#[test]
fn the_machine_is_as_the_table_says() {
    let written = include_str!("matrix.txt");
    let found = table();
    let differs = written.lines().zip(found.lines()).find(|(written, found)| written != found);
    assert!(
        written == found,
        "first difference (written, found): {differs:#?}\n\nthe machine says:\n{found}"
    );
}
