//! An object store in memory whose requests fail when a test says so.

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    PutRefused,
    /// The object is there, and the caller gets an error.
    PutReplyLost,
    GetRefused,
    ListRefused,
}

/// Clones share objects and faults.
#[derive(Debug, Clone, Default)]
pub struct FaultyStore {
    objects: Arc<InMemory>,
    /// A fault meets every request whose path has the text in it.
    faults: Arc<Mutex<Vec<(Fault, String)>>>,
}

impl FaultyStore {
    pub fn set(&self, faults: &[(Fault, &str)]) {
        *self.faults.lock() = faults.iter().map(|(fault, path)| (*fault, path.to_string())).collect();
    }

    fn meets(&self, fault: Fault, path: &Path) -> bool {
        self.faults.lock().iter().any(|(f, text)| *f == fault && path.as_ref().contains(text))
    }
}

fn failed() -> Error {
    Error::Generic { store: "faulty", source: Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if self.meets(Fault::PutRefused, location) {
            return Err(failed());
        }
        let result = self.objects.put_opts(location, payload, options).await;
        if self.meets(Fault::PutReplyLost, location) { Err(failed()) } else { result }
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.meets(Fault::GetRefused, location) {
            return Err(failed());
        }
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if prefix.is_some_and(|prefix| self.meets(Fault::ListRefused, prefix)) {
            return futures::stream::once(async { Err(failed()) }).boxed();
        }
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
