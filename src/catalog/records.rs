//! The nouns of the catalog. Every record is stored as JSON in a table of its kind; a field that is added later needs a
//! default, so that older catalogs can still be read.

use super::permission::{Permission, ResourceKind};
use crate::model::{AuthorizationId, BucketId, DbrpId, Duplicates, LabelId, OrgId, ResourceId, Timestamp, TypeConflicts, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    pub id: OrgId,
    pub name: String,
    pub description: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Active,
    Inactive,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub status: Status,
    /// argon2, in the PHC text form; `None`: the user cannot sign in.
    pub password: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketKind {
    User,
    /// Made with the organisation (`_tasks`, `_monitoring`); cannot be renamed or deleted.
    System,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub id: BucketId,
    pub org_id: OrgId,
    pub name: String,
    pub description: Option<String>,
    pub kind: BucketKind,
    /// 1.x retention policy that the bucket was made for (`rp`).
    pub policy: Option<String>,
    /// How long rows are kept; `None`: for ever.
    pub retention_ns: Option<i64>,
    /// Echoed to clients; partitions are chosen by storage.
    pub shard_group_ns: i64,
    #[serde(default)]
    pub duplicates: Duplicates,
    #[serde(default)]
    pub type_conflicts: TypeConflicts,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An API token and what it may do. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    pub id: AuthorizationId,
    /// SHA-256 of the token, hex.
    pub token_hash: String,
    pub org_id: OrgId,
    pub user_id: UserId,
    pub status: Status,
    pub description: String,
    pub permissions: Vec<Permission>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A 1.x database and retention policy, and the bucket they stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dbrp {
    pub id: DbrpId,
    pub org_id: OrgId,
    pub bucket_id: BucketId,
    pub database: String,
    pub policy: String,
    pub default: bool,
    /// Follows from the bucket's name; not stored.
    #[serde(skip)]
    pub is_virtual: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub id: LabelId,
    pub org_id: OrgId,
    pub name: String,
    pub properties: BTreeMap<String, String>,
}

/// A label on something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LabelMapping {
    pub label_id: LabelId,
    pub kind: ResourceKind,
    pub resource_id: ResourceId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Owner,
    Member,
}

/// A user's part in something; parts in an organisation carry permissions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Membership {
    pub user_id: UserId,
    pub kind: ResourceKind,
    pub resource_id: ResourceId,
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub org_id: OrgId,
    pub key: String,
    pub value: String,
}

/// Someone who signed in with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// SHA-256 of the key in the cookie, hex.
    pub key_hash: String,
    pub user_id: UserId,
    pub expires_at: Timestamp,
}
