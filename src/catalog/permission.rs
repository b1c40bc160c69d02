//! What a caller may do: permissions as InfluxDB 2.7 writes them, and how they cover a resource. Default deny.

use crate::model::{OrgId, ResourceId};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, num::NonZeroU64, str::FromStr};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Read,
    Write,
}

macro_rules! resource_kinds {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// The kinds of resources of InfluxDB 2.7.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ResourceKind {
            $(#[serde(rename = $name)] $variant,)+
        }

        impl ResourceKind {
            pub const ALL: &[ResourceKind] = &[$(ResourceKind::$variant,)+];

            pub fn name(self) -> &'static str {
                match self {
                    $(ResourceKind::$variant => $name,)+
                }
            }
        }
    };
}

resource_kinds! {
    Authorizations = "authorizations",
    Buckets = "buckets",
    Dashboards = "dashboards",
    Orgs = "orgs",
    Sources = "sources",
    Tasks = "tasks",
    Telegrafs = "telegrafs",
    Users = "users",
    Variables = "variables",
    Scrapers = "scrapers",
    Secrets = "secrets",
    Labels = "labels",
    Views = "views",
    Documents = "documents",
    NotificationRules = "notificationRules",
    NotificationEndpoints = "notificationEndpoints",
    Checks = "checks",
    Dbrp = "dbrp",
    Notebooks = "notebooks",
    Annotations = "annotations",
    Remotes = "remotes",
    Replications = "replications",
    Instance = "instance",
}

/// What a permission is about, or what a request wants to touch.
///
/// In a permission `None` covers everything; in a request `id: None` stands for the collection ("may create and list").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    #[serde(rename = "type")]
    pub kind: ResourceKind,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "id_or_empty")]
    pub id: Option<ResourceId>,
    #[serde(rename = "orgID", default, skip_serializing_if = "Option::is_none", deserialize_with = "id_or_empty")]
    pub org_id: Option<OrgId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Permission {
    pub action: Action,
    pub resource: Resource,
}

impl Resource {
    pub fn of_org(kind: ResourceKind, org_id: OrgId) -> Resource {
        Resource { kind, id: None, org_id: Some(org_id) }
    }

    pub fn one(kind: ResourceKind, id: NonZeroU64, org_id: OrgId) -> Resource {
        Resource { kind, id: Some(ResourceId(id)), org_id: Some(org_id) }
    }

    /// A resource of no organisation: users, and organisations themselves.
    pub fn global(kind: ResourceKind, id: Option<NonZeroU64>) -> Resource {
        Resource { kind, id: id.map(ResourceId), org_id: None }
    }
}

impl Permission {
    pub fn new(action: Action, resource: Resource) -> Permission {
        Permission { action, resource }
    }

    /// An organisation's permission for `orgs` without an id covers that organisation, as in InfluxDB 2.7.
    pub fn covers(&self, action: Action, wanted: &Resource) -> bool {
        let own = &self.resource;
        if self.action != action || own.kind != wanted.kind {
            return false;
        }
        let wanted_org = match (wanted.kind, wanted.org_id) {
            (ResourceKind::Orgs, None) => wanted.id.map(|id| OrgId(id.0)),
            (_, org) => org,
        };
        own.org_id.is_none_or(|org| wanted_org == Some(org)) && own.id.is_none_or(|id| wanted.id == Some(id))
    }

    /// Everything on this server: an operator's token.
    pub fn operator() -> Vec<Permission> {
        Self::every(|kind| Resource::global(kind, None))
    }

    /// Everything of one organisation: an all-access token, and what an owner of the organisation may do.
    pub fn all_of(org_id: OrgId) -> Vec<Permission> {
        Self::every(|kind| Resource::of_org(kind, org_id))
    }

    /// What a member of an organisation may do: read.
    pub fn member_of(org_id: OrgId) -> Vec<Permission> {
        Self::all_of(org_id).into_iter().filter(|p| p.action == Action::Read).collect()
    }

    fn every(resource: impl Fn(ResourceKind) -> Resource) -> Vec<Permission> {
        let both = |kind| [Action::Read, Action::Write].map(|action| Permission::new(action, resource(kind)));
        ResourceKind::ALL.iter().copied().flat_map(both).collect()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Read => "read",
            Action::Write => "write",
        })
    }
}

impl fmt::Display for Permission {
    /// `write:orgs/<id>/buckets/<id>`, as InfluxDB names what is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.action)?;
        if let Some(org) = self.resource.org_id {
            write!(f, "orgs/{org}/")?;
        }
        f.write_str(self.resource.kind.name())?;
        self.resource.id.map_or(Ok(()), |id| write!(f, "/{id}"))
    }
}

/// An empty text is no id: clients send it.
fn id_or_empty<'de, D: Deserializer<'de>, I: FromStr>(d: D) -> Result<Option<I>, D::Error> {
    let Some(text) = Option::<String>::deserialize(d)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| serde::de::Error::custom(format!("invalid resource id {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_what() {
        let org = |n| OrgId::new(n).expect("not zero");
        let id = |n: u64| NonZeroU64::new(n);
        let bucket = |n: Option<u64>, of| Resource { kind: ResourceKind::Buckets, id: n.and_then(ResourceId::new), org_id: Some(org(of)) };
        use Action::{Read, Write};
        let cases = [
            ("one bucket covers itself", Read, bucket(Some(7), 1), Read, bucket(Some(7), 1), true),
            ("and no other", Read, bucket(Some(7), 1), Read, bucket(Some(8), 1), false),
            ("nor the making of buckets", Write, bucket(Some(7), 1), Write, bucket(None, 1), false),
            ("reading is not writing", Read, bucket(None, 1), Write, bucket(Some(7), 1), false),
            ("all of an organisation", Write, bucket(None, 1), Write, bucket(Some(7), 1), true),
            ("stays in it", Write, bucket(None, 1), Write, bucket(Some(7), 2), false),
            (
                "an organisation's `orgs` is itself",
                Read,
                Resource::of_org(ResourceKind::Orgs, org(1)),
                Read,
                Resource::global(ResourceKind::Orgs, id(1)),
                true,
            ),
            (
                "and not the next",
                Read,
                Resource::of_org(ResourceKind::Orgs, org(1)),
                Read,
                Resource::global(ResourceKind::Orgs, id(2)),
                false,
            ),
            (
                "nor the making of organisations",
                Write,
                Resource::of_org(ResourceKind::Orgs, org(1)),
                Write,
                Resource::global(ResourceKind::Orgs, None),
                false,
            ),
        ];
        for (what, action, own, wanted_action, wanted, expected) in cases {
            assert_eq!(Permission::new(action, own).covers(wanted_action, &wanted), expected, "{what}");
        }
        assert_eq!(Permission::new(Write, bucket(Some(7), 1)).to_string(), "write:orgs/0000000000000001/buckets/0000000000000007");
    }
}
