//! For people.
use std::fmt::Write as _;

use bgp_wire::{Codec, Message, NlriBlock, Notification, RawAttribute, Reaction, UpdateView};
use bytes::Bytes;

pub(crate) fn message(codec: &Codec, frame: &Bytes) -> String {
    match codec.decode(frame) {
        Ok(Message::KeepAlive) => "KEEPALIVE".to_owned(),
        Ok(Message::Open(o)) => {
            format!("OPEN AS {} hold {} id {} {:?}", o.asn(), o.hold_time, o.router_id, o.capabilities)
        }
        Ok(Message::Notification(n)) => format!("NOTIFICATION {n}"),
        Ok(Message::RouteRefresh(r)) => format!("ROUTE-REFRESH {} kind {}", r.family, r.kind.0),
        Ok(Message::Update(u)) => update(codec, &u.view()),
        Err(n) => format!("session-reset: {}", notification(&n)),
    }
}

/// The name of an outcome.
pub(crate) const fn outcome(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Accept => "ok",
        other => other.name(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

fn notification(n: &Notification) -> String {
    format!("{n} ({}/{} {})", n.code.0, n.subcode, hex(&n.data))
}

fn update(codec: &Codec, view: &UpdateView<'_>) -> String {
    let mut text = format!("UPDATE {}", outcome(view.outcome()));
    for fault in view.faults() {
        let _ = write!(text, "\n  fault     {fault}");
    }
    if let Some(family) = view.end_of_rib() {
        let _ = write!(text, "\n  end of RIB {family}");
    }
    for attribute in view.attributes() {
        let _ = write!(text, "\n  attribute {} {}", attribute.code, value(codec, &attribute));
    }
    for reach in view.reach() {
        let _ = write!(text, "\n  announce  {} via {}: {}", reach.family, reach.next_hop, routes(reach.nlri));
    }
    for block in view.unreach() {
        let _ = write!(text, "\n  withdraw  {}: {}", block.family(), routes(block));
    }
    text
}

fn routes(block: NlriBlock<'_>) -> String {
    let route = |(id, nlri)| if block.add_path() { format!("{nlri} ({id})") } else { format!("{nlri}") };
    block.iter().map(route).collect::<Vec<_>>().join(" ")
}

/// A value in words, or in hex where it is not interpreted.
pub(crate) fn value(codec: &Codec, attribute: &RawAttribute<'_>) -> String {
    match attribute.describe(codec) {
        Some(words) => words,
        None => hex(attribute.value),
    }
}
