//! The catalog's SQLite file: one table per kind of record, `id` and `record` (JSON), so that any SQLite shell can read it.

use super::state::{Draft, State, TABLES};
use crate::model::{Failure, Result};
use rusqlite::{Connection, params};
use std::path::Path;

/// `PRAGMA user_version` of the files this program writes.
const VERSION: i64 = 1;

pub struct Database(Connection);

fn failed(e: rusqlite::Error) -> Failure {
    Failure::internal(format!("the catalog cannot be read or written: {e}"))
}

impl Database {
    pub fn open(path: &Path) -> Result<Database> {
        let database = Connection::open(path).map_err(|e| failed(e).context(path.display()))?;
        Database(database).prepared()
    }

    pub fn in_memory() -> Result<Database> {
        Database(Connection::open_in_memory().map_err(failed)?).prepared()
    }

    fn prepared(self) -> Result<Database> {
        let version: i64 = self.0.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if version > VERSION {
            let message = format!("the catalog has format {version}, this Tidegauge reads up to {VERSION}; run a newer Tidegauge");
            return Err(Failure::internal(message));
        }
        let mut setup = String::from("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;\n");
        for table in TABLES {
            setup += &format!("CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;\n");
        }
        setup += &format!("PRAGMA user_version = {VERSION};");
        self.0.execute_batch(&setup).map_err(failed)?;
        Ok(self)
    }

    pub fn load(&self) -> Result<State> {
        State::load(|table| {
            let mut statement = self.0.prepare(&format!("SELECT record FROM {table} ORDER BY id")).map_err(failed)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(failed)?;
            rows.collect::<rusqlite::Result<Vec<String>>>().map_err(failed)
        })
    }

    /// All of the draft's changes or none; durable when it returns.
    pub fn save(&mut self, draft: &Draft) -> Result<()> {
        let transaction = self.0.transaction().map_err(failed)?;
        for (table, key, record) in &draft.changes {
            match record {
                Some(record) => {
                    let text = format!("INSERT INTO {table} (id, record) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET record = ?2");
                    transaction.execute(&text, params![key, record])
                }
                None => transaction.execute(&format!("DELETE FROM {table} WHERE id = ?1"), params![key]),
            }
            .map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }
}
