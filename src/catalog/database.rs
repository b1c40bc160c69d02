//! The catalog's SQLite file: one table per kind of record, `id` and `record` (JSON), so that any SQLite shell can read it.
//!
//! SQLite notices neither a flipped bit inside a record nor that its own log is gone. So the table `seal` counts the changes
//! and has a checksum of all records, and a second file, `catalog.copy.sqlite`, is made anew after every change: whichever of
//! the two is damaged or behind is replaced by the other when the catalog is opened, and its bytes are kept in `quarantine/`.

use super::state::{Draft, State, TABLES};
use crate::model::{ErrorKind, Failure, Result};
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, params};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// `PRAGMA user_version` of the files this program writes.
const VERSION: i64 = 1;

pub struct Database {
    connection: Connection,
    /// `None`: in memory, and without a copy.
    path: Option<PathBuf>,
}

/// A damaged file, and what became of it.
pub type Damage = Vec<(String, String)>;

fn failed(e: rusqlite::Error) -> Failure {
    match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Failure::new(ErrorKind::Unavailable, "the catalog cannot be changed: the disk is full").retry_after(10)
        }
        // Nothing has changed, and it may go well the next time.
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => Failure::new(ErrorKind::Unavailable, format!("the catalog cannot be read or written now: {e}")).retry_after(10),
        _ => Failure::internal(format!("the catalog cannot be read or written: {e}")),
    }
}

/// The copy of the catalog at `path`.
pub fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("copy.sqlite")
}

impl Database {
    /// Opens the file, or creates it; a damaged one is replaced by its copy first. Fails when both are damaged, and when a newer
    /// program wrote them.
    pub fn open(path: &Path) -> Result<(Database, Damage)> {
        let copy_path = copy_of(path);
        let (mut main, copy) = (examine(path), examine(&copy_path));
        if matches!(copy, Found::Nothing) && path.metadata().is_ok_and(|file| file.len() == 0) {
            // A first start that went no further.
            main = Found::Nothing;
        }
        let mut database = None;
        if matches!((&main, &copy), (Found::Good(_), _) | (Found::Nothing, Found::Nothing)) {
            match Database::at(path) {
                Ok(opened) => database = Some(opened),
                // The disk says nothing of the file.
                Err(failure) if failure.kind == ErrorKind::Unavailable => return Err(failure),
                Err(failure) => main = Found::Damaged(failure.message),
            }
        }
        let behind = matches!((&main, &copy), (Found::Good(changes), Found::Good(copied)) if changes < copied);
        if let Some(database) = database.filter(|_| !behind) {
            let mut damage = Damage::new();
            if let Found::Damaged(what) | Found::Newer(what) = &copy {
                put_aside(&copy_path)?;
                damage.push((name(&copy_path), format!("{what}; it was made anew, and its bytes are in quarantine/")));
            }
            if !matches!((&main, &copy), (Found::Good(changes), Found::Good(copied)) if changes == copied) {
                database.make_copy();
            }
            return Ok((database, damage));
        }
        let what = match (main, copy) {
            (Found::Good(_), Found::Good(_)) => "its newest changes are gone".to_string(),
            (Found::Nothing, Found::Good(_)) => "it is gone".to_string(),
            (Found::Damaged(what) | Found::Newer(what), Found::Good(_)) => what,
            (Found::Newer(what), _) | (_, Found::Newer(what)) => {
                return Err(Failure::internal(format!("the catalog {}: {what}", path.display())));
            }
            (main, _) => {
                let what = if let Found::Damaged(what) = main { format!("damaged ({what})") } else { "gone".into() };
                return Err(Failure::internal(format!(
                    "the catalog {} is {what}, and there is no good copy of it: restore it from a backup, or move catalog.* away and set \
                     the server up again; the rows stay in their files, but nobody knows any more which bucket they belong to",
                    path.display()
                )));
            }
        };
        put_aside(path)?;
        replace_by(&copy_path, path)?;
        let damage = vec![(name(path), format!("{what}; it was replaced by its copy, and its bytes are in quarantine/"))];
        Ok((Database::at(path)?, damage))
    }

    fn at(path: &Path) -> Result<Database> {
        let connection = Connection::open(path).map_err(|e| failed(e).context(path.display()))?;
        Database { connection, path: Some(path.to_path_buf()) }.prepared()
    }

    pub fn in_memory() -> Result<Database> {
        Database { connection: Connection::open_in_memory().map_err(failed)?, path: None }.prepared()
    }

    fn prepared(self) -> Result<Database> {
        // Most tables have a page that is nearly empty: small pages, or the catalog of a small store is larger than its log.
        let mut setup =
            String::from("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;\n");
        for table in TABLES {
            setup += &format!("CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;\n");
        }
        setup += "CREATE TABLE IF NOT EXISTS seal (one INTEGER PRIMARY KEY CHECK (one = 1), changes INTEGER, checksum INTEGER);\n";
        self.connection.execute_batch(&setup).map_err(failed)?;
        let version: i64 = self.connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        // Where all is there nothing is written: a disk that takes no change can be read.
        if self.connection.is_readonly(MAIN_DB).map_err(failed)? {
            return Err(Failure::internal("it says of itself that it must not be written"));
        }
        if version != VERSION {
            self.connection.execute_batch(&format!("PRAGMA user_version = {VERSION}")).map_err(failed)?;
        }
        Ok(self)
    }

    pub fn load(&self) -> Result<State> {
        load(&self.connection)
    }

    /// All of the draft's changes or none; durable when it returns.
    pub fn save(&mut self, draft: &Draft) -> Result<()> {
        let transaction = self.connection.transaction().map_err(failed)?;
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
        let seal = "INSERT INTO seal (one, changes, checksum) VALUES (1, 1, ?1)
            ON CONFLICT (one) DO UPDATE SET changes = changes + 1, checksum = ?1";
        transaction.execute(seal, params![checksum(&transaction).map_err(failed)?]).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.make_copy();
        Ok(())
    }

    /// What is wrong with the open database; nothing when it is sound.
    pub fn check(&self) -> Option<String> {
        sound(&self.connection).err()
    }

    /// The change itself is durable already: without a new copy it is only less safe. SQLite's log is brought into its file first and
    /// emptied: it would stay as long as it once was.
    fn make_copy(&self) {
        let Some(path) = &self.path else { return };
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the catalog's log could not be emptied; the next change tries again");
        }
        let (copy, new) = (copy_of(path), path.with_extension("copy.new"));
        let made = remove(&new).map_err(Failure::from).and_then(|()| {
            self.connection.execute("VACUUM INTO ?1", params![new.to_string_lossy()]).map_err(failed)?;
            Ok(place(&new, &copy)?)
        });
        if let Err(failure) = made {
            tracing::warn!(%failure, "the catalog's copy could not be made; the next change tries again");
        }
    }
}

/// What lies in the place of a catalog.
pub enum Found {
    Nothing,
    /// How many changes it has seen.
    Good(i64),
    Damaged(String),
    /// Of a newer program, by its own words; one flipped bit may say so, too.
    Newer(String),
}

/// Reads a whole catalog that nobody has open.
pub fn examine(path: &Path) -> Found {
    match path.metadata() {
        Err(_) => return Found::Nothing,
        // To SQLite it would be a database without tables.
        Ok(file) if file.len() == 0 => return Found::Damaged("it is empty".into()),
        Ok(_) => {}
    }
    let read = || -> Result<(i64, i64), String> {
        let text = |e: rusqlite::Error| e.to_string();
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(text)?;
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(text)?;
        // What a newer program made of it is not for us to judge.
        if version > VERSION { Ok((version, 0)) } else { Ok((version, sound(&connection)?)) }
    };
    match read() {
        Ok((version, _)) if version > VERSION => {
            Found::Newer(format!("it has format {version}, this Tidegauge reads up to {VERSION}; run a newer Tidegauge"))
        }
        Ok((_, changes)) => Found::Good(changes),
        Err(what) => Found::Damaged(what),
    }
}

/// The records of a catalog that nobody has open.
pub fn read(path: &Path) -> Result<State> {
    load(&Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?)
}

fn sound(connection: &Connection) -> Result<i64, String> {
    let text = |e: rusqlite::Error| e.to_string();
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(text)?;
    if said != "ok" {
        return Err(said.lines().next().unwrap_or_default().to_string());
    }
    if !has_table(connection, "seal").map_err(text)? {
        // Of an earlier program, or empty.
        return Ok(0);
    }
    let seal = connection.query_row("SELECT changes, checksum FROM seal", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (changes, sealed): (i64, i64) = match seal {
        Ok(seal) => seal,
        // Never changed since there is a seal.
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(0),
        Err(e) => return Err(text(e)),
    };
    if i64::from(checksum(connection).map_err(text)?) != sealed {
        return Err("the checksum of its records does not match".into());
    }
    load(connection).map_err(|failure| failure.to_string())?;
    Ok(changes)
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?1", [name], |row| row.get(0))
}

/// CRC32C of every key and record, table by table.
fn checksum(connection: &Connection) -> rusqlite::Result<u32> {
    let mut sum = 0;
    for table in TABLES {
        sum = crc32c::crc32c_append(sum, table.as_bytes());
        let mut statement = connection.prepare(&format!("SELECT id, record FROM {table} ORDER BY id"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..2 {
                let text = row.get_ref(column)?.as_bytes().unwrap_or_default();
                sum = crc32c::crc32c_append(crc32c::crc32c_append(sum, &(text.len() as u64).to_le_bytes()), text);
            }
        }
    }
    Ok(sum)
}

fn load(connection: &Connection) -> Result<State> {
    State::load(|table| {
        let mut statement = connection.prepare(&format!("SELECT record FROM {table} ORDER BY id")).map_err(failed)?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(failed)?;
        rows.collect::<rusqlite::Result<Vec<String>>>().map_err(failed)
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Moves a catalog with its log into `quarantine/` beside it, each file under a name that is free there.
fn put_aside(path: &Path) -> io::Result<()> {
    let folder = path.with_file_name("quarantine");
    fs::create_dir_all(&folder)?;
    for suffix in ["", "-wal", "-shm"] {
        let from = path.with_file_name(name(path) + suffix);
        if from.exists() {
            let free = (0..).map(|n| folder.join(format!("{}.{n}", name(&from)))).find(|to| !to.exists());
            fs::rename(&from, free.expect("numbers do not end"))?;
        }
    }
    sync_folder(path)
}

fn replace_by(copy: &Path, path: &Path) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::copy(copy, &new)?;
    place(&new, path)
}

/// Gives a file its name, durably.
fn place(new: &Path, path: &Path) -> io::Result<()> {
    fs::File::open(new)?.sync_all()?;
    fs::rename(new, path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_refuses_changes_nothing_and_may_be_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.sqlite");
        let (mut database, _) = Database::open(&path).expect("opens");
        let mut draft = Draft::new(State::default());
        draft.changes.push((TABLES[0], "1".into(), Some("{}".into())));
        let before = checksum(&database.connection).expect("read");
        database.connection.execute_batch("PRAGMA query_only = 1").expect("set");
        let refused = database.save(&draft).expect_err("it cannot be written");
        assert_eq!((refused.kind, refused.retry_after_s), (ErrorKind::Unavailable, Some(10)), "{refused}");
        assert_eq!(checksum(&database.connection).expect("read"), before);
        database.connection.execute_batch("PRAGMA query_only = 0").expect("set");
        database.save(&draft).expect("the disk is well");
        assert_ne!(checksum(&database.connection).expect("read"), before);
    }
}
