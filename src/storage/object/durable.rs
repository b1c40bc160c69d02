//! A local folder as an object store whose puts are durable when they return.
//!
//! `object_store` 0.13's own local store never syncs, so an acknowledged object may be empty after power loss.
//! Here a put is: write a staged file, sync it, link or rename it to its name, sync the folder (and the parents of
//! every folder that was made). Reads and listings are the library's. Deletes are not synced: a deleted object that
//! comes back is unreferenced, and is collected again.
//!
//! Staged files live in the folder `staged`; what a crash leaves there is removed by the next process that opens the
//! store for writing.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart, local::LocalFileSystem, path::Path,
};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

#[derive(Debug)]
pub struct DurableFolder {
    reads: LocalFileSystem,
    root: PathBuf,
}

static STAGED: AtomicU64 = AtomicU64::new(1);

impl DurableFolder {
    /// Opens the folder, making it (durably) when absent.
    pub fn open(root: &FilePath) -> io::Result<DurableFolder> {
        make_folders(root)?;
        let reads = LocalFileSystem::new_with_prefix(root).map_err(io::Error::other)?;
        Ok(DurableFolder { reads, root: root.to_path_buf() })
    }

    /// A new name for a file that is not in its place yet.
    fn staged(&self) -> PathBuf {
        let number = STAGED.fetch_add(1, Ordering::Relaxed);
        self.root.join(STAGED_FOLDER).join(format!("{}-{number}", std::process::id()))
    }
}

pub const STAGED_FOLDER: &str = "staged";

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
        let (location, staged) = (location.clone(), self.staged());
        let written = tokio::task::spawn_blocking(move || put(&target, &staged, &payload, create)).await?;
        written.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: location.to_string(), source: Box::new(e) },
            _ => local_failure(e),
        })?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let target = self.reads.path_to_filesystem(location)?;
        let staged = self.staged();
        let begun = staged.clone();
        let file = tokio::task::spawn_blocking(move || create_staged(&begun)).await?.map_err(local_failure)?;
        Ok(Box::new(StagedUpload { target, staged, file: Arc::new(file), length: 0, placed: false }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.reads.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.reads.delete_stream(locations)
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

fn local_failure(e: io::Error) -> Error {
    Error::Generic { store: "local", source: Box::new(e) }
}

fn put(target: &FilePath, staged: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let result = write_synced(staged, payload).and_then(|()| place(staged, target, create));
    if create || result.is_err() {
        // Best effort: nothing refers to a staged file.
        let _ = fs::remove_file(staged);
    }
    result
}

fn create_staged(path: &FilePath) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        make_folders(folder)?;
    }
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

fn write_synced(path: &FilePath, payload: &PutPayload) -> io::Result<()> {
    let mut file = create_staged(path)?;
    for part in payload.iter() {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Gives a synced file its name.
fn place(staged: &FilePath, target: &FilePath, create: bool) -> io::Result<()> {
    let folder = target.parent().ok_or_else(|| io::Error::other("an object needs a folder"))?;
    make_folders(folder)?;
    match create {
        // A link fails when the name is taken; a rename would replace.
        true => fs::hard_link(staged, target)?,
        false => fs::rename(staged, target)?,
    }
    sync_folder(folder)
}

/// Parts go to their places in a staged file, in whatever order they are polled.
#[derive(Debug)]
struct StagedUpload {
    target: PathBuf,
    staged: PathBuf,
    file: Arc<File>,
    length: u64,
    placed: bool,
}

#[async_trait]
impl MultipartUpload for StagedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (file, at) = (self.file.clone(), self.length);
        self.length += data.content_length() as u64;
        Box::pin(async move { tokio::task::spawn_blocking(move || write_at(&file, at, &data)).await?.map_err(local_failure) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, staged, target) = (self.file.clone(), self.staged.clone(), self.target.clone());
        let finish = move || file.sync_all().and_then(|()| place(&staged, &target, false));
        tokio::task::spawn_blocking(finish).await?.map_err(local_failure)?;
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
            let _ = fs::remove_file(&self.staged);
        }
    }
}

fn write_at(file: &File, mut at: u64, data: &PutPayload) -> io::Result<()> {
    for piece in data.iter() {
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Makes a folder and its missing parents, each synced into the folder that holds it.
fn make_folders(folder: &FilePath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folders(parent)?;
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_folder(parent.unwrap_or(FilePath::new(".")))
}

fn sync_folder(folder: &FilePath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
