//! What the TOML reader says, put into words that help.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::suggest::nearest;
use super::value::MEND;

/// The diagnostic for a text that is no TOML, or no configuration.
pub(super) fn diagnose(source: &str, error: &toml::de::Error) -> Diagnostic {
    let at = error.span().unwrap_or(0..0);
    let message = error.message();
    unknown_word(message, &at)
        .or_else(|| missing_key(source, message, &at))
        .or_else(|| bracket_mistake(source, message, &at))
        .or_else(|| missing_quotes(source, message, &at))
        .unwrap_or_else(|| in_other_words(message, at))
}

/// An unknown key or word: names the nearest known one, or all of them.
fn unknown_word(message: &str, at: &Range<usize>) -> Option<Diagnostic> {
    // serde: "unknown field `adress`, expected one of `address`, `asn`".
    let (kind, names) = if let Some(rest) = message.strip_prefix("unknown field `") {
        ("key", rest)
    } else {
        ("word", message.strip_prefix("unknown variant `")?)
    };
    let (wrong, rest) = names.split_once("`, expected ").or_else(|| names.split_once('`'))?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let diagnostic = Diagnostic::new(at.clone(), format!("unknown {kind} `{wrong}`"));
    Some(match nearest(wrong, known.iter().copied()) {
        Some(meant) => diagnostic.label(format!("did you mean `{meant}`?")).mend(format!("write `{meant}`")),
        None => diagnostic.label("not known here").mend(format!("known here: {}", known.join(", "))),
    })
}

/// A required key is not there.
fn missing_key(source: &str, message: &str, at: &Range<usize>) -> Option<Diagnostic> {
    let key = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    let table = source.get(at.clone()).unwrap_or_default();
    let owner =
        if table.starts_with('[') { format!("in {table}") } else { "at the top of the file".to_owned() };
    let diagnostic = Diagnostic::new(at.clone(), format!("the key `{key}` is missing {owner}"));
    Some(diagnostic.mend(format!("add a line such as: {}", example(key))))
}

/// A line that sets `key`, to show what it looks like.
fn example(key: &str) -> String {
    let value = match key {
        "asn" => "65000",
        "router-id" | "local" => "\"10.0.0.1\"",
        "address" => "\"10.0.0.2\"",
        "prefix" => "\"10.1.0.0/26\"",
        "default" => "\"reject\"",
        "then" => "\"accept\"",
        "prefixes" => "[\"10.65.0.0/16 orlonger\"]",
        "name" => "\"node-1\"",
        "nodes" => "[{ address = \"10.0.0.1\" }, { address = \"10.0.0.2\" }]",
        _ => "…",
    };
    format!("{key} = {value}")
}

/// `[neighbor]` for `[[neighbor]]`, or the other way round.
fn bracket_mistake(source: &str, message: &str, at: &Range<usize>) -> Option<Diagnostic> {
    let header = source.get(at.clone())?.trim();
    let name = header.trim_matches(['[', ']']).trim();
    if !message.starts_with("invalid type: ")
        || !header.starts_with('[')
        || name.contains(['=', ',', '"', '\n'])
    {
        return None;
    }
    if message.starts_with("invalid type: map, expected a sequence") && !header.starts_with("[[") {
        return Some(
            Diagnostic::new(
                at.clone(),
                format!("there may be several of `{name}`, each with its own header"),
            )
            .mend(format!("write the header with two brackets: [[{name}]]")),
        );
    }
    header.starts_with("[[").then(|| {
        Diagnostic::new(at.clone(), format!("there is only one `{name}`"))
            .mend(format!("write the header with one bracket: [{name}]"))
    })
}

/// A value that had to be in quotes, such as an address.
fn missing_quotes(source: &str, message: &str, at: &Range<usize>) -> Option<Diagnostic> {
    const SYNTAX: [&str; 4] =
        ["invalid float", "invalid time", "invalid date", "string values must be quoted"];
    if !SYNTAX.iter().any(|start| message.starts_with(start)) {
        return None;
    }
    let (key, value, place) = value_around(source, at.start)?;
    let mend = format!("write {key} = \"{value}\"");
    let is_address =
        value.contains(['.', ':']) && value.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':');
    let title =
        if is_address { "an address must be in quotes".to_owned() } else { format!("`{value}` is no value") };
    let mend = match value {
        "yes" | "on" | "True" | "TRUE" => format!("write {key} = true"),
        "no" | "off" | "False" | "FALSE" => format!("write {key} = false"),
        _ => format!("{mend}: text goes in quotes"),
    };
    Some(Diagnostic::new(place, title).mend(mend))
}

/// The `key = value` whose value holds the byte at `index`: key, value and the place of the value.
fn value_around(source: &str, index: usize) -> Option<(&str, &str, Range<usize>)> {
    let before = source.get(..index)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = source.get(start..)?.lines().next()?;
    let equals = line.find('=')?;
    if start + equals >= index {
        return None;
    }
    let key = line.get(..equals)?.trim();
    let rest = line.get(equals + 1..)?;
    let value = rest.split('#').next()?.trim();
    let at = start + equals + 1 + (rest.len() - rest.trim_start().len());
    let simple = !value.is_empty() && !value.contains(['"', '\'', '[', '{', ',', ' ']);
    simple.then(|| (key, value, at..at + value.len()))
}

/// Any other message; a mend may follow the words.
fn in_other_words(message: &str, at: Range<usize>) -> Diagnostic {
    let (what, mend) = match message.split_once(MEND) {
        Some((what, mend)) => (what, Some(mend.to_owned())),
        None => match wrong_type(message) {
            Some((what, mend)) => return Diagnostic::new(at, what).mend(mend),
            None => (message, None),
        },
    };
    let diagnostic = Diagnostic::new(at, what);
    match mend {
        Some(mend) => diagnostic.mend(mend),
        None => diagnostic.mend(syntax_mend(message)),
    }
}

/// "invalid type: string "x", expected a boolean" in two parts.
fn wrong_type(message: &str) -> Option<(String, String)> {
    let kinds = ["invalid type: ", "invalid value: ", "invalid length "];
    let rest = kinds.iter().find_map(|kind| message.strip_prefix(kind))?;
    let (found, expected) = rest.split_once(", expected ")?;
    let found = found.strip_suffix(" as i128").unwrap_or(found);
    let (found, rest) = match found {
        "map" => ("a table", String::new()),
        "sequence" => ("a list", String::new()),
        // serde takes a list for a table when it has as many items as there are keys.
        _ if message.starts_with("invalid length ") => ("a list", String::new()),
        _ => match found.split_once(' ') {
            Some((kind, value)) => (kind, format!(" {value}")),
            None => (found, String::new()),
        },
    };
    let found = match found {
        "string" => "text",
        "integer" | "floating" => "the number",
        "boolean" => "the truth value",
        other => other,
    };
    let rest = rest.strip_prefix(" point").unwrap_or(&rest).replace('`', "");
    let expected = match expected {
        "a boolean" => "true or false, without quotes".to_owned(),
        "a string" => "text in quotes".to_owned(),
        "a sequence" => "a list: [ … , … ]".to_owned(),
        "u8" => "a number from 0 to 255 (without quotes)".to_owned(),
        "u32" => "a number from 0 to 4294967295 (without quotes)".to_owned(),
        other if other.starts_with("struct ") => {
            "a table: [name] with its keys below, or { key = value }".to_owned()
        }
        other => other.to_owned(),
    };
    Some((format!("{found}{rest} does not belong here"), format!("write {expected}")))
}

/// The mend for a text that is no TOML.
fn syntax_mend(message: &str) -> &'static str {
    match message.split(',').next().unwrap_or_default() {
        "duplicate key" => "keep one of the two lines",
        "key with no value" => "write key = value",
        start if start.contains("string") => "close the text with a quotation mark on the same line",
        start if start.contains("table") => "write [name], or [[name]] where there may be several",
        start if start.contains("array") => "close the list with ]",
        _ => "each line is one key = value, [name] or [[name]]; # starts a comment",
    }
}
