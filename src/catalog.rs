//! People and names: organisations, users, tokens, buckets, dbrps, labels, secrets, in SQLite. It has never heard of rows.
//!
//! Every operation takes the [`Caller`] and checks the caller's permissions first, so that no door can forget to. All
//! records live in memory ([`state::State`]); a change is durable in the database before anybody sees it.

pub mod authenticate;
pub mod authorizations;
pub mod buckets;
pub mod caller;
pub mod database;
pub mod dbrps;
pub mod labels;
pub mod members;
pub mod organizations;
pub mod permission;
pub mod records;
pub mod setup;
pub mod state;
pub mod users;

pub use caller::{Caller, Credential};
pub use permission::{Action, Permission, Resource, ResourceKind};
pub use records::*;
pub use setup::{SetupAnswer, SetupRequest};

use crate::{
    clock::{Clock, Randomness},
    model::{ErrorKind, Failure, Result, Timestamp},
};
use database::Database;
use parking_lot::{Mutex, MutexGuard, RwLock};
use state::{Draft, State};
use std::{collections::HashSet, num::NonZeroU64, path::Path, sync::Arc};
use tokio::sync::Notify;

/// The one handle on people and names; clones share it. All calls block, briefly.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    database: Mutex<Database>,
    state: RwLock<Arc<State>>,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
    /// Of this process: what is remembered of passwords is of no use elsewhere.
    salt: [u8; 32],
    verified: Mutex<HashSet<[u8; 32]>>,
    damage: Vec<(String, String)>,
    retention_changed: Notify,
}

impl Catalog {
    /// Opens the file, or creates it. Where it is damaged, its copy takes its place; see [`damage`](Self::damage).
    pub fn open(path: &Path, clock: Arc<dyn Clock>, randomness: Randomness) -> Result<Catalog> {
        let (database, damage) = Database::open(path)?;
        Self::over(database, damage, clock, randomness)
    }

    /// A catalog that is gone with the process.
    pub fn in_memory(clock: Arc<dyn Clock>, randomness: Randomness) -> Result<Catalog> {
        Self::over(Database::in_memory()?, vec![], clock, randomness)
    }

    fn over(database: Database, damage: Vec<(String, String)>, clock: Arc<dyn Clock>, randomness: Randomness) -> Result<Catalog> {
        let state = RwLock::new(Arc::new(database.load()?));
        let mut salt = [0; 32];
        randomness.fill(&mut salt);
        let (database, verified, retention_changed) = (Mutex::new(database), Mutex::default(), Notify::new());
        let inner = Inner { database, state, clock, randomness, salt, verified, damage, retention_changed };
        Ok(Catalog { inner: Arc::new(inner) })
    }

    /// Files that were damaged when it was opened, and what became of them.
    pub fn damage(&self) -> &[(String, String)] {
        &self.inner.damage
    }

    /// Reads the database through; what is wrong with it, if anything is.
    pub fn check(&self) -> Option<String> {
        self.inner.database.lock().check()
    }

    /// Everything as of now. Nobody's permissions are asked: for the floors above the doors.
    pub fn state(&self) -> Arc<State> {
        self.inner.state.read().clone()
    }

    /// Changes records: `work` sees the newest state, what it does is durable when this returns, and a failure of it
    /// changes nothing.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let mut database = self.inner.database.lock();
        let mut draft = Draft::new(State::clone(&self.state()));
        let answer = work(&mut draft)?;
        if !draft.changes.is_empty() {
            database.save(&draft)?;
            draft.state.index();
            *self.inner.state.write() = Arc::new(draft.state);
        }
        Ok(answer)
    }

    /// Returns when a bucket's retention was changed since the last call returned. For one caller.
    pub async fn retention_changed(&self) {
        self.inner.retention_changed.notified().await;
    }

    /// A random identifier, never zero.
    fn new_id(&self) -> NonZeroU64 {
        loop {
            if let Some(id) = NonZeroU64::new(self.inner.randomness.next_u64()) {
                return id;
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn randomness(&self) -> &Randomness {
        &self.inner.randomness
    }

    fn salt(&self) -> &[u8; 32] {
        &self.inner.salt
    }

    fn verified(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.inner.verified.lock()
    }
}

fn conflict(message: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::Conflict, message)
}

fn empty(message: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::EmptyValue, message)
}

#[cfg(test)]
mod tests;
