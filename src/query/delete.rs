//! A delete as languages and doors say it, handed to storage.

use crate::{
    model::{BucketId, DeleteSpec, Failure, Result, Timestamp},
    plan::{DeletePart, DeleteRows, condition::RowCondition},
    storage::{
        Storage,
        cut::{Condition, Cut, CutPart},
    },
};
use arrow::{array::BooleanArray, record_batch::RecordBatch};
use datafusion::execution::context::SessionState;
use std::sync::Arc;

impl Condition for RowCondition {
    fn columns(&self) -> &[Arc<str>] {
        self.columns()
    }

    fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        self.holds(rows)
    }
}

/// Durable when it returns; nothing has changed when a condition cannot be honoured. How many rows at `floor` or later went or
/// lost a value; `None` where that takes long to count, or a file that cannot be read may have had some.
pub async fn delete(
    storage: &Storage,
    state: &SessionState,
    bucket: BucketId,
    rows: Vec<DeleteRows>,
    floor: Option<Timestamp>,
) -> Result<Option<u64>> {
    let (mut whole, mut cuts) = (vec![], vec![]);
    for DeleteRows { spec, parts } in rows {
        check_tags(storage, bucket, &spec)?;
        if parts.is_empty() {
            if !whole.contains(&spec) {
                whole.push(spec);
            }
            continue;
        }
        let measurement = spec.measurement.as_deref().ok_or_else(|| Failure::internal("a delete by value names no measurement"))?;
        let Some(schema) = storage.schema(bucket, measurement) else { continue };
        let ready = |DeletePart { field, condition }| -> Result<CutPart> {
            let condition = condition.map(|expr| RowCondition::new(expr, &schema, state)).transpose()?;
            Ok(CutPart { field, condition: condition.map(|c| Arc::new(c) as Arc<dyn Condition>) })
        };
        let parts = parts.into_iter().map(ready).collect::<Result<_>>()?;
        cuts.push(Cut { spec, parts });
    }
    // First what may fail.
    let cut = storage.cut(bucket, cuts, floor).await?;
    let hidden = storage.delete(bucket, whole, floor).await?;
    Ok(hidden.map(|hidden| hidden + cut))
}

/// Where a field is meant for a tag, every row is without the tag: all of them would go by `!=`, and none by `=`, as though there
/// had been none.
fn check_tags(storage: &Storage, bucket: BucketId, spec: &DeleteSpec) -> Result<()> {
    if spec.tags.is_empty() {
        return Ok(());
    }
    let concerned = storage.schemas(bucket).into_iter().filter(|schema| spec.concerns(&schema.measurement)).collect::<Vec<_>>();
    let with_field = |tag: &str| concerned.iter().find(|schema| schema.fields.contains_key(tag));
    match spec.tags.iter().find_map(|tag| with_field(&tag.tag).map(|schema| (&tag.tag, &schema.measurement))) {
        Some((name, measurement)) => Err(Failure::invalid(format!(
            "{name} is a field of {measurement} and no tag: write _field=\"{name}\" AND _value=... to delete its values, or name another \
             _measurement"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{ManualClock, Randomness},
        model::{Precision, TimeRange},
        storage::{BadLines, StorageOptions, WriteRequest, fs::LocalFolder, object::Store},
    };
    use datafusion::prelude::{SessionContext, col, lit};

    #[tokio::test]
    async fn where_a_condition_fails_nothing_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = Arc::new(LocalFolder::open(folder.path().join("wal")).expect("a log"));
        let opening = Storage::open(Store::memory(), log, StorageOptions::default(), ManualClock::at(0), Randomness::seeded(1));
        let (storage, bucket) = (opening.await.expect("opens"), BucketId::new(1).expect("not zero"));
        let body = "m v=1 1\nn i=0i 1".into();
        let (precision, bad_lines) = (Precision::Nanosecond, BadLines::RefuseAll);
        storage.write(WriteRequest { bucket, body, precision, now: 0, bad_lines, retention_floor: None }).await.expect("stored");
        let rows = |measurement: &str, parts| {
            let spec = DeleteSpec { range: TimeRange::ALL, measurement: Some(measurement.into()), tags: vec![] };
            DeleteRows { spec, parts }
        };
        let part = |condition| DeletePart { field: None, condition: Some(condition) };
        let state = SessionContext::new().state();
        let both = |condition| {
            let rows = vec![rows("m", vec![]), rows("n", vec![part(condition)])];
            delete(&storage, &state, bucket, rows, None)
        };
        let divided = (lit(1_i64) / col("i")).gt(lit(0_i64));
        assert!(both(divided).await.expect_err("0 divides nothing").message.contains("ivide"));
        assert_eq!(both(col("i").eq(lit(0_i64))).await, Ok(Some(2)), "both were still there");
    }
}
