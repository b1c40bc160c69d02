//! The first user, organisation, bucket and operator token (InfluxDB 2.7's onboarding).

use super::{
    Caller, Catalog, Permission, ResourceKind,
    authorizations::NewAuthorization,
    buckets::NewBucket,
    conflict, empty,
    records::{Authorization, Bucket, Membership, Organization, Role, Status, User},
};
use crate::model::{ResourceId, Result};
use std::num::NonZeroU64;

#[derive(Debug, Clone, Default)]
pub struct SetupRequest {
    pub username: String,
    /// `None` or empty: the user cannot sign in, only the token works.
    pub password: Option<String>,
    pub org: String,
    pub bucket: String,
    /// `None`: for ever.
    pub retention_ns: Option<i64>,
    /// `None` or empty: a random one.
    pub token: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SetupAnswer {
    pub user: User,
    pub org: Organization,
    pub bucket: Bucket,
    pub authorization: Authorization,
    pub token: String,
}

impl Catalog {
    pub fn is_set_up(&self) -> bool {
        !self.state().users.is_empty()
    }

    /// Works once: `Conflict` when there is a user already. Nothing is kept of a request that fails.
    pub fn set_up(&self, request: SetupRequest) -> Result<SetupAnswer> {
        if self.is_set_up() {
            return Err(conflict("onboarding has already been completed"));
        }
        self.onboard(request)
    }

    /// What [`set_up`](Self::set_up) does, beside what is there already.
    pub fn onboard(&self, request: SetupRequest) -> Result<SetupAnswer> {
        for (value, what) in [(&request.username, "username"), (&request.org, "org name"), (&request.bucket, "bucket name")] {
            if value.trim().is_empty() {
                return Err(empty(format!("{what} is empty")));
            }
        }
        let password = request.password.filter(|p| !p.is_empty()).map(|p| self.hash_password(&p)).transpose()?;
        self.change(|draft| {
            let user = User { password, ..self.draft_user(draft, &request.username, Status::Active)? };
            draft.put(user.clone())?;
            let org = self.draft_organization(draft, &request.org, "")?;
            for (kind, resource_id) in [(ResourceKind::Orgs, ResourceId(org.id.0)), (ResourceKind::Instance, ResourceId(NonZeroU64::MIN))] {
                draft.put(Membership { user_id: user.id, kind, resource_id, role: Role::Owner })?;
            }
            let bucket = NewBucket { name: request.bucket, retention_ns: request.retention_ns, ..NewBucket::default() };
            let bucket = self.draft_bucket(draft, org.id, bucket)?;
            let new = NewAuthorization {
                user_id: Some(user.id),
                description: format!("{}'s Token", user.name),
                permissions: Permission::operator(),
                token: request.token,
                ..NewAuthorization::default()
            };
            let (authorization, token) = self.draft_authorization(draft, &Caller::system(), org.id, new)?;
            Ok(SetupAnswer { user, org, bucket, authorization, token })
        })
    }
}
