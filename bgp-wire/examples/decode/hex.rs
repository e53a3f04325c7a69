//! Hex as people paste it.
use bgp_wire::Codec;

use super::record::Record;
use super::stream::{MARKER, Splitter};

/// Reads text line by line; what is left open by one line is continued by the next.
pub(crate) fn messages(text: &str, codec: &Codec, emit: &mut impl FnMut(Record)) {
    let mut splitter = Splitter::new(codec);
    let mut dump = Dump::default();
    for (number, line) in text.lines().enumerate() {
        let source = format!("line {}", number.saturating_add(1));
        let line = without_comment(line);
        if line.trim().is_empty() {
            continue;
        }
        match dump.octets(line, splitter.is_idle()) {
            Ok(octets) => {
                if octets.starts_with(&MARKER) {
                    splitter.give_up(emit);
                }
                splitter.push(&octets, &source, emit);
            }
            Err(why) => {
                splitter.give_up(emit);
                emit(Record::error(&source, &why));
            }
        }
        // In text, what does not parse ends with its line.
        splitter.skip_garbage();
    }
    splitter.give_up(emit);
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

impl Dump {
    /// The octets of a line, without an offset before them and a text column behind them.
    fn octets(&mut self, line: &str, idle: bool) -> Result<Vec<u8>, String> {
        let line = line.trim_start();
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let Some((offset, digits)) = self.offset(first, rest, idle) else {
            self.next = None;
            return plain(line);
        };
        let octets = dump_line(rest)?;
        self.next = Some((offset.saturating_add(octets.len()), digits));
        Ok(octets)
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
        let yes = colon || word.len() % 2 == 1 || (idle && offset == 0) || continues || pairs();
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
            return Ok(whole_messages(digits(from, usize::MAX).0));
        }
    }
    Err(why)
}

/// Without the words of a log behind the messages, which may look like hex too.
fn whole_messages(mut octets: Vec<u8>) -> Vec<u8> {
    let mut end = 0usize;
    while let Some([marker @ .., high, low]) = octets.get(end..).and_then(|rest| rest.first_chunk::<18>()) {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if *marker != MARKER || len == 0 {
            break;
        }
        end = end.saturating_add(len);
    }
    octets.truncate(end);
    octets
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
