//! The log on standard error, and its filter, which changes while the program runs.

use std::io::IsTerminal;

use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;

use crate::config::LogFormat;

/// What is logged where the file says nothing of it.
const USUAL: &str = "info";

/// The log of this process.
pub(crate) struct Log {
    /// `None` where the environment decides (RUST_LOG).
    refilter: Option<Refilter>,
}

/// Puts another filter in force.
type Refilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

impl Log {
    /// Begins to log. The environment's filter goes before that of the file.
    pub(crate) fn start(filter: Option<&str>, format: Option<LogFormat>) -> Self {
        // An environment that does not parse is not worth a start that fails: the file's filter was checked.
        let environment = EnvFilter::try_from_default_env().ok();
        let decided = environment.is_some();
        let filter = environment.unwrap_or_else(|| EnvFilter::new(filter.unwrap_or(USUAL)));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let refilter = match format {
            Some(LogFormat::Json) => {
                let log = log.json().with_filter_reloading();
                let refilter = refilter(log.reload_handle());
                log.init();
                refilter
            }
            Some(LogFormat::Text) | None => {
                let log = log.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
                let refilter = refilter(log.reload_handle());
                log.init();
                refilter
            }
        };
        Self { refilter: Some(refilter).filter(|_| !decided) }
    }

    /// Another filter of the file, which was checked.
    pub(crate) fn filter(&self, filter: Option<&str>) {
        let filter = filter.unwrap_or(USUAL);
        let Some(refilter) = &self.refilter else {
            warn!(filter, "RUST_LOG goes before the filter of the file");
            return;
        };
        match refilter(EnvFilter::new(filter)) {
            Ok(()) => info!(filter, "the log has another filter"),
            Err(error) => error!(%error, "the log keeps its filter"),
        }
    }
}

fn refilter<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Refilter {
    Box::new(move |filter| handle.reload(filter))
}
