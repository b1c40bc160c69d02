//! A local folder as an object store whose puts are durable when they return.
//!
//! `object_store` 0.13's own local store never syncs, so an acknowledged object may be empty after power loss.
//! Here a put is: write a staged file, sync it, link or rename it to its name, sync the folder (and the parents of
//! every folder above it). Reads and listings are the library's. Deletes are not synced: a deleted object that
//! comes back is unreferenced, and is collected again.
//!
//! Staged files live in the folder `staged`; what a crash leaves there is removed by the next process that opens the
//! store for writing.

use crate::storage::disk::{Disk, DiskFile, Folders};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart, local::LocalFileSystem, path::Path,
};
use std::{
    fmt, io,
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Clones are the same folder.
#[derive(Debug, Clone)]
pub struct DurableFolder {
    reads: Arc<LocalFileSystem>,
    disk: Arc<dyn Disk>,
    folders: Arc<Folders>,
    root: Arc<FilePath>,
}

static STAGED: AtomicU64 = AtomicU64::new(1);
pub const STAGED_FOLDER: &str = "staged";
const DELETES_IN_FLIGHT: usize = 10;

impl DurableFolder {
    /// Opens the folder, making it (durably) when absent.
    pub fn open(disk: Arc<dyn Disk>, root: &FilePath) -> io::Result<DurableFolder> {
        let folders = Folders::at(disk.clone(), root)?;
        let reads = LocalFileSystem::new_with_prefix(root).map_err(io::Error::other)?;
        Ok(DurableFolder { reads: Arc::new(reads), disk, folders: Arc::new(folders), root: root.into() })
    }

    pub fn root(&self) -> &FilePath {
        &self.root
    }

    /// When it returns, an object that another process put there survives a power loss, whatever became of that one's syncs: it is
    /// written anew in its place. After an error the old one or the new one is there.
    pub async fn renew(&self, location: &Path) -> Result<()> {
        let (folder, target) = (self.clone(), self.reads.path_to_filesystem(location)?);
        let location = location.to_string();
        let renewed = tokio::task::spawn_blocking(move || folder.renew_file(&target)).await?;
        renewed.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path: location, source: Box::new(e) },
            _ => local_failure(e),
        })
    }

    fn renew_file(&self, target: &FilePath) -> io::Result<()> {
        let (bytes, folder) = (self.disk.read(target)?, folder_of(target)?);
        self.folders.make(folder)?;
        let staged = self.staged();
        let placed = self.write_synced(&staged, &PutPayload::from(bytes)).and_then(|()| self.disk.rename(&staged, target));
        if placed.is_err() {
            let _ = self.disk.remove(&staged);
        }
        placed.and_then(|()| self.disk.sync_folder(folder))
    }

    /// Runs file work where waiting is allowed.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
        tokio::task::spawn_blocking(work).await?.map_err(local_failure)
    }

    /// A new name for a file that is not in its place yet.
    fn staged(&self) -> PathBuf {
        let number = STAGED.fetch_add(1, Ordering::Relaxed);
        self.root.join(STAGED_FOLDER).join(format!("{}-{number}", std::process::id()))
    }

    fn put(&self, target: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
        let staged = self.staged();
        let result = self.write_synced(&staged, payload).and_then(|()| self.place(&staged, target, create));
        if create || result.is_err() {
            // Best effort: nothing refers to a staged file.
            let _ = self.disk.remove(&staged);
        }
        result
    }

    fn create_staged(&self, path: &FilePath) -> io::Result<Box<dyn DiskFile>> {
        if let Some(folder) = path.parent() {
            self.folders.make(folder)?;
        }
        match self.disk.create(path) {
            // Of a process with our number that was killed. It may be a second name of an object: it must not be emptied.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(path)?;
                self.disk.create(path)
            }
            other => other,
        }
    }

    fn write_synced(&self, path: &FilePath, payload: &PutPayload) -> io::Result<()> {
        let file = self.create_staged(path)?;
        write_at(&*file, 0, payload)?;
        file.sync()
    }

    /// Gives a synced file its name.
    fn place(&self, staged: &FilePath, target: &FilePath, create: bool) -> io::Result<()> {
        let folder = folder_of(target)?;
        self.folders.make(folder)?;
        self.folders.forget(target, |target| self.disk.remove(target))?;
        match create {
            // A link fails when the name is taken; a rename would replace.
            true => match self.disk.link(staged, target) {
                // Who finds there what he wanted to put takes it for his.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return self.disk.sync_folder(folder).and(Err(e)),
                linked => linked?,
            },
            false => self.disk.rename(staged, target)?,
        }
        // A name that may not last is not to be found by the next attempt, whose sync would prove nothing for it.
        self.disk.sync_folder(folder).inspect_err(|_| {
            self.folders.doubt(target);
            let _ = self.folders.forget(target, |target| self.disk.remove(target));
        })
    }
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableFolder({})", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(not_offered("conditional update")),
        };
        let target = self.reads.path_to_filesystem(location)?;
        let (location, folder) = (location.clone(), self.clone());
        let written = tokio::task::spawn_blocking(move || folder.put(&target, &payload, create)).await?;
        written.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: location.to_string(), source: Box::new(e) },
            _ => local_failure(e),
        })?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let target = self.reads.path_to_filesystem(location)?;
        let (folder, staged) = (self.clone(), self.staged());
        let begun = staged.clone();
        let file = self.blocking(move || folder.create_staged(&begun)).await?;
        Ok(Box::new(StagedUpload { folder: self.clone(), target, staged, file: Arc::from(file), length: 0, placed: false }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.reads.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let folder = self.clone();
        let delete = move |location: Result<Path>| {
            let folder = folder.clone();
            async move {
                let location = location?;
                let target = folder.reads.path_to_filesystem(&location)?;
                let removed = tokio::task::spawn_blocking(move || folder.disk.remove(&target)).await?;
                removed.map_err(|e| match e.kind() {
                    io::ErrorKind::NotFound => Error::NotFound { path: location.to_string(), source: Box::new(e) },
                    _ => local_failure(e),
                })?;
                Ok::<Path, Error>(location)
            }
        };
        locations.map(delete).buffered(DELETES_IN_FLIGHT).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reads.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_offered("copy"))
    }
}

/// What storage never does is refused, rather than done without the promise of durability.
fn not_offered(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_string(), implementer: "DurableFolder".to_string() }
}

fn folder_of(target: &FilePath) -> io::Result<&FilePath> {
    target.parent().ok_or_else(|| io::Error::other("an object needs a folder"))
}

fn local_failure(e: io::Error) -> Error {
    Error::Generic { store: "local", source: Box::new(e) }
}

/// Parts go to their places in a staged file, in whatever order they are polled.
#[derive(Debug)]
struct StagedUpload {
    folder: DurableFolder,
    target: PathBuf,
    staged: PathBuf,
    file: Arc<dyn DiskFile>,
    length: u64,
    placed: bool,
}

#[async_trait]
impl MultipartUpload for StagedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (folder, file, at) = (self.folder.clone(), self.file.clone(), self.length);
        self.length += data.content_length() as u64;
        Box::pin(async move { folder.blocking(move || write_at(&*file, at, &data)).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (folder, file, staged, target) = (self.folder.clone(), self.file.clone(), self.staged.clone(), self.target.clone());
        let finish = move || file.sync().and_then(|()| folder.place(&staged, &target, false));
        self.folder.blocking(finish).await?;
        self.placed = true;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        // Dropping removes the file.
        Ok(())
    }
}

impl Drop for StagedUpload {
    fn drop(&mut self) {
        if !self.placed {
            let _ = self.folder.disk.remove(&self.staged);
        }
    }
}

fn write_at(file: &dyn DiskFile, mut at: u64, data: &PutPayload) -> io::Result<()> {
    for piece in data.iter() {
        file.write_at(at, piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}
