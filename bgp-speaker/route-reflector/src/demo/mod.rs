//! `demo`: a reflector and its nodes in one process, over real TCP on loopback addresses.

mod network;
mod view;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use bgp_speaker::{Event, Events, NextHop};
use comfy_table::{Table, presets};
use ipnet::IpNet;

use self::network::{Network, Node};
use self::view::View;
use crate::cli::DemoArgs;
use crate::failure::Failure;

/// On an idle machine it all takes a fraction of a second; this is for two hundred nodes on a busy one.
const STEP_LIMIT: Duration = Duration::from_secs(6);
/// Rows of a table that fit on a screen with the rest.
const ROWS: usize = 16;

/// All steps at their limits, and a little for the end.
const LIMIT: Duration = Duration::from_secs(19);

/// Starts a network, loses a node, and says whether all went as it must.
pub(crate) async fn demo(args: &DemoArgs) -> Result<(), Failure> {
    match tokio::time::timeout(LIMIT, play(args)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            Err(Failure::new(format_args!("the demonstration did not end within {} s", LIMIT.as_secs())))
        }
    }
}

async fn play(args: &DemoArgs) -> Result<(), Failure> {
    let out = &mut io::stdout();
    let begin = Instant::now();
    let mut network = Network::start(args.nodes).await?;
    writeln!(
        out,
        "A route reflector on {} and {} nodes, each announcing a /26 block and a /32.\n",
        network.reflector_address(),
        network.nodes.len()
    )?;

    writeln!(out, "Sessions, as the reflector sees them")?;
    let mut events = network.reflector.events();
    network.connect().await?;
    sessions_up(out, &network, &mut events, begin).await?;

    let mut views: Vec<View> = network.nodes.iter().map(Node::view).collect();
    let everything = network.expected(None);
    let converged = all_hold(&mut views, &everything).await?;
    writeln!(
        out,
        "\nTables: every node holds all {} routes, {} after the start",
        everything.len(),
        ms(begin, converged)
    )?;
    writeln!(out, "{}", summary_table(&network, &views, &everything, None))?;
    writeln!(out, "The table of {}", network.nodes[0].name)?;
    writeln!(out, "{}", route_table(&network, &views[0]))?;

    let victim = network.victim();
    let killed = Instant::now();
    let lost = network.kill(victim).await;
    writeln!(out, "{} is killed: its connection closes without a word", lost.name)?;
    views.remove(victim);
    let remaining = network.expected(Some(&lost));
    let withdrawn = all_hold(&mut views, &remaining).await?;
    writeln!(
        out,
        "Its {} routes are gone from {} {} later",
        lost.routes().len(),
        others(views.len()),
        ms(killed, withdrawn)
    )?;
    writeln!(out, "{}", summary_table(&network, &views, &remaining, Some(&lost)))?;

    still_up(&network, &lost)?;
    let count = network.nodes.len();
    network.stop().await;
    writeln!(
        out,
        "Summary: {} sessions came up, {} routes reached every node, and when one node died its routes left {} \
         within {}. All as expected, in {}.",
        count + 1,
        everything.len(),
        others(count),
        ms(killed, withdrawn),
        ms(begin, Instant::now())
    )?;
    Ok(())
}

/// Prints each session as it comes up, until all are.
async fn sessions_up(
    out: &mut impl Write,
    network: &Network,
    events: &mut Events,
    begin: Instant,
) -> Result<(), Failure> {
    let all = network.nodes.len();
    let mut up = 0;
    let deadline = tokio::time::Instant::now() + STEP_LIMIT;
    while up < all {
        let event = tokio::time::timeout_at(deadline, events.next()).await;
        match event {
            Ok(Some(Event::PeerUp { peer })) => {
                up += 1;
                let name = network.name_of(peer.ip());
                if up <= ROWS {
                    writeln!(out, "  {:>9}  {name:<9} {peer:<12} Established", ms(begin, Instant::now()))?;
                } else if up == all {
                    writeln!(out, "  {:>9}  … and {} more", ms(begin, Instant::now()), all - ROWS)?;
                }
            }
            Ok(Some(Event::PeerDown { peer, reason, .. })) => {
                return Err(Failure::new(format_args!(
                    "the session with {} failed: {reason}",
                    network.name_of(peer.ip())
                )));
            }
            Ok(Some(Event::Missed(count))) => {
                return Err(Failure::new(format_args!(
                    "{count} events were missed: this machine is too busy for so many nodes"
                )));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(Failure::new("the reflector ended")),
            Err(_) => {
                let limit = STEP_LIMIT.as_secs();
                return Err(Failure::new(format_args!(
                    "only {up} of {all} sessions came up within {limit} s"
                )));
            }
        }
    }
    Ok(())
}

/// Waits until every view is exactly `expected`; the time of the last one.
async fn all_hold(views: &mut [View], expected: &BTreeMap<IpNet, NextHop>) -> Result<Instant, Failure> {
    let deadline = tokio::time::Instant::now() + STEP_LIMIT;
    let mut last = Instant::now();
    for view in views {
        match tokio::time::timeout_at(deadline, view.until(expected)).await {
            Ok(Some(at)) => last = last.max(at),
            Ok(None) => return Err(Failure::new(format_args!("{} ended", view.name))),
            Err(_) => {
                return Err(Failure::new(format_args!(
                    "{} has not converged within {} s: {}",
                    view.name,
                    STEP_LIMIT.as_secs(),
                    view.difference(expected)
                )));
            }
        }
    }
    Ok(last)
}

/// The reflector must have lost one session and no other.
fn still_up(network: &Network, lost: &Node) -> Result<(), Failure> {
    let status = network.reflector.status();
    let up = status.established();
    if up != network.nodes.len() {
        return Err(Failure::new(format_args!(
            "{up} sessions are up where {} should be",
            network.nodes.len()
        )));
    }
    match status.peer(lost.address) {
        Some(peer) if peer.last_error.is_some() => Ok(()),
        _ => Err(Failure::new(format_args!("the reflector does not say why it lost {}", lost.name))),
    }
}

fn summary_table(
    network: &Network,
    views: &[View],
    expected: &BTreeMap<IpNet, NextHop>,
    lost: Option<&Node>,
) -> Table {
    let mut table = new_table(&["NODE", "ADDRESS", "ANNOUNCES", "STATE", "HOLDS", "INFO AT THE REFLECTOR"]);
    let status = network.reflector.status();
    let info = |node: &Node| status.peer(node.address).map_or_else(String::new, |peer| peer.info.clone());
    let announces =
        |node: &Node| node.routes().keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if let Some(node) = lost {
        table.add_row([
            node.name.clone(),
            node.address.to_string(),
            announces(node),
            "killed".into(),
            "-".into(),
            info(node),
        ]);
    }
    for (node, view) in network.nodes.iter().zip(views).take(ROWS) {
        let holds = format!("{} of {}", view.matching(expected), expected.len());
        table.add_row([
            node.name.clone(),
            node.address.to_string(),
            announces(node),
            "up".into(),
            holds,
            info(node),
        ]);
    }
    if network.nodes.len() > ROWS {
        table.add_row([format!("… and {} more", network.nodes.len() - ROWS)]);
    }
    table
}

fn route_table(network: &Network, view: &View) -> Table {
    let mut table = new_table(&["PREFIX", "NEXT HOP", "ANNOUNCED BY"]);
    for (prefix, next_hop) in view.routes().iter().take(ROWS) {
        let owner = network.owner_of(prefix);
        let next_hop = if owner == view.name { "here".to_owned() } else { next_hop.to_string() };
        table.add_row([prefix.to_string(), next_hop, owner]);
    }
    if view.routes().len() > ROWS {
        table.add_row([format!("… and {} more", view.routes().len() - ROWS)]);
    }
    table
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header.iter().copied());
    table
}

fn others(count: usize) -> String {
    if count == 1 { "the other one".to_owned() } else { format!("all {count} others") }
}

fn ms(from: Instant, to: Instant) -> String {
    format!("{:.1} ms", to.saturating_duration_since(from).as_secs_f64() * 1000.0)
}
