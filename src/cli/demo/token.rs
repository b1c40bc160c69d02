//! The demo's token. The catalog keeps hashes only, so it is in a file beside the data, for the next run.

use super::NAME;
use crate::{
    catalog::{Caller, Permission, SetupRequest, authorizations::NewAuthorization},
    cli::profiles::write_private,
    engine::Engine,
    model::{Failure, Result},
};
use std::path::Path;

/// A token that may do everything. Sets the database up when it is new; one that others set up is left as it is and
/// gets a token and the demo's bucket.
pub fn of_demo(engine: &Engine, data_dir: &Path) -> Result<String> {
    let path = data_dir.join("demo-token");
    let catalog = engine.catalog();
    let kept = std::fs::read_to_string(&path).ok().map(|text| text.trim().to_string());
    if let Some(token) = kept.filter(|token| catalog.state().authorization_of(token).is_some()) {
        return Ok(token);
    }
    let token = if catalog.is_set_up() {
        let state = catalog.state();
        let owner = state.users.values().min_by_key(|user| &user.name).map(|user| user.id);
        let new = NewAuthorization {
            user_id: owner,
            description: "demo".into(),
            permissions: Permission::operator(),
            ..NewAuthorization::default()
        };
        let org = match state.organization(NAME) {
            Some(org) => org.id,
            None => catalog.create_organization(&Caller::system(), NAME, "")?.id,
        };
        if !state.buckets.values().any(|b| b.org_id == org && b.name == NAME) {
            catalog.create_bucket(
                &Caller::system(),
                org,
                crate::catalog::buckets::NewBucket { name: NAME.into(), ..Default::default() },
            )?;
        }
        catalog.create_authorization(&Caller::system(), org, new)?.1
    } else {
        let request = SetupRequest { username: NAME.into(), org: NAME.into(), bucket: NAME.into(), ..SetupRequest::default() };
        catalog.set_up(request)?.token
    };
    write_private(&path, token.as_bytes()).map_err(|e| Failure::internal(format!("{} cannot be written: {e}", path.display())))?;
    Ok(token)
}
