//! Mutates inputs, and keeps those that reach code no other one has reached.
//!
//! Where the program goes is counted by the compiler's `sancov-module` pass, when the build asks for it (`tests/fuzz`): a byte per edge,
//! all of them in one array whose place the program is told as it starts. Without it inputs are mutated blindly.

use super::{RUN_MAX, targets::Target};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::{
    collections::HashSet,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{Seek, Write},
    panic,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

static COUNTERS: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static COUNTERS_END: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

/// The compiler's pass calls it before `main`, once per part of the program, always with both ends of the one array.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    COUNTERS.store(start, Ordering::Relaxed);
    COUNTERS_END.store(stop, Ordering::Relaxed);
}

/// Eight edges each; nothing in a build that does not count.
fn counters() -> &'static [AtomicU64] {
    let (start, end) = (COUNTERS.load(Ordering::Relaxed), COUNTERS_END.load(Ordering::Relaxed));
    let skipped = start.align_offset(8);
    let length = (end as usize).saturating_sub(start as usize + skipped) / 8;
    if start.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: the array lives as long as the program, `skipped` bytes on it is aligned for eight bytes, and `length` words of them lie in
    // it. Any bytes are numbers.
    unsafe { std::slice::from_raw_parts(start.add(skipped).cast(), length) }
}

/// What inputs have reached: the edge and about how often.
#[derive(Default)]
struct Coverage {
    seen: HashSet<(u32, u8)>,
}

impl Coverage {
    fn begin() {
        counters().iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Whether the run since [`begin`](Self::begin) has been somewhere new.
    fn end(&mut self) -> bool {
        let before = self.seen.len();
        for (at, word) in counters().iter().enumerate() {
            let word = word.load(Ordering::Relaxed);
            if word != 0 {
                for (edge, count) in word.to_ne_bytes().into_iter().enumerate().filter(|(_, count)| *count > 0) {
                    self.seen.insert((at as u32 * 8 + edge as u32, 8 - count.leading_zeros() as u8));
                }
            }
        }
        self.seen.len() > before
    }
}

/// Longest input, bytes.
const INPUT_MAX: usize = 8 << 10;

pub struct Mutator {
    random: StdRng,
    words: &'static [&'static str],
}

impl Mutator {
    pub fn new(seed: u64, words: &'static [&'static str]) -> Mutator {
        Mutator { random: StdRng::seed_from_u64(seed), words }
    }

    /// One of the corpus, or something near it.
    pub fn mutate(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let newest = corpus.len().saturating_sub(20);
        let from = if self.random.random_bool(0.3) { &corpus[newest..] } else { corpus };
        let mut input = from.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..1 << self.random.random_range(0..4) {
            self.change(&mut input, corpus);
        }
        input.truncate(INPUT_MAX);
        input
    }

    fn stretch(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.random.random_range(0..=length);
        let longest = (length - from).min(1 << self.random.random_range(0..8));
        from..from + self.random.random_range(0..=longest)
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.random.random_range(0..=input.len());
        let stretch = self.stretch(input.len());
        match self.random.random_range(0..12) {
            0 if at < input.len() => input[at] ^= 1 << self.random.random_range(0..8),
            1 if at < input.len() => input[at] = self.random.random(),
            2 if at < input.len() => input[at] = *b"\0\x01\x7f\x80\xff 09-\"'\\\n,=()[]{}".choose(&mut self.random).expect("some"),
            3 => drop(input.drain(stretch)),
            4 => {
                let part = input[stretch].to_vec();
                put(input, at..at, part);
            }
            // Deep and long.
            5 => {
                let part = input[stretch].to_vec();
                let times = 1 << self.random.random_range(1..12);
                let part = part.repeat(if part.is_empty() { 0 } else { times.min(INPUT_MAX / part.len() + 1) });
                put(input, at..at, part);
            }
            6 => {
                let other = corpus.choose(&mut self.random).cloned().unwrap_or_default();
                let part = other[self.stretch(other.len())].to_vec();
                put(input, at..at, part);
            }
            7 => {
                let other = corpus.choose(&mut self.random).cloned().unwrap_or_default();
                let part = other[self.stretch(other.len())].to_vec();
                put(input, stretch, part);
            }
            8 | 9 if !self.words.is_empty() => {
                let word = self.words.choose(&mut self.random).expect("some");
                let replaced = if self.random.random_bool(0.5) { stretch } else { at..at };
                put(input, replaced, word.bytes());
            }
            10 => {
                let number = *[0, 1, -1, 9, 127, 255, 256, 65_535, 1 << 31, i64::MAX, i64::MIN].choose(&mut self.random).expect("some");
                let bytes = match self.random.random_range(0..4) {
                    0 => number.to_string().into_bytes(),
                    1 => number.to_le_bytes().to_vec(),
                    2 => (number as u32).to_be_bytes().to_vec(),
                    _ => (number as u32).to_le_bytes().to_vec(),
                };
                let end = (at + bytes.len()).min(input.len());
                let replaced = if self.random.random_bool(0.5) { at..end } else { at..at };
                put(input, replaced, bytes);
            }
            11 => input.truncate(at),
            _ => input.insert(at, self.random.random()),
        }
        input.truncate(INPUT_MAX);
    }
}

fn put(input: &mut Vec<u8>, replaced: std::ops::Range<usize>, bytes: impl IntoIterator<Item = u8>) {
    drop(input.splice(replaced, bytes));
}

/// Writes an input under the hash of it.
pub fn keep(folder: &Path, input: &[u8]) {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    fs::write(folder.join(format!("{:016x}", hasher.finish())), input).expect("written");
}

/// Fuzzes until the time is over, in `folder`: `corpus/` grows by what reaches further, `crashes/` by what panics, `current` is the input
/// under way, for who finds this process dead, and `progress` has the number of runs and of places reached.
pub fn fuzz(target: &Target, begin: Vec<Vec<u8>>, folder: &Path, time: Duration, seed: u64) {
    let started = Instant::now();
    let running_since = Arc::new(AtomicU64::new(0));
    let watched = running_since.clone();
    // What never ends is a crash, too.
    thread::spawn(move || {
        loop {
            thread::sleep(RUN_MAX);
            let since = watched.load(Ordering::Relaxed);
            if since > 0 && started.elapsed() > Duration::from_millis(since) + RUN_MAX * 2 {
                std::process::abort();
            }
        }
    });
    panic::set_hook(Box::new(|_| {}));
    let mut current = fs::File::create(folder.join("current")).expect("a file");
    let (mut coverage, mut corpus, mut crashed) = (Coverage::default(), vec![], HashSet::new());
    let mut found: Vec<Vec<u8>> =
        fs::read_dir(folder.join("corpus")).into_iter().flatten().flatten().filter_map(|e| fs::read(e.path()).ok()).collect();
    found.extend(begin);
    let mut mutator = Mutator::new(seed, target.words);
    let mut runs = 0_u64;
    let progress = |runs: u64, covered: usize| fs::write(folder.join("progress"), format!("{runs} {covered}")).expect("written");
    while started.elapsed() < time {
        let (input, is_new) = match found.pop() {
            Some(input) => (input, false),
            None => (mutator.mutate(&corpus), true),
        };
        current.set_len(0).and_then(|()| current.rewind()).and_then(|()| current.write_all(&input)).expect("written");
        running_since.store(started.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        Coverage::begin();
        let outcome = panic::catch_unwind(|| (target.run)(&input));
        let took = started.elapsed().as_millis() as u64 + 1 - running_since.swap(0, Ordering::Relaxed);
        runs += 1;
        let reaches_further = coverage.end();
        let what = match outcome {
            Ok(()) if took > RUN_MAX.as_millis() as u64 => Some("slow".to_string()),
            Ok(()) => None,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|t| t.to_string()));
                Some(text.unwrap_or_default())
            }
        };
        match what {
            // Of a kind one is enough; texts of a kind begin alike.
            Some(text) if crashed.insert(text.chars().take(40).collect::<String>()) => keep(&folder.join("crashes"), &input),
            Some(_) => {}
            None if reaches_further => {
                if is_new {
                    keep(&folder.join("corpus"), &input);
                }
                corpus.push(input);
            }
            // A build that does not count knows only what it began with.
            None if !is_new && counters().is_empty() => corpus.push(input),
            None => {}
        }
        if runs.is_multiple_of(256) {
            progress(runs, coverage.seen.len());
        }
    }
    progress(runs, coverage.seen.len());
}
