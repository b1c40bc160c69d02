//! A small S3 server for tests: what our client uses of the protocol, with failures at will.
//!
//! It knows one bucket, `tides`, and one key, `key`. It honours `If-None-Match: *` and gives listings in pages of three. What goes wrong
//! with a request is asked of a [`Plan`] by the request's number; the network is part of it, since replies can be torn and connections
//! reset.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const PAGE: usize = 3;
const DATE: &str = "Wed, 01 Jan 2025 00:00:00 GMT";
/// How late a slow reply begins, and how long it stops in its middle.
const SLOW: Duration = Duration::from_millis(5);
/// Longer than any client of these tests waits.
const SILENCE: Duration = Duration::from_secs(30);

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503, and nothing is done.
    Busy,
    /// The same, with `Retry-After: 1`.
    BusyForASecond,
    /// 429, and nothing is done.
    TooMany,
    /// It is done, and answered with 500.
    DoneThenError,
    /// The connection is reset, and nothing is done.
    Reset,
    /// It is done, and the connection is reset.
    DoneThenReset,
    /// The connection is reset in the middle of the reply.
    Torn,
    /// A range comes short, and the reply says so in one header and not in the other.
    Short,
    /// The reply is late and comes in pieces.
    Slow,
    /// There is no reply.
    Silent,
    /// It is done, and done once more: the reply is the second one.
    Twice,
    /// 200, and an error in the body, where a listing or another list was wanted.
    ErrorInside,
}

impl Fault {
    /// Without the one that takes a second.
    pub const ALL: [Fault; 11] = {
        use Fault::*;
        [Busy, TooMany, DoneThenError, Reset, DoneThenReset, Torn, Short, Slow, Silent, Twice, ErrorInside]
    };
}

/// What goes wrong with the request of a number.
pub type Plan = Box<dyn Fn(u64) -> Option<Fault> + Send>;

#[derive(Default)]
pub struct Server {
    objects: Mutex<BTreeMap<String, Bytes>>,
    uploads: Mutex<HashMap<String, BTreeMap<u32, Bytes>>>,
    requests: AtomicU64,
    plan: Mutex<Option<Plan>>,
    /// Objects that were given other bytes, which nobody may ever ask for.
    replaced: AtomicU64,
}

impl Server {
    /// Listens until the runtime ends.
    pub async fn start() -> (SocketAddr, Arc<Server>) {
        let server = Arc::new(Server::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that is dropped is reset.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                let server = shared.clone();
                let service = service_fn(move |request| answer(server.clone(), request));
                tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
            }
        });
        (address, server)
    }

    pub fn open_uploads(&self) -> usize {
        self.uploads.lock().len()
    }

    /// How many requests there were; the number of the next one.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::SeqCst)
    }

    pub fn plan(&self, plan: Option<Plan>) {
        *self.plan.lock() = plan;
    }

    fn put(&self, key: &str, bytes: Bytes, only_new: bool) -> Response {
        let mut objects = self.objects.lock();
        if only_new && objects.contains_key(key) {
            return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        let tag = etag(&bytes);
        if objects.insert(key.to_string(), bytes.clone()).is_some_and(|before| before != bytes) {
            self.replaced.fetch_add(1, Ordering::SeqCst);
        }
        [(header::ETAG, tag)].into_response()
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>")).into_response()
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{:08x}\"", crc32c::crc32c(bytes))
}

/// A request whose body is here.
struct Asked {
    method: Method,
    path: String,
    query: HashMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

/// An error resets the connection.
async fn answer(server: Arc<Server>, request: Request<Incoming>) -> io::Result<Response> {
    let number = server.requests.fetch_add(1, Ordering::SeqCst);
    let fault = server.plan.lock().as_ref().and_then(|plan| plan(number));
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let asked = Asked { method: parts.method, path: parts.uri.path().to_string(), query, headers: parts.headers, body };
    let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
    match fault {
        None => Ok(done(&server, &asked)),
        Some(Fault::Busy) => Ok(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
        Some(Fault::BusyForASecond) => {
            let mut reply = error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            Ok(reply)
        }
        Some(Fault::TooMany) => Ok(error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")),
        Some(Fault::DoneThenError) => {
            done(&server, &asked);
            Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
        }
        Some(Fault::Reset) => reset(),
        Some(Fault::DoneThenReset) => {
            done(&server, &asked);
            reset()
        }
        Some(Fault::Torn) => torn(done(&server, &asked)).await,
        Some(Fault::Short) => short(done(&server, &asked)).await,
        Some(Fault::Slow) => slow(done(&server, &asked)).await,
        Some(Fault::Silent) => {
            tokio::time::sleep(SILENCE).await;
            reset()
        }
        Some(Fault::Twice) => {
            done(&server, &asked);
            Ok(done(&server, &asked))
        }
        Some(Fault::ErrorInside) if asked.query.contains_key("list-type") || asked.method == Method::POST => {
            Ok(error(StatusCode::OK, "InternalError"))
        }
        Some(Fault::ErrorInside) => Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
    }
}

async fn whole(reply: Response) -> (axum::http::response::Parts, Bytes) {
    let (parts, body) = reply.into_parts();
    (parts, body.collect().await.expect("a body in memory").to_bytes())
}

async fn torn(reply: Response) -> io::Result<Response> {
    let (mut parts, bytes) = whole(reply).await;
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    let pieces = stream::iter([Ok(half), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
    // Without a body there is no middle.
    if bytes.is_empty() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(Response::from_parts(parts, Body::from_stream(pieces))) }
}

async fn short(reply: Response) -> io::Result<Response> {
    match reply.headers().contains_key(header::CONTENT_RANGE) {
        false => torn(reply).await,
        true => {
            let (parts, bytes) = whole(reply).await;
            Ok(Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2))))
        }
    }
}

async fn slow(reply: Response) -> io::Result<Response> {
    tokio::time::sleep(SLOW).await;
    let (mut parts, bytes) = whole(reply).await;
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let middle = bytes.len() / 2;
    let pieces = stream::iter([bytes.slice(..middle), bytes.slice(middle..)]).then(|piece| async move {
        tokio::time::sleep(SLOW).await;
        io::Result::Ok(piece)
    });
    Ok(Response::from_parts(parts, Body::from_stream(pieces)))
}

fn done(server: &Server, asked: &Asked) -> Response {
    let authorization = asked.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !authorization.starts_with("AWS4-HMAC-SHA256 Credential=key/") {
        return error(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
    }
    match asked.path.strip_prefix("/tides") {
        Some(key) => handle(server, key.trim_start_matches('/'), asked),
        None => error(StatusCode::NOT_FOUND, "NoSuchBucket"),
    }
}

fn handle(server: &Server, key: &str, asked: &Asked) -> Response {
    let Asked { method, query, headers, body, .. } = asked;
    let part = query.get("uploadId").map(|id| (id.clone(), query.get("partNumber").and_then(|n| n.parse::<u32>().ok())));
    match (method.as_str(), part) {
        ("POST", None) if query.contains_key("delete") => {
            let text = String::from_utf8_lossy(body).into_owned();
            let keys = text.split("<Key>").skip(1).filter_map(|t| t.split("</Key>").next());
            let gone = keys.map(|k| {
                server.objects.lock().remove(k);
                format!("<Deleted><Key>{k}</Key></Deleted>")
            });
            format!("<DeleteResult>{}</DeleteResult>", gone.collect::<String>()).into_response()
        }
        ("POST", None) => {
            let id = format!("upload-{}", server.requests());
            server.uploads.lock().insert(id.clone(), BTreeMap::new());
            let names = format!("<Bucket>tides</Bucket><Key>{key}</Key>");
            format!("<InitiateMultipartUploadResult>{names}<UploadId>{id}</UploadId></InitiateMultipartUploadResult>").into_response()
        }
        ("PUT", Some((id, Some(number)))) => match server.uploads.lock().get_mut(&id) {
            Some(parts) => {
                parts.insert(number, body.clone());
                [(header::ETAG, etag(body))].into_response()
            }
            None => error(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        ("POST", Some((id, _))) => match server.uploads.lock().remove(&id) {
            Some(parts) => {
                let whole: Bytes = parts.into_values().collect::<Vec<_>>().concat().into();
                let tag = etag(&whole);
                server.put(key, whole, false);
                format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>").into_response()
            }
            None => error(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        ("DELETE", Some((id, _))) => {
            server.uploads.lock().remove(&id);
            StatusCode::NO_CONTENT.into_response()
        }
        ("PUT", _) => server.put(key, body.clone(), headers.get(header::IF_NONE_MATCH).is_some_and(|v| v == "*")),
        ("DELETE", _) => {
            server.objects.lock().remove(key);
            StatusCode::NO_CONTENT.into_response()
        }
        ("GET", _) if key.is_empty() => list(server, query),
        ("GET" | "HEAD", _) => match server.objects.lock().get(key) {
            Some(bytes) => ranged(bytes, headers),
            None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

fn ranged(bytes: &Bytes, headers: &HeaderMap) -> Response {
    let named = [(header::ETAG, etag(bytes)), (header::LAST_MODIFIED, DATE.to_string())];
    let range = headers.get(header::RANGE).and_then(|v| v.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let bounds = range.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    match bounds {
        None => (named, bytes.clone()).into_response(),
        Some((from, _)) if from >= bytes.len() => error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
        Some((from, to)) => {
            let to = to.min(bytes.len() - 1);
            let place = [(header::CONTENT_RANGE, format!("bytes {from}-{to}/{}", bytes.len()))];
            (StatusCode::PARTIAL_CONTENT, named, place, bytes.slice(from..=to)).into_response()
        }
    }
}

fn list(server: &Server, query: &HashMap<String, String>) -> Response {
    let asked = |name: &str| query.get(name).cloned().unwrap_or_default();
    let (prefix, delimiter, after) = (asked("prefix"), asked("delimiter"), asked("continuation-token"));
    // A common prefix stands for all keys below it.
    let mut entries: BTreeSet<(String, Option<usize>)> = BTreeSet::new();
    for (key, bytes) in server.objects.lock().iter() {
        let Some(rest) = key.strip_prefix(&prefix) else { continue };
        match (!delimiter.is_empty()).then(|| rest.find(&delimiter)).flatten() {
            Some(at) => entries.insert((format!("{prefix}{}", &rest[..at + delimiter.len()]), None)),
            None => entries.insert((key.clone(), Some(bytes.len()))),
        };
    }
    let mut rest = entries.into_iter().filter(|(key, _)| *key > after).peekable();
    let mut page = String::new();
    let mut last = String::new();
    for (key, size) in rest.by_ref().take(PAGE) {
        page += &match size {
            Some(size) => format!(
                "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"1\"</ETag><LastModified>2025-01-01T00:00:00.000Z</LastModified></Contents>"
            ),
            None => format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
        };
        last = key;
    }
    let next = match rest.peek() {
        Some(_) => format!("<NextContinuationToken>{last}</NextContinuationToken>"),
        None => String::new(),
    };
    format!("<ListBucketResult>{next}{page}</ListBucketResult>").into_response()
}
