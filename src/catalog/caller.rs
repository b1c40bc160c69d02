//! Who is asking, and what they may do. Nothing is allowed that no permission covers.

use super::permission::{Action, Permission, Resource, ResourceKind};
use crate::model::{AuthorizationId, ErrorKind, Failure, OrgId, Result, UserId};
use std::sync::Arc;

/// What a request shows to say who it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// An API token; also `user:password`, as 1.x clients send it in the place of a token.
    Token(String),
    /// A user's password; where there is no such user, the password may be a token (InfluxDB 2.7).
    Password { username: String, password: String },
    /// The key of a session cookie.
    Session(String),
}

/// Someone who has been recognised.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user_id: Option<UserId>,
    /// The token that was shown; `None`: a password or a session.
    pub authorization_id: Option<AuthorizationId>,
    /// The organisation the caller stands for where a request names none.
    pub org_id: Option<OrgId>,
    /// The token shown is switched off: recognised, but without any permission.
    pub inactive: bool,
    permissions: Arc<[Permission]>,
}

impl Caller {
    pub(super) fn new(
        user_id: Option<UserId>,
        authorization_id: Option<AuthorizationId>,
        org_id: Option<OrgId>,
        permissions: Vec<Permission>,
    ) -> Caller {
        Caller { user_id, authorization_id, org_id, inactive: false, permissions: permissions.into() }
    }

    /// The database itself, which may do everything: tasks of ours, set-up, tests.
    pub fn system() -> Caller {
        Caller::new(None, None, None, Permission::operator())
    }

    /// Everything in one organisation.
    pub fn of_org_open(org_id: OrgId) -> Caller {
        Caller::new(None, None, Some(org_id), Permission::all_of(org_id))
    }

    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    pub fn may(&self, action: Action, resource: &Resource) -> bool {
        self.permissions.iter().any(|p| p.covers(action, resource))
    }

    /// `Unauthorized` with InfluxDB 2.7's text when the caller may not.
    pub fn check(&self, action: Action, resource: Resource) -> Result<()> {
        if self.may(action, &resource) {
            return Ok(());
        }
        let missing = Permission::new(action, resource);
        let message = if self.inactive { "token is inactive".to_string() } else { format!("{missing} is unauthorized") };
        Err(Failure::new(ErrorKind::Unauthorized, message))
    }

    /// Whether anything at all in the organisation is open to the caller.
    pub fn touches(&self, org: OrgId) -> bool {
        let own = |p: &Permission| match (p.resource.kind, p.resource.org_id) {
            (ResourceKind::Users, _) => false,
            (_, of) => of.is_none_or(|of| of == org),
        };
        self.inactive && self.org_id == Some(org) || self.permissions.iter().any(own)
    }
}
