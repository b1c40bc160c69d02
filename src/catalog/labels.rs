//! Labels, and what they are put on.

use super::{
    Action, Caller, Catalog, Resource, ResourceKind, conflict,
    records::{Label, LabelMapping},
};
use crate::model::{Failure, LabelId, OrgId, ResourceId, Result};
use std::collections::BTreeMap;

fn not_found() -> Failure {
    Failure::not_found("label not found")
}

fn resource(label: &Label) -> Resource {
    Resource::one(ResourceKind::Labels, label.id.0, label.org_id)
}

impl Catalog {
    /// Those the caller may read, in name order.
    pub fn labels(&self, caller: &Caller, org: Option<OrgId>) -> Vec<Label> {
        let state = self.state();
        let seen = |l: &&Label| org.is_none_or(|org| org == l.org_id) && caller.may(Action::Read, &resource(l));
        let mut all: Vec<Label> = state.labels.values().filter(seen).cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub fn label(&self, caller: &Caller, id: LabelId) -> Result<Label> {
        let found = self.state().labels.get(&id).cloned().ok_or_else(not_found)?;
        caller.check(Action::Read, resource(&found))?;
        Ok(found)
    }

    pub fn create_label(&self, caller: &Caller, org: OrgId, name: &str, properties: BTreeMap<String, String>) -> Result<Label> {
        caller.check(Action::Write, Resource::of_org(ResourceKind::Labels, org))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(Failure::invalid("label name is required"));
        }
        self.change(|draft| {
            if draft.state.labels.values().any(|l| l.org_id == org && l.name.eq_ignore_ascii_case(name)) {
                return Err(conflict(format!("label with name {name} already exists")));
            }
            let made = Label { id: LabelId(self.new_id()), org_id: org, name: name.into(), properties };
            draft.put(made.clone())?;
            Ok(made)
        })
    }

    /// A property that is set to the empty text goes (InfluxDB 2.7).
    pub fn update_label(&self, caller: &Caller, id: LabelId, name: Option<&str>, properties: BTreeMap<String, String>) -> Result<Label> {
        self.change(|draft| {
            let mut label = draft.state.labels.get(&id).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(&label))?;
            label.name = name.map_or(label.name, str::to_string);
            label.properties.extend(properties);
            label.properties.retain(|_, value| !value.is_empty());
            draft.put(label.clone())?;
            Ok(label)
        })
    }

    pub fn delete_label(&self, caller: &Caller, id: LabelId) -> Result<()> {
        self.change(|draft| {
            let label = draft.state.labels.get(&id).ok_or_else(not_found)?;
            caller.check(Action::Write, resource(label))?;
            draft.remove_where::<LabelMapping>(|m| m.label_id == id);
            draft.remove::<Label>(&id);
            Ok(())
        })
    }

    /// Labels on something, in name order; empty where there are none. Who may read the thing may read its labels.
    pub fn labels_of(&self, kind: ResourceKind, id: ResourceId) -> Vec<Label> {
        let state = self.state();
        let on = state.label_mappings.values().filter(|m| m.kind == kind && m.resource_id == id);
        let mut labels: Vec<Label> = on.filter_map(|m| state.labels.get(&m.label_id)).cloned().collect();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        labels
    }

    /// Needs the right to write the thing (checked by `of`, its resource) and the label.
    pub fn attach_label(&self, caller: &Caller, of: Resource, id: LabelId) -> Result<Label> {
        let resource_id = of.id.ok_or_else(|| Failure::invalid("a label is put on one thing"))?;
        caller.check(Action::Write, of)?;
        self.change(|draft| {
            let label = draft.state.labels.get(&id).cloned().ok_or_else(not_found)?;
            caller.check(Action::Write, resource(&label))?;
            draft.put(LabelMapping { label_id: id, kind: of.kind, resource_id })?;
            Ok(label)
        })
    }

    pub fn detach_label(&self, caller: &Caller, of: Resource, id: LabelId) -> Result<()> {
        caller.check(Action::Write, of)?;
        self.change(|draft| {
            let own = |m: &LabelMapping| m.label_id == id && m.kind == of.kind && Some(m.resource_id) == of.id;
            if !draft.state.label_mappings.values().any(own) {
                return Err(Failure::not_found("label mapping not found"));
            }
            draft.remove_where::<LabelMapping>(own);
            Ok(())
        })
    }
}
