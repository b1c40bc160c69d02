//! A small S3 server for tests: what our client uses of the protocol, with failures at will.
//!
//! It knows one bucket, `tides`, and one key, `key`. It honours `If-None-Match: *`, gives listings in pages of three, and can
//! answer some requests with an error, before or after doing what they ask.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

const PAGE: usize = 3;
const DATE: &str = "Wed, 01 Jan 2025 00:00:00 GMT";

#[derive(Default)]
pub struct Server {
    objects: Mutex<BTreeMap<String, Bytes>>,
    uploads: Mutex<HashMap<String, BTreeMap<u32, Bytes>>>,
    requests: AtomicU32,
    /// Every so many requests one is refused with 503, and one is done and answered with 500; 0: none.
    pub fails_every: AtomicU32,
}

impl Server {
    /// Listens until the runtime ends.
    pub async fn start() -> (SocketAddr, Arc<Server>) {
        let server = Arc::new(Server::default());
        let router = Router::new().fallback(answer).with_state(server.clone()).layer(axum::extract::DefaultBodyLimit::disable());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, server)
    }

    pub fn open_uploads(&self) -> usize {
        self.uploads.lock().len()
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>")).into_response()
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{:08x}\"", crc32c::crc32c(bytes))
}

async fn answer(State(server): State<Arc<Server>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (number, every) = (server.requests.fetch_add(1, Ordering::Relaxed), server.fails_every.load(Ordering::Relaxed));
    let turn = |at: u32| every > 0 && number % every == at;
    if turn(1) {
        return error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !authorization.starts_with("AWS4-HMAC-SHA256 Credential=key/") {
        return error(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
    }
    let Some(key) = uri.path().strip_prefix("/tides").map(|k| k.trim_start_matches('/').to_string()) else {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket");
    };
    let query: HashMap<String, String> = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let response = handle(&server, &method, &key, &query, &headers, body);
    if turn(3) { error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError") } else { response }
}

fn handle(server: &Server, method: &Method, key: &str, query: &HashMap<String, String>, headers: &HeaderMap, body: Bytes) -> Response {
    let part = query.get("uploadId").map(|id| (id.clone(), query.get("partNumber").and_then(|n| n.parse::<u32>().ok())));
    match (method.as_str(), part) {
        ("POST", None) if query.contains_key("delete") => {
            let text = String::from_utf8_lossy(&body).into_owned();
            let keys = text.split("<Key>").skip(1).filter_map(|t| t.split("</Key>").next());
            let gone = keys.map(|k| {
                server.objects.lock().remove(k);
                format!("<Deleted><Key>{k}</Key></Deleted>")
            });
            format!("<DeleteResult>{}</DeleteResult>", gone.collect::<String>()).into_response()
        }
        ("POST", None) => {
            let id = format!("upload-{}", server.requests.load(Ordering::Relaxed));
            server.uploads.lock().insert(id.clone(), BTreeMap::new());
            let names = format!("<Bucket>tides</Bucket><Key>{key}</Key>");
            format!("<InitiateMultipartUploadResult>{names}<UploadId>{id}</UploadId></InitiateMultipartUploadResult>").into_response()
        }
        ("PUT", Some((id, Some(number)))) => match server.uploads.lock().get_mut(&id) {
            Some(parts) => {
                let tag = etag(&body);
                parts.insert(number, body);
                [(header::ETAG, tag)].into_response()
            }
            None => error(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        ("POST", Some((id, _))) => match server.uploads.lock().remove(&id) {
            Some(parts) => {
                let whole: Bytes = parts.into_values().collect::<Vec<_>>().concat().into();
                let tag = etag(&whole);
                server.objects.lock().insert(key.to_string(), whole);
                format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>").into_response()
            }
            None => error(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        ("DELETE", Some((id, _))) => {
            server.uploads.lock().remove(&id);
            StatusCode::NO_CONTENT.into_response()
        }
        ("PUT", _) => {
            let mut objects = server.objects.lock();
            if headers.get(header::IF_NONE_MATCH).is_some_and(|v| v == "*") && objects.contains_key(key) {
                return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
            }
            let tag = etag(&body);
            objects.insert(key.to_string(), body);
            [(header::ETAG, tag)].into_response()
        }
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
