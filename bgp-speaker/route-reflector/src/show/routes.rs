//! `routes`: the table as it streams in, or everything about one prefix.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets};

use super::{clean, count, or_dash, print_json, table};
use crate::cli::RoutesArgs;
use crate::control::answer::{Explanation, Path};
use crate::control::client::{Client, Lines};
use crate::failure::Failure;

/// Rows that are laid out together: a screenful or ten, so that the first rows show at once and memory stays small
/// however long the listing is.
const ROWS: usize = 500;

/// Prints the routes of the daemon that `args` name.
pub(crate) async fn routes(args: &RoutesArgs) -> Result<(), Failure> {
    let client = args.target.client()?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match args.explain() {
        Some(subject) => {
            let explanation: Explanation = client.document(&subject.target()).await?;
            match args.target.json {
                true => print_json(&mut out, &explanation)?,
                false => explain(&mut out, &explanation)?,
            }
        }
        None => list(&mut out, &client, args).await?,
    }
    out.flush()?;
    Ok(())
}

async fn list(out: &mut impl Write, client: &Client, args: &RoutesArgs) -> Result<(), Failure> {
    let lines = client.lines(&args.list().target()).await?;
    match args.target.json {
        true => array(out, lines).await,
        false => rows(out, lines).await,
    }
}

/// One JSON array, an element on each line.
async fn array(out: &mut impl Write, mut lines: Lines) -> Result<(), Failure> {
    let mut before: &[u8] = b"[\n";
    while let Some(line) = lines.next().await? {
        out.write_all(before)?;
        out.write_all(&line)?;
        before = b",\n";
    }
    out.write_all(if before == b"[\n" { b"[]\n" } else { b"\n]\n" })?;
    Ok(())
}

async fn rows(out: &mut impl Write, mut lines: Lines) -> Result<(), Failure> {
    let (mut paths, mut prefixes, mut last) = (0_u64, 0_u64, None);
    let mut layout = Layout::default();
    let mut batch: Vec<Path> = Vec::with_capacity(ROWS);
    loop {
        let next: Option<Path> = lines.next_as().await?;
        let done = next.is_none();
        if let Some(path) = next {
            paths += 1;
            if last.as_ref() != Some(&path.prefix) {
                last = Some(path.prefix.clone());
                prefixes += 1;
            }
            batch.push(path);
        }
        if batch.len() == ROWS || (done && !batch.is_empty()) {
            layout.print(out, &batch)?;
            batch.clear();
        }
        if done {
            break;
        }
    }
    if paths == 0 {
        writeln!(out, "no routes")?;
    } else {
        writeln!(
            out,
            "\n{}, {} (> best, s stale)",
            count(prefixes, "prefix", "prefixes"),
            count(paths, "path", "paths")
        )?;
    }
    Ok(())
}

const COLUMNS: [&str; 9] = ["", "PREFIX", "NEXT HOP", "FROM", "PREF", "MED", "AS PATH", "O", "REASON"];

/// Column widths grow from batch to batch and never shrink, so that the listing reads as one table.
#[derive(Debug, Default)]
struct Layout {
    widths: Vec<u16>,
}

impl Layout {
    fn print(&mut self, out: &mut impl Write, batch: &[Path]) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if self.widths.is_empty() {
            table.set_header(COLUMNS);
        }
        for path in batch {
            table.add_row(row(path));
        }
        for (column, width) in table.column_iter_mut().zip(&self.widths) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*width)));
        }
        for index in [4, 5] {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        // The constraint counts the padding, the content does not.
        const PADDING: u16 = 2;
        let fresh = table.column_max_content_widths();
        self.widths.resize(fresh.len(), 0);
        for (width, fresh) in self.widths.iter_mut().zip(fresh) {
            *width = (*width).max(fresh.saturating_add(PADDING));
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn row(path: &Path) -> Vec<String> {
    let mark = match (path.best, path.stale) {
        (true, false) => ">",
        (true, true) => ">s",
        (false, true) => "s",
        (false, false) => "",
    };
    vec![
        mark.to_owned(),
        path.prefix.clone(),
        or_dash(path.next_hop.as_ref()),
        path.from.map_or_else(|| "here".to_owned(), |from| from.to_string()),
        or_dash(path.local_pref),
        or_dash(path.med),
        clean(&path.as_path),
        clean(&path.origin),
        clean(&path.reason),
    ]
}

fn explain(out: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    writeln!(out, "{}: {}", explanation.prefix, count(explanation.paths.len() as u64, "path", "paths"))?;
    for path in &explanation.paths {
        let from = path.from.map_or_else(|| "originated here".to_owned(), |from| format!("from {from}"));
        writeln!(out, "\n{} {from}: {}", if path.best { ">" } else { " " }, clean(&path.reason))?;
        let mut line = |name: &str, value: String| match value.is_empty() || value == "-" {
            true => Ok(()),
            false => writeln!(out, "    {name:<17} {}", clean(&value)),
        };
        line("next hop", or_dash(path.next_hop.as_ref()))?;
        line("AS path", path.as_path.clone())?;
        line("origin", path.origin.clone())?;
        line("local preference", or_dash(path.local_pref))?;
        line("MED", or_dash(path.med))?;
        line("communities", path.communities.join(" "))?;
        line("large communities", path.large_communities.join(" "))?;
        line("originator", or_dash(path.originator_id.as_ref()))?;
        line("cluster list", path.cluster_list.join(" "))?;
        line("import rule", or_dash(path.policy.as_ref()))?;
        line("path id", if path.path_id == 0 { String::new() } else { path.path_id.to_string() })?;
        line(
            "stale",
            if path.stale { "its peer has gone and may come back".to_owned() } else { String::new() },
        )?;
    }
    if explanation.peers.is_empty() {
        return Ok(());
    }
    let mut table = table(&["PEER", "TOLD", "NEXT HOP, OR WHY NOT"]);
    for peer in &explanation.peers {
        let told = |told: bool, sent: bool| match (told, sent) {
            (true, true) => "yes",
            (true, false) => "yes, on its way",
            (false, _) => "no",
        };
        let by = peer.policy.as_ref().map_or_else(String::new, |rule| format!(" ({rule})"));
        let detail = clean(&format!("{}{by}", peer.detail));
        table.add_row([peer.peer.to_string(), told(peer.told, peer.sent).to_owned(), detail]);
        for path in &peer.paths {
            let from = path.from.map_or_else(|| "originated here".to_owned(), |from| format!("from {from}"));
            let named = format!("  {from}, path id {}", path.path_id);
            table.add_row([named, told(path.told, peer.sent).to_owned(), clean(&path.detail)]);
        }
    }
    writeln!(out, "\n{table}")
}
