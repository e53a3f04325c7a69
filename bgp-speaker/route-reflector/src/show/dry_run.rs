//! `dry-run`: what a peer would be told by another export policy, as a difference.

use std::io::{self, Write};

use super::clean;
use crate::cli::DryRunArgs;
use crate::config::{self, ConfigError};
use crate::control::answer::{Difference, Export};
use crate::control::request::{DryRun, Request};
use crate::failure::Failure;

pub(crate) async fn dry_run(args: &DryRunArgs) -> Result<(), Failure> {
    let text = config::read_text(&args.policy)?;
    // A mistake is shown here, with its place in the file.
    config::export_policy(&text, args.peer, args.name.as_deref())
        .map_err(|fault| ConfigError::invalid(&args.policy, &text, fault))?;
    let question = DryRun { peer: args.peer, policy: args.name.clone(), family: args.family };
    let client = args.target.client()?;
    let mut lines = client.lines_for(&Request::DryRun(question).target(), text).await?;
    let mut out = io::stdout().lock();
    if args.target.json {
        while let Some(line) = lines.next().await? {
            out.write_all(&line)?;
            writeln!(out)?;
        }
        return Ok(());
    }
    let mut changes = 0_u64;
    while let Some(change) = lines.next_as::<Difference>().await? {
        changes += 1;
        write_change(&mut out, &change)?;
    }
    match changes {
        0 => writeln!(out, "{} would be told the same", args.peer)?,
        1 => writeln!(out, "1 change")?,
        more => writeln!(out, "{more} changes")?,
    }
    Ok(())
}

/// In the manner of `diff`: what is told now, and what would be.
fn write_change(out: &mut impl Write, change: &Difference) -> io::Result<()> {
    let path = if change.path_id == 0 { String::new() } else { format!(" path {}", change.path_id) };
    for (sign, export) in [('-', &change.now), ('+', &change.then)] {
        writeln!(out, "{sign} {}{path} {}", clean(&change.prefix), clean(&in_words(export)))?;
    }
    Ok(())
}

fn in_words(export: &Export) -> String {
    if let Some(rule) = &export.held_back {
        return format!("not told: {rule}");
    }
    let text =
        |name: &str, value: Option<String>| value.filter(|v| !v.is_empty()).map(|v| format!("{name} {v}"));
    let parts = [
        text("via", export.next_hop.clone()),
        text("path", export.as_path.clone()),
        text("local-pref", export.local_pref.map(|n| n.to_string())),
        text("med", export.med.map(|n| n.to_string())),
        text("communities", Some(export.communities.join(" "))),
        text("large-communities", Some(export.large_communities.join(" "))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}
