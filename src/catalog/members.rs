//! Members and owners of organisations, buckets and other resources.

use super::{
    Action, Caller, Catalog, Resource, ResourceKind,
    records::{Membership, Role, User},
};
use crate::model::{Failure, OrgId, ResourceId, Result, UserId};

impl Catalog {
    /// What a membership is about, as a resource whose permissions count: the organisation's bucket, or itself.
    fn member_resource(&self, kind: ResourceKind, id: ResourceId) -> Result<Resource> {
        let state = self.state();
        let not_found = |what: &str| Failure::not_found(format!("{what} not found"));
        match kind {
            ResourceKind::Orgs => {
                state.organizations.get(&OrgId(id.0)).map(|_| Resource::global(kind, Some(id.0))).ok_or_else(|| not_found("organization"))
            }
            ResourceKind::Buckets => {
                let bucket = state.buckets.values().find(|b| b.id.0 == id.0).ok_or_else(|| not_found("bucket"))?;
                Ok(Resource::one(kind, id.0, bucket.org_id))
            }
            other => Err(not_found(other.name())),
        }
    }

    /// Users with that part, in name order.
    pub fn members(&self, caller: &Caller, kind: ResourceKind, id: ResourceId, role: Role) -> Result<Vec<User>> {
        caller.check(Action::Read, self.member_resource(kind, id)?)?;
        let state = self.state();
        let of = state.memberships.values().filter(|m| m.kind == kind && m.resource_id == id && m.role == role);
        let mut users: Vec<User> = of.filter_map(|m| state.users.get(&m.user_id)).cloned().collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// Gives a user a part; an earlier part in the same thing is replaced.
    pub fn add_member(&self, caller: &Caller, kind: ResourceKind, id: ResourceId, role: Role, user_id: UserId) -> Result<User> {
        caller.check(Action::Write, self.member_resource(kind, id)?)?;
        self.change(|draft| {
            let user = draft.state.users.get(&user_id).cloned().ok_or_else(|| Failure::not_found("user not found"))?;
            draft.put(Membership { user_id, kind, resource_id: id, role })?;
            Ok(user)
        })
    }

    pub fn remove_member(&self, caller: &Caller, kind: ResourceKind, id: ResourceId, role: Role, user_id: UserId) -> Result<()> {
        caller.check(Action::Write, self.member_resource(kind, id)?)?;
        self.change(|draft| {
            let part = |m: &Membership| m.user_id == user_id && m.kind == kind && m.resource_id == id && m.role == role;
            if !draft.state.memberships.values().any(part) {
                return Err(Failure::not_found("user to resource mapping not found"));
            }
            draft.remove_where::<Membership>(part);
            Ok(())
        })
    }
}
