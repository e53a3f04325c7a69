//! `run`: the daemon, from its configuration file to its orderly end.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bgp_speaker::{ShutdownMode, Speaker, StartError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::config::{self, Config};
use crate::control::server;
use crate::control::socket::{ControlSocket, SocketError, usual_places};
use crate::control::source::Source;
use crate::desired::Desired;
use crate::failure::Failure;
use crate::log::Log;
use crate::measurements::{self, Measurements};

/// Long enough for a NOTIFICATION on every session; a peer that does not read must not hold up a service manager.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// Runs what the file at `path` describes until a signal ends it; `restarting` where a former process has run it just before.
pub(crate) async fn run(path: &Path, restarting: bool) -> Result<(), Failure> {
    let config = config::load(path)?;
    let mut desired = Desired::of(&config);
    let log = Log::start(desired.log_filter(), desired.log_format());
    raise_file_limit();
    // Signals are caught from here on: one that arrives during start-up ends the daemon in order as well.
    let mut signals = Signals::new()?;
    let socket = control_socket(&config)?;
    let metrics = measurements::listen(desired.metrics().listen).await.map_err(Failure::new)?;
    if let Err(fault) = desired.read_payloads(None) {
        error!(%fault, "no origin validation: no route has a state");
    }
    let mut builder = desired.builder();
    // With kernel export the kernel knows it better: it tells whether routes are there to go on with.
    let takes_over = || !config.kernel_export && socket.as_ref().is_some_and(ControlSocket::takes_over);
    if restarting || takes_over() {
        builder = builder.restarting(true);
    }
    let speaker = builder.start().await.map_err(|error| match error {
        StartError::Config(refused) => Failure::new(format_args!("{}: {refused}", path.display())),
        other => Failure::new(other),
    })?;
    let source = Arc::new(Source::new(speaker.clone(), desired.descriptions(), desired.metrics().per_peer));
    let stays = socket.as_ref().map(ControlSocket::stays);
    if let Some(stays) = &stays {
        stays.store(false, Ordering::Relaxed);
    }
    let control = tokio::spawn(serve(socket, source.clone()));
    let measurements = Measurements::serve(metrics, &source);
    let status = speaker.status();
    info!(asn = %status.asn, router_id = %status.router_id, listen = ?status.listen, "running");
    notify(&[NotifyState::Ready]);

    let mut daemon = Daemon { path: path.to_owned(), desired, speaker, source, log, measurements };
    let mode = daemon.until_stopped(&mut signals).await;
    if let (ShutdownMode::Restart, Some(stays)) = (&mode, stays) {
        stays.store(true, Ordering::Relaxed);
    }

    notify(&[NotifyState::Stopping]);
    control.abort();
    drop(daemon.measurements);
    tokio::select! {
        () = daemon.speaker.shutdown(mode) => info!("stopped"),
        () = tokio::time::sleep(SHUTDOWN_LIMIT) => warn!("stopped before every peer had taken its NOTIFICATION"),
        () = signals.stop() => warn!("stopped at once"),
    }
    Ok(())
}

/// A running speaker and the file that describes it.
struct Daemon {
    path: PathBuf,
    desired: Desired,
    speaker: Speaker,
    source: Arc<Source>,
    log: Log,
    measurements: Measurements,
}

impl Daemon {
    /// Serves until a signal asks for an end, and says which kind of end.
    async fn until_stopped(&mut self, signals: &mut Signals) -> ShutdownMode {
        loop {
            match signals.next().await {
                Caught::Stop(name) => {
                    info!(signal = name, "stopping");
                    return ShutdownMode::Admin { text: "route-reflector is stopping".to_owned() };
                }
                Caught::Restart => {
                    info!("stopping for a restart: peers with graceful restart keep the routes");
                    return ShutdownMode::Restart;
                }
                Caught::Reload => self.reload().await,
            }
        }
    }

    /// Reads the file again and changes what differs, but for what only a restart can change; a bad file changes nothing.
    async fn reload(&mut self) {
        let mut next = match config::load(&self.path) {
            Ok(config) => Desired::of(&config),
            Err(fault) => {
                error!("the configuration is not reloaded:\n{fault}");
                return;
            }
        };
        let waiting = next.keep_until_restart(&self.desired);
        if let Err(fault) = next.read_payloads(Some(&self.desired)) {
            error!(%fault, "origin validation goes on by what was read before");
        }
        match next.apply(&self.speaker).await {
            Ok(report) => {
                self.source.describe(next.descriptions());
                self.refit(&mut next).await;
                self.desired = next;
                for key in waiting {
                    error!(
                        key,
                        "this key changes with a restart only; the rest of the configuration is reloaded"
                    );
                }
                for change in &report.changes {
                    info!(class = %change.class, "{}: {}", change.subject, change.why);
                }
                for missing in &report.not_done {
                    error!("{missing}; the rest of the configuration is reloaded");
                }
                info!(changes = report.changes.len(), "configuration reloaded");
            }
            Err(refused) => error!(%refused, "the configuration is not reloaded"),
        }
    }
}

impl Daemon {
    /// Changes what is around the speaker: the log's filter, the measurements.
    async fn refit(&mut self, next: &mut Desired) {
        if next.log_filter() != self.desired.log_filter() {
            self.log.filter(next.log_filter());
        }
        let (now, wanted) = (self.desired.metrics(), next.metrics());
        if let Err(refused) = self.measurements.become_as(now, wanted, &self.source).await {
            error!("{refused}; the rest of the configuration is reloaded");
            next.keep_metrics(&self.desired);
        }
    }
}

/// The signals that a daemon listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    restart: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let catch =
            |kind| signal(kind).map_err(|error| Failure::new(format_args!("cannot catch signals: {error}")));
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            reload: catch(SignalKind::hangup())?,
            restart: catch(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Caught::Stop("SIGINT"),
            _ = self.reload.recv() => Caught::Reload,
            _ = self.restart.recv() => Caught::Restart,
        }
    }

    /// The next signal that asks for an end.
    async fn stop(&mut self) {
        while !matches!(self.next().await, Caught::Stop(_)) {}
    }
}

/// What a signal asks for.
enum Caught {
    /// An end; with the signal's name.
    Stop(&'static str),
    /// Reading the configuration again.
    Reload,
    /// An end without a word to anybody (SIGUSR2).
    Restart,
}

/// Each session needs a file descriptor, and the usual soft limit of 1024 is for programs that call `select`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            warn!(%error, "cannot raise the limit of open files: many sessions may not fit");
        }
    }
}

/// The socket that the file names, or else the first usual one that can be had. Only a named one must be there.
fn control_socket(config: &Config) -> Result<Option<ControlSocket>, Failure> {
    if let Some(path) = &config.control_socket {
        return ControlSocket::bind(path.get_ref()).map(Some).map_err(Failure::new);
    }
    let mut refusals = Vec::new();
    for path in usual_places() {
        match ControlSocket::bind(&path) {
            Ok(socket) => return Ok(Some(socket)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let refusals: Vec<String> = refusals.iter().map(SocketError::to_string).collect();
    warn!("`status` and `routes` cannot ask this daemon: {}", refusals.join("; "));
    Ok(None)
}

async fn serve(socket: Option<ControlSocket>, source: Arc<Source>) -> Infallible {
    match socket {
        Some(socket) => {
            info!(path = %socket.path().display(), "control socket");
            server::serve(socket, source).await
        }
        None => std::future::pending().await,
    }
}

/// Tells systemd, when it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "cannot notify the service manager");
    }
}
