//! One process per data directory: two that wrote the same log would lose rows.

use crate::{
    model::{ErrorKind, Failure, Result},
    storage::disk::{Folders, LocalDisk},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    sync::Arc,
};

/// Held as long as it lives; the system lets go of it when the process dies, however it does.
#[derive(Debug)]
pub struct DirectoryLock(File);

impl Drop for DirectoryLock {
    /// Closing the file is not enough: a child that this process is just starting has it open too, until it runs its program.
    fn drop(&mut self) {
        // A file that cannot be unlocked is closed all the same.
        let _ = self.0.unlock();
    }
}

impl DirectoryLock {
    /// Creates the directory when it is absent. `Conflict` when another process has it.
    pub fn take(directory: &Path) -> Result<DirectoryLock> {
        let unusable = |e: std::io::Error| {
            let message = format!("the data directory {} cannot be used: {e}", directory.display());
            Failure::new(ErrorKind::Unavailable, message)
        };
        Folders::at(Arc::new(LocalDisk), directory).map_err(unusable)?;
        let path = directory.join("lock");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| file.rewind()).map_err(unusable)?;
                write!(file, "{}", std::process::id()).map_err(unusable)?;
                Ok(DirectoryLock(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let owner = if file.read_to_string(&mut owner).is_ok() && !owner.is_empty() { owner } else { "unknown".into() };
                let message = format!(
                    "the data directory {} is in use by another Tidegauge (process {owner}); stop it, or choose another --data-dir",
                    directory.display()
                );
                Err(Failure::new(ErrorKind::Conflict, message))
            }
            Err(TryLockError::Error(e)) => Err(unusable(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_taken_once_until_let_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("new");
        let held = DirectoryLock::take(&place).expect("free");
        let refused = DirectoryLock::take(&place).expect_err("taken");
        assert_eq!(refused.kind, ErrorKind::Conflict);
        assert!(refused.message.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        DirectoryLock::take(&place).expect("free again");
    }
}
