//! The seam to the local disk: the calls of the log and of a local store that leave a trace, each as the operating system has
//! it, so that a test can stand between them and the disk (`disk/simulated.rs`).
//!
//! What is assumed of a disk: the bytes of a file survive a power loss once the file was synced, and its name once the folder
//! was; a rename or a link is whole or not at all. After a sync that failed nothing is known of what it was to keep, and one
//! that succeeds later proves nothing: the system may have dropped it while marking it clean. So what may not last is made anew. The
//! doubt outlives the process that had it, since the system still shows what the disk never got; therefore nothing that is found is
//! relied on for more than these rules allow:
//! - a folder is empty until its name is durable ([`Folders`]): an empty one that is found is made anew;
//! - what is found in the last segment of the log is written anew before the log goes on (`FileSystem::renew`); what is missing in the
//!   others, their successors tell;
//! - the newest version of a manifest that is found is written anew before a write to its bucket is answered (`FileStore::renew`);
//! - a file that no version names is written anew before one does (`Store::renew`);
//! - nothing is deleted on the word of a manifest version that another process wrote (`FileStore::confirm`);
//! - a file that is removed may come back.
//!
//! Outside of the seam are reads of a local store (the library's), SQLite with the catalog, the lock, and what queries spill.

#[cfg(test)]
pub mod simulated;

use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub trait Disk: Debug + Send + Sync + 'static {
    /// A new, empty file. Fails when the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Names of the files in a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// A second name. Fails when it is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Another name, which it takes from the file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Its parent must be there. Fails when the name is taken.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// It must be empty.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, added or taken away.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open file that is being written.
pub trait DiskFile: Debug + Send + Sync {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

/// The machine's disk.
#[derive(Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::File::options().create_new(true).write(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = vec![];
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
}

impl DiskFile for fs::File {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes folders so that they survive a power loss.
///
/// That a folder is there says nothing of that: whoever made it may have been killed, or be a thread that has not got to syncing it
/// yet, or have seen the sync fail. So every folder is synced into its parent by every process that writes to it (those that are found in a
/// parent all at once: nobody else makes any there), and one that is empty is made anew: nobody puts anything into a folder whose name may
/// not last. The outermost one is the user's, who may have set it up with care, and is only synced.
#[derive(Debug)]
pub struct Folders {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    durable: Mutex<HashSet<PathBuf>>,
    /// Of each folder one that is held while something is made in it, so that the next one waits for its sync; and whether it was synced.
    parents: Mutex<HashMap<PathBuf, Arc<Mutex<bool>>>>,
    doubtful: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    /// Those from `root` on, which is made with its parents when it is not there. A root that is there and cannot be synced now is synced
    /// before anything is put into it: what it holds can be read until then.
    pub fn at(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Folders> {
        let (durable, parents, doubtful) = Default::default();
        let mut folders = Folders { disk, root: root.to_path_buf(), durable, parents, doubtful };
        let was_there = is_folder(root);
        match folders.make(root) {
            Err(e) if was_there => tracing::warn!(folder = %root.display(), "the disk cannot be synced: {e}"),
            made => made?,
        }
        // Files below it are named from where it really lies.
        folders.root = root.canonicalize()?;
        Ok(folders)
    }

    /// Makes a folder and its missing parents, below the root or the root itself.
    pub fn make(&self, folder: &Path) -> io::Result<()> {
        let is_above = |f: &Path| f != self.root && self.root.starts_with(f);
        let is_known = |f: &Path| is_folder(f) && (self.durable.lock().contains(f) || is_above(f));
        let new: Vec<&Path> = folder.ancestors().take_while(|f| !is_known(f)).collect();
        for folder in new.into_iter().rev() {
            let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let its_turn = self.parents.lock().entry(parent.to_path_buf()).or_default().clone();
            let mut is_synced = its_turn.lock();
            if !is_known(folder) {
                self.make_one(folder, parent, &mut is_synced)?;
                let mut durable = self.durable.lock();
                durable.extend(folder.canonicalize().ok().filter(|_| folder == self.root));
                durable.insert(folder.to_path_buf());
            }
        }
        Ok(())
    }

    /// `is_synced`: the parent was, by this process.
    fn make_one(&self, folder: &Path, parent: &Path, is_synced: &mut bool) -> io::Result<()> {
        self.forget(folder, |folder| self.disk.remove_folder(folder))?;
        let is_inner = folder != self.root && folder.starts_with(&self.root);
        let mut made = self.disk.make_folder(folder);
        if made.is_err() && is_inner && self.disk.remove_folder(folder).is_ok() {
            made = self.disk.make_folder(folder);
        }
        if made.is_err() && !is_folder(folder) {
            return made;
        }
        if made.is_err() && *is_synced {
            return Ok(());
        }
        use io::ErrorKind as K;
        match self.disk.sync_folder(parent) {
            // It was there before, in a place that need not be ours.
            Err(e)
                if made.is_err() && matches!(e.kind(), K::PermissionDenied | K::ReadOnlyFilesystem | K::InvalidInput | K::Unsupported) =>
            {
                Ok(())
            }
            Err(e) if made.is_ok() => {
                self.doubt(folder);
                let _ = self.forget(folder, |folder| self.disk.remove_folder(folder));
                Err(e)
            }
            synced => synced.map(|()| *is_synced = true),
        }
    }

    /// A name that was given and whose sync failed.
    pub fn doubt(&self, path: &Path) {
        self.doubtful.lock().insert(path.to_path_buf());
    }

    /// Takes a doubtful name away before it is given anew: syncing it again would prove nothing.
    pub fn forget(&self, path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        if !self.doubtful.lock().contains(path) {
            return Ok(());
        }
        match remove(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => {
                self.doubtful.lock().remove(path);
                Ok(())
            }
        }
    }
}

fn is_folder(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}
