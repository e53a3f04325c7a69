//! Hex as people paste it.
use bgp_wire::{Codec, HEADER_LEN};

use super::capture;
use super::record::Record;
use super::stream::{MARKER, Splitter};
use super::tcp::Connections;

/// Reads text line by line; what is left open by one line is continued by the next.
pub(crate) fn messages(text: &str, codec: &Codec, emit: &mut impl FnMut(Record)) {
    let mut paste = Paste {
        splitter: Splitter::new(codec),
        connections: Connections::new(codec),
        packets: 0,
        dump: Dump::default(),
        rows: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        let source = format!("line {}", number.saturating_add(1));
        paste.line(without_comment(line), source, emit);
    }
    paste.end_of_dump(emit);
    paste.splitter.give_up(emit);
    paste.connections.finish(emit);
}

/// What is read of a text.
struct Paste {
    splitter: Splitter,
    /// Of whole packets.
    connections: Connections,
    packets: u64,
    dump: Dump,
    /// The lines of a dump until its end, when it is seen whether it is of a packet.
    rows: Vec<(Vec<u8>, String)>,
}

impl Paste {
    fn line(&mut self, line: &str, source: String, emit: &mut impl FnMut(Record)) {
        if line.trim().is_empty() || is_packet_summary(line) {
            return;
        }
        let idle = self.splitter.is_idle() && self.rows.is_empty();
        match self.dump.octets(line, idle) {
            Ok(Line::Dump { offset, octets }) => {
                if offset == 0 {
                    self.end_of_dump(emit);
                }
                self.rows.push((octets, source));
            }
            Ok(Line::Plain(octets)) => {
                self.end_of_dump(emit);
                if octets.starts_with(&MARKER) {
                    self.splitter.give_up(emit);
                }
                self.octets(vec![(octets, source)], emit);
                // In text, what does not parse ends with its line.
                self.splitter.skip_garbage();
            }
            Err(why) => {
                self.end_of_dump(emit);
                self.splitter.give_up(emit);
                emit(Record::error(&source, &why));
            }
        }
    }

    fn end_of_dump(&mut self, emit: &mut impl FnMut(Record)) {
        let rows = core::mem::take(&mut self.rows);
        if !rows.is_empty() {
            if rows.first().is_some_and(|(octets, _)| octets.starts_with(&MARKER)) {
                self.splitter.give_up(emit);
            }
            self.octets(rows, emit);
            self.splitter.skip_garbage();
        }
    }

    /// Octets that belong together: a whole packet, or messages, perhaps behind a time or headers that look like hex too.
    fn octets(&mut self, rows: Vec<(Vec<u8>, String)>, emit: &mut impl FnMut(Record)) {
        let all: Vec<u8> = rows.iter().flat_map(|(octets, _)| octets).copied().collect();
        let mut skip = 0;
        if self.splitter.is_idle() && !all.starts_with(&MARKER) {
            if let Some(segment) = capture::pasted(&all) {
                self.packets = self.packets.saturating_add(1);
                return self.connections.segment(&segment, self.packets, &mut |record| emit(record));
            }
            skip = before_messages(&all);
        }
        let mut left = if skip > 0 { whole_messages(all.get(skip..).unwrap_or_default()) } else { all.len() };
        for (octets, source) in rows {
            let (before, rest) = octets.split_at(skip.min(octets.len()));
            let (octets, _behind) = rest.split_at(left.min(rest.len()));
            (skip, left) = (skip.saturating_sub(before.len()), left.saturating_sub(octets.len()));
            if !octets.is_empty() {
                self.splitter.push(octets, &source, emit);
            }
        }
    }
}

/// The line that tcpdump writes above a packet's octets.
fn is_packet_summary(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.any(|word| matches!(word, "IP" | "IP6")) && words.nth(1) == Some(">")
}

/// Where the first marker is, unless a message stands before it whose own marker is damaged.
fn before_messages(octets: &[u8]) -> usize {
    let at = octets.windows(MARKER.len()).position(|window| *window == MARKER);
    let damaged =
        octets.iter().take(MARKER.len()).filter(|octet| **octet == 0xff).count() * 2 >= MARKER.len();
    at.filter(|at| *at < HEADER_LEN || !damaged).unwrap_or(0)
}

fn without_comment(line: &str) -> &str {
    let end = ["#", ";", "//"].iter().filter_map(|mark| line.find(mark)).min();
    end.and_then(|end| line.get(..end)).unwrap_or(line)
}

/// What is known of a dump whose lines begin with offsets.
#[derive(Debug, Default)]
struct Dump {
    /// The offset that the next line would have, and how many digits it is written with.
    next: Option<(usize, usize)>,
}

/// Octets in a line of every common dump; what stands two blanks behind them is text.
const DUMP_WIDTH: usize = 16;

/// What a line holds.
enum Line {
    /// A line of a dump: its offset, and the octets without the text column behind them.
    Dump { offset: usize, octets: Vec<u8> },
    /// Octets.
    Plain(Vec<u8>),
}

impl Dump {
    fn octets(&mut self, line: &str, idle: bool) -> Result<Line, String> {
        let line = line.trim();
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if rest.is_empty() && self.ends_at(first) {
            self.next = None;
            return Ok(Line::Plain(Vec::new()));
        }
        let Some((offset, digits)) = self.offset(first, rest, idle) else {
            self.next = None;
            return plain(line).map(Line::Plain);
        };
        let octets = dump_line(rest)?;
        self.next = Some((offset.saturating_add(octets.len()), digits));
        Ok(Line::Dump { offset, octets })
    }

    /// Whether a line is the offset that some tools write below the last octets.
    fn ends_at(&self, word: &str) -> bool {
        let offset = usize::from_str_radix(word, 16).ok().map(|offset| (offset, word.len()));
        offset.is_some() && self.next == offset
    }

    /// Whether the first word of a line is an offset: it ends in a colon, has an odd number of digits, is zero where a
    /// message would begin, is where the dump stands, or is longer than all the octets behind it.
    fn offset(&self, first: &str, rest: &str, idle: bool) -> Option<(usize, usize)> {
        let word = first.strip_prefix("0x").unwrap_or(first);
        let (word, colon) = word.strip_suffix(':').map_or((word, false), |w| (w, true));
        if rest.trim().is_empty() || !(3..=8).contains(&word.len()) {
            return None;
        }
        let offset = usize::from_str_radix(word, 16).ok()?;
        let continues = self.next == Some((offset, word.len()));
        let pairs = || {
            let mut words = rest.split_whitespace().take(2);
            word.len() >= 4 && !word.chars().all(|c| matches!(c, 'f' | 'F')) && words.all(|w| w.len() == 2)
        };
        let begins = offset == 0 && (idle || self.next.is_some_and(|(_, digits)| digits == word.len()));
        let yes = colon || word.len() % 2 == 1 || begins || continues || pairs();
        yes.then_some((offset, word.len()))
    }
}

/// The octets of a dump line behind its offset: words of hex, up to the text column.
fn dump_line(line: &str) -> Result<Vec<u8>, String> {
    let line = line.split('|').next().unwrap_or(line);
    let mut octets = Vec::new();
    let mut blanks = 2;
    for word in line.split(' ') {
        if word.is_empty() {
            blanks += 1;
            continue;
        }
        if blanks > 1 && octets.len() >= DUMP_WIDTH {
            break;
        }
        match plain(word) {
            Ok(more) => octets.extend(more),
            // The text column of a short last line.
            Err(_) if blanks > 1 && !octets.is_empty() => break,
            Err(why) => return Err(why),
        }
        blanks = 1;
    }
    Ok(octets)
}

/// Hex with any separators. Where the line is no hex from its beginning, the message behind a log line's words.
fn plain(line: &str) -> Result<Vec<u8>, String> {
    let why = match digits(line, usize::MAX) {
        (octets, None) => return Ok(octets),
        (_, Some(why)) => why,
    };
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        let begins = matches!(c, 'f' | 'F') && !before.is_ascii_alphanumeric()
            || (matches!(c, 'f' | 'F') && before == 'x');
        before = c;
        if !begins {
            continue;
        }
        let from = line.get(at..).unwrap_or_default();
        if digits(from, MARKER.len()).0 == MARKER {
            let mut octets = digits(from, usize::MAX).0;
            octets.truncate(whole_messages(&octets));
            return Ok(octets);
        }
    }
    Err(why)
}

/// How many octets the messages at the front have: the words of a log behind them may look like hex too.
fn whole_messages(octets: &[u8]) -> usize {
    let mut end = 0usize;
    while let Some([marker @ .., high, low]) = octets.get(end..).and_then(|rest| rest.first_chunk::<18>()) {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if *marker != MARKER || len == 0 {
            break;
        }
        end = end.saturating_add(len);
    }
    end.min(octets.len())
}

/// Reads hex digits in pairs, up to so many octets or until something else comes: that is told with its column.
fn digits(line: &str, most: usize) -> (Vec<u8>, Option<String>) {
    let mut octets = Vec::new();
    let mut half: Option<u8> = None;
    let mut prefixed = false;
    let mut chars = line.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        if octets.len() >= most {
            return (octets, None);
        }
        let column = at.saturating_add(1);
        let x_follows = chars.peek().is_some_and(|(_, x)| matches!(x, 'x' | 'X'));
        if half.is_none() && matches!(c, '0' | '\\') && x_follows {
            chars.next();
            prefixed = true;
        } else if let Some(digit) = c.to_digit(16).and_then(|d| u8::try_from(d).ok()) {
            match half.take() {
                None => half = Some(digit),
                Some(high) => octets.push(high << 4 | digit),
            }
        } else if is_separator(c) {
            match half.take() {
                // `0x5` is an octet; a lone digit elsewhere is a slip.
                Some(digit) if prefixed => octets.push(digit),
                Some(_) => return (octets, Some(format!("column {column}: odd number of hex digits"))),
                None => {}
            }
            prefixed = false;
        } else {
            return (octets, Some(format!("column {column}: {c:?} is no hex digit")));
        }
    }
    match half {
        Some(digit) if prefixed => octets.push(digit),
        Some(_) => return (octets, Some("odd number of hex digits".into())),
        None => {}
    }
    (octets, None)
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}' || ":-,._'\"`[](){}<>\\|".contains(c)
}
