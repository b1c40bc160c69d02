//! The local-file seam under the log: the few calls it makes, so that a test can stand between it and the disk.
//! What the log assumes of a disk is written at [`LogFile::sync`] and [`FileSystem::create`]; nothing else.

use std::{fs, io, io::Write, path::PathBuf};

/// A folder of log files. Names are plain file names, without separators.
pub trait FileSystem: Send + Sync + 'static {
    /// A new, empty file. When it returns, the file's *name* survives a power loss. Fails when the name is taken.
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>>;
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Every file name, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Removes a file; its coming back after a power loss must do no harm.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A file that only grows.
pub trait LogFile: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// When it returns, everything appended survives a power loss. After an error nothing is known of the bytes since
    /// the last success, and the file must not be used again (the kernel may have dropped them while marking them clean).
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder on the local disk.
pub struct LocalFolder {
    path: PathBuf,
}

impl LocalFolder {
    /// Creates the folder (and its parents) when it is not there.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<LocalFolder> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(LocalFolder { path })
    }
}

impl FileSystem for LocalFolder {
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let file = fs::File::options().create_new(true).append(true).open(self.path.join(name))?;
        fs::File::open(&self.path)?.sync_all()?;
        Ok(Box::new(LocalFile(file)))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = vec![];
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}

struct LocalFile(fs::File);

impl LogFile for LocalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A disk in memory that loses what a real one may lose, and fails when told to.
#[cfg(test)]
pub mod faulty {
    use super::*;
    use parking_lot::Mutex;
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use std::{collections::BTreeMap, sync::Arc};

    #[derive(Default, Clone)]
    struct Contents {
        bytes: Vec<u8>,
        synced: usize,
    }

    #[derive(Default)]
    struct State {
        files: BTreeMap<String, Contents>,
        /// Calls (create, append, sync) until the next one fails.
        calls_left: Option<u64>,
        /// Bytes that still fit.
        room: Option<usize>,
    }

    /// Clones share the disk.
    #[derive(Default, Clone)]
    pub struct FaultyDisk(Arc<Mutex<State>>);

    impl FaultyDisk {
        /// The call after `calls` more ones fails with EIO, and every one after it.
        pub fn fail_after(&self, calls: u64) {
            self.0.lock().calls_left = Some(calls);
        }

        /// From now on only `bytes` more fit; `None` for no limit.
        pub fn room(&self, bytes: Option<usize>) {
            self.0.lock().room = bytes;
        }

        /// Power loss: of the bytes that were not synced a random part is left, possibly with garbage at its end.
        pub fn crash(&self, seed: u64) -> FaultyDisk {
            let mut random = StdRng::seed_from_u64(seed);
            let mut files = self.0.lock().files.clone();
            for contents in files.values_mut() {
                let kept = random.random_range(contents.synced..=contents.bytes.len());
                contents.bytes.truncate(kept);
                if kept > contents.synced && random.random_bool(0.5) {
                    let torn = random.random_range(contents.synced..kept);
                    contents.bytes[torn..].iter_mut().for_each(|b| *b = 0);
                }
                contents.synced = contents.bytes.len();
            }
            FaultyDisk(Arc::new(Mutex::new(State { files, ..State::default() })))
        }

        /// Changes the bytes of a file in place.
        pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
            change(&mut self.0.lock().files.get_mut(name).expect("the file is there").bytes);
        }

        fn call(&self) -> io::Result<()> {
            let mut state = self.0.lock();
            match &mut state.calls_left {
                Some(0) => Err(io::Error::other("input/output error")),
                Some(left) => {
                    *left -= 1;
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }

    impl FileSystem for FaultyDisk {
        fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
            self.call()?;
            let mut state = self.0.lock();
            if state.files.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.files.insert(name.to_string(), Contents::default());
            drop(state);
            Ok(Box::new(FaultyFile { disk: self.clone(), name: name.to_string() }))
        }

        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            self.0.lock().files.get(name).map(|c| c.bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn list(&self) -> io::Result<Vec<String>> {
            Ok(self.0.lock().files.keys().cloned().collect())
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.lock().files.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    struct FaultyFile {
        disk: FaultyDisk,
        name: String,
    }

    impl LogFile for FaultyFile {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.disk.call()?;
            let mut state = self.disk.0.lock();
            let fits = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
            if let Some(room) = &mut state.room {
                *room -= fits;
            }
            if let Some(contents) = state.files.get_mut(&self.name) {
                contents.bytes.extend_from_slice(&bytes[..fits]);
            }
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&mut self) -> io::Result<()> {
            self.disk.call()?;
            if let Some(contents) = self.disk.0.lock().files.get_mut(&self.name) {
                contents.synced = contents.bytes.len();
            }
            Ok(())
        }
    }
}
