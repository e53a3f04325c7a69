//! A record in words.
use std::io::{self, Write};

use serde_json::{Map, Value};

/// Writes one record: a line, and an indented one for each thing in it.
pub(crate) fn write(out: &mut dyn Write, source: &str, fields: &Map<String, Value>) -> io::Result<()> {
    if let Some(why) = fields.get("error") {
        return writeln!(out, "{source}: {}", plain(why));
    }
    let field = |name| fields.get(name).map(plain).unwrap_or_default();
    writeln!(out, "{source}: {}, {} octets: {}", field("type"), field("length"), field("outcome"))?;
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("type" | "length" | "outcome", _) => {}
            ("reach" | "unreach", Value::Array(blocks)) => routes(out, name, blocks)?,
            ("attributes" | "capabilities", Value::Array(list)) => {
                for item in list {
                    row(out, &item_text(item, "type"), &item_text(item, "value"))?;
                }
            }
            ("faults", Value::Array(faults)) => {
                for fault in faults {
                    row(out, "fault", &plain(fault))?;
                }
            }
            ("notification", n) => row(out, "notification", &notification(n))?,
            (_, value) if is_empty(value) => {}
            (name, value) => row(out, &name.replace('_', "-"), &plain(value))?,
        }
    }
    Ok(())
}

fn row(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<20} {value}")
}

fn routes(out: &mut dyn Write, name: &str, blocks: &[Value]) -> io::Result<()> {
    for block in blocks {
        let via = block.get("next_hop").map(|n| format!(" via {}", plain(n))).unwrap_or_default();
        let prefixes = block.get("prefixes").and_then(Value::as_array).map(Vec::as_slice);
        let list: Vec<_> = prefixes.unwrap_or_default().iter().map(prefix).collect();
        row(out, name, &format!("{}{via}: {}", item_text(block, "family"), list.join(" ")))?;
    }
    Ok(())
}

/// A prefix with its path identifier in brackets.
fn prefix(p: &Value) -> String {
    let id = p.get("path_id").map(|id| format!("[{id}]")).unwrap_or_default();
    format!("{}{id}", item_text(p, "prefix"))
}

fn notification(n: &Value) -> String {
    let data = item_text(n, "data");
    let data = if data.is_empty() { data } else { format!(", data {data}") };
    let codes = format!("{}/{}", item_text(n, "code"), item_text(n, "subcode"));
    format!("{codes} {}{data}", item_text(n, "text"))
}

fn item_text(item: &Value, name: &str) -> String {
    item.get(name).map(plain).unwrap_or_default()
}

fn is_empty(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// A value without quotes and commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => object(fields),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Text from a peer cannot steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn object(fields: &Map<String, Value>) -> String {
    let mut named = fields.iter();
    if let (Some((name, value)), None) = (named.next(), named.next()) {
        let value = plain(value);
        return match name.as_str() {
            "set" => format!("{{{value}}}"),
            "confed-sequence" => format!("({value})"),
            "confed-set" => format!("[{value}]"),
            _ => value,
        };
    }
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    pairs.join(",")
}
