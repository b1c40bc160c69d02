//! A local folder as an object store whose puts are durable when they return.
//!
//! `object_store` 0.13's own local store never syncs, so an acknowledged object may be empty after power loss.
//! Here a put is: write a staged file, sync it, link or rename it to its name, sync the folder (and the parents of
//! every folder that was made). Reads and listings are the library's. Deletes are not synced: a deleted object that
//! comes back is unreferenced, and is collected again.
//!
//! Staged files are named `<name>#<number>`, which the library's listings leave out.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, local::LocalFileSystem, path::Path,
};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path as FilePath, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
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
        let location = location.clone();
        let written = tokio::task::spawn_blocking(move || put(&target, &payload, create)).await?;
        written.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: location.to_string(), source: Box::new(e) },
            _ => Error::Generic { store: "local", source: Box::new(e) },
        })?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_offered("multipart upload"))
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

fn put(target: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let folder = target.parent().ok_or_else(|| io::Error::other("an object needs a folder"))?;
    make_folders(folder)?;
    let number = STAGED.fetch_add(1, Ordering::Relaxed);
    let mut staged = target.as_os_str().to_owned();
    staged.push(format!("#{}{number}", std::process::id()));
    let staged = PathBuf::from(staged);
    let result = write_synced(&staged, payload).and_then(|()| match create {
        // A link fails when the name is taken; a rename would replace.
        true => fs::hard_link(&staged, target),
        false => fs::rename(&staged, target),
    });
    if create || result.is_err() {
        // Best effort: a staged file left behind is invisible to listings.
        let _ = fs::remove_file(&staged);
    }
    result?;
    sync_folder(folder)
}

fn write_synced(path: &FilePath, payload: &PutPayload) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    for part in payload.iter() {
        file.write_all(part)?;
    }
    file.sync_all()
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
