//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use bgp_speaker::{Family, PeerAddress};
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;

use crate::config::family_by_name;
use crate::control::query::{RoutesQuestion, Subject};
use crate::control::request::{BfdState, ResetMode};

/// A standalone BGP route reflector.
#[derive(Debug, Parser)]
#[command(version, about, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the speaker that a configuration file describes, in the foreground
    Run(RunArgs),
    /// Check a configuration file and change nothing
    Check(ConfigFile),
    /// Show the sessions of a running speaker
    Status(StatusArgs),
    /// Show the routes of a running speaker, or explain one prefix
    Routes(RoutesArgs),
    /// Let a peer back that is held down after a limit
    Clear(ClearArgs),
    /// Begin a session anew, or have its routes told again while it goes on
    Reset(ResetArgs),
    /// Show what a peer would be told by another export policy; nothing is sent
    DryRun(DryRunArgs),
    /// Say what BFD found out about the way to a peer, from a BFD daemon
    Bfd(BfdArgs),
    /// Show a small network come up and lose a node; needs no privileges and no configuration
    Demo(DemoArgs),
}

/// The configuration file.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration in TOML; `example.toml` shows every key
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Take over from a process that ended a moment ago: peers are told that we have restarted, and keep our routes until
    /// we have told them all again (RFC 4724). Without it that is so when a former process has left routes in the kernel or,
    /// without kernel export, its control socket
    #[arg(short = 'R', long)]
    pub(crate) restarting: bool,
}

/// Which running speaker to ask.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Its control socket [default: /run/route-reflector.sock, or the same name in XDG_RUNTIME_DIR]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Take the control socket from this configuration
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only this peer
    #[arg(value_name = "ADDRESS")]
    pub(crate) peer: Option<PeerAddress>,
    /// Show AS numbers, negotiated values and counters as well
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// `routes`.
#[derive(Debug, Args)]
pub(crate) struct RoutesArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Explain this prefix, or the longest one that holds this address: all its paths, why one is best, who is told
    #[arg(value_name = "PREFIX", value_parser = subject)]
    pub(crate) subject: Option<Subject>,
    /// List everything inside of PREFIX as well
    #[arg(short, long, requires = "subject")]
    pub(crate) longer: bool,
    /// Only what this peer told us
    #[arg(short, long, value_name = "ADDRESS")]
    pub(crate) peer: Option<PeerAddress>,
    /// What this peer is told, as it is told it
    #[arg(short, long, value_name = "ADDRESS")]
    pub(crate) advertised_to: Option<PeerAddress>,
    /// Only the best path of each prefix
    #[arg(short, long)]
    pub(crate) best: bool,
    /// Only this family, such as ipv4-vpn or l2vpn-evpn
    #[arg(short, long, value_name = "FAMILY", value_parser = family, conflicts_with_all = ["ipv4", "ipv6"])]
    pub(crate) family: Option<Family>,
    /// Only IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// Only IPv6
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
}

/// `clear`.
#[derive(Debug, Args)]
pub(crate) struct ClearArgs {
    /// The peer
    #[arg(value_name = "ADDRESS")]
    pub(crate) peer: PeerAddress,
    /// Its control socket [default: /run/route-reflector.sock, or the same name in XDG_RUNTIME_DIR]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Take the control socket from this configuration
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    pub(crate) config: Option<PathBuf>,
}

/// `reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    pub(crate) of: ClearArgs,
    /// How
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) mode: ResetMode,
}

/// `dry-run`.
#[derive(Debug, Args)]
pub(crate) struct DryRunArgs {
    /// The peer
    #[arg(value_name = "ADDRESS")]
    pub(crate) peer: PeerAddress,
    /// A file with policies and prefix sets, as a configuration has them; a whole configuration is one
    #[arg(short, long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// Which policy of the file, `accept` or `reject` [default: what the file has the peer told by, or its only policy]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only this family, such as ipv4-unicast
    #[arg(short, long, value_name = "FAMILY", value_parser = family)]
    pub(crate) family: Option<Family>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `bfd`.
#[derive(Debug, Args)]
pub(crate) struct BfdArgs {
    #[command(flatten)]
    pub(crate) of: ClearArgs,
    /// What BFD says
    #[arg(value_enum, value_name = "STATE")]
    pub(crate) state: BfdState,
}

/// `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many nodes besides the reflector
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=200))]
    pub(crate) nodes: u16,
}

fn family(text: &str) -> Result<Family, String> {
    family_by_name(text).ok_or_else(|| "no such family (try ipv4-unicast, ipv4-vpn, l2vpn-evpn)".to_owned())
}

impl RoutesArgs {
    /// What is to be explained; nothing when routes are to be listed.
    pub(crate) fn explain(&self) -> Option<Subject> {
        self.subject.filter(|_| !self.longer)
    }

    /// Which routes are to be listed.
    pub(crate) fn list(&self) -> RoutesQuestion {
        RoutesQuestion {
            family: match (self.ipv4, self.ipv6) {
                (true, _) => Some(Family::IPV4_UNICAST),
                (false, true) => Some(Family::IPV6_UNICAST),
                (false, false) => self.family,
            },
            peer: self.peer,
            advertised_to: self.advertised_to,
            best: self.best,
            within: self.subject.map(|subject| match subject {
                Subject::Prefix(prefix) => prefix,
                Subject::Address(address) => IpNet::from(address),
            }),
        }
    }
}

/// A prefix or an address.
fn subject(text: &str) -> Result<Subject, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Subject::Address(address));
    }
    match text.parse::<IpNet>() {
        Ok(net) => Ok(Subject::Prefix(net.trunc())),
        Err(_) => Err("write an address, or an address and a length such as 10.1.0.0/26".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_explained_is_a_prefix_or_an_address() {
        assert_eq!(subject("10.0.0.1"), Ok(Subject::Address("10.0.0.1".parse().expect("an address"))));
        assert_eq!(subject("10.0.0.1/8"), Ok(Subject::Prefix("10.0.0.0/8".parse().expect("a prefix"))));
        assert!(subject("ten").is_err());
    }
}
