//! Where the messages come from.
use std::io::Read;

use bgp_wire::{Codec, FamilySet};
use bytes::Bytes;

pub(crate) fn read(file: Option<&str>) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    match file {
        Some(name) => {
            let mut file = std::fs::File::open(name).map_err(|e| format!("{name}: {e}"))?;
            file.read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
        }
        None => drop(
            std::io::stdin().lock().read_to_end(&mut bytes).map_err(|e| format!("standard input: {e}"))?,
        ),
    }
    Ok(bytes.into())
}

type Item = Result<(Codec, Bytes), String>;

/// The messages, each with its context, in whatever form they came.
pub(crate) fn messages<'a>(bytes: &'a Bytes, codec: &'a Codec) -> Box<dyn Iterator<Item = Item> + 'a> {
    if bytes.starts_with(&[0xff; 16]) {
        Box::new(stream(bytes.clone(), *codec))
    } else if let Some(text) = std::str::from_utf8(bytes)
        .ok()
        .filter(|t| t.bytes().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()))
    {
        Box::new(hex_lines(text, codec))
    } else {
        Box::new(mrt(bytes.clone(), *codec))
    }
}

/// Messages back to back. A message whose header is refused is the last.
fn stream(mut rest: Bytes, codec: Codec) -> impl Iterator<Item = Item> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let len = match codec.frame(&rest) {
            Ok(Some(frame)) => frame.len,
            Ok(None) | Err(_) => rest.len(),
        };
        Some(Ok((codec, rest.split_to(len))))
    })
}

fn hex_lines<'a>(text: &'a str, codec: &'a Codec) -> impl Iterator<Item = Item> + 'a {
    let lines =
        text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
    lines.flat_map(move |(n, line)| -> Box<dyn Iterator<Item = Item>> {
        match hex(line) {
            Some(bytes) => Box::new(stream(bytes.into(), *codec)),
            None => Box::new(std::iter::once(Err(format!("line {}: not hex digits in pairs", n + 1)))),
        }
    })
}

fn hex(line: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = line
        .replace("0x", "")
        .bytes()
        .filter(|b| !b.is_ascii_whitespace() && *b != b':')
        .map(|b| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// BGP4MP and BGP4MP_ET (RFC 6396 §4.4, RFC 8050): the subtype says how AS numbers and NLRI are written.
fn mrt(mut rest: Bytes, codec: Codec) -> impl Iterator<Item = Item> {
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let Some(header) = rest.first_chunk::<12>() else {
                rest.clear();
                return Some(Err("neither hex, nor BGP messages, nor whole MRT records".to_owned()));
            };
            let [.., t1, t0, s1, s0, l3, l2, l1, l0] = *header;
            let (kind, subtype) = (u16::from_be_bytes([t1, t0]), u16::from_be_bytes([s1, s0]));
            let len = usize::try_from(u32::from_be_bytes([l3, l2, l1, l0])).unwrap_or(usize::MAX);
            if rest.len() < len.saturating_add(12) {
                rest.clear();
                return Some(Err("an MRT record is cut short".to_owned()));
            }
            let record = rest.split_to(12 + len).split_off(12);
            if let Some(item) = bgp4mp(record, kind, subtype, codec) {
                return Some(Ok(item));
            }
        }
    })
}

/// The message in a record; `None` in a record of another type.
fn bgp4mp(mut record: Bytes, kind: u16, subtype: u16, codec: Codec) -> Option<(Codec, Bytes)> {
    let extended_time = match kind {
        16 => 0,
        17 => 4,
        _ => return None,
    };
    let (as_len, add_path) = match subtype {
        1 => (2, false),
        4 => (4, false),
        8 => (2, true),
        9 => (4, true),
        _ => return None,
    };
    let afi_at = extended_time + 2 * as_len + 2;
    let address = match record.get(afi_at..afi_at + 2)? {
        [0, 1] => 4,
        [0, 2] => 16,
        _ => return None,
    };
    let start = afi_at + 2 + 2 * address;
    let families = if add_path { codec.families } else { FamilySet::empty() };
    let add_path_rx = codec.add_path_rx.union(families);
    (record.len() > start)
        .then(|| (Codec { four_octet_as: as_len == 4, add_path_rx, ..codec }, record.split_off(start)))
}
