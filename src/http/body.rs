//! Request bodies within limits, as sent and as decompressed.

use super::app::App;
use crate::model::{ErrorKind, Failure, Result};
use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use std::io::Read;

/// A whole body, decompressed when `Content-Encoding` says gzip. `what` it is, where it turns out to be too large.
pub async fn read(app: &App, headers: &HeaderMap, body: Body, what: &str) -> Result<Bytes> {
    let bytes_max = app.settings.body_bytes_max;
    let too_large = format!("unable to read data: {what} is too large: the limit is {bytes_max} bytes");
    let too_large = Failure::new(ErrorKind::TooLarge, too_large);
    let read = Limited::new(body, bytes_max).collect().await;
    let bytes = match read {
        Ok(read) => read.to_bytes(),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => return Err(too_large),
        Err(e) => return Err(Failure::invalid(format!("unable to read data: {e}"))),
    };
    match headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(bytes),
        Some(b"gzip" | b"x-gzip") => {
            let work = tokio::task::spawn_blocking(move || unpack(&bytes, bytes_max)).await;
            let unpacked = work.map_err(|e| Failure::internal(format!("unpacking a body panicked: {e}")))??;
            unpacked.ok_or(too_large)
        }
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            Err(Failure::invalid(format!("unknown Content-Encoding `{other}`; send gzip, or the text as it is")))
        }
    }
}

/// `None`: it is larger than that.
fn unpack(bytes: &[u8], bytes_max: usize) -> Result<Option<Bytes>> {
    let mut out = vec![];
    let limit = bytes_max as u64 + 1;
    let unpacked = flate2::read::MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut out);
    unpacked.map_err(|e| Failure::invalid(format!("unable to read data: gzip: {e}")))?;
    Ok((out.len() <= bytes_max).then(|| out.into()))
}

/// A JSON body; an empty one reads as `{}`.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|e| Failure::invalid(format!("failed to decode request body: {e}")))
}
