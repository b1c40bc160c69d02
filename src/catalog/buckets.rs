//! Buckets: what rows are written to, and how long they are kept.

use super::{
    Action, Caller, Catalog, Resource, ResourceKind, conflict,
    records::{Bucket, BucketKind, Dbrp, LabelMapping, Membership},
    state::{Draft, State},
};
use crate::model::{BucketId, Duplicates, ErrorKind, Failure, OrgId, ResourceId, Result, TypeConflicts};

const HOUR_NS: i64 = 3_600 * 1_000_000_000;
/// InfluxDB 2.7 keeps rows for an hour at least.
pub const RETENTION_NS_MIN: i64 = HOUR_NS;

/// What a bucket is made from.
#[derive(Debug, Clone, Default)]
pub struct NewBucket {
    pub name: String,
    pub description: Option<String>,
    pub policy: Option<String>,
    /// `None`: rows are kept for ever.
    pub retention_ns: Option<i64>,
    /// `None`: chosen from the retention, as InfluxDB 2.7 does.
    pub shard_group_ns: Option<i64>,
    pub duplicates: Duplicates,
    pub type_conflicts: TypeConflicts,
}

/// What is to change; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct BucketChanges {
    pub name: Option<String>,
    pub description: Option<String>,
    /// `Some(None)`: for ever from now on.
    pub retention_ns: Option<Option<i64>>,
    pub shard_group_ns: Option<i64>,
    pub duplicates: Option<Duplicates>,
    pub type_conflicts: Option<TypeConflicts>,
}

fn not_found() -> Failure {
    Failure::not_found("bucket not found")
}

fn resource(bucket: &Bucket) -> Resource {
    Resource::one(ResourceKind::Buckets, bucket.id.0, bucket.org_id)
}

fn check_name(state: &State, org: OrgId, name: &str, own: Option<BucketId>) -> Result<()> {
    let invalid = |why: &str| Err(Failure::invalid(format!("bucket name {name} is invalid. {why}")));
    if name.trim().is_empty() {
        return Err(Failure::invalid("bucket name is empty"));
    }
    if name.starts_with('_') {
        return invalid("Buckets may not start with underscore");
    }
    if name.contains('"') {
        return invalid("Bucket names may not include quotation marks");
    }
    match state.buckets.values().any(|b| b.org_id == org && b.name == name && Some(b.id) != own) {
        true => Err(conflict(format!("bucket with name {name} already exists"))),
        false => Ok(()),
    }
}

fn check_retention(retention_ns: Option<i64>) -> Result<()> {
    match retention_ns {
        Some(ns) if ns < RETENTION_NS_MIN => {
            Err(Failure::new(ErrorKind::Unprocessable, "retention policy duration must be at least 1h0m0s"))
        }
        _ => Ok(()),
    }
}

/// InfluxDB 2.7: an hour below two days of retention, a day below half a year, else a week.
fn shard_group_ns(retention_ns: Option<i64>) -> i64 {
    match retention_ns {
        Some(ns) if ns < 48 * HOUR_NS => HOUR_NS,
        Some(ns) if ns < 180 * 24 * HOUR_NS => 24 * HOUR_NS,
        _ => 7 * 24 * HOUR_NS,
    }
}

impl Catalog {
    /// Those of an organisation (`None`: of all) that the caller may read, in name order.
    pub fn buckets(&self, caller: &Caller, org: Option<OrgId>) -> Vec<Bucket> {
        let state = self.state();
        let seen = |b: &&Bucket| org.is_none_or(|org| org == b.org_id) && caller.may(Action::Read, &resource(b));
        let mut all: Vec<Bucket> = state.buckets.values().filter(seen).cloned().collect();
        all.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        all
    }

    pub fn bucket(&self, caller: &Caller, id: BucketId) -> Result<Bucket> {
        let found = self.state().buckets.get(&id).cloned().ok_or_else(not_found)?;
        caller.check(Action::Read, resource(&found))?;
        Ok(found)
    }

    pub fn create_bucket(&self, caller: &Caller, org: OrgId, new: NewBucket) -> Result<Bucket> {
        caller.check(Action::Write, Resource::of_org(ResourceKind::Buckets, org))?;
        self.change(|draft| self.draft_bucket(draft, org, new))
    }

    pub(super) fn draft_bucket(&self, draft: &mut Draft, org: OrgId, new: NewBucket) -> Result<Bucket> {
        draft.state.organizations.get(&org).ok_or_else(|| Failure::not_found("organization not found"))?;
        check_name(&draft.state, org, &new.name, None)?;
        check_retention(new.retention_ns)?;
        let now = self.now();
        let made = Bucket {
            id: BucketId(self.new_id()),
            org_id: org,
            name: new.name,
            description: new.description,
            kind: BucketKind::User,
            policy: new.policy,
            retention_ns: new.retention_ns,
            shard_group_ns: new.shard_group_ns.unwrap_or_else(|| shard_group_ns(new.retention_ns)),
            duplicates: new.duplicates,
            type_conflicts: new.type_conflicts,
            created_at: now,
            updated_at: now,
        };
        draft.put(made.clone())?;
        Ok(made)
    }

    pub fn update_bucket(&self, caller: &Caller, id: BucketId, changes: BucketChanges) -> Result<Bucket> {
        let changes_retention = changes.retention_ns.is_some();
        let updated = self.change(|draft| {
            let mut bucket = draft.state.buckets.get(&id).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(&bucket))?;
            if let Some(name) = changes.name.filter(|name| *name != bucket.name) {
                if bucket.kind == BucketKind::System {
                    return Err(Failure::invalid("system buckets cannot be renamed"));
                }
                check_name(&draft.state, bucket.org_id, &name, Some(id))?;
                bucket.name = name;
            }
            if let Some(retention_ns) = changes.retention_ns {
                check_retention(retention_ns)?;
                bucket.retention_ns = retention_ns;
                bucket.shard_group_ns = shard_group_ns(retention_ns);
            }
            bucket.shard_group_ns = changes.shard_group_ns.unwrap_or(bucket.shard_group_ns);
            bucket.duplicates = changes.duplicates.unwrap_or(bucket.duplicates);
            bucket.type_conflicts = changes.type_conflicts.unwrap_or(bucket.type_conflicts);
            bucket.description = changes.description.or(bucket.description);
            bucket.updated_at = self.now();
            draft.put(bucket.clone())?;
            Ok(bucket)
        })?;
        if changes_retention {
            self.inner.retention_changed.notify_one();
        }
        Ok(updated)
    }

    /// Removes a bucket with its mappings, labels and members. Its rows are the caller's to drop.
    pub fn delete_bucket(&self, caller: &Caller, id: BucketId) -> Result<()> {
        self.change(|draft| self.draft_without_bucket(draft, caller, id))
    }

    pub(super) fn draft_without_bucket(&self, draft: &mut Draft, caller: &Caller, id: BucketId) -> Result<()> {
        let bucket = draft.state.buckets.get(&id).cloned().ok_or_else(not_found)?;
        caller.check(Action::Write, resource(&bucket))?;
        if bucket.kind == BucketKind::System {
            return Err(Failure::invalid("system buckets cannot be deleted"));
        }
        let of = ResourceId(id.0);
        draft.remove_where::<Dbrp>(|d| d.bucket_id == id);
        draft.remove_where::<LabelMapping>(|m| m.resource_id == of);
        draft.remove_where::<Membership>(|m| m.resource_id == of);
        draft.remove::<Bucket>(&id);
        Ok(())
    }
}
