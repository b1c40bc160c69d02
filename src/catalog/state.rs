//! All records in memory, and a draft of the next state: reads never touch the database, a change does both.

use super::{
    authenticate::hash_of,
    records::{Authorization, Bucket, Dbrp, Label, LabelMapping, Membership, Organization, Secret, Session, User},
};
use crate::model::{AuthorizationId, BucketId, DbrpId, LabelId, OrgId, Result, UserId};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
};

/// A kind of record: its table in the database and its place in the state.
pub trait Record: Serialize + DeserializeOwned + Clone {
    const TABLE: &'static str;
    type Key: Ord + Clone + Display;

    fn key(&self) -> Self::Key;
    fn all(state: &State) -> &BTreeMap<Self::Key, Self>;
    fn all_mut(state: &mut State) -> &mut BTreeMap<Self::Key, Self>;
}

macro_rules! records {
    ($($field:ident: $record:ident by $key:ty = |$r:ident| $of:expr;)+) => {
        /// Every record there is.
        #[derive(Debug, Clone, Default)]
        pub struct State {
            $(pub $field: BTreeMap<$key, $record>,)+
            tokens: HashMap<String, AuthorizationId>,
        }

        $(impl Record for $record {
            const TABLE: &'static str = stringify!($field);
            type Key = $key;

            fn key(&self) -> $key {
                let $r = self;
                $of
            }

            fn all(state: &State) -> &BTreeMap<$key, $record> {
                &state.$field
            }

            fn all_mut(state: &mut State) -> &mut BTreeMap<$key, $record> {
                &mut state.$field
            }
        })+

        /// Names of all tables.
        pub const TABLES: &[&str] = &[$(stringify!($field),)+];

        impl State {
            /// Reads every record; `rows` gives the JSON of a table's records.
            pub fn load(mut rows: impl FnMut(&'static str) -> Result<Vec<String>>) -> Result<State> {
                let mut state = State::default();
                $(for text in rows(stringify!($field))? {
                    let record: $record = serde_json::from_str(&text).map_err(|e| {
                        let message = format!("the catalog's table {} has a record that cannot be read: {e}: {text}", stringify!($field));
                        crate::model::Failure::internal(message)
                    })?;
                    state.$field.insert(record.key(), record);
                })+
                state.index();
                Ok(state)
            }
        }
    };
}

records! {
    organizations: Organization by OrgId = |r| r.id;
    users: User by UserId = |r| r.id;
    buckets: Bucket by BucketId = |r| r.id;
    authorizations: Authorization by AuthorizationId = |r| r.id;
    dbrps: Dbrp by DbrpId = |r| r.id;
    labels: Label by LabelId = |r| r.id;
    label_mappings: LabelMapping by String = |r| format!("{}/{}/{}", r.kind.name(), r.resource_id, r.label_id);
    memberships: Membership by String = |r| format!("{}/{}/{}", r.kind.name(), r.resource_id, r.user_id);
    secrets: Secret by String = |r| Secret::key_of(r.org_id, &r.key);
    sessions: Session by String = |r| r.key_hash.clone();
}

impl Secret {
    pub fn key_of(org_id: OrgId, key: &str) -> String {
        format!("{org_id}/{key}")
    }
}

impl State {
    pub(super) fn index(&mut self) {
        self.tokens = self.authorizations.values().map(|a| (a.token_hash.clone(), a.id)).collect();
    }

    pub fn authorization_of(&self, token: &str) -> Option<&Authorization> {
        self.authorizations.get(self.tokens.get(&hash_of(token))?)
    }

    /// Buckets of an organisation, in name order.
    pub fn buckets_of(&self, org: OrgId) -> Vec<&Bucket> {
        let mut buckets: Vec<&Bucket> = self.buckets.values().filter(|b| b.org_id == org).collect();
        buckets.sort_by(|a, b| a.name.cmp(&b.name));
        buckets
    }

    /// A bucket by its id (16 hex digits are tried as one first) or its name.
    pub fn bucket(&self, org: OrgId, name_or_id: &str) -> Option<&Bucket> {
        let by_id = name_or_id.parse().ok().and_then(|id: BucketId| self.buckets.get(&id)).filter(|b| b.org_id == org);
        by_id.or_else(|| self.buckets.values().find(|b| b.org_id == org && b.name == name_or_id))
    }

    pub fn organization(&self, name_or_id: &str) -> Option<&Organization> {
        let by_id = name_or_id.parse().ok().and_then(|id: OrgId| self.organizations.get(&id));
        by_id.or_else(|| self.organizations.values().find(|o| o.name == name_or_id))
    }
}

/// A state under change: every change is noted for the database too.
pub struct Draft {
    pub state: State,
    /// Table, key, and the record's JSON (`None`: it goes).
    pub changes: Vec<(&'static str, String, Option<String>)>,
}

impl Draft {
    pub fn new(state: State) -> Draft {
        Draft { state, changes: vec![] }
    }

    /// Adds a record or replaces the one of the same key.
    pub fn put<R: Record>(&mut self, record: R) -> Result<()> {
        let text = serde_json::to_string(&record).map_err(|e| crate::model::Failure::internal(e.to_string()))?;
        self.changes.push((R::TABLE, record.key().to_string(), Some(text)));
        R::all_mut(&mut self.state).insert(record.key(), record);
        Ok(())
    }

    pub fn remove<R: Record>(&mut self, key: &R::Key) {
        if R::all_mut(&mut self.state).remove(key).is_some() {
            self.changes.push((R::TABLE, key.to_string(), None));
        }
    }

    /// Removes what meets the condition.
    pub fn remove_where<R: Record>(&mut self, goes: impl Fn(&R) -> bool) {
        let keys: Vec<R::Key> = R::all(&self.state).values().filter(|r| goes(r)).map(Record::key).collect();
        keys.iter().for_each(|key| self.remove::<R>(key));
    }
}
