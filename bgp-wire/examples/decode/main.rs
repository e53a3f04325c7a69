//! Reads BGP messages and says what they are: `decode --help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod input;
mod json;
mod show;

use std::process::ExitCode;

use bgp_wire::{Codec, Family, FamilySet, PeerKind};

const HELP: &str = "\
usage: decode [OPTIONS] [FILE]

Reads BGP messages from FILE or standard input: hex, one message per line (white space, `:` and `0x` do not count),
a raw stream of messages, or an MRT file with BGP4MP messages. Prints one line or one JSON object per message.

  --ibgp | --ebgp               the peer is internal | external (default)
  --two-octet-as                AS numbers have two octets
  --extended-message            messages may have 65,535 octets
  --add-path FAMILY             NLRI of the family carry path identifiers; may be repeated
  --extended-next-hop FAMILY    NLRI of the family may have an IPv6 next hop; may be repeated
  --family FAMILY               a negotiated family; may be repeated (default: all)
  --afi-safi-disable            a malformed MP attribute gives up its family, not the session
  --json                        JSON lines
";

struct Options {
    codec: Codec,
    json: bool,
    file: Option<String>,
}

fn options() -> Result<Option<Options>, String> {
    let mut codec =
        Codec { extended_message: false, afi_safi_disable: false, ..Codec::permissive(PeerKind::External) };
    codec.extended_next_hop = FamilySet::empty();
    let (mut json, mut file, mut families) = (false, None, FamilySet::empty());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut family = || -> Result<Family, String> {
            let name = args.next().ok_or_else(|| format!("{arg} needs a family, such as ipv4-unicast"))?;
            name.parse().map_err(|e| format!("{arg} {name}: {e}"))
        };
        match arg.as_str() {
            "--help" | "-h" => return Ok(None),
            "--ibgp" => codec.peer = PeerKind::Internal,
            "--ebgp" => codec.peer = PeerKind::External,
            "--two-octet-as" => codec.four_octet_as = false,
            "--extended-message" => codec.extended_message = true,
            "--afi-safi-disable" => codec.afi_safi_disable = true,
            "--json" => json = true,
            "--add-path" => drop(codec.add_path_rx.insert(family()?)),
            "--extended-next-hop" => drop(codec.extended_next_hop.insert(family()?)),
            "--family" => drop(families.insert(family()?)),
            "-" => file = None,
            other if other.starts_with("--") => return Err(format!("unknown option {other}; see --help")),
            _ if file.is_some() => return Err(format!("a second file {arg}; there is only one")),
            _ => file = Some(arg),
        }
    }
    if !families.is_empty() {
        codec.families = families;
    }
    Ok(Some(Options { codec, json, file }))
}

fn run() -> Result<(), String> {
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    let bytes = input::read(options.file.as_deref())?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for item in input::messages(&bytes, &options.codec) {
        let (codec, frame) = item?;
        let line = if options.json { json::message(&codec, &frame) } else { show::message(&codec, &frame) };
        if let Err(e) = std::io::Write::write_all(&mut out, format!("{line}\n").as_bytes()) {
            return if e.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(e.to_string()) };
        }
    }
    std::io::Write::flush(&mut out).map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("decode: {e}");
            ExitCode::from(2)
        }
    }
}
