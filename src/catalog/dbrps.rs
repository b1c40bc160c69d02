//! Databases and retention policies of InfluxDB 1.x, and the buckets they stand for.
//!
//! Beside the stored mappings every bucket has a virtual one that follows from its name (InfluxDB 2.7): `db/rp` is
//! (`db`, `rp`), and `name` is (`name`, `autogen`), the default of its database unless a stored mapping is. A stored
//! mapping of the same database and policy hides the virtual one.

use super::{
    Action, Caller, Catalog, Resource, ResourceKind,
    buckets::NewBucket,
    conflict,
    records::{Bucket, BucketKind, Dbrp},
    state::{Draft, State},
};
use crate::model::{BucketId, DbrpId, Failure, OrgId, Result};

/// The policy of a database that says nothing of policies.
pub const AUTOGEN: &str = "autogen";

/// What a mapping is made from.
#[derive(Debug, Clone)]
pub struct NewDbrp {
    pub bucket_id: BucketId,
    pub database: String,
    pub policy: String,
    /// The first mapping of a database is its default whatever this says.
    pub default: bool,
}

fn not_found() -> Failure {
    Failure::not_found("unable to find DBRP")
}

fn resource(dbrp: &Dbrp) -> Resource {
    match dbrp.is_virtual {
        true => Resource::one(ResourceKind::Buckets, dbrp.bucket_id.0, dbrp.org_id),
        false => Resource::one(ResourceKind::Dbrp, dbrp.id.0, dbrp.org_id),
    }
}

impl State {
    /// Stored and virtual mappings of an organisation, in order of database and policy.
    pub fn mappings(&self, org: OrgId) -> Vec<Dbrp> {
        let mut all: Vec<Dbrp> = self.dbrps.values().filter(|d| d.org_id == org).cloned().collect();
        for bucket in self.buckets_of(org) {
            let (database, policy) = bucket.name.split_once('/').unwrap_or((&bucket.name, AUTOGEN));
            let mut stored = self.dbrps.values().filter(|d| d.org_id == org && d.database == database);
            if stored.clone().any(|d| d.policy == policy) {
                continue;
            }
            let default = !bucket.name.contains('/') && !stored.any(|d| d.default);
            all.push(Dbrp {
                id: DbrpId(bucket.id.0),
                org_id: org,
                bucket_id: bucket.id,
                database: database.into(),
                policy: policy.into(),
                default,
                is_virtual: true,
            });
        }
        all.sort_by(|a, b| (&a.database, &a.policy).cmp(&(&b.database, &b.policy)));
        all
    }

    /// The bucket of a database and policy (`None`: the default one).
    pub fn bucket_of(&self, org: OrgId, database: &str, policy: Option<&str>) -> Result<&Bucket> {
        let mappings: Vec<Dbrp> = self.mappings(org).into_iter().filter(|d| d.database == database).collect();
        if mappings.is_empty() {
            return Err(Failure::not_found(format!("database not found: {database}")));
        }
        let policy = policy.filter(|p| !p.is_empty());
        let found = mappings.iter().find(|d| policy.map_or(d.default, |p| d.policy == p));
        let missing = || Failure::not_found(format!("retention policy not found: {}", policy.unwrap_or("(no default)")));
        self.buckets.get(&found.ok_or_else(missing)?.bucket_id).ok_or_else(not_found)
    }
}

impl Catalog {
    /// Stored and virtual ones that the caller may read, in order of database and policy.
    pub fn dbrps(&self, caller: &Caller, org: OrgId) -> Vec<Dbrp> {
        self.state().mappings(org).into_iter().filter(|d| caller.may(Action::Read, &resource(d))).collect()
    }

    pub fn dbrp(&self, caller: &Caller, org: OrgId, id: DbrpId) -> Result<Dbrp> {
        let found = self.state().mappings(org).into_iter().find(|d| d.id == id).ok_or_else(not_found)?;
        caller.check(Action::Read, resource(&found))?;
        Ok(found)
    }

    pub fn create_dbrp(&self, caller: &Caller, org: OrgId, new: NewDbrp) -> Result<Dbrp> {
        caller.check(Action::Write, Resource::of_org(ResourceKind::Dbrp, org))?;
        self.change(|draft| self.draft_dbrp(draft, org, new))
    }

    fn draft_dbrp(&self, draft: &mut Draft, org: OrgId, new: NewDbrp) -> Result<Dbrp> {
        if new.database.is_empty() || new.policy.is_empty() {
            return Err(Failure::invalid("dbrp validation failed: database and retention_policy are required"));
        }
        let of_org = |b: &&Bucket| b.org_id == org;
        draft.state.buckets.get(&new.bucket_id).filter(of_org).ok_or_else(|| Failure::not_found("bucket not found"))?;
        let siblings: Vec<Dbrp> = draft.state.dbrps.values().filter(|d| d.org_id == org && d.database == new.database).cloned().collect();
        if siblings.iter().any(|d| d.policy == new.policy) {
            return Err(conflict("DBRP already exists: another mapping has this database and retention policy"));
        }
        let made = Dbrp {
            id: DbrpId(self.new_id()),
            org_id: org,
            bucket_id: new.bucket_id,
            database: new.database,
            policy: new.policy,
            default: new.default || siblings.is_empty(),
            is_virtual: false,
        };
        draft.put(made.clone())?;
        settle_default(draft, &made)?;
        Ok(made)
    }

    pub fn update_dbrp(&self, caller: &Caller, org: OrgId, id: DbrpId, policy: Option<&str>, default: Option<bool>) -> Result<Dbrp> {
        self.change(|draft| {
            let mut changed = draft.state.dbrps.get(&id).filter(|d| d.org_id == org).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(&changed))?;
            if let Some(policy) = policy.filter(|p| *p != changed.policy) {
                let taken = |d: &Dbrp| d.org_id == org && d.database == changed.database && d.policy == policy;
                if draft.state.dbrps.values().any(taken) {
                    return Err(conflict("DBRP already exists: another mapping has this database and retention policy"));
                }
                changed.policy = policy.into();
            }
            changed.default = default.unwrap_or(changed.default);
            draft.put(changed.clone())?;
            settle_default(draft, &changed)?;
            Ok(draft.state.dbrps.get(&id).cloned().unwrap_or(changed))
        })
    }

    pub fn delete_dbrp(&self, caller: &Caller, org: OrgId, id: DbrpId) -> Result<()> {
        self.change(|draft| {
            let found = draft.state.dbrps.get(&id).filter(|d| d.org_id == org).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(&found))?;
            draft.remove::<Dbrp>(&id);
            settle_default(draft, &Dbrp { default: false, ..found })
        })
    }

    /// `CREATE DATABASE` and `CREATE RETENTION POLICY`: a bucket named after the database (`db`, or `db/rp`), and a
    /// mapping where the name alone does not say it. Leaves what is there already as it is.
    pub fn create_database(
        &self,
        caller: &Caller,
        org: OrgId,
        database: &str,
        policy: Option<&str>,
        retention_ns: Option<i64>,
    ) -> Result<Bucket> {
        if let Ok(bucket) = self.state().bucket_of(org, database, policy) {
            return Ok(bucket.clone());
        }
        caller.check(Action::Write, Resource::of_org(ResourceKind::Buckets, org))?;
        self.change(|draft| {
            let plain = policy.is_none_or(|p| p == AUTOGEN);
            let name = if plain { database.to_string() } else { format!("{database}/{}", policy.unwrap_or(AUTOGEN)) };
            let new = NewBucket { name, policy: policy.map(Into::into), retention_ns, ..NewBucket::default() };
            let bucket = self.draft_bucket(draft, org, new)?;
            if !draft.state.mappings(org).iter().any(|d| d.database == database && d.default) {
                let policy = policy.unwrap_or(AUTOGEN).to_string();
                self.draft_dbrp(draft, org, NewDbrp { bucket_id: bucket.id, database: database.into(), policy, default: true })?;
            }
            Ok(bucket)
        })
    }

    /// `DROP DATABASE`: the buckets behind its mappings go. Those whose rows are then dropped.
    pub fn drop_database(&self, caller: &Caller, org: OrgId, database: &str) -> Result<Vec<BucketId>> {
        self.change(|draft| {
            let mappings = draft.state.mappings(org);
            let of = |d: &&Dbrp| d.database == database;
            let mut buckets: Vec<BucketId> = mappings.iter().filter(of).map(|d| d.bucket_id).collect();
            buckets.sort();
            buckets.dedup();
            buckets.retain(|id| draft.state.buckets.get(id).is_some_and(|b| b.kind == BucketKind::User));
            buckets.iter().try_for_each(|id| self.draft_without_bucket(draft, caller, *id))?;
            Ok(buckets)
        })
    }
}

/// Keeps one default per database: `changed` when it says so; where none is left, the first in order of policy.
fn settle_default(draft: &mut Draft, changed: &Dbrp) -> Result<()> {
    let mut siblings: Vec<Dbrp> =
        draft.state.dbrps.values().filter(|d| d.org_id == changed.org_id && d.database == changed.database).cloned().collect();
    siblings.sort_by(|a, b| a.policy.cmp(&b.policy));
    if changed.default {
        let others = siblings.into_iter().filter(|d| d.default && d.id != changed.id);
        return others.map(|d| Dbrp { default: false, ..d }).try_for_each(|d| draft.put(d));
    }
    match siblings.iter().find(|d| d.id != changed.id).or(siblings.first()) {
        Some(next) if !siblings.iter().any(|d| d.default) => draft.put(Dbrp { default: true, ..next.clone() }),
        _ => Ok(()),
    }
}
