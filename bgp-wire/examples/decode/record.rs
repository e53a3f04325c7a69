//! One message, or what is none, as the fields of its JSON object.
use bgp_wire::{
    AsPathView, AttributeBlock, AttributeCode, Codec, Message, MessageType, Nlri, NlriBlock, Notification,
    RawAttribute, Reaction, RouteRefresh, SegmentKind, UpdateView,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::open::open_fields;

pub(crate) struct Record {
    pub(crate) source: String,
    pub(crate) fields: Map<String, Value>,
}

impl Record {
    /// Something that is no whole message.
    pub(crate) fn error(source: &str, why: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("error".into(), why.into());
        Self { source: source.to_owned(), fields }
    }

    /// One whole frame.
    pub(crate) fn message(source: &str, frame: &Bytes, codec: &Codec) -> Self {
        let message = match codec.decode(frame) {
            Ok(message) => message,
            Err(notification) => return Self::reset(source, frame, &notification),
        };
        let mut fields = head(frame, frame.len(), "ok");
        match &message {
            Message::Open(open) => open_fields(open, &mut fields),
            Message::Update(update) => update_fields(&update.view(), codec, &mut fields),
            Message::Notification(n) => fields.extend(notification_fields(n)),
            Message::KeepAlive => {}
            Message::RouteRefresh(refresh) => refresh_fields(refresh, &mut fields),
        }
        Self { source: source.to_owned(), fields }
    }

    /// A frame, or the beginning of what is none, that ends the session.
    pub(crate) fn reset(source: &str, bytes: &[u8], notification: &Notification) -> Self {
        // The length field, as far as it can be believed.
        let len = match bytes.get(16..18) {
            Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => bytes.len(),
        };
        let mut fields = head(bytes, len, Reaction::SessionReset.name());
        fields.insert("notification".into(), Value::Object(notification_fields(notification)));
        Self { source: source.to_owned(), fields }
    }

    /// What it adds to the exit status.
    pub(crate) fn status(&self) -> u8 {
        match self.fields.get("outcome").and_then(Value::as_str) {
            Some("ok") => 0,
            Some(_) => 1,
            None => 2,
        }
    }
}

fn head(frame: &[u8], len: usize, outcome: &str) -> Map<String, Value> {
    let kind = match frame.get(18).map(|kind| MessageType(*kind)) {
        Some(MessageType::OPEN) => "OPEN".into(),
        Some(MessageType::UPDATE) => "UPDATE".into(),
        Some(MessageType::NOTIFICATION) => "NOTIFICATION".into(),
        Some(MessageType::KEEPALIVE) => "KEEPALIVE".into(),
        Some(MessageType::ROUTE_REFRESH) => "ROUTE-REFRESH".into(),
        Some(MessageType(other)) => format!("type {other}"),
        None => "unknown".into(),
    };
    let mut fields = Map::new();
    fields.insert("type".into(), kind.into());
    fields.insert("length".into(), len.into());
    fields.insert("outcome".into(), outcome.into());
    fields
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|b| format!("{b:02x}")).collect()
}

fn notification_fields(n: &Notification) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("code".into(), n.code.0.into());
    fields.insert("subcode".into(), n.subcode.into());
    fields.insert("text".into(), n.to_string().into());
    fields.insert("data".into(), hex(&n.data).into());
    fields
}

fn refresh_fields(refresh: &RouteRefresh, fields: &mut Map<String, Value>) {
    let kind = match refresh.kind.0 {
        0 => "request".into(),
        1 => "begin".into(),
        2 => "end".into(),
        other => format!("kind {other}"),
    };
    fields.insert("family".into(), refresh.family.to_string().into());
    fields.insert("kind".into(), kind.into());
}

fn update_fields(view: &UpdateView<'_>, codec: &Codec, fields: &mut Map<String, Value>) {
    if view.outcome() != Reaction::Accept {
        fields.insert("outcome".into(), view.outcome().name().into());
    }
    if let Some(family) = view.end_of_rib() {
        fields.insert("end_of_rib".into(), family.to_string().into());
    }
    let attributes: Vec<Value> = view.attributes().map(|a| attribute(&a, codec)).collect();
    let reach = |r: bgp_wire::Reach<'_>| {
        json!({
            "family": r.family.to_string(),
            "next_hop": r.next_hop.to_string(),
            "prefixes": prefixes(&r.nlri, |nlri| nlri.to_string()),
        })
    };
    let unreach =
        |b: NlriBlock<'_>| json!({ "family": b.family().to_string(), "prefixes": prefixes(&b, withdrawn) });
    fields.insert("attributes".into(), attributes.into());
    fields.insert("reach".into(), view.reach().map(reach).collect::<Vec<_>>().into());
    fields.insert("unreach".into(), view.unreach().map(unreach).collect::<Vec<_>>().into());
    fields.insert("faults".into(), texts(view.faults()));
    if let Some(merged) = merged(view) {
        fields.insert("merged".into(), merged);
    }
    if !view.disabled().is_empty() {
        fields.insert("disabled".into(), texts(view.disabled().iter()));
    }
}

/// What the AS4 attributes make of those beside them (RFC 6793 §4.2.3).
fn merged(view: &UpdateView<'_>) -> Option<Value> {
    let mut four = [AttributeCode::AS4_PATH, AttributeCode::AS4_AGGREGATOR].into_iter();
    four.find_map(|code| view.attribute(code))?;
    let mut block = vec![];
    view.canonical_attributes(&mut block);
    let block = AttributeBlock::parse(&block).ok()?;
    let mut merged = json!({ "as_path": path(block.as_path()) });
    if let Some(a) = block.aggregator() {
        merged["aggregator"] = json!({ "asn": a.asn.0, "router_id": a.router_id.to_string() });
    }
    Some(merged)
}

/// Labels mean nothing in a withdrawal (RFC 8277 §2.4).
fn withdrawn(nlri: &Nlri<'_>) -> String {
    match nlri {
        Nlri::Labeled(p) => p.prefix.to_string(),
        Nlri::Vpn(p) => format!("{}:{}", p.distinguisher, p.prefix),
        other => other.to_string(),
    }
}

fn prefixes(block: &NlriBlock<'_>, text: impl Fn(&Nlri<'_>) -> String) -> Vec<Value> {
    let one = |(id, nlri): (bgp_wire::PathId, Nlri<'_>)| {
        let prefix = text(&nlri);
        if block.add_path() {
            json!({ "prefix": prefix, "path_id": id.0 })
        } else {
            json!({ "prefix": prefix })
        }
    };
    block.iter().map(one).collect()
}

pub(crate) fn texts<T: ToString>(items: impl Iterator<Item = T>) -> Value {
    items.map(|item| item.to_string()).collect::<Vec<_>>().into()
}

fn attribute(a: &RawAttribute<'_>, codec: &Codec) -> Value {
    json!({
        "type": a.code.to_string(),
        "code": a.code.0,
        "flags": a.flags.0,
        "value": value(a, codec).unwrap_or_else(|| json!({ "hex": hex(a.value) })),
    })
}

/// The value by its type; `None` where it is not interpreted.
fn value(a: &RawAttribute<'_>, codec: &Codec) -> Option<Value> {
    let [high, low] = u16::try_from(a.value.len()).ok()?.to_be_bytes();
    let mut octets = vec![a.flags.0 | 0x10, a.code.0, high, low];
    octets.extend_from_slice(a.value);
    let alone = AttributeBlock::trusted(&octets);
    Some(match a.code {
        AttributeCode::ORIGIN => alone.origin().to_string().into(),
        AttributeCode::AS_PATH => path(AsPathView::new(a.value, codec.four_octet_as)),
        AttributeCode::AS4_PATH => path(AsPathView::new(a.value, true)),
        AttributeCode::NEXT_HOP => address(a.value)?,
        AttributeCode::MULTI_EXIT_DISC => alone.med()?.into(),
        AttributeCode::LOCAL_PREF => alone.local_pref()?.into(),
        AttributeCode::ATOMIC_AGGREGATE => true.into(),
        AttributeCode::AGGREGATOR | AttributeCode::AS4_AGGREGATOR => aggregator(a.value)?,
        AttributeCode::COMMUNITIES => texts(alone.communities().iter()),
        AttributeCode::ORIGINATOR_ID => alone.originator_id()?.to_string().into(),
        AttributeCode::CLUSTER_LIST => texts(alone.cluster_list().iter()),
        AttributeCode::EXTENDED_COMMUNITIES => texts(alone.extended_communities().iter()),
        AttributeCode::IPV6_EXTENDED_COMMUNITIES => {
            alone.ipv6_extended_communities().iter().map(|c| Value::from(hex(&c.0))).collect()
        }
        AttributeCode::AIGP => alone.aigp()?.into(),
        AttributeCode::LARGE_COMMUNITIES => texts(alone.large_communities().iter()),
        AttributeCode::ONLY_TO_CUSTOMER => alone.only_to_customer()?.0.into(),
        _ => return None,
    })
}

fn address(octets: &[u8]) -> Option<Value> {
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some(std::net::Ipv4Addr::from(octets).to_string().into())
}

/// Six octets or eight.
fn aggregator(octets: &[u8]) -> Option<Value> {
    let (asn, id) = octets.split_last_chunk::<4>()?;
    let asn = asn.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
    Some(json!({ "asn": asn, "router_id": std::net::Ipv4Addr::from(*id).to_string() }))
}

fn path(path: AsPathView<'_>) -> Value {
    let segment = |s: bgp_wire::Segment<'_>| {
        let kind = match s.kind {
            SegmentKind::Sequence => "sequence",
            SegmentKind::Set => "set",
            SegmentKind::ConfedSequence => "confed-sequence",
            SegmentKind::ConfedSet => "confed-set",
        };
        json!({ kind: s.asns().map(|asn| asn.0).collect::<Vec<_>>() })
    };
    path.segments().map(segment).collect()
}
