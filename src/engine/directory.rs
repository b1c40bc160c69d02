//! The names one caller sees of one organisation: what a query asks instead of the catalog.

use crate::{
    catalog::{Action, Bucket, BucketKind, Caller, Catalog, Resource, ResourceKind, buckets::BucketChanges, dbrps::NewDbrp},
    model::{BucketId, ErrorKind, Failure, OrgId, Result},
    plan::{BucketInfo, BucketRef, DatabaseInfo, PolicyChange},
    query::tables::Directory,
};

/// An organisation of the catalog through a caller's permissions.
#[derive(Clone)]
pub struct CallerDirectory {
    catalog: Catalog,
    caller: Caller,
    org: OrgId,
}

fn info(bucket: &Bucket) -> BucketInfo {
    BucketInfo { id: bucket.id, org_id: bucket.org_id, name: bucket.name.clone(), retention_ns: bucket.retention_ns }
}

fn not_found(name: BucketRef<'_>) -> Failure {
    Failure::not_found(match name {
        BucketRef::Id(id) => format!("could not find bucket \"{id}\""),
        BucketRef::NameOrId(text) => format!("could not find bucket \"{text}\""),
        BucketRef::Database { database, .. } => format!("database not found: {database}"),
    })
}

fn resource(bucket: &BucketInfo) -> Resource {
    Resource::one(ResourceKind::Buckets, bucket.id.0, bucket.org_id)
}

impl CallerDirectory {
    pub fn new(catalog: Catalog, caller: Caller, org: OrgId) -> CallerDirectory {
        CallerDirectory { catalog, caller, org }
    }

    pub fn org(&self) -> OrgId {
        self.org
    }

    pub fn may(&self, action: Action, bucket: &BucketInfo) -> bool {
        self.caller.may(action, &resource(bucket))
    }

    /// A bucket for which the caller has one of `actions`; another one is not found.
    pub fn find(&self, name: BucketRef<'_>, actions: &[Action]) -> Result<BucketInfo> {
        let found = self.find_any(name)?;
        if actions.iter().any(|action| self.may(*action, &found)) { Ok(found) } else { Err(not_found(name)) }
    }

    /// A bucket, whatever the caller may do there.
    ///
    /// A name that is no bucket's may be a database: `db` and `db/rp` reach the bucket of the mapping, as they did in
    /// the Flux of InfluxDB 1.8.
    pub fn find_any(&self, name: BucketRef<'_>) -> Result<BucketInfo> {
        let state = self.catalog.state();
        let found = match name {
            BucketRef::Id(id) => state.buckets.get(&id).filter(|b| b.org_id == self.org),
            BucketRef::NameOrId(text) => state.bucket(self.org, text).or_else(|| {
                let (database, policy) = text.split_once('/').map_or((text, None), |(db, rp)| (db, Some(rp)));
                state.bucket_of(self.org, database, policy).ok()
            }),
            BucketRef::Database { database, policy } => Some(state.bucket_of(self.org, database, policy)?),
        };
        found.map(info).ok_or_else(|| not_found(name))
    }
}

impl CallerDirectory {
    /// Makes a policy the default of its database; a mapping that follows from a bucket's name is written down for it.
    fn make_default(&self, database: &str, policy: &str) -> Result<()> {
        let mappings = self.catalog.dbrps(&self.caller, self.org);
        let own = mappings.into_iter().find(|d| d.database == database && d.policy == policy);
        let own = own.ok_or_else(|| Failure::not_found(format!("retention policy not found: {policy}")))?;
        let (database, policy, bucket_id) = (own.database, own.policy, own.bucket_id);
        match own.is_virtual {
            true => self.catalog.create_dbrp(&self.caller, self.org, NewDbrp { bucket_id, database, policy, default: true }),
            false => self.catalog.update_dbrp(&self.caller, self.org, own.id, None, Some(true)),
        }
        .map(|_| ())
    }
}

impl Directory for CallerDirectory {
    fn buckets(&self) -> Result<Vec<BucketInfo>> {
        Ok(self.catalog.buckets(&self.caller, Some(self.org)).iter().map(info).collect())
    }

    fn bucket(&self, name: BucketRef<'_>) -> Result<BucketInfo> {
        self.find(name, &[Action::Read])
    }

    /// In order of creation. Buckets of the database's own are none of a 1.x user's databases.
    fn databases(&self) -> Result<Vec<DatabaseInfo>> {
        let state = self.catalog.state();
        let mut all = vec![];
        for mapping in state.mappings(self.org) {
            let Some(bucket) = state.buckets.get(&mapping.bucket_id) else { continue };
            let shown = info(bucket);
            if bucket.kind == BucketKind::User && self.may(Action::Read, &shown) {
                let database = DatabaseInfo { database: mapping.database, policy: mapping.policy, default: mapping.default, bucket: shown };
                all.push((bucket.created_at, database));
            }
        }
        all.sort_by_key(|(created_at, _)| *created_at);
        Ok(all.into_iter().map(|(_, database)| database).collect())
    }

    fn check_write(&self, bucket: &BucketInfo) -> Result<()> {
        match self.may(Action::Write, bucket) {
            true => Ok(()),
            false => Err(Failure::new(ErrorKind::Forbidden, "insufficient permissions for write")),
        }
    }

    fn create_database(&self, database: &str, policy: Option<&str>, retention_ns: Option<i64>) -> Result<()> {
        self.catalog.create_database(&self.caller, self.org, database, policy, retention_ns).map(|_| ())
    }

    fn drop_database(&self, database: &str) -> Result<Vec<BucketId>> {
        self.catalog.drop_database(&self.caller, self.org, database)
    }

    fn create_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()> {
        let retention_ns = change.retention_ns.flatten();
        let known: Vec<DatabaseInfo> = self.databases()?.into_iter().filter(|d| d.database == database).collect();
        if known.is_empty() {
            return Err(Failure::not_found(format!("database not found: {database}")));
        }
        match known.iter().find(|d| d.policy == policy) {
            Some(same) if same.bucket.retention_ns == retention_ns => {}
            Some(_) => return Err(Failure::invalid("retention policy already exists")),
            None => self.create_database(database, Some(policy), retention_ns)?,
        }
        if change.default { self.make_default(database, policy) } else { Ok(()) }
    }

    fn alter_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()> {
        let bucket = self.find(BucketRef::Database { database, policy: Some(policy) }, &[Action::Read, Action::Write])?;
        if let Some(retention_ns) = change.retention_ns {
            let changes = BucketChanges { retention_ns: Some(retention_ns), ..BucketChanges::default() };
            self.catalog.update_bucket(&self.caller, bucket.id, changes)?;
        }
        if change.default { self.make_default(database, policy) } else { Ok(()) }
    }

    fn drop_policy(&self, database: &str, policy: &str) -> Result<Option<BucketId>> {
        match self.find(BucketRef::Database { database, policy: Some(policy) }, &[Action::Read, Action::Write]) {
            Ok(bucket) => self.catalog.delete_bucket(&self.caller, bucket.id).map(|()| Some(bucket.id)),
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn secret(&self, key: &str) -> Result<Option<String>> {
        self.catalog.secret(&self.caller, self.org, key)
    }
}
