//! The folder of the log: the few calls it makes, over a [`Disk`].
//! What the log relies on is written at [`LogFile::sync`], [`FileSystem::create`] and [`FileSystem::renew`]; nothing else.

use crate::storage::disk::{Disk, DiskFile, Folders, LocalDisk};
use std::{io, path::PathBuf, sync::Arc};

/// A folder of log files. Names are plain file names, without separators.
pub trait FileSystem: Send + Sync + 'static {
    /// A new, empty file. When it returns, the file's *name* survives a power loss. Fails when the name is taken.
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>>;
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// When it returns, what can be read of a file that an earlier process has written survives a power loss, whatever became of that
    /// one's syncs. After an error it may survive or not.
    fn renew(&self, name: &str) -> io::Result<()>;
    /// Every file name, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// One that is not there is as good as removed. It may come back after a power loss.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A file that only grows.
pub trait LogFile: Send {
    /// After an error the file must not be used again.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// When it returns, everything appended survives a power loss. After an error nothing is known of the bytes since
    /// the last success, and the file must not be used again (the kernel may have dropped them while marking them clean).
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder on a disk.
pub struct LocalFolder {
    disk: Arc<dyn Disk>,
    folders: Folders,
    path: PathBuf,
}

impl LocalFolder {
    /// Creates the folder (and its parents) when it is not there.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<LocalFolder> {
        LocalFolder::on(Arc::new(LocalDisk), path)
    }

    pub fn on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> io::Result<LocalFolder> {
        let path = path.into();
        let folders = Folders::at(disk.clone(), &path)?;
        Ok(LocalFolder { disk, folders, path })
    }
}

impl FileSystem for LocalFolder {
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.folders.make(&self.path)?;
        let path = self.path.join(name);
        let file = self.disk.create(&path)?;
        // Nobody would remove it later.
        self.disk.sync_folder(&self.path).inspect_err(|_| drop(self.disk.remove(&path)))?;
        Ok(Box::new(LocalFile { file, length: 0 }))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk.read(&self.path.join(name))
    }

    fn renew(&self, name: &str) -> io::Result<()> {
        self.folders.make(&self.path)?;
        let (path, beside) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let bytes = self.disk.read(&path)?;
        // Of a process that did not get further.
        match self.disk.remove(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.disk.create(&beside)?;
        let placed = file.write_at(0, &bytes).and_then(|()| file.sync()).and_then(|()| self.disk.rename(&beside, &path));
        if placed.is_err() {
            let _ = self.disk.remove(&beside);
        }
        placed.and_then(|()| self.disk.sync_folder(&self.path))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list(&self.path)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.disk.remove(&self.path.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

struct LocalFile {
    file: Box<dyn DiskFile>,
    length: u64,
}

impl LogFile for LocalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(self.length, bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

/// The log's folder on a simulated disk.
#[cfg(test)]
pub mod faulty {
    use super::*;
    use crate::storage::disk::simulated::{Loss, SimulatedDisk, Trouble};

    /// Clones share the disk.
    #[derive(Clone)]
    pub struct FaultyDisk {
        pub disk: SimulatedDisk,
        folder: Arc<LocalFolder>,
    }

    impl Default for FaultyDisk {
        fn default() -> FaultyDisk {
            FaultyDisk::on(SimulatedDisk::default()).expect("a sound disk")
        }
    }

    impl FaultyDisk {
        pub fn on(disk: SimulatedDisk) -> io::Result<FaultyDisk> {
            let folder = Arc::new(LocalFolder::on(Arc::new(disk.clone()), disk.path("wal"))?);
            Ok(FaultyDisk { disk, folder })
        }

        /// The call after `calls` more ones fails with EIO, and every one after it.
        pub fn fail_after(&self, calls: u64) {
            let now = self.disk.calls();
            self.disk.trouble(now + calls..u64::MAX, Trouble::Eio);
        }

        /// From now on only `bytes` more fit; `None` for no limit.
        pub fn room(&self, bytes: Option<usize>) {
            self.disk.room(bytes);
        }

        /// Power loss now: of what was not synced a random part is left.
        pub fn crash(&self, seed: u64) -> FaultyDisk {
            FaultyDisk::on(self.disk.crash(self.disk.journal_length(), Loss::Random(seed))).expect("a sound disk")
        }

        /// Changes the bytes of a file in place, behind everybody's back.
        pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
            self.disk.damage(&format!("wal/{name}"), change);
        }
    }

    impl FileSystem for FaultyDisk {
        fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
            self.folder.create(name)
        }

        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            self.folder.read(name)
        }

        fn renew(&self, name: &str) -> io::Result<()> {
            self.folder.renew(name)
        }

        fn list(&self) -> io::Result<Vec<String>> {
            self.folder.list()
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.folder.remove(name)
        }
    }
}
