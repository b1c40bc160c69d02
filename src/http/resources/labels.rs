//! `/api/v2/labels`, and the labels of buckets.

use super::super::{
    app::{App, Call},
    auth::Auth,
    problem::Answer,
};
use super::{change, created, found, gone, id, org_of};
use crate::{
    catalog::{Label, Resource, ResourceKind},
    model::{BucketId, LabelId, ResourceId},
};
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn json(label: &Label) -> Value {
    json!({ "id": label.id, "orgID": label.org_id, "name": label.name, "properties": label.properties })
}

fn wrapped(label: &Label) -> Value {
    json!({ "links": { "self": format!("/api/v2/labels/{}", label.id) }, "label": json(label) })
}

fn listed(path: &str, labels: &[Label]) -> Value {
    json!({ "links": { "self": path }, "labels": labels.iter().map(json).collect::<Vec<_>>() })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LabelBody {
    #[serde(rename = "orgID")]
    org_id: Option<String>,
    name: Option<String>,
    properties: Option<BTreeMap<String, String>>,
}

pub async fn list(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let catalog = app.engine.catalog();
    let org = call.org().map(|org| catalog.organization_of(&caller, Some(org))).transpose()?;
    found(listed("/api/v2/labels", &catalog.labels(&caller, org)))
}

pub async fn one(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    found(wrapped(&app.engine.catalog().label(&caller, id(&of)?)?))
}

pub async fn create(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let sent: LabelBody = call.json()?;
    let org = org_of(&app, &caller, &call, sent.org_id.as_deref())?;
    let (name, properties) = (sent.name.unwrap_or_default(), sent.properties.unwrap_or_default());
    created(wrapped(&change(&app, move |catalog| catalog.create_label(&caller, org, &name, properties)).await?))
}

pub async fn update(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (of, sent): (LabelId, LabelBody) = (id(&of)?, call.json()?);
    let properties = sent.properties.unwrap_or_default();
    found(wrapped(&change(&app, move |catalog| catalog.update_label(&caller, of, sent.name.as_deref(), properties)).await?))
}

pub async fn remove(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    let of: LabelId = id(&of)?;
    change(&app, move |catalog| catalog.delete_label(&caller, of)).await?;
    gone()
}

/// The labels of a bucket that the caller may read.
pub async fn of_bucket(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    let bucket = app.engine.catalog().bucket(&caller, id(&of)?)?;
    let labels = app.engine.catalog().labels_of(ResourceKind::Buckets, ResourceId(bucket.id.0));
    found(listed(&format!("/api/v2/buckets/{of}/labels"), &labels))
}

pub async fn attach(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    #[derive(Deserialize)]
    struct Attached {
        #[serde(rename = "labelID")]
        label_id: LabelId,
    }
    let (of, sent): (BucketId, Attached) = (id(&of)?, call.json()?);
    let bucket = app.engine.catalog().bucket(&caller, of)?;
    let resource = Resource::one(ResourceKind::Buckets, of.0, bucket.org_id);
    created(wrapped(&change(&app, move |catalog| catalog.attach_label(&caller, resource, sent.label_id)).await?))
}

pub async fn detach(State(app): State<App>, Auth(caller): Auth, Path((of, label)): Path<(String, String)>) -> Answer {
    let (of, label): (BucketId, LabelId) = (id(&of)?, id(&label)?);
    let bucket = app.engine.catalog().bucket(&caller, of)?;
    let resource = Resource::one(ResourceKind::Buckets, of.0, bucket.org_id);
    change(&app, move |catalog| catalog.detach_label(&caller, resource, label)).await?;
    gone()
}
