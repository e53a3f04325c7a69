//! OPEN and its capabilities as JSON fields.
use bgp_wire::{AddPathMode, Capability, CapabilityCode, Family, Open, Role};
use serde_json::{Map, Value, json};

use super::record::hex;

pub(crate) fn open_fields(open: &Open, fields: &mut Map<String, Value>) {
    fields.insert("version".into(), open.version.into());
    fields.insert("asn".into(), open.asn().0.into());
    fields.insert("hold_time".into(), open.hold_time.into());
    fields.insert("router_id".into(), open.router_id.to_string().into());
    fields.insert("capabilities".into(), open.capabilities.iter().map(capability).collect());
}

fn capability(c: &Capability) -> Value {
    json!({ "type": name(c.code()), "code": c.code().0, "value": value(c) })
}

fn name(code: CapabilityCode) -> String {
    let known = match code {
        CapabilityCode::MULTIPROTOCOL => "multiprotocol",
        CapabilityCode::ROUTE_REFRESH => "route-refresh",
        CapabilityCode::EXTENDED_NEXT_HOP => "extended-next-hop",
        CapabilityCode::MULTIPLE_LABELS => "multiple-labels",
        CapabilityCode::EXTENDED_MESSAGE => "extended-message",
        CapabilityCode::ROLE => "role",
        CapabilityCode::GRACEFUL_RESTART => "graceful-restart",
        CapabilityCode::FOUR_OCTET_AS => "four-octet-as",
        CapabilityCode::ADD_PATH => "add-path",
        CapabilityCode::ENHANCED_ROUTE_REFRESH => "enhanced-route-refresh",
        CapabilityCode::LONG_LIVED_GRACEFUL_RESTART => "long-lived-graceful-restart",
        CapabilityCode::FQDN => "fqdn",
        CapabilityCode::SOFTWARE_VERSION => "software-version",
        CapabilityCode::PATHS_LIMIT => "paths-limit",
        CapabilityCode::LINK_LOCAL_NEXT_HOP => "link-local-next-hop",
        CapabilityCode(other) => return format!("capability {other}"),
    };
    known.into()
}

fn value(c: &Capability) -> Value {
    let family = |f: &Family| f.to_string();
    match c {
        Capability::Multiprotocol(f) => family(f).into(),
        Capability::ExtendedNextHop(rows) => {
            rows.iter().map(|(f, afi)| json!({ "family": family(f), "next_hop_afi": afi.0 })).collect()
        }
        Capability::MultipleLabels(rows) => {
            rows.iter().map(|(f, most)| json!({ "family": family(f), "labels": most })).collect()
        }
        Capability::Role(role) => role_name(*role).into(),
        Capability::GracefulRestart(gr) => json!({
            "restarting": gr.restarting,
            "notification": gr.notification,
            "time": gr.time,
            "families": gr.families.iter()
                .map(|(f, kept)| json!({ "family": family(f), "forwarding": kept }))
                .collect::<Vec<_>>(),
        }),
        Capability::FourOctetAs(asn) => asn.0.into(),
        Capability::AddPath(rows) => {
            rows.iter().map(|(f, mode)| json!({ "family": family(f), "mode": mode_name(*mode) })).collect()
        }
        Capability::LongLivedGracefulRestart(rows) => rows
            .iter()
            .map(|r| {
                json!({
                    "family": family(&r.family),
                    "forwarding": r.forwarding,
                    "stale_time": r.stale_time,
                })
            })
            .collect(),
        Capability::Fqdn { host, domain } => json!({
            "host": String::from_utf8_lossy(host),
            "domain": String::from_utf8_lossy(domain),
        }),
        Capability::SoftwareVersion(text) => String::from_utf8_lossy(text).into(),
        Capability::PathsLimit(rows) => {
            rows.iter().map(|(f, limit)| json!({ "family": family(f), "paths": limit })).collect()
        }
        Capability::Unknown { value, .. } => json!({ "hex": hex(value) }),
        _ => true.into(),
    }
}

fn role_name(role: Role) -> String {
    let known = match role {
        Role::PROVIDER => "provider",
        Role::ROUTE_SERVER => "route-server",
        Role::ROUTE_SERVER_CLIENT => "route-server-client",
        Role::CUSTOMER => "customer",
        Role::PEER => "peer",
        Role(other) => return format!("role {other}"),
    };
    known.into()
}

fn mode_name(mode: AddPathMode) -> String {
    match (mode.receives(), mode.sends()) {
        (true, true) => "both".into(),
        (true, false) => "receive".into(),
        (false, true) => "send".into(),
        (false, false) => format!("mode {}", mode.0),
    }
}
