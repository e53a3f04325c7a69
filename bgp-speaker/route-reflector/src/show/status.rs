//! `status`: the sessions, as `calicoctl node status` shows them and with more when asked.

use std::io::{self, Write};
use std::time::Duration;

use bgp_speaker::PeerAddress;
use comfy_table::Table;

use super::{clean, count, or_dash, print_json, table};
use crate::cli::StatusArgs;
use crate::control::answer::{Kernel, Limit, Peer, Range, SignatureFailures, Status};
use crate::failure::Failure;
use crate::time::span;

fn name(peer: &Peer) -> PeerAddress {
    PeerAddress::behind(peer.address, peer.interface.as_deref().unwrap_or_default())
}

/// A link-local address without interface names every peer that has it.
fn is_named(peer: &Peer, asked: PeerAddress) -> bool {
    name(peer) == asked || (asked.interface().is_none() && asked == peer.address)
}

/// Prints the status of the daemon that `args` name.
pub(crate) async fn status(args: &StatusArgs) -> Result<(), Failure> {
    let mut status: Status = args.target.client()?.document("/status").await?;
    if let Some(address) = args.peer {
        status.peers.retain(|peer| is_named(peer, address));
        if status.peers.is_empty() {
            return Err(Failure::new(format!(
                "there is no peer {address}: `status` without an address lists them all"
            )));
        }
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.target.json {
        print_json(&mut out, &status)?;
    } else {
        print(&mut out, &status, args.verbose)?;
    }
    out.flush()?;
    Ok(())
}

fn print(out: &mut impl Write, status: &Status, verbose: bool) -> io::Result<()> {
    writeln!(out, "{}", headline(status))?;
    for missing in &status.not_listening {
        writeln!(out, "not listening on {}: {}", missing.address, clean(&missing.why))?;
    }
    if let Some(kernel) = &status.kernel {
        writeln!(out, "{}", kernel_line(kernel))?;
    }
    if status.strangers > 0 {
        writeln!(
            out,
            "{} from addresses that no neighbor has",
            count(status.strangers, "connection", "connections")
        )?;
    }
    for range in &status.ranges {
        writeln!(out, "{}", range_line(range))?;
    }
    if let Some(line) = status.signature_failures.and_then(signature_line) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    if status.peers.is_empty() {
        return writeln!(out, "no peers");
    }
    writeln!(out, "{}", peers(&status.peers))?;
    if verbose {
        for peer in &status.peers {
            details(out, peer)?;
        }
    }
    Ok(())
}

fn headline(status: &Status) -> String {
    let up = status.peers.iter().filter(|peer| peer.is_up()).count();
    let cluster = match &status.cluster_id {
        Some(cluster) => format!(", cluster {cluster}"),
        None => String::new(),
    };
    let listen: Vec<String> = status.listen.iter().map(ToString::to_string).collect();
    let listen = if listen.is_empty() { "nowhere".to_owned() } else { listen.join(", ") };
    format!(
        "route-reflector {}, AS {}, router id {}{cluster}, up for {}, listening on {listen}\n\
         {up} of {} established; {}, {}",
        clean(&status.version),
        status.asn,
        status.router_id,
        span(Duration::from_secs(status.uptime_seconds)),
        count(status.peers.len() as u64, "session", "sessions"),
        count(status.prefixes, "prefix", "prefixes"),
        count(status.paths, "path", "paths"),
    )
}

fn range_line(range: &Range) -> String {
    let mut line =
        format!("range {}: {} of {}", range.prefix, range.peers, count(range.limit, "peer", "peers"));
    if range.refused > 0 {
        line.push_str(&format!(", {} turned away", count(range.refused, "connection", "connections")));
    }
    match &range.trouble {
        Some(trouble) => format!("{line}; it takes none: {}", clean(trouble)),
        None => line,
    }
}

/// What the system has dropped, if it has.
fn signature_line(failures: SignatureFailures) -> Option<String> {
    let kinds = [
        (failures.md5_wrong, "with another password"),
        (failures.md5_missing, "without a password"),
        (failures.md5_unexpected, "with a password that is not expected"),
        (failures.ao_wrong, "with another TCP-AO secret"),
        (failures.ao_unknown_key, "with an unknown TCP-AO key"),
        (failures.ao_missing, "without TCP-AO"),
    ];
    let words: Vec<String> =
        kinds.iter().filter(|(n, _)| *n > 0).map(|(n, kind)| format!("{n} {kind}")).collect();
    (!words.is_empty()).then(|| format!("segments dropped by the system: {}", words.join(", ")))
}

/// The states that hold any routes, and the last refusal.
fn kernel_line(kernel: &Kernel) -> String {
    let states = [
        (kernel.pending, "pending"),
        (kernel.refused, "refused"),
        (kernel.conflict, "in conflict with routes of others"),
        (kernel.unresolved, "without a reachable next hop"),
        (kernel.leftover, "left by a former process"),
    ];
    let mut line = format!("kernel: {} routes installed", kernel.installed);
    for (count, state) in states.iter().filter(|(count, _)| *count > 0) {
        line.push_str(&format!(", {count} {state}"));
    }
    match &kernel.last_error {
        Some(error) => format!("{line}; last error: {}", clean(error)),
        None => line,
    }
}

fn peers(peers: &[Peer]) -> Table {
    let described = peers.iter().any(|peer| peer.description.is_some());
    let mut header = vec!["PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "RECEIVED", "SENT", "INFO"];
    if described {
        header.push("DESCRIPTION");
    }
    let mut table = table(&header);
    for peer in peers {
        let mut row = vec![
            name(peer).to_string(),
            peer.peer_type.clone(),
            peer.short_state().to_owned(),
            since(peer),
            peer.prefixes_received.to_string(),
            peer.prefixes_advertised.to_string(),
            clean(&peer.info),
        ];
        if described {
            row.push(or_dash(peer.description.as_ref()));
        }
        table.add_row(row);
    }
    table
}

/// The time of day for what is younger than a day, else the date, as `calicoctl` does; in UTC.
fn since(peer: &Peer) -> String {
    const DAY: u64 = 86_400;
    let (date, time) = peer.since.split_once('T').unwrap_or((&peer.since, ""));
    clean(if peer.seconds_in_state < DAY && !time.is_empty() { time } else { date })
}

fn details(out: &mut impl Write, peer: &Peer) -> io::Result<()> {
    writeln!(out, "\n{}", name(peer))?;
    let mut line = |name: &str, value: String| writeln!(out, "  {name:<12} {}", clean(&value));
    line("AS", format!("{} (configured {}), ours {}", or_dash(peer.asn), peer.configured_as, peer.local_as))?;
    line("router id", or_dash(peer.router_id.as_ref()))?;
    line(
        "state",
        format!(
            "{} for {}; established {}",
            peer.state,
            span(Duration::from_secs(peer.seconds_in_state)),
            count(peer.established, "time", "times")
        ),
    )?;
    if let Some(error) = &peer.last_error {
        line("last error", error.clone())?;
    }
    if let Some(last) = &peer.last_notification {
        let way = if last.sent { "sent" } else { "received" };
        line(
            "notification",
            format!("{way} at {}: {} ({}/{})", last.at, last.text, last.code, last.subcode),
        )?;
    }
    for limit in &peer.limits {
        let of = limit.family.as_ref().map(|family| format!(" in {family}")).unwrap_or_default();
        let held_out = count(u64::from(limit.held_out), "route", "routes");
        let (what, Limit { count, max, action, level, .. }) = (&limit.what, limit);
        line("limit", format!("{what}{of}: {count} of {max}, {level} ({action}; {held_out} kept out)"))?;
    }
    if let Some(until) = &peer.kept_until {
        line("kept", format!("{} until {until}", count(peer.prefixes_stale, "route", "routes")))?;
    }
    let backlog = peer.backlog;
    if backlog.octets > 0 || backlog.changes > 0 {
        let oldest =
            backlog.oldest_seconds.map_or(String::new(), |age| format!(", the oldest for {age:.1} s"));
        line("backlog", format!("{} octets{oldest}; {} changes behind", backlog.octets, backlog.changes))?;
    }
    if let Some(negotiated) = &peer.negotiated {
        line("connection", format!("{} to {}", negotiated.local, negotiated.remote))?;
        line("families", negotiated.families.join(", "))?;
        line(
            "hold time",
            format!("{} s, keepalive {} s", negotiated.hold_seconds, negotiated.keepalive_seconds),
        )?;
        let abilities = [
            (negotiated.four_octet_as, "four-octet AS"),
            (negotiated.extended_message, "extended message"),
            (negotiated.route_refresh, "route refresh"),
            (negotiated.enhanced_refresh, "enhanced refresh"),
            (negotiated.graceful_restart_seconds.is_some(), "graceful restart"),
            (negotiated.notification_restart, "graceful restart over NOTIFICATION"),
            (negotiated.long_lived_seconds.is_some(), "long-lived graceful restart"),
        ];
        let abilities: Vec<&str> = abilities.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        line("both know", abilities.join(", "))?;
        let several = [
            ("add-path in", &negotiated.add_path_receive),
            ("add-path out", &negotiated.add_path_send),
            ("IPv6 hops", &negotiated.extended_next_hop),
        ];
        for (name, families) in several.into_iter().filter(|(_, families)| !families.is_empty()) {
            line(name, families.join(", "))?;
        }
        if let Some(role) = &negotiated.peer_role {
            line("its role", role.clone())?;
        }
    }
    line(
        "prefixes",
        format!(
            "{} received, {} accepted, {} advertised; rejected by policy: {} in, {} out",
            peer.prefixes_received,
            peer.prefixes_accepted,
            peer.prefixes_advertised,
            peer.prefixes_import_rejected,
            peer.prefixes_export_rejected
        ),
    )?;
    for (name, messages) in [("received", peer.messages_received), ("sent", peer.messages_sent)] {
        line(
            name,
            format!(
                "{} messages, {} octets: {} open, {} update, {} keepalive, {} refresh, {} notification",
                messages.total(),
                messages.octets,
                messages.open,
                messages.update,
                messages.keepalive,
                messages.route_refresh,
                messages.notification
            ),
        )?;
    }
    Ok(())
}
