//! Organisations and their secrets.

use super::{
    Action, Caller, Catalog, Resource, ResourceKind, conflict,
    records::{Authorization, Bucket, BucketKind, Dbrp, Label, LabelMapping, Membership, Organization, Role, Secret},
    state::{Draft, State},
};
use crate::model::{BucketId, Duplicates, Failure, OrgId, ResourceId, Result, TypeConflicts};

const DAY_NS: i64 = 86_400 * 1_000_000_000;
/// What InfluxDB 2.7 makes for itself in every organisation.
const SYSTEM_BUCKETS: [(&str, &str, i64); 2] =
    [("_tasks", "System bucket for task logs", 3 * DAY_NS), ("_monitoring", "System bucket for monitoring logs", 7 * DAY_NS)];

fn not_found() -> Failure {
    Failure::not_found("organization not found")
}

fn resource(id: OrgId) -> Resource {
    Resource::global(ResourceKind::Orgs, Some(id.0))
}

fn check_name(state: &State, name: &str, own: Option<OrgId>) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Failure::invalid("name is empty"));
    }
    match state.organizations.values().any(|o| o.name == name && Some(o.id) != own) {
        true => Err(conflict(format!("organization with name {name} already exists"))),
        false => Ok(()),
    }
}

impl Catalog {
    /// Those the caller may read, in order of creation.
    pub fn organizations(&self, caller: &Caller) -> Vec<Organization> {
        let state = self.state();
        let mut all: Vec<_> = state.organizations.values().filter(|o| caller.may(Action::Read, &resource(o.id))).cloned().collect();
        all.sort_by_key(|o| (o.created_at, o.id));
        all
    }

    pub fn organization(&self, caller: &Caller, id: OrgId) -> Result<Organization> {
        let found = self.state().organizations.get(&id).cloned().ok_or_else(not_found)?;
        caller.check(Action::Read, resource(id))?;
        Ok(found)
    }

    /// The organisation a request means: a name or an id, or, where it names none, the caller's own.
    ///
    /// No right to read the organisation is needed (a token may be for one bucket alone), but one that has nothing for
    /// the caller is not found. A missing `default` is the caller's own: the clients of InfluxDB 3 send that name.
    pub fn organization_of(&self, caller: &Caller, name_or_id: Option<&str>) -> Result<OrgId> {
        let state = self.state();
        let named = name_or_id.filter(|text| !text.is_empty());
        let found = named.and_then(|text| state.organization(text)).map(|o| o.id).filter(|id| caller.touches(*id));
        let only = || state.organizations.keys().copied().filter(|_| state.organizations.len() == 1).find(|id| caller.touches(*id));
        match (found, named) {
            (Some(id), _) => Ok(id),
            (None, None | Some("default")) => {
                let own = caller.org_id.or_else(only);
                own.ok_or_else(|| Failure::invalid("Please provide either orgID or org"))
            }
            (None, Some(text)) => Err(match text.parse::<OrgId>() {
                Ok(_) => not_found(),
                Err(_) => Failure::not_found(format!("organization name \"{text}\" not found")),
            }),
        }
    }

    /// Makes an organisation with its system buckets; the calling user becomes its owner.
    pub fn create_organization(&self, caller: &Caller, name: &str, description: &str) -> Result<Organization> {
        caller.check(Action::Write, Resource::global(ResourceKind::Orgs, None))?;
        self.change(|draft| {
            let made = self.draft_organization(draft, name, description)?;
            if let Some(user_id) = caller.user_id {
                let resource_id = ResourceId(made.id.0);
                draft.put(Membership { user_id, kind: ResourceKind::Orgs, resource_id, role: Role::Owner })?;
            }
            Ok(made)
        })
    }

    pub(super) fn draft_organization(&self, draft: &mut Draft, name: &str, description: &str) -> Result<Organization> {
        check_name(&draft.state, name, None)?;
        let now = self.now();
        let made =
            Organization { id: OrgId(self.new_id()), name: name.into(), description: description.into(), created_at: now, updated_at: now };
        draft.put(made.clone())?;
        for (name, description, retention_ns) in SYSTEM_BUCKETS {
            draft.put(Bucket {
                id: BucketId(self.new_id()),
                org_id: made.id,
                name: name.into(),
                description: Some(description.into()),
                kind: BucketKind::System,
                policy: None,
                retention_ns: Some(retention_ns),
                shard_group_ns: DAY_NS,
                duplicates: Duplicates::default(),
                type_conflicts: TypeConflicts::default(),
                created_at: now,
                updated_at: now,
            })?;
        }
        Ok(made)
    }

    pub fn update_organization(&self, caller: &Caller, id: OrgId, name: Option<&str>, description: Option<&str>) -> Result<Organization> {
        self.change(|draft| {
            let mut changed = draft.state.organizations.get(&id).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(id))?;
            if let Some(name) = name {
                check_name(&draft.state, name, Some(id))?;
                changed.name = name.into();
            }
            changed.description = description.map_or(changed.description, str::to_string);
            changed.updated_at = self.now();
            draft.put(changed.clone())?;
            Ok(changed)
        })
    }

    /// Removes an organisation with all that is in it. The buckets that went, whose rows are then dropped.
    pub fn delete_organization(&self, caller: &Caller, id: OrgId) -> Result<Vec<BucketId>> {
        self.change(|draft| {
            draft.state.organizations.get(&id).ok_or_else(not_found)?;
            caller.check(Action::Write, resource(id))?;
            let buckets: Vec<BucketId> = draft.state.buckets_of(id).iter().map(|b| b.id).collect();
            let labels: Vec<_> = draft.state.labels.values().filter(|l| l.org_id == id).map(|l| l.id).collect();
            let gone = |of: ResourceId| of.0 == id.0 || buckets.iter().any(|b| b.0 == of.0);
            draft.remove_where::<LabelMapping>(|m| labels.contains(&m.label_id) || gone(m.resource_id));
            draft.remove_where::<Membership>(|m| gone(m.resource_id));
            draft.remove_where::<Label>(|l| l.org_id == id);
            draft.remove_where::<Secret>(|s| s.org_id == id);
            draft.remove_where::<Dbrp>(|d| d.org_id == id);
            draft.remove_where::<Authorization>(|a| a.org_id == id);
            draft.remove_where::<Bucket>(|b| b.org_id == id);
            draft.remove::<Organization>(&id);
            Ok(buckets)
        })
    }

    /// Keys of an organisation's secrets, in order.
    pub fn secret_keys(&self, caller: &Caller, org: OrgId) -> Result<Vec<String>> {
        caller.check(Action::Read, Resource::of_org(ResourceKind::Secrets, org))?;
        Ok(self.state().secrets.values().filter(|s| s.org_id == org).map(|s| s.key.clone()).collect())
    }

    pub fn secret(&self, caller: &Caller, org: OrgId, key: &str) -> Result<Option<String>> {
        caller.check(Action::Read, Resource::of_org(ResourceKind::Secrets, org))?;
        Ok(self.state().secrets.get(&Secret::key_of(org, key)).map(|s| s.value.clone()))
    }

    pub fn put_secrets(&self, caller: &Caller, org: OrgId, secrets: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        caller.check(Action::Write, Resource::of_org(ResourceKind::Secrets, org))?;
        self.change(|draft| secrets.into_iter().try_for_each(|(key, value)| draft.put(Secret { org_id: org, key, value })))
    }

    pub fn delete_secrets(&self, caller: &Caller, org: OrgId, keys: &[String]) -> Result<()> {
        caller.check(Action::Write, Resource::of_org(ResourceKind::Secrets, org))?;
        self.change(|draft| {
            keys.iter().for_each(|key| draft.remove::<Secret>(&Secret::key_of(org, key)));
            Ok(())
        })
    }
}
