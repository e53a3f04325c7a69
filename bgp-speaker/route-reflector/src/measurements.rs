//! Where measurements are asked for over TCP, and how fine they are; both change while the program runs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config;
use crate::control::server;
use crate::control::source::Source;

/// What the file says of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Where to listen, if anywhere.
    pub(crate) listen: Option<SocketAddr>,
    /// Whether each peer has its own.
    pub(crate) per_peer: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { listen: None, per_peer: true }
    }
}

/// A listener that gives measurements.
pub(crate) struct Measurements {
    task: Option<JoinHandle<()>>,
}

impl Measurements {
    /// Serves at this listener, if there is one.
    pub(crate) fn serve(listener: Option<TcpListener>, source: &Arc<Source>) -> Self {
        let source = source.clone();
        let serve =
            |listener| tokio::spawn(async move { match server::serve_metrics(listener, source).await {} });
        Self { task: listener.map(serve) }
    }

    /// Goes over to what is wanted now; where the new address cannot be had the former stays.
    pub(crate) async fn become_as(
        &mut self,
        now: Wanted,
        wanted: Wanted,
        source: &Arc<Source>,
    ) -> Result<(), String> {
        if wanted.listen != now.listen {
            let listener = match listen(wanted.listen).await {
                // Another address of one port may not be had beside the former.
                Err(_) if wanted.listen.map(|at| at.port()) == now.listen.map(|at| at.port()) => {
                    self.end().await;
                    match listen(wanted.listen).await {
                        Err(refused) => {
                            *self = Self::serve(listen(now.listen).await.ok().flatten(), source);
                            return Err(refused);
                        }
                        listener => listener?,
                    }
                }
                listener => listener?,
            };
            *self = Self::serve(listener, source);
        }
        if wanted.per_peer != now.per_peer {
            source.measure(wanted.per_peer);
        }
        Ok(())
    }
}

impl Measurements {
    /// The listener is closed when this returns.
    async fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Measurements {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Opens the listener, if there is to be one.
pub(crate) async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, String> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let error = config::in_words(&error);
        format!("[metrics]: cannot listen on {address}: {error}")
    })?;
    Ok(Some(listener))
}
