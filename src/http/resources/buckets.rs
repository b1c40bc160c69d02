//! `/api/v2/buckets`.

use super::super::{
    app::{App, Call},
    auth::Auth,
    problem::Answer,
};
use super::{change, created, found, gone, id, labels, optional_id, org_of, page::Page};
use crate::{
    catalog::{
        Bucket, Label, ResourceKind,
        buckets::{BucketChanges, NewBucket},
    },
    model::{BucketId, Duplicates, Failure, ResourceId, Result, TypeConflicts, time::rfc3339},
};
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

pub fn json(bucket: &Bucket, on: &[Label]) -> Value {
    let own = format!("/api/v2/buckets/{}", bucket.id);
    let rule = json!({
        "type": "expire",
        "everySeconds": bucket.retention_ns.unwrap_or(0) / 1_000_000_000,
        "shardGroupDurationSeconds": bucket.shard_group_ns / 1_000_000_000,
    });
    let mut body = json!({
        "id": bucket.id,
        "orgID": bucket.org_id,
        "type": bucket.kind,
        "name": bucket.name,
        "retentionRules": [rule],
        "duplicates": bucket.duplicates,
        "typeConflicts": bucket.type_conflicts,
        "createdAt": rfc3339(bucket.created_at),
        "updatedAt": rfc3339(bucket.updated_at),
        "links": {
            "labels": format!("{own}/labels"),
            "members": format!("{own}/members"),
            "org": format!("/api/v2/orgs/{}", bucket.org_id),
            "owners": format!("{own}/owners"),
            "self": own,
            "write": format!("/api/v2/write?org={}&bucket={}", bucket.org_id, bucket.id),
        },
        "labels": on.iter().map(labels::json).collect::<Vec<_>>(),
    });
    for (key, value) in [("description", &bucket.description), ("rp", &bucket.policy)] {
        if let Some(value) = value {
            body[key] = value.as_str().into();
        }
    }
    body
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BucketBody {
    #[serde(rename = "orgID")]
    org_id: Option<String>,
    name: Option<String>,
    description: Option<String>,
    rp: Option<String>,
    retention_rules: Option<Vec<RetentionRule>>,
    /// Not InfluxDB's: what becomes of values that are written twice.
    duplicates: Option<String>,
    /// Not InfluxDB's: what becomes of lines that do not fit the types of their fields.
    type_conflicts: Option<String>,
}

impl BucketBody {
    fn duplicates(&self) -> Result<Option<Duplicates>> {
        self.duplicates.as_deref().map(str::parse).transpose()
    }

    fn type_conflicts(&self) -> Result<Option<TypeConflicts>> {
        self.type_conflicts.as_deref().map(str::parse).transpose()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RetentionRule {
    every_seconds: i64,
    shard_group_duration_seconds: Option<i64>,
}

impl RetentionRule {
    fn nanoseconds(seconds: i64, what: &str) -> Result<i64> {
        let ns = seconds.checked_mul(1_000_000_000).filter(|ns| *ns >= 0);
        ns.ok_or_else(|| Failure::invalid(format!("{what} must be zero or more, and below 292 years")))
    }

    /// `None`: for ever.
    fn retention_ns(&self) -> Result<Option<i64>> {
        Ok(Some(Self::nanoseconds(self.every_seconds, "expiration seconds")?).filter(|ns| *ns > 0))
    }

    fn shard_group_ns(&self) -> Result<Option<i64>> {
        let seconds = self.shard_group_duration_seconds.filter(|seconds| *seconds != 0);
        seconds.map(|seconds| Self::nanoseconds(seconds, "shard group duration seconds")).transpose()
    }
}

/// The one rule of a body; InfluxDB has never had more.
fn rule(rules: Option<Vec<RetentionRule>>) -> Result<Option<RetentionRule>> {
    match rules {
        Some(rules) if rules.len() > 1 => Err(Failure::invalid("a bucket has one retention rule")),
        Some(mut rules) => Ok(rules.pop()),
        None => Ok(None),
    }
}

fn one_json(app: &App, bucket: &Bucket) -> Value {
    json(bucket, &app.engine.catalog().labels_of(ResourceKind::Buckets, ResourceId(bucket.id.0)))
}

/// Filters: `id`, `name`, `org`/`orgID`. A missing name is 404 where the organisation is given, else an empty list
/// (2.7; the Python client's `find_bucket_by_name` needs that).
pub async fn list(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let page = Page::of(&call.params)?;
    let catalog = app.engine.catalog();
    let org = call.org().map(|org| catalog.organization_of(&caller, Some(org))).transpose()?;
    let wanted: Option<BucketId> = optional_id(call.text("id"))?;
    let name = call.text("name");
    let mut buckets = catalog.buckets(&caller, org);
    buckets.retain(|b| wanted.is_none_or(|id| b.id == id) && name.is_none_or(|n| b.name == n));
    match (buckets.is_empty(), name, wanted) {
        (true, Some(name), _) if org.is_some() => return Err(Failure::not_found(format!("bucket \"{name}\" not found")).into()),
        (true, _, Some(_)) => return Err(Failure::not_found("bucket not found").into()),
        _ => {}
    }
    let buckets = page.cut(buckets, |b| b.id.to_string());
    let links = page.links("/api/v2/buckets", &call.params, buckets.len());
    found(json!({ "links": links, "buckets": buckets.iter().map(|b| one_json(&app, b)).collect::<Vec<_>>() }))
}

pub async fn one(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    found(one_json(&app, &app.engine.catalog().bucket(&caller, id(&of)?)?))
}

pub async fn create(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let sent: BucketBody = call.json()?;
    let org = org_of(&app, &caller, &call, sent.org_id.as_deref())?;
    let (duplicates, type_conflicts) = (sent.duplicates()?.unwrap_or_default(), sent.type_conflicts()?.unwrap_or_default());
    let rule = rule(sent.retention_rules)?.unwrap_or_default();
    let new = NewBucket {
        name: sent.name.unwrap_or_default(),
        description: sent.description.filter(|text| !text.is_empty()),
        policy: sent.rp.filter(|text| !text.is_empty()),
        retention_ns: rule.retention_ns()?,
        shard_group_ns: rule.shard_group_ns()?,
        duplicates,
        type_conflicts,
    };
    created(one_json(&app, &change(&app, move |catalog| catalog.create_bucket(&caller, org, new)).await?))
}

pub async fn update(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (of, sent): (BucketId, BucketBody) = (id(&of)?, call.json()?);
    let (duplicates, type_conflicts) = (sent.duplicates()?, sent.type_conflicts()?);
    let rule = rule(sent.retention_rules)?;
    let changes = BucketChanges {
        name: sent.name,
        description: sent.description,
        retention_ns: rule.as_ref().map(RetentionRule::retention_ns).transpose()?,
        shard_group_ns: rule.as_ref().map(RetentionRule::shard_group_ns).transpose()?.flatten(),
        duplicates,
        type_conflicts,
    };
    let changed = change(&app, move |catalog| catalog.update_bucket(&caller, of, changes)).await?;
    found(one_json(&app, &changed))
}

pub async fn remove(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    app.engine.delete_bucket(&caller, id(&of)?).await?;
    gone()
}
