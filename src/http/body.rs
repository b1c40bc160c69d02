//! Request bodies within limits, as sent and as decompressed.

use super::app::App;
use crate::{
    memory::Lease,
    model::{ErrorKind, Failure, Result},
};
use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use std::io::Read;

/// What a body costs while it is worked on: the place that it grows into beside the one before, or it and what is made of it.
const COPIES: usize = 3;

/// A whole body, decompressed when `Content-Encoding` says gzip, and the memory that it is charged. `what` it is, where it turns
/// out to be too large. While other requests hold what there is, it is `Unavailable`.
pub async fn read(app: &App, headers: &HeaderMap, mut body: Body, what: &str) -> Result<(Bytes, Lease)> {
    let requests = &app.engine.memory().requests;
    let bytes_max = app.settings.body_bytes_max.min(requests.limit() / COPIES);
    let mut sent = Held { bytes: 0, bytes_max, lease: requests.lease() };
    let refused = |refusal: Refusal| match refusal {
        Refusal::TooLarge => {
            let message = format!("unable to read data: {what} is too large: the limit is {bytes_max} bytes");
            Failure::new(ErrorKind::TooLarge, message)
        }
        Refusal::Busy => {
            let message = "other requests hold the memory that there is for requests; nothing was done";
            Failure::new(ErrorKind::Unavailable, message).retry_after(1)
        }
        Refusal::Unreadable(why) => Failure::invalid(format!("unable to read data: {why}")),
    };
    // What is too large by its own account need not be read.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(refused(Refusal::TooLarge));
    }
    // Each piece is copied when it comes: joining a long body at the end would keep an async thread for long.
    let mut bytes = vec![];
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| refused(Refusal::Unreadable(e.to_string())))?;
        let Ok(piece) = frame.into_data() else { continue };
        sent.add(piece.len()).map_err(refused)?;
        bytes.extend_from_slice(&piece);
    }
    let bytes = Bytes::from(bytes);
    match headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes()) {
        None | Some(b"" | b"identity") => Ok((bytes, sent.lease)),
        Some(b"gzip" | b"x-gzip") => {
            let unpacked = Held { bytes: 0, bytes_max, lease: requests.lease() };
            let work = tokio::task::spawn_blocking(move || {
                let unpacked = unpack(&bytes, unpacked);
                drop(sent);
                unpacked
            });
            let unpacked = work.await.map_err(|e| Failure::internal(format!("unpacking a body panicked: {e}")))?;
            unpacked.map_err(refused)
        }
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            Err(Failure::invalid(format!("unknown Content-Encoding `{other}`; send gzip, or the text as it is")))
        }
    }
}

enum Refusal {
    TooLarge,
    Busy,
    Unreadable(String),
}

/// Bytes of a body so far, and what is charged for them.
struct Held {
    bytes: usize,
    bytes_max: usize,
    lease: Lease,
}

impl Held {
    fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        if self.bytes > self.bytes_max {
            return Err(Refusal::TooLarge);
        }
        if self.lease.try_grow(bytes * COPIES) { Ok(()) } else { Err(Refusal::Busy) }
    }
}

const STEP_BYTES: usize = 64 << 10;

/// Charged step by step: a small body may unpack to a large one.
fn unpack(bytes: &[u8], mut held: Held) -> Result<(Bytes, Lease), Refusal> {
    let (mut out, mut reader) = (vec![], flate2::read::MultiGzDecoder::new(bytes));
    loop {
        let step = (&mut reader).take(STEP_BYTES as u64).read_to_end(&mut out);
        match step.map_err(|e| Refusal::Unreadable(format!("gzip: {e}")))? {
            0 => return Ok((out.into(), held.lease)),
            more => held.add(more)?,
        }
    }
}

/// A JSON body; an empty one reads as `{}`.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|e| Failure::invalid(format!("failed to decode request body: {e}")))
}
