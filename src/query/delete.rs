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
/// lost a value; `None` where a file that cannot be read may have had some.
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
    let hidden = storage.delete(bucket, whole, floor).await?;
    let cut = storage.cut(bucket, cuts, floor).await?;
    Ok(hidden.map(|hidden| hidden + cut))
}

/// A field where a tag is meant would find nothing, and look as though there had been nothing.
fn check_tags(storage: &Storage, bucket: BucketId, spec: &DeleteSpec) -> Result<()> {
    if spec.tags.is_empty() {
        return Ok(());
    }
    let concerned = storage.schemas(bucket).into_iter().filter(|schema| spec.concerns(&schema.measurement)).collect::<Vec<_>>();
    let is_field = |tag: &str| !concerned.iter().any(|s| s.is_tag(tag)) && concerned.iter().any(|s| s.fields.contains_key(tag));
    match spec.tags.iter().find(|tag| is_field(&tag.tag)) {
        Some(tag) => {
            let name = &tag.tag;
            Err(Failure::invalid(format!("{name} is a field and no tag: write _field=\"{name}\" AND _value=... to delete its values")))
        }
        None => Ok(()),
    }
}
