//! Runs Flux testcases, each in a database of its own, planned and run by the sessions that queries use.
//!
//! A testcase takes its rows through `testing.load`. In memory that hands them on; stored, the testcase runs twice: first
//! to write them, whatever comes out, then over what a flushed store gives back.

use super::{
    session::Sessions,
    tables::{QueryContext, SingleBucket},
};
use crate::{
    clock::{ManualClock, Randomness},
    flux::{
        self,
        testcase::{ERROR_OUTPUT, TestFile, Testcase, testcases},
    },
    model::{Failure, Result, Timestamp},
    plan::{Context, memory::MemoryContext},
    storage::{Storage, StorageOptions, fs::LocalFolder, object::Store},
};
use arrow::{record_batch::RecordBatch, util::pretty::pretty_format_batches};
use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

/// Rows of `errorOutput` that a message shows.
const ROWS_SHOWN: usize = 40;

/// How testcases run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Testcases at once.
    pub threads: usize,
    /// A testcase that takes longer has failed.
    pub time_limit: Duration,
    /// The instant of the queries, unless a testcase says otherwise.
    pub now: Timestamp,
    /// Over rows that were written to a store and flushed.
    pub stored: bool,
}

/// What became of one testcase.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Why it failed; `None` when it passed.
    pub failure: Option<String>,
    pub elapsed: Duration,
}

/// The test files below a folder, and the modules they belong to.
#[derive(Debug)]
pub struct Suite {
    files: Vec<TestFile>,
    /// The folder of each module.
    roots: BTreeMap<Arc<str>, PathBuf>,
}

/// A module and its folder, or no module and the folder that the suite was read from.
type Place = (Option<Arc<str>>, PathBuf);

/// A module of test files: everything below the folder that holds this file, up to another one. It gives the module's name.
const ROOT_FILE: &str = "fluxtest.root";
/// What files outside of every module call the folder that was asked for, unless a module has the name.
const DEFAULT_MODULE: &str = "flux";

impl Suite {
    /// Reads the `*_test.flux` files below `folder`, in path order. Their modules' roots may lie below, at or above it.
    pub fn read(folder: &Path) -> Result<Suite> {
        let folder = folder.canonicalize().map_err(|e| unreadable(folder, e))?;
        let mut suite = Suite { files: vec![], roots: BTreeMap::new() };
        let place = match folder.ancestors().find(|f| f.join(ROOT_FILE).is_file()) {
            Some(root) => suite.module(root)?,
            None => (None, folder.clone()),
        };
        suite.walk(&folder, &place)?;
        suite.roots.entry(DEFAULT_MODULE.into()).or_insert_with(|| folder.clone());
        match suite.files.is_empty() {
            true => Err(Failure::not_found(format!("there are no *_test.flux files below {}", folder.display()))),
            false => Ok(suite),
        }
    }

    /// See [`testcases`].
    pub fn testcases(&self) -> Result<Vec<Testcase>> {
        Ok(testcases(&self.files, |path| self.text_of(path))?)
    }

    /// The file that `module/folder/name` says, without `.flux`.
    fn text_of(&self, path: &str) -> Option<Arc<str>> {
        let (module, file) = path.split_once('/')?;
        let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        let root = self.roots.get(module).filter(|_| inside)?;
        Some(fs::read_to_string(root.join(format!("{file}.flux"))).ok()?.into())
    }

    /// The module that has its root here.
    fn module(&mut self, root: &Path) -> Result<Place> {
        let path = root.join(ROOT_FILE);
        let text = fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
        let said = serde_json::from_str::<serde_json::Value>(&text).ok();
        let name = said.as_ref().and_then(|said| said["name"].as_str()).filter(|name| !name.is_empty());
        let name: Arc<str> =
            name.ok_or_else(|| Failure::invalid(format!("{} names no module; write {{\"name\": \"...\"}}", path.display())))?.into();
        match self.roots.insert(name.clone(), root.into()) {
            Some(other) if other != root => {
                Err(Failure::invalid(format!("{} and {} are both roots of a module `{name}`", other.display(), root.display())))
            }
            _ => Ok((Some(name), root.into())),
        }
    }

    fn walk(&mut self, folder: &Path, outside: &Place) -> Result<()> {
        let place = if folder.join(ROOT_FILE).is_file() { self.module(folder)? } else { outside.clone() };
        let entries = fs::read_dir(folder).and_then(|d| d.collect::<std::io::Result<Vec<_>>>());
        let mut entries = entries.map_err(|e| unreadable(folder, e))?;
        entries.sort_by_key(|e| e.file_name());
        for entry in entries {
            let path = entry.path();
            if path.is_dir() {
                self.walk(&path, &place)?;
            } else if entry.file_name().to_string_lossy().ends_with("_test.flux") {
                let text = fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
                let below = path.strip_prefix(&place.1).unwrap_or(&path);
                let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
                self.files.push(TestFile { module: place.0.clone(), path: parts.join("/"), text: text.into() });
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    Failure::not_found(format!("{}: {error}", path.display()))
}

/// Runs all of `testcases`; outcomes come in the same order. `progress` hears of each as it ends.
pub fn run(
    testcases: &[Testcase],
    sessions: &Sessions,
    options: RunOptions,
    progress: impl Fn(&Testcase, &Outcome) + Sync,
) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<Outcome>>> = testcases.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(testcase) = testcases.get(at) else { break };
                    let outcome = watched(testcase, sessions, options);
                    progress(testcase, &outcome);
                    *outcomes[at].lock().unwrap_or_else(|e| e.into_inner()) = Some(outcome);
                }
            });
        }
    });
    let taken = outcomes.into_iter().map(|o| o.into_inner().unwrap_or_else(|e| e.into_inner()));
    taken.map(|o| o.expect("every testcase was taken by a thread")).collect()
}

/// One testcase on a thread of its own, so that a panic or a hang is its failure alone. A thread that hangs is left behind.
fn watched(testcase: &Testcase, sessions: &Sessions, options: RunOptions) -> Outcome {
    let began = Instant::now();
    let (tell, hear) = mpsc::channel();
    let (testcase, sessions) = (testcase.clone(), sessions.clone());
    let worker = std::thread::Builder::new().name(testcase.full_name()).stack_size(32 << 20).spawn(move || {
        let verdict = if options.stored { stored(&testcase, &sessions, options.now) } else { in_memory(&testcase, &sessions, options.now) };
        let _ = tell.send(verdict);
    });
    let failure = match worker {
        Err(e) => Some(format!("no thread could be started: {e}")),
        Ok(worker) => match hear.recv_timeout(options.time_limit) {
            Ok(verdict) => verdict.err(),
            Err(mpsc::RecvTimeoutError::Timeout) => Some(format!("did not end within {} s", options.time_limit.as_secs())),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let panic = worker.join().err();
                let said = panic
                    .as_ref()
                    .and_then(|p| p.downcast_ref::<String>().map(String::as_str).or_else(|| p.downcast_ref::<&str>().copied()));
                Some(format!("panicked: {}", said.unwrap_or("without a word")))
            }
        },
    };
    Outcome { failure, elapsed: began.elapsed() }
}

fn in_memory(testcase: &Testcase, sessions: &Sessions, now: Timestamp) -> Result<(), String> {
    verdict(testcase, &MemoryContext::in_session(now, sessions.session(now).state))
}

fn stored(testcase: &Testcase, sessions: &Sessions, now: Timestamp) -> Result<(), String> {
    static FOLDERS: AtomicUsize = AtomicUsize::new(0);
    const BUCKET: &str = "loaded";
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tidegauge-testcases-{}-{number}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|e| e.to_string())?;
    let run = || -> Result<Result<(), String>> {
        let log = Arc::new(LocalFolder::open(folder.join("wal"))?);
        let randomness = Randomness::seeded(number as u64);
        let opening = Storage::open(Store::memory(), log, StorageOptions::default(), ManualClock::at(now), randomness);
        let storage = runtime.block_on(opening)?;
        let context = || {
            let _inside = runtime.enter();
            QueryContext::new(Arc::new(SingleBucket::new(BUCKET)), storage.clone(), sessions.session(now), now)
        };
        // What cannot be written is missing when the rows are read.
        let _ = verdict(&testcase.loading(&format!("tables |> to(bucket: \"{BUCKET}\")"))?, &context());
        runtime.block_on(storage.flush())?;
        let outcome = verdict(&testcase.loading(&format!("_internal.everything(bucket: \"{BUCKET}\")"))?, &context());
        runtime.block_on(storage.close())?;
        Ok(outcome)
    };
    let outcome = run();
    // The folder lies among the system's temporary files; one that stays is a nuisance, no more.
    let _ = fs::remove_dir_all(&folder);
    outcome.map_err(|e| e.message)?
}

fn verdict(testcase: &Testcase, context: &dyn Context) -> Result<(), String> {
    let script = testcase.script.as_ref().map_err(|e| e.to_string())?;
    let program = flux::compile_file(script, &testcase.text, context, vec![]).map_err(|e| e.to_string())?;
    let mut wrong: Vec<RecordBatch> = vec![];
    for result in program.results {
        for frame in result.frames {
            let rows = context.collect(frame.plan).map_err(|e| e.message)?;
            if result.name == ERROR_OUTPUT {
                wrong.extend(rows.into_iter().filter(|b| b.num_rows() > 0));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(shown(&wrong)) }
}

/// The first rows of each batch, as tables.
fn shown(batches: &[RecordBatch]) -> String {
    let mut text = String::from("results differ:");
    let mut left = ROWS_SHOWN;
    for batch in batches {
        if left == 0 {
            text += "\n...";
            break;
        }
        let part = batch.slice(0, batch.num_rows().min(left));
        left -= part.num_rows();
        match pretty_format_batches(&[part]) {
            Ok(table) => text += &format!("\n{table}"),
            Err(e) => text += &format!("\n{e}"),
        }
    }
    text
}

#[cfg(test)]
mod tests;
