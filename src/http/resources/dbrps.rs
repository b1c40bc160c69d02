//! `/api/v2/dbrps`: which bucket a database and retention policy of InfluxDB 1.x stand for.

use super::super::{
    app::{App, Call},
    auth::Auth,
    problem::Answer,
};
use super::{change, created, found, gone, id, optional_id, org_of};
use crate::{
    catalog::{Dbrp, dbrps::NewDbrp},
    model::{BucketId, DbrpId, Failure, OrgId, Result},
};
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

pub fn json(dbrp: &Dbrp) -> Value {
    json!({
        "id": dbrp.id,
        "database": dbrp.database,
        "retention_policy": dbrp.policy,
        "default": dbrp.default,
        "orgID": dbrp.org_id,
        "bucketID": dbrp.bucket_id,
        "virtual": dbrp.is_virtual,
        "links": { "self": format!("/api/v2/dbrps/{}", dbrp.id) },
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DbrpBody {
    #[serde(rename = "orgID")]
    org_id: Option<String>,
    /// The organisation's name.
    org: Option<String>,
    #[serde(rename = "bucketID")]
    bucket_id: Option<String>,
    database: Option<String>,
    retention_policy: Option<String>,
    default: Option<bool>,
}

/// `org` or `orgID` must be there (2.7).
fn org(app: &App, caller: &crate::catalog::Caller, call: &Call) -> Result<OrgId> {
    let named = call.org().ok_or_else(|| Failure::invalid("Please provide either orgID or org"))?;
    app.engine.catalog().organization_of(caller, Some(named))
}

/// Filters: `id`, `bucketID`, `db`, `rp`, `default`, `virtual`.
pub async fn list(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let org = org(&app, &caller, &call)?;
    let (of, bucket): (Option<DbrpId>, Option<BucketId>) = (optional_id(call.text("id"))?, optional_id(call.text("bucketID"))?);
    let flag = |name: &str| match call.text(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Failure::invalid(format!("{name} must be true or false"))),
    };
    let (default, is_virtual) = (flag("default")?, flag("virtual")?);
    let mut all = app.engine.catalog().dbrps(&caller, org);
    all.retain(|d| {
        of.is_none_or(|id| d.id == id)
            && bucket.is_none_or(|id| d.bucket_id == id)
            && call.text("db").is_none_or(|db| d.database == db)
            && call.text("rp").is_none_or(|rp| d.policy == rp)
            && default.is_none_or(|flag| d.default == flag)
            && is_virtual.is_none_or(|flag| d.is_virtual == flag)
    });
    found(json!({ "content": all.iter().map(json).collect::<Vec<_>>() }))
}

pub async fn one(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let org = org(&app, &caller, &call)?;
    found(json!({ "content": json(&app.engine.catalog().dbrp(&caller, org, id(&of)?)?) }))
}

pub async fn create(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let sent: DbrpBody = call.json()?;
    let org = org_of(&app, &caller, &call, sent.org_id.as_deref().or(sent.org.as_deref()))?;
    let new = NewDbrp {
        bucket_id: id(&sent.bucket_id.unwrap_or_default())?,
        database: sent.database.unwrap_or_default(),
        policy: sent.retention_policy.unwrap_or_default(),
        default: sent.default.unwrap_or_default(),
    };
    created(json(&change(&app, move |catalog| catalog.create_dbrp(&caller, org, new)).await?))
}

pub async fn update(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (org, of, sent): (OrgId, DbrpId, DbrpBody) = (org(&app, &caller, &call)?, id(&of)?, call.json()?);
    let changed =
        change(&app, move |catalog| catalog.update_dbrp(&caller, org, of, sent.retention_policy.as_deref(), sent.default)).await?;
    found(json!({ "content": json(&changed) }))
}

pub async fn remove(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (org, of): (OrgId, DbrpId) = (org(&app, &caller, &call)?, id(&of)?);
    change(&app, move |catalog| catalog.delete_dbrp(&caller, org, of)).await?;
    gone()
}
