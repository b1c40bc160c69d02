//! Appending with group commit: one thread writes whatever has queued up, syncs once, and answers everybody.

use super::{frame, replay::Replayed};
use crate::{
    model::{ErrorKind, Failure, Result},
    storage::{
        failpoint::{Failpoint, Failpoints, Mistake},
        fs::{FileSystem, LogFile},
    },
};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    io,
    sync::{Arc, mpsc},
    thread,
};
use tokio::sync::oneshot;

#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment that has grown past this is followed by a new one.
    pub segment_bytes: usize,
    pub failpoints: Failpoints,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { segment_bytes: 32 << 20, failpoints: Failpoints::default() }
    }
}

/// The open log. Dropping it ends its thread after what was queued has been written.
pub struct Log {
    /// `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    segments: Arc<Segments>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

enum Job {
    Append(Append),
    /// Ends the segment being written, if it has no record beyond the sequence; answers by letting go of `done`.
    Finish {
        through: u64,
        done: mpsc::Sender<()>,
    },
}

struct Append {
    frame: Vec<u8>,
    /// Called with the sequence in order of sequences, before the record is on disk.
    begun: Box<dyn FnOnce(u64) + Send>,
    done: oneshot::Sender<Result<u64>>,
}

struct Segments {
    files: Arc<dyn FileSystem>,
    /// Finished segments and the highest sequence in each, oldest first.
    finished: Mutex<Vec<(String, u64)>>,
    /// Found, and not sure to last; nothing is appended before it is.
    not_renewed: Mutex<Option<String>>,
    failpoints: Failpoints,
}

impl Log {
    /// Goes on behind what was replayed. `not_renewed`: a segment that has to be renewed before that, which failed.
    pub fn open(files: Arc<dyn FileSystem>, replayed: &Replayed, not_renewed: Option<String>, options: LogOptions) -> io::Result<Log> {
        let failpoints = options.failpoints.clone();
        let (finished, not_renewed) = (Mutex::new(replayed.segments.clone()), Mutex::new(not_renewed));
        let segments = Arc::new(Segments { files, finished, not_renewed, failpoints });
        let (queue, appends) = mpsc::channel();
        let durable = replayed.last_record.unwrap_or(0);
        let (sequence, began) = (replayed.last_sequence, replayed.last_sequence + 1);
        let mut writer = Writer { segments: segments.clone(), options, open: None, began, sequence, durable };
        let thread = thread::Builder::new().name("log".into()).spawn(move || writer.run(&appends))?;
        Ok(Log { queue: Mutex::new(Some(queue)), segments, thread: Mutex::new(Some(thread)) })
    }

    /// Durable when it returns; the record's sequence. The record is what [`frame::encode`] makes. `begun` is told the sequence first, in
    /// rising order, also of records that then fail. A failure leaves it open whether the record will be found by a later replay.
    pub async fn append(&self, record: Vec<u8>, begun: impl FnOnce(u64) + Send + 'static) -> Result<u64> {
        let (done, answer) = oneshot::channel();
        let closed = || Failure::new(ErrorKind::Unavailable, "the write-ahead log is closed: the server is shutting down");
        {
            let queue = self.queue.lock();
            let append = Append { frame: record, begun: Box::new(begun), done };
            queue.as_ref().ok_or_else(closed)?.send(Job::Append(append)).map_err(|_| closed())?;
        }
        answer.await.map_err(|_| closed())?
    }

    /// Forgets segments whose records are all of `sequence` or below, the one being written too, in any order: that one of them is there
    /// and others are not is no damage, when all they had is in files. One that cannot be removed is tried again next time. Blocks; one
    /// call at a time.
    pub fn trim(&self, sequence: u64) {
        let (done, finished) = mpsc::channel();
        let asked = self.queue.lock().as_ref().is_some_and(|queue| queue.send(Job::Finish { through: sequence, done }).is_ok());
        if asked {
            let _ = finished.recv();
        }
        let Segments { files, finished, failpoints, .. } = &*self.segments;
        let old: Vec<String> = finished.lock().iter().filter(|(_, last)| *last <= sequence).map(|(name, _)| name.clone()).collect();
        let removes = |name: &String| {
            let removed = failpoints.pass(Failpoint::WalTrim).and_then(|()| Ok(files.remove(name)?));
            removed.inspect_err(|e| tracing::warn!(segment = %name, "an old log segment cannot be removed: {e}")).is_ok()
        };
        let gone: HashSet<String> = old.into_iter().filter(removes).collect();
        finished.lock().retain(|(name, _)| !gone.contains(name));
    }

    /// The segment that keeps writes from being accepted, as the disk does not keep it.
    pub fn not_renewed(&self) -> Option<String> {
        self.segments.not_renewed.lock().clone()
    }

    /// Segments that a restart would replay, the one being written not counted.
    pub fn finished_segments(&self) -> usize {
        self.segments.finished.lock().len()
    }

    /// Writes what is queued and ends.
    pub fn close(&self) {
        self.queue.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl Segments {
    /// One that was trimmed since needs nothing more.
    fn renew(&self) -> io::Result<()> {
        let mut not_renewed = self.not_renewed.lock();
        if let Some(name) = &*not_renewed
            && self.finished.lock().iter().any(|(finished, _)| finished == name)
        {
            self.files.renew(name)?;
        }
        *not_renewed = None;
        Ok(())
    }
}

struct Writer {
    segments: Arc<Segments>,
    options: LogOptions,
    open: Option<Open>,
    /// The first sequence that is given out.
    began: u64,
    /// The last one given out.
    sequence: u64,
    /// The last one that was synced.
    durable: u64,
}

struct Open {
    name: String,
    file: Box<dyn LogFile>,
    bytes: usize,
    /// Synced ones.
    has_records: bool,
}

impl Writer {
    fn run(&mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let (mut group, mut finish) = (vec![], None);
            for job in std::iter::once(first).chain(jobs.try_iter()) {
                match job {
                    Job::Append(append) => group.push(append),
                    Job::Finish { through, done } => finish = Some((through, done)),
                }
            }
            if !group.is_empty() {
                self.append(group);
            }
            if let Some((through, done)) = finish {
                if self.sequence <= through {
                    self.finish();
                }
                drop(done);
            }
        }
        self.finish();
    }

    fn append(&mut self, group: Vec<Append>) {
        let mut waiting = Vec::with_capacity(group.len());
        let mut frames = Vec::with_capacity(group.len());
        for append in group {
            self.sequence += 1;
            (append.begun)(self.sequence);
            waiting.push((self.sequence, append.done));
            frames.push(append.frame);
        }
        let first_sequence = waiting[0].0;
        if self.options.failpoints.has(Mistake::AcknowledgedTooEarly) {
            waiting.drain(..).for_each(|(sequence, done)| drop(done.send(Ok(sequence))));
        }
        let outcome = self.write(&mut frames, first_sequence);
        for (sequence, done) in waiting {
            // A writer that has gone away no longer wants to know.
            let _ = done.send(match &outcome {
                Ok(()) => Ok(sequence),
                Err(e) => Err(refused(e)),
            });
        }
    }

    fn write(&mut self, frames: &mut [Vec<u8>], first_sequence: u64) -> io::Result<()> {
        let result = self.try_write(frames, first_sequence);
        if result.is_ok() {
            self.durable = self.sequence;
            self.open.iter_mut().for_each(|open| open.has_records = true);
        }
        let full = self.open.as_ref().is_some_and(|open| open.bytes >= self.options.segment_bytes);
        let torn = result.is_err() && !self.options.failpoints.has(Mistake::TornSegmentGoesOn);
        if torn || full {
            self.finish();
        }
        result
    }

    fn try_write(&mut self, frames: &mut [Vec<u8>], first_sequence: u64) -> io::Result<()> {
        let pass = |point| self.options.failpoints.pass(point).map_err(io::Error::other);
        pass(Failpoint::WalWrite)?;
        self.segments.renew()?;
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let name = format!("{first_sequence:016x}.wal");
                let file = self.segments.files.create(&name)?;
                let beginning = frame::beginning(self.durable, self.began);
                let open = none.insert(Open { name, file, bytes: beginning.len(), has_records: false });
                open.file.append(&beginning)?;
                open
            }
        };
        for (sequence, frame) in (first_sequence..).zip(frames) {
            frame::seal(frame, sequence);
            open.file.append(frame)?;
            open.bytes += frame.len();
        }
        pass(Failpoint::WalSync)?;
        match open.file.sync() {
            Err(_) if self.options.failpoints.has(Mistake::SyncTriedAgain) => open.file.sync()?,
            synced => synced?,
        }
        pass(Failpoint::WalSynced)
    }

    /// The segment in hand takes no more records.
    fn finish(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Segments { files, finished, failpoints, .. } = &*self.segments;
        // Of what was refused nothing need be found again, and a full disk must not fill with empty segments.
        if open.has_records || failpoints.pass(Failpoint::WalTrim).is_err() || files.remove(&open.name).is_err() {
            finished.lock().push((open.name, self.sequence));
        }
    }
}

/// Not 507: Telegraf keeps and retries on 503.
fn refused(error: &io::Error) -> Failure {
    let cause = match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full".to_string(),
        _ => error.to_string(),
    };
    Failure::new(ErrorKind::Unavailable, format!("the write could not be made durable and is not acknowledged: {cause}")).retry_after(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::BucketId,
        storage::{
            fs::faulty::FaultyDisk,
            wal::{Record, frame::HEADER_BYTES, replay},
        },
    };

    fn bucket() -> BucketId {
        BucketId::new(7).expect("not zero")
    }

    fn open(disk: &FaultyDisk, segment_bytes: usize) -> (Log, Vec<Record>, Replayed) {
        let mut records = vec![];
        let replayed = replay(disk, |r| records.push(r)).expect("the disk can be read");
        (
            Log::open(Arc::new(disk.clone()), &replayed, None, LogOptions { segment_bytes, ..LogOptions::default() }).expect("a thread"),
            records,
            replayed,
        )
    }

    async fn append(log: &Log, text: &str) -> Result<u64> {
        log.append(frame::encode(bucket(), 1, 5, text.as_bytes()), |_| ()).await
    }

    fn texts(records: &[Record]) -> Vec<&str> {
        records.iter().map(|r| std::str::from_utf8(&r.text).expect("text")).collect()
    }

    #[tokio::test]
    async fn an_acknowledged_record_survives_a_power_loss_at_every_call() {
        for calls in 0..40 {
            for seed in 0..5 {
                let disk = FaultyDisk::default();
                let (log, _, _) = open(&disk, 200);
                disk.fail_after(calls);
                let mut acknowledged = vec![];
                for i in 0..8 {
                    let text = format!("m f={i} {i}");
                    if append(&log, &text).await.is_ok() {
                        acknowledged.push(text);
                    }
                }
                drop(log);
                let (_, records, replayed) = open(&disk.crash(seed), 200);
                let found = texts(&records);
                assert!(
                    acknowledged.iter().all(|a| found.contains(&a.as_str())),
                    "call {calls}, seed {seed}: {acknowledged:?} in {found:?}"
                );
                assert!(records.windows(2).all(|w| w[0].sequence < w[1].sequence), "call {calls}: sequences rise");
                assert_eq!(replayed.damage, vec![], "call {calls}, seed {seed}: a torn end is no damage");
            }
        }
    }

    #[tokio::test]
    async fn of_a_log_whose_rows_are_all_in_files_nothing_is_left() {
        let disk = FaultyDisk::default();
        let (log, _, _) = open(&disk, 1 << 20);
        for (text, sequence) in [("m f=1 1", 1), ("m f=2 2", 2)] {
            assert_eq!(append(&log, text).await.expect("written"), sequence);
        }
        log.trim(1);
        assert_eq!(disk.list().expect("a list").len(), 1, "the second record is still needed");
        log.trim(2);
        assert_eq!(disk.list().expect("a list"), Vec::<String>::new());
        assert_eq!(append(&log, "m f=3 3").await.expect("written"), 3);
        drop(log);
        let (_, records, replayed) = open(&disk, 1 << 20);
        assert_eq!((texts(&records), replayed.damage.len(), replayed.last_sequence), (vec!["m f=3 3"], 0, 3));
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_resumes_without_a_restart() {
        let disk = FaultyDisk::default();
        let (log, _, _) = open(&disk, 1 << 20);
        append(&log, "m f=1 1").await.expect("there is room");
        disk.room(Some(30));
        let refused = append(&log, "m f=2 2").await.expect_err("30 bytes are not enough");
        assert_eq!((refused.kind, refused.retry_after_s), (ErrorKind::Unavailable, Some(10)));
        assert!(refused.message.contains("the disk is full"), "{refused}");
        disk.room(None);
        append(&log, "m f=3 3").await.expect("there is room again");
        disk.room(Some(0));
        for _ in 0..3 {
            append(&log, "m f=4 4").await.expect_err("there is no room");
        }
        assert_eq!(disk.list().expect("a list").len(), 2, "what is refused leaves no segment");
        drop(log);
        let (_, records, replayed) = open(&disk, 1 << 20);
        assert_eq!(texts(&records), ["m f=1 1", "m f=3 3"]);
        assert_eq!(replayed.damage, vec![]);
    }

    #[tokio::test]
    async fn a_flipped_bit_costs_one_record_and_is_told() {
        let disk = FaultyDisk::default();
        let (log, _, _) = open(&disk, 1 << 20);
        for i in 0..3 {
            append(&log, &format!("m f={i} {i}")).await.expect("a good disk");
        }
        drop(log);
        let name = disk.list().expect("a list").remove(0);
        let clean = disk.read(&name).expect("bytes");
        let record = (clean.len() - HEADER_BYTES) / 3;
        let second = HEADER_BYTES + record..HEADER_BYTES + 2 * record;
        for at in second.clone() {
            disk.damage(&name, |bytes| bytes[at] ^= 1);
            let (_, records, replayed) = open(&disk, 1 << 20);
            assert_eq!(texts(&records), ["m f=0 0", "m f=2 2"], "byte {at}");
            assert_eq!(replayed.damage, vec![Damage { segment: name.clone(), bytes: second.clone() }], "byte {at}");
            disk.damage(&name, |bytes| bytes[at] ^= 1);
        }
    }

    use crate::storage::wal::Damage;

    #[tokio::test]
    async fn a_segment_that_is_cut_or_gone_shows_by_the_next_one_and_a_refused_write_does_not() {
        let disk = FaultyDisk::default();
        let write = async |texts: &[&str]| {
            let (log, ..) = open(&disk, 1 << 20);
            for text in texts {
                append(&log, text).await.expect("a good disk");
            }
        };
        write(&["m f=1 1", "m f=2 2", "m f=3 3"]).await;
        let (log, ..) = open(&disk, 1 << 20);
        append(&log, "m f=4 4").await.expect("a good disk");
        for room in [0, 10, 50] {
            disk.room(Some(room));
            append(&log, "m f=9 9").await.expect_err("there is no room");
            append(&log, "m f=9 9").await.expect_err("there is no room");
            disk.room(None);
            append(&log, "m f=5 5").await.expect("there is room again");
        }
        drop(log);
        write(&["m f=6 6", "m f=7 7"]).await;
        let missing = || open(&disk, 1 << 20).2.missing.into_iter().map(|m| (m.segment, m.sequences)).collect::<Vec<_>>();
        assert_eq!(missing(), vec![], "writes that were refused are not missed");
        let names = disk.list().expect("a list");
        let first = disk.read(&names[0]).expect("bytes");
        let record = (first.len() - HEADER_BYTES) / 3;
        for kept in 0..first.len() {
            disk.damage(&names[0], |bytes| bytes.truncate(kept));
            let whole = (kept.saturating_sub(HEADER_BYTES) / record) as u64;
            assert_eq!(missing(), [(names[0].clone(), whole + 1..=3)], "cut at {kept}");
            disk.damage(&names[0], |bytes| *bytes = first.clone());
        }
        disk.remove(&names[1]).expect("removed");
        assert_eq!(missing(), [(names[0].clone(), 4..=4)], "a segment that is gone");
        disk.remove(&names[0]).expect("removed");
        assert_eq!(missing(), [], "trimmed, for all that anybody knows");
    }

    #[tokio::test]
    async fn what_was_refused_is_known_by_what_came_after_it() {
        let disk = FaultyDisk::default();
        let refused = || {
            let replayed = replay(&disk, |_| ()).expect("the disk can be read");
            (0..20).filter(|sequence| replayed.was_refused(*sequence)).collect::<Vec<_>>()
        };
        let (log, ..) = open(&disk, 1 << 20);
        append(&log, "m f=1 1").await.expect("a good disk");
        disk.fail_after(1);
        append(&log, "m f=2 2").await.expect_err("the sync fails");
        disk.disk.heal();
        assert_eq!(refused(), [0; 0], "nothing was stored since");
        append(&log, "m f=3 3").await.expect("a good disk");
        drop(log);
        let (log, records, replayed) = open(&disk, 1 << 20);
        assert_eq!(texts(&records), ["m f=1 1", "m f=2 2", "m f=3 3"], "the disk has it all the same");
        append(&log, "m f=4 4").await.expect("a good disk");
        drop(log);
        assert_eq!(refused(), [2]);
        // What a process does not find when it begins, it has not refused.
        let later = Replayed { last_sequence: 9, last_record: None, segments: vec![], ..replayed };
        let log = Log::open(Arc::new(disk.clone()), &later, None, LogOptions::default()).expect("a thread");
        assert_eq!(append(&log, "m f=10 10").await.expect("a good disk"), 10);
        assert_eq!(refused(), [2]);
    }

    #[tokio::test]
    async fn trimming_removes_whole_segments_and_sequences_go_on() {
        let disk = FaultyDisk::default();
        let (log, _, _) = open(&disk, 1);
        let mut last = 0;
        for i in 0..4 {
            last = append(&log, &format!("m f={i} {i}")).await.expect("a good disk");
        }
        log.trim(2);
        drop(log);
        let (log, records, _) = open(&disk, 1);
        assert_eq!(texts(&records), ["m f=2 2", "m f=3 3"]);
        assert!(append(&log, "m f=9 9").await.expect("a good disk") > last);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_writers_share_syncs_and_each_gets_its_own_sequence() {
        let disk = FaultyDisk::default();
        let (log, _, _) = open(&disk, 10_000);
        let log = Arc::new(log);
        let writers: Vec<_> = (0..50)
            .map(|i| {
                let log = log.clone();
                tokio::spawn(async move { append(&log, &format!("m f={i} {i}")).await })
            })
            .collect();
        let mut sequences = vec![];
        for writer in writers {
            sequences.push(writer.await.expect("no panic").expect("a good disk"));
        }
        sequences.sort_unstable();
        sequences.dedup();
        assert_eq!(sequences.len(), 50);
        log.close();
        assert_eq!(open(&disk, 10_000).1.len(), 50);
    }
}
