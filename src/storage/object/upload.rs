//! An object written piece by piece: what a compaction makes must not have to fit in memory.

use super::{Store, StoreError};
use bytes::{Bytes, BytesMut};
use object_store::{ObjectStoreExt, WriteMultipart, path::Path};

/// S3 wants parts of at least 5 MiB, and some stores want them of one size.
const PART_BYTES: usize = 8 << 20;
const PARTS_IN_FLIGHT: usize = 2;

/// An object that is not there until [`finish`](Upload::finish) returns; then it is durable, as with [`Store::create`].
/// Unlike there, the name is not checked: it must have a random id in it that nobody else uses.
///
/// Pieces that come to less than one part go in one put.
pub struct Upload {
    store: Store,
    path: String,
    location: Path,
    length: u64,
    first: BytesMut,
    parts: Option<WriteMultipart>,
}

impl Store {
    pub fn upload(&self, path: &str) -> Upload {
        Upload {
            store: self.clone(),
            path: path.to_string(),
            location: self.location(path),
            length: 0,
            first: BytesMut::new(),
            parts: None,
        }
    }
}

impl Upload {
    /// The next piece, of any size. After a failure, [`abort`](Upload::abort).
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StoreError> {
        self.length += piece.len() as u64;
        if self.parts.is_none() && self.first.len() + piece.len() <= PART_BYTES {
            self.first.extend_from_slice(&piece);
            return Ok(());
        }
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => {
                let begun = self.store.uploads.put_multipart(&self.location).await.map_err(|e| self.failure(e))?;
                let mut parts = WriteMultipart::new_with_chunk_size(begun, PART_BYTES);
                parts.put(std::mem::take(&mut self.first).freeze());
                parts
            }
        };
        let room = parts.wait_for_capacity(PARTS_IN_FLIGHT).await;
        if room.is_ok() {
            parts.put(piece);
        }
        self.parts = Some(parts);
        room.map_err(|e| self.failure(e))
    }

    /// The client has repeated what it could.
    fn failure(&self, e: object_store::Error) -> StoreError {
        self.store.name_error(&self.path, &self.store.attempts(), e)
    }

    pub async fn finish(mut self) -> Result<(), StoreError> {
        match self.parts.take() {
            None => self.store.create(&self.path, self.first.freeze()).await,
            Some(parts) => match parts.finish().await {
                Ok(_) => Ok(()),
                // When only the reply was lost, the object is there: nobody else uses its name.
                // On this machine no reply is lost, and what failed may not last.
                Err(e) if self.store.local.is_some() => Err(self.failure(e)),
                Err(e) => match self.store.patiently(&self.path, || self.store.objects.head(&self.location)).await {
                    Ok(found) if found.size == self.length => Ok(()),
                    _ => Err(self.failure(e)),
                },
            },
        }
    }

    /// Gives up; parts that were sent are removed as far as the store allows.
    pub async fn abort(mut self) {
        if let Some(parts) = self.parts.take()
            && let Err(error) = parts.abort().await
        {
            tracing::warn!(path = self.path, %error, "parts of an upload that was given up may stay in the store");
        }
    }
}
