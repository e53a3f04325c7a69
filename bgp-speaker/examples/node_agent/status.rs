//! What an operator may ask: one word on a Unix socket, one answer.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bgp_speaker::kernel::{FollowerStatus, RouteState};
use bgp_speaker::metrics::SpeakerMetrics;
use bgp_speaker::{PeerStatus, RouteFilter, Speaker};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Whoever asks does it at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Paths that are asked for at a time.
const PAGE: usize = 512;

/// Answers on the socket until the task is ended.
pub(crate) fn serve(path: &Path, speaker: Speaker) -> io::Result<JoinHandle<()>> {
    // A former agent may have left its socket; a living one's answers would go to it no more.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent answers there"));
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One after the other: nobody asks so often that it would matter. A client that goes away is its own business.
            let _ = timeout(PATIENCE, answer(stream, &speaker)).await;
        }
    }))
}

async fn answer(mut stream: UnixStream, speaker: &Speaker) -> io::Result<()> {
    let mut word = [0; 16];
    let read = stream.read(&mut word).await?;
    let word = String::from_utf8_lossy(word.get(..read).unwrap_or_default());
    let text = match word.trim() {
        "status" => format!("{:#}\n", status(speaker)),
        "metrics" => metrics(speaker),
        "routes" => return routes(stream, speaker).await,
        _ => "ask for status, routes or metrics\n".to_owned(),
    };
    stream.write_all(text.as_bytes()).await
}

/// Asks the agent behind a socket.
pub(crate) async fn ask(question: &str, socket: &PathBuf) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(question.as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// One line, for the log.
pub(crate) fn line(speaker: &Speaker) -> String {
    let status = speaker.status();
    let kernel = status.kernel.as_ref().map_or("off".into(), |kernel| {
        let installed = kernel.routes.get(RouteState::Installed);
        format!("{installed} installed, {} not", kernel.routes.total() - installed)
    });
    format!(
        "AS {} peers {}/{} established, {} prefixes, kernel {kernel}",
        status.asn,
        status.established(),
        status.peers.len(),
        status.table.prefixes
    )
}

/// All of it, as `calicoctl node status` has it and more.
pub(crate) fn status(speaker: &Speaker) -> Value {
    let status = speaker.status();
    json!({
        "asn": status.asn.0,
        "router-id": status.router_id.to_string(),
        "uptime-seconds": status.uptime.as_secs(),
        "listen": status.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "established": status.established(),
        "peers": status.peers.iter().map(peer).collect::<Vec<_>>(),
        "prefixes": status.table.prefixes,
        "paths": status.table.paths,
        // From a mesh to reflectors or back: who stays for now, and who has not told its table yet.
        "migration": status.migration.as_ref().map(|migration| json!({
            "staying": migration.staying.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "awaited": migration.awaited.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "held": migration.held,
            "needed": migration.needed,
        })),
        "strangers": status.strangers,
        "kernel": status.kernel.as_deref().map(kernel),
    })
}

fn peer(peer: &PeerStatus) -> Value {
    json!({
        "address": peer.address.to_string(),
        "type": peer.class.to_string(),
        "state": peer.state.to_string(),
        "seconds-in-state": peer.in_state.as_secs(),
        "info": peer.info,
        "asn": peer.asn.map(|asn| asn.0),
        "received": peer.prefixes.received,
        "accepted": peer.prefixes.accepted,
        "advertised": peer.prefixes.advertised,
    })
}

fn kernel(kernel: &FollowerStatus) -> Value {
    let states =
        RouteState::ALL.into_iter().map(|state| (state.to_string(), kernel.routes.get(state).into()));
    let mut value = Value::Object(states.collect());
    if let (Value::Object(map), Some(error)) = (&mut value, &kernel.last_error) {
        map.insert("last-error".into(), error.to_string().into());
    }
    value
}

fn metrics(speaker: &Speaker) -> String {
    let mut registry = Registry::default();
    // In a mesh each node has all others as peers: their series together would be the square of the nodes.
    registry.register_collector(Box::new(SpeakerMetrics::new(speaker).by_class()));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

/// The best path of each prefix, a page at a time.
async fn routes(mut stream: UnixStream, speaker: &Speaker) -> io::Result<()> {
    let (filter, mut from) = (RouteFilter { best_only: true, ..RouteFilter::default() }, None);
    loop {
        let page = speaker.routes(filter.clone(), from, PAGE).await.map_err(io::Error::other)?;
        let mut text = String::new();
        for route in &page.routes {
            let next_hop = route.attributes.next_hop.map_or("here".to_owned(), |hop| hop.to_string());
            // Writing to a string does not fail.
            let _ = writeln!(text, "{} via {next_hop}", route.destination);
        }
        stream.write_all(text.as_bytes()).await?;
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}
