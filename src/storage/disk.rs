//! The seam to the local disk: the calls of the log and of a local store that leave a trace, each as the operating system has
//! it, so that a test can stand between them and the disk (`disk/simulated.rs`).
//!
//! What is assumed of a disk: the bytes of a file survive a power loss once the file was synced, and its name once the folder
//! was; a rename or a link is whole or not at all. After a sync that failed nothing is known of what it was to keep, and one
//! that succeeds later proves nothing: the system may have dropped it while marking it clean.
//!
//! Outside of the seam are reads of a local store (the library's), SQLite with the catalog, the lock, and what queries spill.

#[cfg(test)]
pub mod simulated;

use parking_lot::Mutex;
use std::{
    collections::HashSet,
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
    /// The bytes of a file that somebody else has written.
    fn sync(&self, path: &Path) -> io::Result<()>;
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

    fn sync(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_data()
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
/// yet. So every folder is synced into its parent once by every process that writes to it.
#[derive(Debug)]
pub struct Folders {
    disk: Arc<dyn Disk>,
    /// Held while one is made, so that the next one waits for its sync.
    durable: Mutex<HashSet<PathBuf>>,
    doubtful: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub fn new(disk: Arc<dyn Disk>) -> Folders {
        Folders { disk, durable: Mutex::default(), doubtful: Mutex::default() }
    }

    /// Makes the outermost folder of them and its missing parents.
    pub fn make_root(&self, root: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = root.ancestors().skip(1).take_while(|folder| !is_folder(folder)).collect();
        for folder in missing.into_iter().rev().chain([root]) {
            self.make_one(folder)?;
        }
        // Files below it are named from where it really lies.
        self.durable.lock().extend([root.to_path_buf()].into_iter().chain(root.canonicalize()));
        Ok(())
    }

    /// Makes a folder below the root, with its missing parents.
    pub fn make(&self, folder: &Path) -> io::Result<()> {
        let mut durable = self.durable.lock();
        let new: Vec<&Path> = folder.ancestors().take_while(|f| !(durable.contains(*f) && is_folder(f))).collect();
        for folder in new.into_iter().rev() {
            self.make_one(folder)?;
            durable.insert(folder.to_path_buf());
        }
        Ok(())
    }

    fn make_one(&self, folder: &Path) -> io::Result<()> {
        self.forget(folder, |folder| self.disk.remove_folder(folder))?;
        let made = self.disk.make_folder(folder);
        if made.is_err() && !is_folder(folder) {
            return made;
        }
        use io::ErrorKind as K;
        match self.disk.sync_folder(folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))) {
            // It was there before, in a place that need not be ours.
            Err(e)
                if made.is_err() && matches!(e.kind(), K::PermissionDenied | K::ReadOnlyFilesystem | K::InvalidInput | K::Unsupported) =>
            {
                Ok(())
            }
            Err(e) if made.is_ok() => {
                self.doubt(folder);
                Err(e)
            }
            synced => synced,
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
