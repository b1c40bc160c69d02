use super::*;
use crate::{
    clock::{ManualClock, Randomness},
    model::Precision,
    storage::{BadLines, Storage, StorageOptions, WriteRequest, fs::faulty::FaultyDisk, object::Store},
};

const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Ticks once an hour of real time; `wall` says what the wall clock shows then.
fn run(time: &mut SafeTime, hours: std::ops::Range<i64>, wall: impl Fn(i64) -> i64) -> Vec<i64> {
    hours.map(|h| time.at(wall(h * HOUR), h * HOUR)).collect()
}

#[test]
fn a_clock_that_runs_well_is_followed() {
    let start = 50 * YEAR;
    let mut time = SafeTime::new(None, start, 0);
    assert_eq!(run(&mut time, 0..100, |t| start + t), (0..100).map(|h| start + h * HOUR).collect::<Vec<_>>());
}

#[test]
fn a_jump_ahead_is_not_followed_unless_it_lasts_and_never_after_it_was_put_right() {
    let start = 50 * YEAR;
    let jumped = |t: i64| start + t + 10 * YEAR;
    let mut time = SafeTime::new(None, start, 0);
    run(&mut time, 0..2, |t| start + t);
    assert_eq!(run(&mut time, 2..24, jumped), (2..24).map(|h| start + h * HOUR).collect::<Vec<_>>());
    assert_eq!(run(&mut time, 24..60, |t| start + t).last(), Some(&(start + 59 * HOUR)), "put right");
    // A restart in the middle begins with what was stored, not with the wall clock.
    let stored = run(&mut time, 60..70, jumped)[9];
    let mut time = SafeTime::new(Some(stored), jumped(70 * HOUR), 0);
    assert_eq!(time.at(jumped(70 * HOUR), 0), stored);
    assert_eq!(time.at(jumped(93 * HOUR), 23 * HOUR), stored + 23 * HOUR);
    assert_eq!(time.at(jumped(94 * HOUR), 24 * HOUR), jumped(94 * HOUR), "a day later it is believed");
}

#[test]
fn a_standstill_is_caught_up_with_and_a_clock_set_back_erases_nothing_more() {
    let start = 50 * YEAR;
    let mut time = SafeTime::new(Some(start), start + 2 * DAY, 0);
    let seen = run(&mut time, 0..8, |t| start + 2 * DAY + t);
    assert_eq!((seen[5], seen[7]), (start + 5 * HOUR, start + 2 * DAY + 7 * HOUR), "believed after six hours");
    let back = |t: i64| t - YEAR;
    assert_eq!(run(&mut time, 8..10, back), [back(8 * HOUR), back(9 * HOUR)]);
    assert_eq!(run(&mut time, 10..11, |t| start + 2 * DAY + t), [start + 2 * DAY + 10 * HOUR], "its coming back is no jump");
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_files_leave_and_a_jump_of_the_clock_erases_none() {
    let bucket = BucketId::new(1).expect("not zero");
    let clock = ManualClock::at(10 * DAY);
    let (store, log) = (Store::memory(), Arc::new(FaultyDisk::default()));
    let open = || Storage::open(store.clone(), log.clone(), StorageOptions::default(), clock.clone(), Randomness::from_os());
    let storage = open().await.expect("opens");
    let body = (0..10).map(|day| format!("m f={day} {}\n", day * DAY + 5)).collect::<String>();
    let request = WriteRequest {
        bucket,
        body: body.into(),
        precision: Precision::Nanosecond,
        now: 0,
        bad_lines: BadLines::Skip,
        retention_floor: None,
    };
    storage.write(request).await.expect("stored");
    storage.flush().await.expect("flushed");
    let expired = storage.files().expire(bucket, 3 * DAY).await.expect("expired");
    assert_eq!((expired.files, expired.rows), (7, 7));
    clock.set(20 * YEAR);
    assert_eq!(storage.files().expire(bucket, 3 * DAY).await.expect("expired").files, 0, "no time has passed");
    drop(storage);
    let storage = open().await.expect("opens");
    assert_eq!(storage.files().expire(bucket, 3 * DAY).await.expect("expired").files, 0, "nor by a restart");
    clock.advance(23 * HOUR);
    assert_eq!(storage.files().expire(bucket, 3 * DAY).await.expect("expired").files, 1, "23 hours have passed");
    assert_eq!(storage.files().version(bucket).expect("a version").files.len(), 2);
}
