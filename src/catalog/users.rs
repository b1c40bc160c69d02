//! Users and their passwords.

use super::{
    Action, Caller, Catalog, Resource, ResourceKind, conflict,
    records::{Authorization, Membership, Session, Status, User},
    state::{Draft, State},
};
use crate::model::{Failure, Result, UserId};

fn not_found() -> Failure {
    Failure::not_found("user not found")
}

fn resource(id: UserId) -> Resource {
    Resource::global(ResourceKind::Users, Some(id.0))
}

fn check_name(state: &State, name: &str, own: Option<UserId>) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Failure::invalid("user name is empty"));
    }
    match state.users.values().any(|u| u.name == name && Some(u.id) != own) {
        true => Err(conflict(format!("user with name {name} already exists"))),
        false => Ok(()),
    }
}

impl Catalog {
    /// Those the caller may read, in name order.
    pub fn users(&self, caller: &Caller) -> Vec<User> {
        let state = self.state();
        let mut all: Vec<User> = state.users.values().filter(|u| caller.may(Action::Read, &resource(u.id))).cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub fn user(&self, caller: &Caller, id: UserId) -> Result<User> {
        let found = self.state().users.get(&id).cloned().ok_or_else(not_found)?;
        if caller.user_id != Some(id) {
            caller.check(Action::Read, resource(id))?;
        }
        Ok(found)
    }

    pub fn create_user(&self, caller: &Caller, name: &str, status: Status) -> Result<User> {
        caller.check(Action::Write, Resource::global(ResourceKind::Users, None))?;
        self.change(|draft| self.draft_user(draft, name, status))
    }

    pub(super) fn draft_user(&self, draft: &mut Draft, name: &str, status: Status) -> Result<User> {
        check_name(&draft.state, name, None)?;
        let made = User { id: UserId(self.new_id()), name: name.into(), status, password: None };
        draft.put(made.clone())?;
        Ok(made)
    }

    pub fn update_user(&self, caller: &Caller, id: UserId, name: Option<&str>, status: Option<Status>) -> Result<User> {
        self.change(|draft| {
            let mut changed = draft.state.users.get(&id).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(id))?;
            if let Some(name) = name {
                check_name(&draft.state, name, Some(id))?;
                changed.name = name.into();
            }
            changed.status = status.unwrap_or(changed.status);
            draft.put(changed.clone())?;
            Ok(changed)
        })
    }

    /// Removes a user with tokens, sessions and memberships.
    pub fn delete_user(&self, caller: &Caller, id: UserId) -> Result<()> {
        self.change(|draft| {
            draft.state.users.get(&id).ok_or_else(not_found)?;
            caller.check(Action::Write, resource(id))?;
            draft.remove_where::<Authorization>(|a| a.user_id == id);
            draft.remove_where::<Session>(|s| s.user_id == id);
            draft.remove_where::<Membership>(|m| m.user_id == id);
            draft.remove::<User>(&id);
            Ok(())
        })
    }

    /// Sets a password; sessions that stand on an earlier one end.
    pub fn set_password(&self, caller: &Caller, id: UserId, password: &str) -> Result<()> {
        if caller.user_id != Some(id) {
            caller.check(Action::Write, resource(id))?;
        }
        let hash = self.hash_password(password)?;
        self.change(|draft| {
            let user = draft.state.users.get(&id).cloned().ok_or_else(not_found)?;
            draft.remove_where::<Session>(|s| s.user_id == id);
            draft.put(User { password: Some(hash), ..user })
        })
    }
}
