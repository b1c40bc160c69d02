//! Named places where a test can have the process die. In other builds they are nothing.
//!
//! Death is what a test sees of it: from the chosen moment on, nothing that would leave a trace outside the process happens
//! any more, and nobody gets an answer. Every step that leaves a trace asks here first.

use crate::model::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failpoint {
    WalWrite,
    WalSync,
    /// Durable, not yet visible.
    WalSynced,
    /// Visible, not yet answered.
    Acknowledge,
    /// Rows are set apart for a flush.
    Freeze,
    ParquetWrite,
    /// A file is in the store, and in no manifest.
    StorePut,
    ManifestCommit,
    /// Committed, and the process does not know it yet.
    ManifestCommitted,
    WalTrim,
    Tombstone,
    /// A compaction's file is written.
    Compacted,
    RetentionDrop,
    LocalDelete,
    /// Files are deleted, and the manifest still lists them as leaving.
    Collected,
}

impl Failpoint {
    #[cfg(test)]
    pub const ALL: [Failpoint; 15] = {
        use Failpoint::*;
        [
            WalWrite,
            WalSync,
            WalSynced,
            Acknowledge,
            Freeze,
            ParquetWrite,
            StorePut,
            ManifestCommit,
            ManifestCommitted,
            WalTrim,
            Tombstone,
            Compacted,
            RetentionDrop,
            LocalDelete,
            Collected,
        ]
    };
}

/// A mistake that a program of this kind can have, and some have had. A test plants it to see that the others would notice
/// (`storage/mistakes.rs`); in other builds none is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A write is answered before its record is synced.
    AcknowledgedTooEarly,
    /// After an append that failed, the next record goes behind the torn one.
    TornSegmentGoesOn,
    /// After a sync that failed, another one on the same file is believed.
    SyncTriedAgain,
    /// Sequences begin by what the log has, not by what files have.
    SequencesForgotten,
    /// The log is trimmed before the manifest has the files.
    LogTrimmedTooEarly,
    /// A delete leaves what is buffered.
    DeleteWithoutFlush,
    /// Rows that were deleted are in the file that a compaction makes.
    DeleteNotFoldedIn,
    /// A compaction's file is older than its inputs.
    CompactedSequencesLost,
    /// A compaction's inputs go before its file is in the manifest.
    InputsDeletedTooEarly,
    /// What is found in the log counts as durable.
    FoundRecordsBelieved,
    /// What the log could not take is found again, also when something else was stored since.
    RefusedRecordsFound,
    /// What a manifest version that is found says counts as durable.
    FoundStateBelieved,
    /// The log is trimmed, and files are deleted, by a manifest version that was only found.
    FoundVersionBelieved,
    /// Rows of the log are replayed beside a file that was found with them in it.
    FoundRowsReplayed,
    /// A create that is sent again may replace what is there.
    PutRetriedAsNew,
    /// The log has lines as they were sent, not as they are stored.
    LinesLoggedAsSent,
    /// What is there when a create is refused is another's, whoever wrote it.
    LostReplyTakenForConflict,
    /// What is there when a create is refused is ours, whoever wrote it.
    LostReplyTakenForSuccess,
}

/// The failpoints of one store; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Failpoints {
    #[cfg(test)]
    armed: std::sync::Arc<parking_lot::Mutex<Armed>>,
    #[cfg(test)]
    mistake: Option<Mistake>,
}

#[cfg(test)]
#[derive(Debug, Default)]
struct Armed {
    at: Option<(Failpoint, u32)>,
    dead: bool,
}

impl Failpoints {
    /// Fails when the process is dead, or dies here.
    #[cfg(not(test))]
    #[inline(always)]
    pub fn pass(&self, _: Failpoint) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub fn pass(&self, point: Failpoint) -> Result<()> {
        let mut armed = self.armed.lock();
        if let Some((at, left)) = &mut armed.at
            && *at == point
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                armed.dead = true;
            }
        }
        match armed.dead {
            true => Err(crate::model::Failure::new(crate::model::ErrorKind::Unavailable, format!("killed at {point:?}"))),
            false => Ok(()),
        }
    }

    /// Dies when `point` is passed for the `nth` time, counted from 1.
    #[cfg(test)]
    pub fn kill_at(&self, point: Failpoint, nth: u32) {
        *self.armed.lock() = Armed { at: Some((point, nth)), dead: false };
    }

    /// Whether the mistake was planted.
    #[cfg(not(test))]
    #[inline(always)]
    pub fn has(&self, _: Mistake) -> bool {
        false
    }

    #[cfg(test)]
    pub fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    #[cfg(test)]
    pub fn with(mistake: Option<Mistake>) -> Failpoints {
        Failpoints { mistake, ..Failpoints::default() }
    }

    #[cfg(test)]
    pub fn is_dead(&self) -> bool {
        self.armed.lock().dead
    }
}
