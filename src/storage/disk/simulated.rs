//! A disk that a test owns: it loses what a real one may lose, and fails when told to.
//!
//! Calls go to a folder of temporary files, so that the library can read there, and into a journal. A power loss is asked of the
//! journal, at any of its calls and afterwards: it makes another disk of what was synced by then and some of what was not. So one run
//! of a workload serves for a crash at each of its calls.

use super::{Disk, DiskFile, LocalDisk};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Clones share the disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: tempfile::TempDir,
    state: Mutex<State>,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner { root: tempfile::tempdir().expect("a folder"), state: Mutex::default() }
    }
}

/// A file, whatever its names are.
type Node = usize;

#[derive(Debug, Default)]
struct State {
    /// What was durable when the disk was made.
    start: Image,
    journal: Vec<Call>,
    /// Names now.
    names: BTreeMap<PathBuf, Node>,
    next_node: Node,
    calls: u64,
    troubles: Vec<(Range<u64>, Trouble)>,
    /// Bytes that still fit.
    room: Option<usize>,
    planted: Vec<Lie>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reads,
    Changes,
    TakesRoom,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It fails; of bytes half are written, and what a sync was to keep may be lost for good.
    Eio,
    /// What takes room fails, and of bytes half are written.
    Full,
    /// What would change anything fails as with `Eio`; reading goes well.
    NoChanges,
    /// The process that would have made it is dead: nothing happens.
    Dead,
}

/// A fault of ours as the disk sees it: a call that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    LogNotSynced,
    ObjectNotSynced,
    FolderNotSynced,
}

/// What a power loss takes.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// Everything that was not synced.
    Everything,
    /// A random part of it.
    Random(u64),
}

/// Paths are relative to the root, which is always there.
#[derive(Debug, Clone, Default)]
struct Image {
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, Node>,
    bytes: BTreeMap<Node, Vec<u8>>,
}

#[derive(Debug, Clone)]
enum Call {
    Write { node: Node, at: usize, bytes: Vec<u8> },
    Sync { node: Node, done: bool },
    Entry(Entry),
    SyncFolder { folder: PathBuf, done: bool },
}

#[derive(Debug, Clone)]
enum Entry {
    File(PathBuf, Node),
    Folder(PathBuf),
    Gone(PathBuf),
    Moved(PathBuf, PathBuf, Node),
}

impl Entry {
    fn is_in(&self, folder: &Path) -> bool {
        self.paths().any(|path| path.parent() == Some(folder))
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (one, other) = match self {
            Entry::File(path, _) | Entry::Folder(path) | Entry::Gone(path) => (path, None),
            Entry::Moved(from, to, _) => (from, Some(to)),
        };
        [one].into_iter().chain(other)
    }

    fn apply(&self, image: &mut Image) {
        match self.clone() {
            Entry::File(path, node) => drop(image.names.insert(path, node)),
            Entry::Folder(path) => drop(image.folders.insert(path)),
            Entry::Gone(path) => {
                image.names.remove(&path);
                image.folders.remove(&path);
            }
            Entry::Moved(from, to, node) => {
                image.names.remove(&from);
                image.names.insert(to, node);
            }
        }
    }
}

/// The bytes of a file as a power loss finds them.
#[derive(Debug, Clone, Default)]
struct Contents {
    safe: Vec<u8>,
    /// Written since the last sync that succeeded.
    pending: Vec<(usize, Vec<u8>)>,
    /// A sync of them has failed.
    doubtful: Vec<(usize, Vec<u8>)>,
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.resize(bytes.len().max(at + new.len()), 0);
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl Contents {
    fn sync(&mut self, done: bool) {
        let pending = std::mem::take(&mut self.pending);
        match done {
            true => pending.iter().for_each(|(at, new)| put(&mut self.safe, *at, new)),
            false => self.doubtful.extend(pending),
        }
    }

    /// Sectors come to the disk in any order, and the file's length apart from them.
    fn after(&self, keep: f64, random: &mut StdRng) -> Vec<u8> {
        let mut all = self.safe.clone();
        self.doubtful.iter().chain(&self.pending).for_each(|(at, new)| put(&mut all, *at, new));
        let length = match random.random_bool(keep) {
            true => all.len(),
            false => random.random_range(self.safe.len()..=all.len()),
        };
        let sector = if random.random_bool(0.5) { 512 } else { 4_096 };
        let mut left = self.safe.clone();
        left.resize(length, 0);
        for from in (0..length).step_by(sector) {
            let to = (from + sector).min(length);
            if random.random_bool(keep) {
                left[from..to].copy_from_slice(&all[from..to]);
            }
        }
        left
    }
}

impl SimulatedDisk {
    /// A path on it.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.0.root.path().join(relative)
    }

    /// How many calls were made, also of those that leave no trace.
    pub fn calls(&self) -> u64 {
        self.0.state.lock().calls
    }

    /// How many calls have left a trace: where a power loss may come.
    pub fn journal_length(&self) -> usize {
        self.0.state.lock().journal.len()
    }

    /// How often files and folders were synced.
    pub fn syncs(&self) -> usize {
        let is_sync = |call: &&Call| matches!(call, Call::Sync { .. } | Call::SyncFolder { .. });
        self.0.state.lock().journal.iter().filter(is_sync).count()
    }

    /// Calls of these numbers fail (the first call of all has number 0).
    pub fn trouble(&self, calls: Range<u64>, trouble: Trouble) {
        self.0.state.lock().troubles.push((calls, trouble));
    }

    /// The disk is well again. What was lost by then stays lost.
    pub fn heal(&self) {
        let mut state = self.0.state.lock();
        state.troubles.clear();
        state.room = None;
    }

    /// Whether a call has failed because its process was dead.
    pub fn is_dead(&self) -> bool {
        let state = self.0.state.lock();
        state.troubles.iter().any(|(calls, trouble)| *trouble == Trouble::Dead && calls.start < state.calls)
    }

    /// From now on only `bytes` more fit; `None` for no limit.
    pub fn room(&self, bytes: Option<usize>) {
        self.0.state.lock().room = bytes;
    }

    pub fn plant(&self, lie: Lie) {
        self.0.state.lock().planted.push(lie);
    }

    /// Changes the bytes of a file in place, behind everybody's back.
    pub fn damage(&self, relative: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.state.lock();
        let mut bytes = fs::read(self.path(relative)).expect("the file is there");
        change(&mut bytes);
        fs::write(self.path(relative), &bytes).expect("written");
        // The journal's file is another one from now on.
        let (node, path) = (state.node(), PathBuf::from(relative));
        state.start.bytes.insert(node, bytes);
        state.start.names.insert(path.clone(), node);
        state.names.insert(path, node);
    }

    /// The disk as a power loss before the `at`th call of the journal leaves it. Faults and limits are not taken along.
    pub fn crash(&self, at: usize, loss: Loss) -> SimulatedDisk {
        let image = self.0.state.lock().image(at, loss);
        let disk = SimulatedDisk::default();
        for folder in &image.folders {
            fs::create_dir(disk.0.root.path().join(folder)).expect("made");
        }
        let mut first_names: BTreeMap<Node, PathBuf> = BTreeMap::new();
        for (name, node) in &image.names {
            let path = disk.0.root.path().join(name);
            match first_names.get(node) {
                Some(first) => fs::hard_link(first, &path).expect("linked"),
                None => fs::write(&path, &image.bytes[node]).expect("written"),
            }
            first_names.entry(*node).or_insert(path);
        }
        let next_node = image.bytes.keys().max().map_or(0, |n| n + 1);
        *disk.0.state.lock() = State { names: image.names.clone(), start: image, next_node, ..State::default() };
        disk
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.0.root.path()).expect("a path on this disk").to_path_buf()
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl State {
    fn node(&mut self) -> Node {
        self.next_node += 1;
        self.next_node - 1
    }

    /// Counts a call.
    fn call(&mut self, kind: Kind) -> Result<(), (Trouble, io::Error)> {
        let number = self.calls;
        self.calls += 1;
        match self.troubles.iter().find(|(calls, _)| calls.contains(&number)).map(|t| t.1) {
            Some(Trouble::Eio) => Err((Trouble::Eio, eio())),
            Some(Trouble::Full) if kind == Kind::TakesRoom => Err((Trouble::Full, full())),
            Some(Trouble::NoChanges) if kind != Kind::Reads => Err((Trouble::NoChanges, eio())),
            Some(Trouble::Dead) => Err((Trouble::Dead, eio())),
            Some(Trouble::Full | Trouble::NoChanges) | None => Ok(()),
        }
    }

    fn change(&mut self, entry: Entry) {
        match &entry {
            Entry::File(path, node) => drop(self.names.insert(path.clone(), *node)),
            Entry::Folder(_) => {}
            Entry::Gone(path) => drop(self.names.remove(path)),
            Entry::Moved(from, to, node) => {
                self.names.remove(from);
                self.names.insert(to.clone(), *node);
            }
        }
        self.journal.push(Call::Entry(entry));
    }

    fn sync_file(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let lie = if path.extension().is_some_and(|e| e == "wal") { Lie::LogNotSynced } else { Lie::ObjectNotSynced };
        let outcome = self.call(Kind::Changes);
        let done = match outcome {
            Err((Trouble::Dead, e)) => return Err(e),
            Err(_) => false,
            Ok(()) if self.planted.contains(&lie) => return Ok(()),
            Ok(()) => true,
        };
        self.journal.push(Call::Sync { node, done });
        outcome.map_err(|(_, e)| e)
    }

    fn image(&self, at: usize, loss: Loss) -> Image {
        let mut image = self.start.clone();
        let contents = |bytes: &Vec<u8>| Contents { safe: bytes.clone(), ..Contents::default() };
        let mut files: BTreeMap<Node, Contents> = image.bytes.iter().map(|(node, bytes)| (*node, contents(bytes))).collect();
        // Not durable yet, in order; whether a sync of it has failed.
        let mut entries: Vec<(Entry, bool)> = vec![];
        for call in &self.journal[..at.min(self.journal.len())] {
            match call {
                Call::Write { node, at, bytes } => files.entry(*node).or_default().pending.push((*at, bytes.clone())),
                Call::Sync { node, done } => files.entry(*node).or_default().sync(*done),
                Call::Entry(entry) => entries.push((entry.clone(), false)),
                Call::SyncFolder { folder, done: false } => {
                    entries.iter_mut().filter(|(entry, _)| entry.is_in(folder)).for_each(|(_, doubtful)| *doubtful = true);
                }
                Call::SyncFolder { folder, done: true } => {
                    let (synced, rest): (Vec<_>, Vec<_>) =
                        entries.drain(..).partition(|(entry, doubtful)| !doubtful && entry.is_in(folder));
                    synced.iter().for_each(|(entry, _)| entry.apply(&mut image));
                    // An older change of the same name is settled by it.
                    let settled: BTreeSet<&PathBuf> = synced.iter().flat_map(|(entry, _)| entry.paths()).collect();
                    entries = rest.into_iter().filter(|(entry, _)| !entry.paths().any(|path| settled.contains(path))).collect();
                }
            }
        }
        match loss {
            Loss::Everything => image.bytes = files.into_iter().map(|(node, contents)| (node, contents.safe)).collect(),
            Loss::Random(seed) => {
                let mut random = StdRng::seed_from_u64(seed);
                let keep = |random: &mut StdRng| *[0.0, 0.3, 0.7, 1.0].choose(random).expect("some");
                let of_entries = keep(&mut random);
                entries.iter().filter(|_| random.random_bool(of_entries)).for_each(|(entry, _)| entry.apply(&mut image));
                for (node, contents) in files {
                    let of_bytes = keep(&mut random);
                    image.bytes.insert(node, contents.after(of_bytes, &mut random));
                }
            }
        }
        // Nothing is in a folder that is not there.
        let mut there = BTreeSet::from([PathBuf::new()]);
        let is_there = |path: &Path, there: &BTreeSet<PathBuf>| path.parent().is_some_and(|parent| there.contains(parent));
        for folder in std::mem::take(&mut image.folders) {
            if is_there(&folder, &there) {
                there.insert(folder);
            }
        }
        image.names.retain(|path, _| is_there(path, &there));
        let named: BTreeSet<Node> = image.names.values().copied().collect();
        image.bytes.retain(|node, _| named.contains(node));
        for node in named {
            image.bytes.entry(node).or_default();
        }
        there.remove(Path::new(""));
        image.folders = there;
        image
    }
}

/// The real calls, made of what the temporary folder has.
const REAL: LocalDisk = LocalDisk;

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.state.lock();
        state.call(Kind::TakesRoom).map_err(|(_, e)| e)?;
        let (file, node) = (REAL.create(path)?, state.node());
        state.change(Entry::File(self.relative(path), node));
        Ok(Box::new(SimulatedFile { disk: self.clone(), path: path.to_path_buf(), file, node }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.state.lock().call(Kind::Reads).map_err(|(_, e)| e)?;
        REAL.read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.state.lock().call(Kind::Reads).map_err(|(_, e)| e)?;
        REAL.list(folder)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.call(Kind::TakesRoom).map_err(|(_, e)| e)?;
        REAL.link(from, to)?;
        let node = state.names[&self.relative(from)];
        state.change(Entry::File(self.relative(to), node));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.call(Kind::TakesRoom).map_err(|(_, e)| e)?;
        REAL.rename(from, to)?;
        let node = state.names[&self.relative(from)];
        state.change(Entry::Moved(self.relative(from), self.relative(to), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.call(Kind::Changes).map_err(|(_, e)| e)?;
        REAL.remove(path)?;
        state.change(Entry::Gone(self.relative(path)));
        Ok(())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.call(Kind::TakesRoom).map_err(|(_, e)| e)?;
        REAL.make_folder(path)?;
        state.change(Entry::Folder(self.relative(path)));
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.call(Kind::Changes).map_err(|(_, e)| e)?;
        REAL.remove_folder(path)?;
        state.change(Entry::Gone(self.relative(path)));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        let outcome = state.call(Kind::Changes);
        let done = match outcome {
            Err((Trouble::Dead, e)) => return Err(e),
            Err(_) => false,
            Ok(()) if state.planted.contains(&Lie::FolderNotSynced) => return Ok(()),
            Ok(()) => true,
        };
        state.journal.push(Call::SyncFolder { folder: self.relative(path), done });
        outcome.map_err(|(_, e)| e)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    node: Node,
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.state.lock();
        let (written, outcome) = match state.call(Kind::TakesRoom) {
            Err((Trouble::Dead, e)) => return Err(e),
            Err((_, e)) => (bytes.len() / 2, Err(e)),
            Ok(()) => match &mut state.room {
                Some(room) if *room < bytes.len() => (std::mem::take(room), Err(full())),
                Some(room) => {
                    *room -= bytes.len();
                    (bytes.len(), Ok(()))
                }
                None => (bytes.len(), Ok(())),
            },
        };
        self.file.write_at(at, &bytes[..written])?;
        state.journal.push(Call::Write { node: self.node, at: at as usize, bytes: bytes[..written].to_vec() });
        outcome
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.0.state.lock().sync_file(&self.path, self.node)
    }
}
