use super::*;
use crate::{
    clock::ManualClock,
    storage::{fs::faulty::FaultyDisk, testing::*},
};

#[tokio::test(flavor = "multi_thread")]
async fn files_rows_and_series_are_counted_by_measurement_and_partition() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    for lines in ["m,h=a f=1 1\nm,h=b f=1 2\nm f=1 3\nn g=1 4", "m,h=a f=2 1\nm,h=c,r=x f=1 150\nm,h=a f=3 151"] {
        write(&storage, lines).await;
        storage.flush().await.expect("flushed");
    }
    let list = inspect(&store, &versions(&store).await.expect("versions"), true).await;
    let [one] = list.as_slice() else { panic!("one bucket: {list:?}") };
    let figures = |f: &Figures| (f.files, f.rows, f.series, f.time_min, f.time_max);
    let m = &one.measurements[0];
    assert_eq!((m.measurement.as_ref(), m.tags, m.fields, figures(&m.total)), ("m", 2, 1, (3, 6, Some(4), Some(1), Some(151))));
    let partitions: Vec<_> = m.partitions.iter().map(|p| (p.start, figures(&p.total))).collect();
    assert_eq!(partitions, [(0, (2, 4, Some(3), Some(1), Some(3))), (100, (1, 2, Some(2), Some(150), Some(151)))]);
    assert_eq!(figures(&one.measurements[1].total), (1, 1, Some(1), Some(4), Some(4)));
    let bytes: u64 = store.list("buckets/0000000000000001/data").await.expect("a list").iter().map(|l| l.bytes).sum();
    assert_eq!(one.measurements.iter().map(|m| m.total.bytes).sum::<u64>(), bytes);

    let text = serde_json::to_string(&list).expect("JSON");
    assert_eq!(serde_json::from_str::<Vec<BucketFigures>>(&text).expect("reads back"), list);
    let uncounted = inspect(&store, &versions(&store).await.expect("versions"), false).await;
    assert_eq!(uncounted[0].measurements[0].total.series, None);
    store.delete(&storage.files().version(bucket()).expect("a version").files[0].path).await.expect("deleted");
    let unread = inspect(&store, &versions(&store).await.expect("versions"), true).await;
    assert_eq!(unread[0].measurements.iter().filter(|m| m.total.series.is_none()).count(), 1, "a file cannot be read");
    storage.drop_bucket(bucket()).await.expect("dropped");
    assert_eq!(inspect(&store, &versions(&store).await.expect("versions"), true).await, []);
}
