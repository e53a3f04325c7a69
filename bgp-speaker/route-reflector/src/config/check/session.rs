//! What a table says of its sessions, held together.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;

use super::{Once, Outcome, family_name};
use crate::config::add_path::PerFamily;
use crate::config::diagnostic::Diagnostic;
use crate::config::file::{Config, PeerKeys, SessionKeys};
use crate::config::value::{Family, NextHop, PeerAs, SessionPassword};

/// RFC 4271 §10.
const DEFAULT_HOLD_TIME: u16 = 90;

pub(super) fn peer(config: &Config, peer: PeerKeys<'_>, address: IpAddr) -> Outcome {
    same_family(peer.local_address.map(|a| (a.get_ref().0, a.span())), address)?;
    own_next_hops(peer.session, address)?;
    client_is_internal(config, peer)?;
    relation_is_external(config, peer)?;
    client_to_client_is_a_clients(peer)?;
    session(config, peer.session)
}

pub(super) fn session(config: &Config, keys: &SessionKeys) -> Outcome {
    families(keys)?;
    keepalive(config, keys)?;
    third_party_has_a_network(keys)?;
    one_password(keys.password.as_ref(), keys.password_file.as_ref())?;
    ao_keys(keys)?;
    one_ttl(keys)?;
    strict_role(keys)?;
    per_family(keys, keys.add_path_receive.as_ref())?;
    per_family(keys, keys.add_path_send.as_ref())?;
    for bounds in [&keys.max_prefixes, &keys.max_prefixes_accepted, &keys.max_prefixes_sent] {
        per_family(keys, bounds.as_ref())?;
    }
    restart(keys)
}

fn same_family(local: Option<(IpAddr, Range<usize>)>, peer: IpAddr) -> Outcome {
    let Some((local, at)) = local else { return Ok(()) };
    if local.is_ipv4() == peer.is_ipv4() {
        return Ok(());
    }
    let title = format!("the neighbor {peer} cannot be reached from {local}");
    Err(Diagnostic::new(at, title)
        .label(format!("an {} address; the neighbor has an {} one", family_name(local), family_name(peer)))
        .mend(format!("write an {} address of this router, or remove local-address", family_name(peer))))
}

fn families(keys: &SessionKeys) -> Outcome {
    let Some(families) = &keys.families else { return Ok(()) };
    if families.get_ref().is_empty() {
        return Err(Diagnostic::new(families.span(), "a session without a family exchanges no routes")
            .mend("name one, such as \"ipv4-unicast\", or remove the line"));
    }
    Ok(())
}

/// Each family once, and among those of the session.
fn per_family<T>(keys: &SessionKeys, paths: Option<&PerFamily<T>>) -> Outcome {
    let Some(PerFamily::Each(rows)) = paths else { return Ok(()) };
    let mut named = Once::default();
    for (family, _) in rows {
        let name = family.get_ref().code();
        if let Some(offered) =
            keys.families.as_ref().filter(|offered| !offered.get_ref().contains(family.get_ref()))
        {
            return Err(Diagnostic::new(family.span(), format!("the session does not carry {name}"))
                .related(offered.span(), "what it carries")
                .mend(format!("add \"{name}\" to families, or remove it here")));
        }
        named.add(name, family.span(), |first| {
            Diagnostic::new(family.span(), format!("{name} is there twice"))
                .related(first, "the first one")
                .mend("keep one of the two")
        })?;
    }
    Ok(())
}

/// `next-hop-ipv4` and `next-hop-ipv6` are for the family that the session itself does not have.
fn own_next_hops(keys: &SessionKeys, peer: IpAddr) -> Outcome {
    let options = [
        ("next-hop-ipv4", &keys.next_hop_ipv4, Family(bgp_speaker::Family::IPV4_UNICAST), "IPv4"),
        ("next-hop-ipv6", &keys.next_hop_ipv6, Family(bgp_speaker::Family::IPV6_UNICAST), "IPv6"),
    ];
    for (key, value, family, name) in options {
        let Some(value) = value else { continue };
        let own = value.get_ref().0;
        if family_name(own) != name {
            return Err(Diagnostic::new(value.span(), format!("{key} has an {} address", family_name(own)))
                .mend(format!("write an {name} address of this router")));
        }
        if family_name(peer) == name {
            return Err(Diagnostic::new(
                value.span(),
                format!("{key} has no effect on a session over {name}"),
            )
            .label("the next hop is our address on that session")
            .mend(format!("remove {key}, or choose that address with local-address")));
        }
        let carried = keys.families.as_ref().is_none_or(|families| families.get_ref().contains(&family));
        if !carried {
            let word = if name == "IPv4" { "ipv4-unicast" } else { "ipv6-unicast" };
            return Err(Diagnostic::new(
                value.span(),
                format!("{key} is for {name} routes, which this session does not carry"),
            )
            .label(format!("the neighbor has an {} address", family_name(peer)))
            .mend(format!("add \"{word}\" to families, or remove {key}")));
        }
    }
    Ok(())
}

fn client_is_internal(config: &Config, peer: PeerKeys<'_>) -> Outcome {
    let Some(client) = peer.route_reflector_client.filter(|client| *client.get_ref()) else { return Ok(()) };
    let ours = peer.session.local_as.unwrap_or(config.asn).0;
    let external = match peer.asn.get_ref() {
        PeerAs::Exact(asn) => *asn != ours,
        PeerAs::AnyOf(all) => !all.contains(&ours),
        PeerAs::External => true,
        PeerAs::Internal | PeerAs::Any => false,
    };
    if !external {
        return Ok(());
    }
    Err(Diagnostic::new(client.span(), "a route-reflector client is of our own AS (RFC 4456 §2)")
        .related(peer.asn.span(), format!("our AS is {ours}"))
        .mend(format!("write asn = {ours}, or remove route-reflector-client")))
}

/// What there is between neighbors of two AS is not there within one.
fn relation_is_external(config: &Config, peer: PeerKeys<'_>) -> Outcome {
    let ours = peer.session.local_as.unwrap_or(config.asn).0;
    let internal = match peer.asn.get_ref() {
        PeerAs::Exact(asn) => *asn == ours,
        PeerAs::AnyOf(all) => all.iter().all(|asn| *asn == ours),
        PeerAs::Internal => true,
        PeerAs::External | PeerAs::Any => false,
    };
    if !internal {
        return Ok(());
    }
    let server = peer.session.route_server_client.as_ref().filter(|is| *is.get_ref());
    let (key, at, rule) = match (&peer.session.role, server) {
        (Some(role), _) => ("role", role.span(), "a role is taken towards external neighbors (RFC 9234 §4)"),
        (None, Some(server)) => {
            let rule = "a route server has external clients (RFC 7947 §2)";
            ("route-server-client", server.span(), rule)
        }
        (None, None) => return Ok(()),
    };
    Err(Diagnostic::new(at, rule)
        .related(peer.asn.span(), format!("our AS is {ours}, so this neighbor is internal"))
        .mend(format!("remove {key}, or write the neighbor's own AS")))
}

fn client_to_client_is_a_clients(peer: PeerKeys<'_>) -> Outcome {
    let Some(key) = peer.client_to_client.filter(|_| !peer.is_client()) else { return Ok(()) };
    Err(Diagnostic::new(key.span(), "client-to-client is about what a route-reflector client is told")
        .mend("add route-reflector-client = true, or remove client-to-client"))
}

/// A third party's next hop is known by the network that it is in, and the network is for nothing else.
fn third_party_has_a_network(keys: &SessionKeys) -> Outcome {
    let mode = keys.next_hop.as_ref().filter(|mode| *mode.get_ref() == NextHop::ThirdParty);
    match (mode, &keys.shared_network) {
        (Some(mode), None) => Err(Diagnostic::new(mode.span(), "which next hops are kept is not said")
            .mend("add shared-network, the network that we share with the peer")),
        (None, Some(network)) => {
            Err(Diagnostic::new(network.span(), "shared-network is for next-hop = \"third-party\"")
                .mend("add next-hop = \"third-party\", or remove shared-network"))
        }
        _ => Ok(()),
    }
}

fn keepalive(config: &Config, keys: &SessionKeys) -> Outcome {
    let Some(keepalive) = &keys.keepalive_interval else { return Ok(()) };
    let hold = keys.hold_time.or(config.hold_time).map_or(DEFAULT_HOLD_TIME, |hold| hold.0);
    let interval = keepalive.get_ref().0;
    if hold == 0 {
        return Err(Diagnostic::new(keepalive.span(), "with a hold time of 0 there are no keepalives")
            .mend("remove keepalive-interval, or give a hold time"));
    }
    if interval >= hold {
        let title = format!("a keepalive every {interval} s does not keep a hold time of {hold} s");
        return Err(Diagnostic::new(keepalive.span(), title)
            .mend(format!("write at most {}, or remove the line for a third of the hold time", hold / 3)));
    }
    Ok(())
}

fn strict_role(keys: &SessionKeys) -> Outcome {
    match keys.role_strict.as_ref().filter(|strict| *strict.get_ref() && keys.role.is_none()) {
        Some(strict) => {
            Err(Diagnostic::new(strict.span(), "role-strict has no effect without a role (RFC 9234 §4.2)")
                .mend("say our own role, as in role = \"customer\", or remove the line"))
        }
        None => Ok(()),
    }
}

fn restart(keys: &SessionKeys) -> Outcome {
    if let Some(time) = keys.long_lived_time.as_ref().filter(|_| keys.graceful_restart == Some(false)) {
        return Err(Diagnostic::new(time.span(), "long-lived-time needs graceful restart (RFC 9494 §3.1)")
            .mend("remove graceful-restart = false, or remove the line"));
    }
    let limit = keys.max_prefixes_action.as_ref().map(Spanned::span);
    let limit = limit.or_else(|| keys.limit_restart.as_ref().map(Spanned::span));
    let bounds = [&keys.max_prefixes, &keys.max_prefixes_accepted, &keys.max_prefixes_sent];
    let limited = keys.max_memory.is_some() || bounds.iter().any(|bounds| bounds.is_some());
    if let Some(at) = limit.filter(|_| !limited) {
        return Err(Diagnostic::new(at, "this has no effect without a limit such as max-prefixes")
            .mend("add max-prefixes, or remove the line"));
    }
    match &keys.restart_time {
        Some(time) if keys.graceful_restart == Some(false) => {
            Err(Diagnostic::new(time.span(), "restart-time has no effect with graceful-restart = false")
                .mend("remove one of the two lines"))
        }
        _ => Ok(()),
    }
}

fn one_password(password: Option<&Spanned<SessionPassword>>, file: Option<&Spanned<PathBuf>>) -> Outcome {
    match (password, file) {
        (Some(password), Some(file)) => {
            Err(Diagnostic::new(file.span(), "a session has a password or a file with it, not both")
                .related(password.span(), "the password")
                .mend("remove one of the two lines"))
        }
        (None, Some(file)) if file.get_ref().as_os_str().is_empty() => {
            Err(Diagnostic::new(file.span(), "the password file has no name")
                .mend("write the path of a file with the password in it, or remove the line"))
        }
        _ => Ok(()),
    }
}

/// A session is signed in one way, and its keys are told apart by their ids.
fn ao_keys(keys: &SessionKeys) -> Outcome {
    let Some(chain) = &keys.tcp_ao else { return Ok(()) };
    let password = keys.password.as_ref().map(Spanned::span);
    let password = password.or_else(|| keys.password_file.as_ref().map(Spanned::span));
    if let Some(password) = password {
        return Err(Diagnostic::new(chain.span(), "a session has a password or TCP-AO keys, not both")
            .related(password, "the password")
            .mend("remove one of the two lines"));
    }
    if chain.get_ref().is_empty() {
        return Err(Diagnostic::new(chain.span(), "tcp-ao without a key").mend(
            "write a key such as { send-id = 1, password-file = \"/etc/bgp.key\" }, or remove the line",
        ));
    }
    let (mut send_ids, mut recv_ids) = (Once::default(), Once::default());
    for key in chain.get_ref() {
        one_password(key.password.as_ref(), key.password_file.as_ref())?;
        let send = key.send_id.span();
        if key.password.is_none() && key.password_file.is_none() {
            return Err(Diagnostic::new(send, "a TCP-AO key without a secret")
                .mend("add password-file with the path of a file, or password, to the key"));
        }
        let recv = key.recv_id.as_ref().unwrap_or(&key.send_id);
        let ids = [(&mut send_ids, &key.send_id, "send"), (&mut recv_ids, recv, "receive")];
        for (known, id, direction) in ids {
            known.add(*id.get_ref(), id.span(), |first| {
                Diagnostic::new(
                    id.span(),
                    format!("two TCP-AO keys have the {direction} id {}", id.get_ref()),
                )
                .related(first, "the first one")
                .mend("give each key its own ids (RFC 5925 §3.1)")
            })?;
        }
    }
    Ok(())
}

fn one_ttl(keys: &SessionKeys) -> Outcome {
    match (keys.ttl, &keys.ttl_security) {
        (Some(_), Some(hops)) => Err(Diagnostic::new(
            hops.span(),
            "ttl-security sends with TTL 255 and leaves no choice of ttl (RFC 5082)",
        )
        .mend("remove ttl, or remove ttl-security")),
        _ => Ok(()),
    }
}
