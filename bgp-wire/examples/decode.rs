//! Shows BGP messages in words or as JSON lines.
//!
//! ```text
//! decode [OPTIONS] [FILE...]          FILE `-`, or none: standard input
//!
//!   --json                  one JSON object for each message, in one line
//!   --hex --raw --pcap --mrt    what the input is; without one of them it is found out
//!   --ibgp | --ebgp         the peer is internal (default) or external
//!   --two-octet-as          AS numbers have two octets (RFC 6793: no capability)
//!   --extended-message      messages may have up to 65,535 octets (RFC 8654)
//!   --families LIST         negotiated families, as `ipv4-unicast,l2vpn-evpn` or `1/1,25/70` (default: all known)
//!   --add-path FAMILY       NLRI of this family carry path identifiers (RFC 7911); `all` for every family
//!   --extended-next-hop FAMILY  IPv4 routes of this family may have IPv6 next hops (RFC 8950)
//!   --single-label          NLRI have one label, whatever its bottom bit (RFC 8277: no capability), not stacks
//!   --no-afi-safi-disable   a malformed MP attribute ends the session instead of giving up its family
//!   --same-domain           an external peer is of our domain: tunnels and segments are heard of it (RFC 9012, RFC 8669)
//!   --aigp                  AIGP is taken from an external peer (RFC 7311)
//! ```
//!
//! Hex is read liberally: with or without blanks, colons, commas, `0x`, `\x`; as a dump with offsets and a text
//! column; behind the words or the time of a log line; with comments after `#`, `;` or `//`. A message may span lines, a
//! line may hold several. Whole packets, as `tcpdump -x` prints and Wireshark copies them, are read like a capture. What is
//! no hex is reported with its line number, and reading goes on.
//! A capture's TCP streams of port 179 are put together first; MRT files give their BGP4MP messages, with the width
//! of AS numbers, ADD-PATH and, without `--ibgp` and `--ebgp`, the kind of peer taken from each record, and each path of a TABLE_DUMP_V2 as the UPDATE that would tell it. Compressed files are to be unpacked on the way: `zcat F | decode`.
//!
//! The exit status is 0 when every message was `ok`, 1 when some had another outcome, 2 when some input was no
//! message or could not be read.
//!
//! # JSON
//!
//! Always: `source` (where it stood). Then either `error` (text: this was no whole message), or
//!
//! - `type` (`OPEN`, `UPDATE`, ...), `length` (octets), and
//! - `outcome`: `ok`, `attribute-discard`, `treat-as-withdraw`, `afi-safi-disable` or `session-reset`;
//! - `notification` with `session-reset`: `code`, `subcode`, `text`, `data` (hex): what would be sent.
//!
//! UPDATE: `attributes` (list of `type`, `code`, `flags`, `value`, as received and without the discarded ones),
//! `reach` (list of `family`, `next_hop`, `prefixes`), `unreach` (list of `family`, `prefixes`), `faults` (texts),
//! `end_of_rib` (family, where it is one), `disabled` (families given up), `merged` (`as_path`, `aggregator`: what the AS4
//! attributes make of those beside them, RFC 6793). A prefix is an object of `prefix` and, with
//! ADD-PATH, `path_id`. Values: a number (MULTI_EXIT_DISC, LOCAL_PREF, AIGP, ONLY_TO_CUSTOMER), a text (ORIGIN,
//! NEXT_HOP, ORIGINATOR_ID), a list of texts (communities of all kinds, CLUSTER_LIST), a list of segments such as
//! `{"sequence": [65000, 65001]}` (AS_PATH, AS4_PATH), `{"asn", "router_id"}` (AGGREGATOR, AS4_AGGREGATOR),
//! `true` (ATOMIC_AGGREGATE), else `{"hex"}`.
//!
//! OPEN: `version`, `asn`, `hold_time`, `router_id`, `capabilities` (list of `type`, `code`, `value`).
//! NOTIFICATION: `code`, `subcode`, `text`, `data`. ROUTE-REFRESH: `family`, `kind`.
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde_json::Value;

#[path = "decode/args.rs"]
mod args;
#[path = "decode/capture.rs"]
mod capture;
#[path = "decode/hex.rs"]
mod hex;
#[path = "decode/mrt.rs"]
mod mrt;
#[path = "decode/open.rs"]
mod open;
#[path = "decode/record.rs"]
mod record;
#[path = "decode/stream.rs"]
mod stream;
#[path = "decode/table_dump.rs"]
mod table_dump;
#[path = "decode/tcp.rs"]
mod tcp;
#[path = "decode/text.rs"]
mod text;

use args::{Form, Options};
use record::Record;

/// The longest input that is read: it is held in memory, and a day of a busy peer is far below.
const MAX_INPUT: u64 = 1 << 30;

#[cfg_attr(test, allow(dead_code, reason = "the tests call `run`"))]
fn main() -> ExitCode {
    let (mut input, mut out) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    ExitCode::from(run(std::env::args().skip(1), &mut input, &mut out, &mut io::stderr()))
}

/// The whole program; returns the exit status.
pub(crate) fn run(
    args: impl Iterator<Item = String>,
    input: &mut dyn Read,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> u8 {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(why) => {
            let _ = writeln!(errors, "decode: {why}\n{}", args::USAGE);
            return if why == args::HELP { 0 } else { 2 };
        }
    };
    let mut printer = Printer { json: options.json, worst: 0, out };
    for file in &options.files {
        if let Err(why) = read(file, input).and_then(|bytes| show(&bytes, file, &options, &mut printer)) {
            if why.kind() == io::ErrorKind::BrokenPipe {
                break;
            }
            printer.worst = 2;
            let _ = writeln!(errors, "decode: {file}: {why}");
        }
    }
    let _ = printer.out.flush();
    printer.worst
}

fn read(file: &str, input: &mut dyn Read) -> io::Result<Vec<u8>> {
    if file == "-" { whole(input, MAX_INPUT) } else { whole(&mut File::open(file)?, MAX_INPUT) }
}

/// All of an input that has at most so many octets.
pub(crate) fn whole(input: &mut dyn Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= most) {
        return Ok(bytes);
    }
    let why = format!("longer than {most} octets, of which nothing is shown: give it in parts");
    Err(io::Error::new(io::ErrorKind::FileTooLarge, why))
}

fn show(bytes: &[u8], file: &str, options: &Options, printer: &mut Printer<'_>) -> io::Result<()> {
    let prefix = if options.files.len() > 1 { format!("{file}, ") } else { String::new() };
    let form = options.form.or_else(|| Form::detect(bytes)).unwrap_or(Form::Hex);
    let codec = &options.codec;
    let mut result = Ok(());
    let mut emit = |record: Record| {
        if result.is_ok() {
            result = printer.print(&prefix, &record);
        }
    };
    match form {
        Form::Hex => hex::messages(&String::from_utf8_lossy(bytes), codec, &mut emit),
        Form::Raw => stream::messages(bytes, codec, &mut emit),
        Form::Pcap => capture::messages(bytes, codec, &mut emit),
        Form::Mrt => mrt::messages(bytes, codec, options.peer_is_told, &mut emit),
        Form::Compressed => {
            let why = "compressed: unpack it first, as in `zcat FILE | decode`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    }
    result
}

/// Prints records and keeps the exit status.
struct Printer<'a> {
    json: bool,
    worst: u8,
    out: &'a mut dyn Write,
}

impl Printer<'_> {
    fn print(&mut self, prefix: &str, record: &Record) -> io::Result<()> {
        self.worst = self.worst.max(record.status());
        let source = format!("{prefix}{}", record.source);
        if self.json {
            let mut line = serde_json::Map::new();
            line.insert("source".into(), Value::from(source));
            line.extend(record.fields.clone());
            writeln!(self.out, "{}", Value::Object(line))
        } else {
            text::write(self.out, &source, &record.fields)
        }
    }
}
