//! `status` and `routes`: what a running speaker says, as tables or as JSON.

mod dry_run;
mod routes;
mod status;

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{Table, presets};
use serde::Serialize;

pub(crate) use dry_run::dry_run;
pub(crate) use routes::routes;
pub(crate) use status::status;

use crate::cli::{BfdArgs, ClearArgs, ResetArgs, Target};
use crate::config;
use crate::control::answer::{BfdTold, Cleared, ResetDone};
use crate::control::client::Client;
use crate::control::request::Request;
use crate::failure::Failure;

impl Target {
    /// The daemon that the options name.
    fn client(&self) -> Result<Client, Failure> {
        client(self.socket.as_ref(), self.config.as_ref())
    }
}

/// The daemon behind this socket, or behind the one of this configuration.
fn client(socket: Option<&PathBuf>, config: Option<&PathBuf>) -> Result<Client, Failure> {
    let Some(path) = config else { return Ok(Client::new(socket.cloned())) };
    let config = config::load(path)?;
    Ok(Client::new(config.control_socket.map(toml::Spanned::into_inner)))
}

/// `clear`.
pub(crate) async fn clear(args: &ClearArgs) -> Result<(), Failure> {
    let client = client(args.socket.as_ref(), args.config.as_ref())?;
    let Cleared { peer, held } = client.change(&Request::Clear(args.peer).target()).await?;
    let mut out = io::stdout().lock();
    match held {
        true => writeln!(out, "{peer} is let in again")?,
        false => writeln!(out, "{peer} was not held down")?,
    }
    Ok(())
}

/// `reset`.
pub(crate) async fn reset(args: &ResetArgs) -> Result<(), Failure> {
    let client = client(args.of.socket.as_ref(), args.of.config.as_ref())?;
    let ResetDone { peer, mode } = client.change(&Request::Reset(args.of.peer, args.mode).target()).await?;
    writeln!(io::stdout().lock(), "{peer}: {mode} reset")?;
    Ok(())
}

/// `bfd`.
pub(crate) async fn bfd(args: &BfdArgs) -> Result<(), Failure> {
    let client = client(args.of.socket.as_ref(), args.of.config.as_ref())?;
    let BfdTold { peer, state } = client.change(&Request::Bfd(args.of.peer, args.state).target()).await?;
    writeln!(io::stdout().lock(), "{peer}: BFD is {state}")?;
    Ok(())
}

/// An empty table in the house's look.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header.iter().copied());
    table
}

/// Text from elsewhere, such as a peer's NOTIFICATION, without what would steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A value, or a dash for none.
fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| clean(&value.to_string()))
}

/// A number with its noun.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn print_json(out: &mut impl Write, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
