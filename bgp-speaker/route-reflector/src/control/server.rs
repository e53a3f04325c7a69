//! The daemon's end of the control socket: HTTP/1 and JSON, for `curl --unix-socket` as for our own command line. On the
//! address that the configuration names for measurements, `/metrics` alone is answered.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bgp_speaker::{Family, SpeakerError};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::{debug, warn};

use super::answer::Refusal;
use super::places::{Places, Seat, Watched};
use super::query::{self, Question, RoutesQuestion, Unanswerable};
use super::request::{self, DryRun};
use super::socket::ControlSocket;
use super::source::Source;
use crate::config::{self, ConfigError};

/// Requests have a short line and a few headers; hyper takes no smaller bound.
const MAX_HEAD: usize = 8192;
/// Any client sends its request at once; one that does not must not keep a place from others.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// A reader who pages through a table by hand may take this long; after it the place is given to others.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// A scrape is one small document; whoever does not take it in this time must not keep a place from others.
const SCRAPE_LIFETIME: Duration = Duration::from_secs(10);
/// A configuration with its policies: those of the largest networks are some hundred kilobytes.
const MAX_BODY: usize = 8 << 20;
/// The same client sends its body at once as well.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Paths that one page of a listing asks of the table: some hundred kilobytes of JSON, a millisecond of the table's time.
const PAGE: usize = 512;

/// A whole document, or a listing as it is made.
type Body = UnsyncBoxBody<Bytes, SpeakerError>;

/// What `/metrics` is written in.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers on `socket` for as long as it is polled. Clients beyond the limit wait in the socket's queue.
pub(crate) async fn serve(socket: ControlSocket, source: Arc<Source>) -> Infallible {
    serve_each(socket.listener(), MAX_LIFETIME, source, answer).await
}

/// Answers whoever asks for measurements at `listener`, for as long as it is polled.
pub(crate) async fn serve_metrics(listener: TcpListener, source: Arc<Source>) -> Infallible {
    serve_each(&listener, SCRAPE_LIFETIME, source, answer_metrics).await
}

/// Where connections come from.
trait Accept: Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

async fn serve_each<A>(
    listener: &impl Accept,
    lifetime: Duration,
    source: Arc<Source>,
    answer: impl Fn(Request<Incoming>, Arc<Source>, Arc<Seat>) -> A + Copy + Send + 'static,
) -> Infallible
where
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let mut places = Places::new();
    loop {
        let seat = Arc::new(places.next().await);
        let stream = match listener.next().await {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "control: cannot accept");
                // Out of file descriptors, most likely: trying again at once would only burn the processor.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let source = source.clone();
        tokio::spawn(async move {
            let stream = TokioIo::new(Watched { stream, seat: seat.clone() });
            let watched = seat.clone();
            let service = service_fn(move |request| {
                let answered = answer(request, source.clone(), seat.clone());
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(MAX_HEAD)
                .keep_alive(false)
                .serve_connection(stream, service);
            tokio::select! {
                ended = tokio::time::timeout(lifetime, connection) => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!(%error, "control: connection ended"),
                    Err(_) => debug!("control: a connection took too long"),
                },
                () = watched.stalled() => debug!("control: a client takes nothing of its answer"),
            }
        });
    }
}

async fn answer(request: Request<Incoming>, source: Arc<Source>, seat: Arc<Seat>) -> Response<Body> {
    match *request.method() {
        Method::GET => {}
        Method::POST => return change(request, source, &seat).await,
        _ => return only("GET, POST"),
    }
    let question = Question::parse(request.uri().path(), request.uri().query().unwrap_or_default());
    match question {
        Ok(Question::Status) => json(StatusCode::OK, &source.status()),
        Ok(Question::Metrics) => metrics(&source),
        Ok(Question::Explain(subject)) => match source.explain(subject).await {
            Ok(Some(explanation)) => json(StatusCode::OK, &explanation),
            Ok(None) => error(StatusCode::NOT_FOUND, &format!("there is no route to {subject}")),
            Err(refused) => error(StatusCode::SERVICE_UNAVAILABLE, &refused.to_string()),
        },
        Ok(Question::Routes(question)) => routes(source, question, &seat).await,
        Err(Unanswerable::Unknown(words)) => elsewhere(&request, &words),
        Err(Unanswerable::Pair(words)) => error(StatusCode::BAD_REQUEST, &words),
    }
}

/// Has the speaker do something; whoever may connect to the control socket may also stop the daemon.
async fn change(request: Request<Incoming>, source: Arc<Source>, seat: &Seat) -> Response<Body> {
    match request::Request::parse(request.uri().path(), request.uri().query().unwrap_or_default()) {
        Ok(request::Request::Clear(peer)) => done(source.clear(peer).await),
        Ok(request::Request::Reset(peer, mode)) => done(source.reset(peer, mode).await),
        Ok(request::Request::Bfd(peer, state)) => done(source.bfd(peer, state).await),
        Ok(request::Request::DryRun(question)) => match text(request.into_body()).await {
            Ok(text) => dry_run(source, question, &text, seat).await,
            Err(words) => error(StatusCode::BAD_REQUEST, words),
        },
        Err(Unanswerable::Unknown(words)) => elsewhere(&request, &words),
        Err(Unanswerable::Pair(words)) => error(StatusCode::BAD_REQUEST, &words),
    }
}

/// The body of a request.
async fn text(body: Incoming) -> Result<String, &'static str> {
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let body = body.map_err(|_| "the body did not come in time")?;
    let body = body.map_err(|_| "the body broke off, or is larger than a file of policies")?;
    String::from_utf8(body.to_bytes().into()).map_err(|_| "the body is not UTF-8 text")
}

/// What a peer would be told by a policy of the text, one destination on a line, one page in memory at a time.
async fn dry_run(source: Arc<Source>, question: DryRun, text: &str, seat: &Seat) -> Response<Body> {
    let policy = match config::export_policy(text, question.peer, question.policy.as_deref()) {
        Ok(policy) => policy,
        Err(fault) => {
            let fault = ConfigError::invalid(Path::new("body"), text, fault);
            return error(StatusCode::BAD_REQUEST, &fault.render(false));
        }
    };
    let peer = question.peer;
    let families = match source.families_of(peer, question.family) {
        Ok(families) => families,
        Err(refused) => return refusal(&refused),
    };
    let Some(place) = seat.listing() else { return all_read() };
    // The family to ask about next, and where to go on in it.
    let first = (families.into_iter(), None);
    let pages = stream::try_unfold(first, move |(mut families, at): (_, Option<(Family, _)>)| {
        let (source, policy) = (source.clone(), policy.clone());
        // Held until the last page was taken.
        let _ = &place;
        async move {
            let Some((family, from)) =
                at.or_else(|| Iterator::next(&mut families).map(|family| (family, None)))
            else {
                return Ok(None);
            };
            let (changes, next) = source.dry_run(peer, family, policy, from, PAGE).await?;
            let following = next.map(|cursor| (family, Some(cursor)));
            Ok(Some((Frame::data(lines(&changes)), (families, following))))
        }
    });
    respond(StatusCode::OK, "application/x-ndjson", StreamBody::new(pages).boxed_unsync())
}

/// What was done, or why it was not.
fn done(outcome: Result<impl Serialize, SpeakerError>) -> Response<Body> {
    match outcome {
        Ok(done) => json(StatusCode::OK, &done),
        Err(refused) => refusal(&refused),
    }
}

fn refusal(refused: &SpeakerError) -> Response<Body> {
    let status = match refused {
        SpeakerError::UnknownPeer(_) => StatusCode::NOT_FOUND,
        SpeakerError::NotEstablished(_) | SpeakerError::NoRouteRefresh(_) => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, &refused.to_string())
}

async fn answer_metrics(request: Request<Incoming>, source: Arc<Source>, _seat: Arc<Seat>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => metrics(&source),
        (&Method::GET, _) => error(StatusCode::NOT_FOUND, "only /metrics is here"),
        _ => only("GET"),
    }
}

/// The path is not there, or takes another method.
fn elsewhere(request: &Request<Incoming>, words: &str) -> Response<Body> {
    query::method_of(request.uri().path()).map_or_else(|| error(StatusCode::NOT_FOUND, words), only)
}

fn only(methods: &'static str) -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, &format!("only {methods} is answered here"));
    response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
    response
}

fn metrics(source: &Source) -> Response<Body> {
    match source.metrics() {
        Ok(text) => respond(StatusCode::OK, OPEN_METRICS, whole(Bytes::from(text))),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the measurements cannot be written"),
    }
}

/// The listing, one path on a line, one page in memory at a time: the next is asked for when the client has taken this one.
async fn routes(source: Arc<Source>, question: RoutesQuestion, seat: &Seat) -> Response<Body> {
    let Some(place) = seat.listing() else { return all_read() };
    // The first page is fetched before the head is sent, so that a refusal still has its status code.
    let first = match source.routes(&question, None, PAGE).await {
        Ok(page) => page,
        Err(refused @ SpeakerError::UnknownPeer(_)) => {
            return error(StatusCode::NOT_FOUND, &refused.to_string());
        }
        Err(refused) => return error(StatusCode::SERVICE_UNAVAILABLE, &refused.to_string()),
    };
    let pages = stream::try_unfold(Some(first), move |page| {
        let source = source.clone();
        // Held until the last page was taken.
        let _ = &place;
        async move {
            let Some((paths, next)) = page else { return Ok(None) };
            let lines = Frame::data(lines(&paths));
            let following = match next {
                Some(cursor) => Some(source.routes(&question, Some(cursor), PAGE).await?),
                None => None,
            };
            Ok(Some((lines, following)))
        }
    });
    respond(StatusCode::OK, "application/x-ndjson", StreamBody::new(pages).boxed_unsync())
}

/// No listing for now.
fn all_read() -> Response<Body> {
    error(
        StatusCode::SERVICE_UNAVAILABLE,
        "as many listings as may be read at a time are being read: try again later",
    )
}

fn lines<T: Serialize>(items: &[T]) -> Bytes {
    let mut out = Vec::with_capacity(items.len() * 256);
    for item in items {
        // Plain structs of strings and numbers always serialize, and a Vec takes every byte.
        serde_json::to_writer(&mut out, item).expect("it is no map with strange keys");
        out.push(b'\n');
    }
    out.into()
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let mut text = serde_json::to_vec(value).expect("it is no map with strange keys");
    text.push(b'\n');
    respond(status, "application/json", whole(Bytes::from(text)))
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn error(status: StatusCode, words: &str) -> Response<Body> {
    json(status, &Refusal { error: words.to_owned() })
}

fn respond(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
