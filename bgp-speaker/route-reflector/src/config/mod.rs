//! The configuration file: TOML, strict, and every fault with its place and its mend.

mod add_path;
mod check;
mod compile;
mod diagnostic;
mod file;
mod limits;
mod parse;
mod pattern;
mod policy;
mod secret;
mod suggest;
mod summary;
mod toml_error;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bgp_speaker::{PeerAddress, Policy};

pub(crate) use self::add_path::{AddPathReceive, PerFamily};
pub(crate) use self::diagnostic::{ConfigError, Diagnostic, in_words};
pub(crate) use self::file::{
    Aggregate, AoAlgorithm, AoKey, Config, Mesh, MeshNode, Neighbor, NeighborRange, PeerKeys, RouteKeys,
    SessionKeys, StaticRoute,
};
pub(crate) use self::limits::Bound;
pub(crate) use self::parse::family_by_name;
pub(crate) use self::pattern::InterfacePattern;
pub(crate) use self::value::{
    Capability, ConsecutiveRestarts, Dialer, Family, LimitAction, LocalAsMode, LogFormat, NextHop, PeerAs,
    PrivateAs, Role, Scope, Seconds, SessionPassword,
};

/// A thousand bytes for each of ten thousand neighbors, and room to spare: more is some other file.
const MAX_FILE: u64 = 64 << 20;

/// Reads and checks the file at `path`.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    let source = read_text(path)?;
    parse(&source).map_err(|diagnostic| ConfigError::invalid(path, &source, diagnostic))
}

/// The text of the file at `path`.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(read(path)?).map_err(|error| not_utf8(path, &error))
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |error: io::Error| ConfigError::Unreadable { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    Ok(bytes)
}

/// Points at the first byte that is not UTF-8.
fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> ConfigError {
    let bytes = error.as_bytes();
    let good = error.utf8_error().valid_up_to();
    // What is before the fault stays as it is, so the place counted in the readable text is the right one.
    let source = String::from_utf8_lossy(bytes).into_owned();
    let byte = bytes.get(good).copied().unwrap_or_default();
    let diagnostic =
        Diagnostic::new(good..good + char::REPLACEMENT_CHARACTER.len_utf8(), "the file is not UTF-8 text")
            .label(format!("the byte 0x{byte:02x} is no character"))
            .mend("save the file as UTF-8");
    ConfigError::invalid(path, &source, diagnostic)
}

/// The configuration in `source`, or the first thing that is wrong with it.
pub(crate) fn parse(source: &str) -> Result<Config, Diagnostic> {
    let source_without_mark = source.strip_prefix('\u{feff}').unwrap_or(source);
    if source_without_mark.trim().is_empty() {
        return Err(Diagnostic::new(0..0, "the file is empty").mend(
            "begin with the two keys that are always needed: asn = 65000 and router-id = \"10.0.0.1\"",
        ));
    }
    let mut config: Config = toml::from_str(source).map_err(|error| unreadable(source, &error))?;
    check::check(&config)?;
    config.policies = compile::policies(&config, source)?;
    Ok(config)
}

/// What is wrong with a text that cannot be read.
fn unreadable(source: &str, error: &toml::de::Error) -> Diagnostic {
    // What the value itself says against a password does not repeat it; what TOML says may.
    let place = error.span().filter(|_| !error.message().contains(value::MEND));
    let hidden = place.and_then(|at| secret::unreadable(source, &at));
    hidden.unwrap_or_else(|| toml_error::diagnose(source, error))
}

/// The export policy that a text has for a peer: the one of this name; else what a whole configuration has the neighbor at this
/// address told by; else the only policy that there is.
pub(crate) fn export_policy(
    source: &str,
    peer: PeerAddress,
    name: Option<&str>,
) -> Result<Policy, Diagnostic> {
    if name.is_none()
        && let Ok(config) = parse(source)
        && let Some(neighbor) = config.neighbor.iter().find(|neighbor| neighbor.at() == peer)
        && let Some(export) = &neighbor.session.export
    {
        return Ok(config.policies.get(export.get_ref()));
    }
    let file: compile::PolicyFile = toml::from_str(source).map_err(|error| unreadable(source, &error))?;
    file.policy(name, source)
}

#[cfg(test)]
mod tests;
