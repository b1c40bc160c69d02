//! Would the tests notice? Mistakes that programs of this kind have had are planted one by one, and a test of this folder must fail with
//! each. `tests/guarantees/mistakes.txt` lists them with the test that does.

use super::{
    disk::simulated::Lie,
    failing_disk, failing_store,
    failpoint::{Failpoint, Failpoints, Mistake},
    power_loss::{self, Planted},
    simulation,
    testing::duplicates_of,
    type_conflicts,
};
use crate::model::Duplicates;
use expect_test::expect_file;

#[derive(Debug, Clone, Copy)]
enum Plant {
    InCode(Mistake),
    /// A sync that is left out.
    OnDisk(Lie),
}

#[derive(Debug, Clone, Copy)]
enum Test {
    PowerLoss,
    FailingDisk,
    FoundFiles,
    FoundDrops,
    FailingStore,
    Model,
    TypeConflicts,
    RefusedTypes,
}

use Plant::*;
use Test::*;

/// What is planted, who must notice, and what would come of it.
const MISTAKES: [(Plant, Test, &str); 21] = [
    (OnDisk(Lie::LogNotSynced), PowerLoss, "answered rows are gone"),
    (OnDisk(Lie::ObjectNotSynced), PowerLoss, "a file or manifest is empty or torn after the log was trimmed"),
    (OnDisk(Lie::FolderNotSynced), PowerLoss, "a segment, file or manifest has no name"),
    (InCode(Mistake::AcknowledgedTooEarly), PowerLoss, "answered rows are gone"),
    (InCode(Mistake::LogTrimmedTooEarly), PowerLoss, "rows are neither in the log nor in files"),
    (InCode(Mistake::InputsDeletedTooEarly), PowerLoss, "the manifest names files that are gone"),
    (InCode(Mistake::FoundRowsReplayed), PowerLoss, "sums count rows twice"),
    (InCode(Mistake::SyncTriedAgain), FailingDisk, "rows that the failed sync dropped count as durable"),
    (InCode(Mistake::TornSegmentGoesOn), FailingDisk, "good records stand behind a torn one"),
    (InCode(Mistake::FoundRecordsBelieved), FailingDisk, "rows that were seen are gone, and damage is told where there is none"),
    (
        InCode(Mistake::FoundVersionBelieved),
        FoundFiles,
        "the manifest names files that are gone, or rows are neither in the log nor in files",
    ),
    (InCode(Mistake::FoundStateBelieved), FoundDrops, "rows that were seen to be gone come back, or rows of the types after them are lost"),
    (InCode(Mistake::PutRetriedAsNew), FailingStore, "an object is replaced, perhaps another's"),
    (InCode(Mistake::LostReplyTakenForConflict), FailingStore, "the only writer is refused as a second one"),
    (InCode(Mistake::LostReplyTakenForSuccess), FailingStore, "what another commit brought counts as brought by this one"),
    (InCode(Mistake::SequencesForgotten), Model, "new rows count as flushed, or as deleted"),
    (InCode(Mistake::DeleteWithoutFlush), Model, "rows that were deleted stay"),
    (InCode(Mistake::DeleteNotFoldedIn), Model, "rows that were deleted come back"),
    (InCode(Mistake::CompactedSequencesLost), Model, "old values hide new ones"),
    (InCode(Mistake::LinesLoggedAsSent), TypeConflicts, "a replay refuses lines that were answered, or makes others of them"),
    (InCode(Mistake::RefusedRecordsFound), RefusedTypes, "a replay refuses lines that were answered, for types that no row had"),
];

/// Runs a test as it runs by itself, seed by seed; the first seed that fails.
async fn first_failure(plant: Plant, test: Test) -> Option<u64> {
    let (failpoints, lie) = match plant {
        InCode(mistake) => (Failpoints::with(Some(mistake)), None),
        OnDisk(lie) => (Failpoints::default(), Some(lie)),
    };
    let planted = Planted { failpoints: failpoints.clone(), lie, ..Planted::default() };
    let seeds = match test {
        PowerLoss => 0..100,
        FailingDisk => 0..2_000,
        FoundFiles | FoundDrops | RefusedTypes => 0..1,
        FailingStore => 0..200,
        Model => 1..9,
        TypeConflicts => 0..60,
    };
    for seed in seeds {
        let (planted, failpoints) = (planted.clone(), failpoints.clone());
        let run = async move {
            match test {
                PowerLoss => drop(power_loss::lives(seed, &Planted { duplicates: duplicates_of(seed), ..planted }).await),
                FailingDisk => failing_disk::any(seed, &planted).await,
                FoundFiles => drop(failing_disk::found_files(failpoints).await),
                FoundDrops => drop(power_loss::found_drops(failpoints).await),
                FailingStore => _ = failing_store::in_any_weather(seed, failpoints).await,
                TypeConflicts => {
                    type_conflicts::through_kills(Failpoint::ALL[seed as usize % 15], seed, failpoints, &mut Default::default()).await
                }
                RefusedTypes => type_conflicts::refused_types(failpoints).await,
                Model => drop(simulation::reads_like_an_ordered_map(seed, simulation::OPERATIONS, Duplicates::default(), failpoints).await),
            }
        };
        if tokio::spawn(run).await.is_err_and(|e| e.is_panic()) {
            return Some(seed);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_mistake_is_noticed() {
    let mut list = String::new();
    for (plant, test, what) in MISTAKES {
        let (name, place) = match plant {
            InCode(mistake) => (format!("{mistake:?}"), "storage/failpoint.rs"),
            OnDisk(lie) => (format!("{lie:?}"), "storage/disk/simulated.rs"),
        };
        let by = match test {
            PowerLoss => "storage::power_loss::no_power_loss_takes_what_was_acknowledged",
            FailingDisk => "storage::failing_disk::a_disk_that_fails_at_any_call_loses_nothing",
            FoundFiles => "storage::failing_disk::the_log_keeps_the_rows_of_a_file_that_was_found_until_a_manifest_names_it",
            FoundDrops => "storage::power_loss::what_was_found_to_be_gone_does_not_come_back",
            FailingStore => "storage::failing_store::a_store_that_fails_at_any_request_loses_nothing_and_does_nothing_twice",
            Model => "storage::simulation::every_answer_is_that_of_an_ordered_map",
            RefusedTypes => "storage::type_conflicts::a_write_that_the_log_refuses_leaves_no_type_behind",
            TypeConflicts => "storage::type_conflicts::what_became_of_a_line_stays_so_through_any_kill",
        };
        let seed = first_failure(plant, test).await.unwrap_or_else(|| panic!("{name}: {by} does not notice it"));
        println!("{name}: noticed at {seed}");
        list += &format!("{name} ({place}): {what}\n    {by}\n");
    }
    expect_file!["../../tests/guarantees/mistakes.txt"].assert_eq(&list);
}
