//! A standalone BGP route reflector: [`bgp_speaker`] with a configuration file, a command line and a control socket.

mod cli;
mod config;
mod control;
mod demo;
mod desired;
mod failure;
mod log;
mod measurements;
mod rpki;
mod run;
mod show;
mod time;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    match execute(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn execute(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check(file) => check(&file.config),
        Command::Run(args) => on_runtime(run::run(&args.file.config, args.restarting)),
        Command::Status(args) => on_runtime(show::status(args)),
        Command::Routes(args) => on_runtime(show::routes(args)),
        Command::Clear(args) => on_runtime(show::clear(args)),
        Command::Reset(args) => on_runtime(show::reset(args)),
        Command::DryRun(args) => on_runtime(show::dry_run(args)),
        Command::Bfd(args) => on_runtime(show::bfd(args)),
        Command::Demo(args) => on_runtime(demo::demo(args)),
    }
}

fn on_runtime(task: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start: {error}")))?;
    runtime.block_on(task)
}

fn check(path: &Path) -> Result<(), Failure> {
    let config = config::load(path)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} is valid: {}", path.display(), config.summary())?;
    for note in config.notes() {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}
