//! Authorizations: API tokens and what they may do.

use super::{
    Action, Caller, Catalog, Permission, Resource, ResourceKind,
    authenticate::hash_of,
    conflict,
    records::{Authorization, Status},
    state::Draft,
};
use crate::model::{AuthorizationId, ErrorKind, Failure, OrgId, Result, UserId};

#[derive(Debug, Clone, Default)]
pub struct NewAuthorization {
    /// `None`: the caller.
    pub user_id: Option<UserId>,
    pub description: String,
    pub status: Status,
    pub permissions: Vec<Permission>,
    /// `None`: a random one.
    pub token: Option<String>,
}

fn not_found() -> Failure {
    Failure::not_found("authorization not found")
}

fn resource(a: &Authorization) -> Resource {
    Resource::one(ResourceKind::Authorizations, a.id.0, a.org_id)
}

impl Catalog {
    /// Those the caller may read, in order of creation.
    pub fn authorizations(&self, caller: &Caller) -> Vec<Authorization> {
        let state = self.state();
        let mut all: Vec<_> = state.authorizations.values().filter(|a| caller.may(Action::Read, &resource(a))).cloned().collect();
        all.sort_by_key(|a| (a.created_at, a.id));
        all
    }

    pub fn authorization(&self, caller: &Caller, id: AuthorizationId) -> Result<Authorization> {
        let found = self.state().authorizations.get(&id).cloned().ok_or_else(not_found)?;
        caller.check(Action::Read, resource(&found))?;
        Ok(found)
    }

    /// Whose token a text is; `NotFound` when nobody's.
    pub fn authorization_by_token(&self, caller: &Caller, token: &str) -> Result<Authorization> {
        let found = self.state().authorization_of(token).cloned().ok_or_else(not_found)?;
        caller.check(Action::Read, resource(&found))?;
        Ok(found)
    }

    /// Makes a token and gives it, once: only its hash is kept. Nobody can give away more than they may do.
    pub fn create_authorization(&self, caller: &Caller, org: OrgId, new: NewAuthorization) -> Result<(Authorization, String)> {
        caller.check(Action::Write, Resource::of_org(ResourceKind::Authorizations, org))?;
        if let Some(beyond) = new.permissions.iter().find(|p| !caller.may(p.action, &p.resource)) {
            let message = format!("permission {beyond} is not allowed: a token cannot give more than its maker has");
            return Err(Failure::new(ErrorKind::Forbidden, message));
        }
        self.change(|draft| self.draft_authorization(draft, caller, org, new))
    }

    pub(super) fn draft_authorization(
        &self,
        draft: &mut Draft,
        caller: &Caller,
        org: OrgId,
        new: NewAuthorization,
    ) -> Result<(Authorization, String)> {
        draft.state.organizations.get(&org).ok_or_else(|| Failure::not_found("organization not found"))?;
        let user_id = new.user_id.or(caller.user_id).ok_or_else(|| Failure::invalid("user id required"))?;
        draft.state.users.get(&user_id).ok_or_else(|| Failure::not_found("user not found"))?;
        if new.permissions.is_empty() {
            return Err(Failure::invalid("authorization must include permissions"));
        }
        let token = new.token.filter(|token| !token.is_empty()).unwrap_or_else(|| self.random_text());
        let token_hash = hash_of(&token);
        if draft.state.authorizations.values().any(|a| a.token_hash == token_hash) {
            return Err(conflict("token already exists"));
        }
        let now = self.now();
        let made = Authorization {
            id: AuthorizationId(self.new_id()),
            token_hash,
            org_id: org,
            user_id,
            status: new.status,
            description: new.description,
            permissions: new.permissions,
            created_at: now,
            updated_at: now,
        };
        draft.put(made.clone())?;
        Ok((made, token))
    }

    pub fn update_authorization(
        &self,
        caller: &Caller,
        id: AuthorizationId,
        status: Option<Status>,
        description: Option<&str>,
    ) -> Result<Authorization> {
        self.change(|draft| {
            let mut changed = draft.state.authorizations.get(&id).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(&changed))?;
            changed.status = status.unwrap_or(changed.status);
            changed.description = description.map_or(changed.description, str::to_string);
            changed.updated_at = self.now();
            draft.put(changed.clone())?;
            Ok(changed)
        })
    }

    pub fn delete_authorization(&self, caller: &Caller, id: AuthorizationId) -> Result<()> {
        self.change(|draft| {
            let found = draft.state.authorizations.get(&id).ok_or_else(not_found)?;
            caller.check(Action::Write, resource(found))?;
            draft.remove::<Authorization>(&id);
            Ok(())
        })
    }
}
