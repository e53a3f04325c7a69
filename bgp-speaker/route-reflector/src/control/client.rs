//! The command line's end of the control socket.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::answer::Refusal;
use super::socket::usual_places;
use crate::config::in_words;

/// The daemon answers from memory; one that takes longer than this is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A status of ten thousand peers with a kilobyte each, and room to spare.
const MAX_DOCUMENT: usize = 256 << 20;
/// One path with the longest AS path and the most communities that fit into a message.
const MAX_LINE: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// Nothing listens on any of these.
    NotRunning(Vec<PathBuf>),
    /// The socket is there, but the system does not let us.
    Connect(PathBuf, io::Error),
    /// The daemon says no, in its own words.
    Refused(String),
    /// No answer came in time.
    Timeout(PathBuf),
    /// The answer broke off or is not what a route-reflector says.
    Garbled(PathBuf, String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NotRunning(tried) => {
                let tried: Vec<String> = tried.iter().map(|path| path.display().to_string()).collect();
                write!(
                    f,
                    "no route-reflector answers on {}: start one with `route-reflector run --config FILE`, \
                     or name its socket with --socket PATH",
                    tried.join(" or ")
                )
            }
            ClientError::Connect(path, error) => {
                let mend = match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "run this as the user or group that the daemon runs as"
                    }
                    _ => "see that it is the daemon's control socket",
                };
                write!(f, "cannot reach {}: {}; {mend}", path.display(), in_words(error))
            }
            ClientError::Refused(words) => f.write_str(words),
            ClientError::Timeout(path) => write!(
                f,
                "the daemon on {} does not answer within {} s: see its log",
                path.display(),
                ANSWER_TIMEOUT.as_secs()
            ),
            ClientError::Garbled(path, words) => {
                write!(f, "the answer on {} broke off or is not understood: {words}", path.display())
            }
        }
    }
}

/// A daemon that can be asked.
#[derive(Debug)]
pub(crate) struct Client {
    candidates: Vec<PathBuf>,
}

impl Client {
    /// The daemon behind this socket, or behind the first of the usual ones that answers.
    pub(crate) fn new(socket: Option<PathBuf>) -> Self {
        Client { candidates: socket.map_or_else(usual_places, |path| vec![path]) }
    }

    /// One JSON document.
    pub(crate) async fn document<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        self.answer(Method::GET, target).await
    }

    /// Has something changed; one JSON document says what became of it.
    pub(crate) async fn change<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        self.answer(Method::POST, target).await
    }

    /// A listing that answers a text: one JSON document on each line, as they come.
    pub(crate) async fn lines_for(&self, target: &str, text: String) -> Result<Lines, ClientError> {
        let (path, response) = self.send(Method::POST, target, text.into()).await?;
        Ok(Lines { path, body: response.into_body(), buffer: BytesMut::new(), ended: false })
    }

    async fn answer<T: DeserializeOwned>(&self, method: Method, target: &str) -> Result<T, ClientError> {
        let (path, response) = self.ask(method, target).await?;
        let garbled = |words: String| ClientError::Garbled(path.clone(), words);
        let body = Limited::new(response.into_body(), MAX_DOCUMENT);
        let collected = tokio::time::timeout(ANSWER_TIMEOUT, body.collect()).await;
        let collected = collected.map_err(|_| ClientError::Timeout(path.clone()))?;
        let bytes = collected.map_err(|error| garbled(error.to_string()))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| garbled(error.to_string()))
    }

    /// A listing: one JSON document on each line, as they come.
    pub(crate) async fn lines(&self, target: &str) -> Result<Lines, ClientError> {
        let (path, response) = self.ask(Method::GET, target).await?;
        Ok(Lines { path, body: response.into_body(), buffer: BytesMut::new(), ended: false })
    }

    async fn ask(&self, method: Method, target: &str) -> Result<(PathBuf, Response<Incoming>), ClientError> {
        self.send(method, target, Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<(PathBuf, Response<Incoming>), ClientError> {
        let (path, stream) = self.connect().await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, request(&path, stream, method, target, body)).await;
        let response = answer.map_err(|_| ClientError::Timeout(path.clone()))??;
        if response.status() == StatusCode::OK {
            return Ok((path, response));
        }
        let body = Limited::new(response.into_body(), MAX_LINE).collect().await;
        let refusal = body.ok().and_then(|body| serde_json::from_slice::<Refusal>(&body.to_bytes()).ok());
        Err(match refusal {
            Some(refusal) => ClientError::Refused(refusal.error),
            None => ClientError::Garbled(path, "an answer without a reason".to_owned()),
        })
    }

    async fn connect(&self) -> Result<(PathBuf, UnixStream), ClientError> {
        let mut failed = None;
        for path in &self.candidates {
            match UnixStream::connect(path).await {
                Ok(stream) => return Ok((path.clone(), stream)),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                }
                Err(error) => failed = failed.or(Some((path.clone(), error))),
            }
        }
        Err(match failed {
            Some((path, error)) => ClientError::Connect(path, error),
            None => ClientError::NotRunning(self.candidates.clone()),
        })
    }
}

async fn request(
    path: &Path,
    stream: UnixStream,
    method: Method,
    target: &str,
    body: Bytes,
) -> Result<Response<Incoming>, ClientError> {
    let garbled = |error: hyper::Error| ClientError::Garbled(path.to_owned(), error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(garbled)?;
    // Ends with the response; what goes wrong there shows up in the response as well.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, "localhost")
        .body(Full::new(body))
        .map_err(|error| ClientError::Garbled(path.to_owned(), error.to_string()))?;
    sender.send_request(request).await.map_err(garbled)
}

/// A listing on its way.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    body: Incoming,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    /// The next line without its end; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let mut searched = 0;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + at).freeze();
                self.buffer.advance(1);
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if self.ended {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(self.garbled("the last line has no end")),
                };
            }
            if self.buffer.len() > MAX_LINE {
                return Err(self.garbled("a line is too long"));
            }
            let frame = tokio::time::timeout(ANSWER_TIMEOUT, self.body.frame()).await;
            match frame.map_err(|_| ClientError::Timeout(self.path.clone()))? {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Some(Err(error)) => return Err(self.garbled(&error.to_string())),
                None => self.ended = true,
            }
        }
    }

    /// The next line as a value.
    pub(crate) async fn next_as<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        match self.next().await? {
            None => Ok(None),
            Some(line) => {
                serde_json::from_slice(&line).map(Some).map_err(|error| self.garbled(&error.to_string()))
            }
        }
    }

    fn garbled(&self, words: &str) -> ClientError {
        ClientError::Garbled(self.path.clone(), words.to_owned())
    }
}
