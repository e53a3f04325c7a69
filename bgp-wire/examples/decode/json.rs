//! For programs: one object per message.
use std::fmt::Write as _;

use bgp_wire::{Codec, Message, NlriBlock, Notification, Open, RawAttribute, UpdateView};
use bytes::Bytes;

use crate::show::{hex, outcome, value};

/// A string with what JSON wants escaped.
fn text(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", fields.join(","))
}

fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

pub(crate) fn message(codec: &Codec, frame: &Bytes) -> String {
    let ok = || ("outcome", text("ok"));
    match codec.decode(frame) {
        Ok(Message::KeepAlive) => object(&[("type", text("keepalive")), ok()]),
        Ok(Message::Open(o)) => object(&[&[("type", text("open")), ok()], &open(&o)[..]].concat()),
        Ok(Message::Notification(n)) => {
            object(&[("type", text("notification")), ok(), ("notification", notification(&n))])
        }
        Ok(Message::RouteRefresh(r)) => object(&[
            ("type", text("route-refresh")),
            ok(),
            ("family", text(&r.family.to_string())),
            ("kind", r.kind.0.to_string()),
        ]),
        Ok(Message::Update(u)) => update(codec, &u.view()),
        Err(n) => object(&[
            ("type", text(kind(frame))),
            ("outcome", text("session-reset")),
            ("notification", notification(&n)),
        ]),
    }
}

/// The type as far as the header tells.
fn kind(frame: &[u8]) -> &'static str {
    match frame.get(18) {
        Some(1) => "open",
        Some(2) => "update",
        Some(3) => "notification",
        Some(4) => "keepalive",
        Some(5) => "route-refresh",
        _ => "unknown",
    }
}

fn open(o: &Open) -> Vec<(&'static str, String)> {
    vec![
        ("version", o.version.to_string()),
        ("asn", o.asn().to_string()),
        ("hold_time", o.hold_time.to_string()),
        ("router_id", text(&o.router_id.to_string())),
        (
            "capabilities",
            array(
                o.capabilities
                    .iter()
                    .map(|c| object(&[("code", c.code().0.to_string()), ("value", text(&format!("{c:?}")))])),
            ),
        ),
    ]
}

fn notification(n: &Notification) -> String {
    object(&[
        ("code", n.code.0.to_string()),
        ("subcode", n.subcode.to_string()),
        ("data", text(&hex(&n.data))),
        ("text", text(&n.to_string())),
    ])
}

fn update(codec: &Codec, view: &UpdateView<'_>) -> String {
    let faults = view.faults().map(|f| text(&f.to_string()));
    let reach = view.reach().map(|r| {
        object(&[
            ("family", text(&r.family.to_string())),
            ("next_hop", text(&r.next_hop.to_string())),
            ("nlri", routes(r.nlri)),
        ])
    });
    let unreach =
        view.unreach().map(|b| object(&[("family", text(&b.family().to_string())), ("nlri", routes(b))]));
    let mut fields = vec![
        ("type", text("update")),
        ("outcome", text(outcome(view.outcome()))),
        ("faults", array(faults)),
        ("attributes", array(view.attributes().map(|a| attribute(codec, &a)))),
        ("reach", array(reach)),
        ("unreach", array(unreach)),
    ];
    if let Some(family) = view.end_of_rib() {
        fields.push(("end_of_rib", text(&family.to_string())));
    }
    object(&fields)
}

fn attribute(codec: &Codec, a: &RawAttribute<'_>) -> String {
    object(&[
        ("code", a.code.0.to_string()),
        ("name", text(&a.code.to_string())),
        ("flags", a.flags.0.to_string()),
        ("value", text(&value(codec, a))),
    ])
}

fn routes(block: NlriBlock<'_>) -> String {
    array(block.iter().map(|(id, nlri)| {
        let prefix = ("prefix", text(&nlri.to_string()));
        if block.add_path() { object(&[prefix, ("path_id", id.to_string())]) } else { object(&[prefix]) }
    }))
}
