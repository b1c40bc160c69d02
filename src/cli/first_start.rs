//! Setting a new server up from the environment, as InfluxDB's Docker image does: `DOCKER_INFLUXDB_INIT_MODE=setup` with
//! `..._USERNAME`, `_PASSWORD`, `_ORG`, `_BUCKET`, `_RETENTION` and `_ADMIN_TOKEN`; the first two and the token also as
//! `..._FILE`. A server that is set up already is left as it is.

use super::quantity::duration_ns;
use crate::{
    catalog::SetupRequest,
    engine::Engine,
    model::{Failure, Result},
};

const PREFIX: &str = "DOCKER_INFLUXDB_INIT_";

/// What the environment asks for; `None`: nothing.
pub fn request(variable: impl Fn(&str) -> Option<String>) -> Result<Option<SetupRequest>> {
    let read = |name: &str| variable(&format!("{PREFIX}{name}")).filter(|text| !text.is_empty());
    match read("MODE").as_deref() {
        None => return Ok(None),
        Some("setup") => {}
        Some(other) => {
            let message = format!("{PREFIX}MODE is `{other}`; `setup` is supported, data of InfluxDB 1.x is to be written again");
            return Err(Failure::invalid(message));
        }
    }
    let secret = |name: &str| match (read(name), read(&format!("{name}_FILE"))) {
        (Some(text), _) => Ok(Some(text)),
        (None, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_string())),
            Err(e) => Err(Failure::invalid(format!("{PREFIX}{name}_FILE: {path} cannot be read: {e}"))),
        },
        (None, None) => Ok(None),
    };
    let required = |name: &str, value: Option<String>| {
        value.ok_or_else(|| Failure::invalid(format!("{PREFIX}{name} is required with {PREFIX}MODE=setup")))
    };
    let retention_ns = read("RETENTION").map(|text| duration_ns(&text)).transpose()?.filter(|ns| *ns > 0);
    Ok(Some(SetupRequest {
        username: required("USERNAME", secret("USERNAME")?)?,
        password: Some(required("PASSWORD", secret("PASSWORD")?)?),
        org: required("ORG", read("ORG"))?,
        bucket: required("BUCKET", read("BUCKET"))?,
        retention_ns,
        token: secret("ADMIN_TOKEN")?,
    }))
}

/// Sets the server up when it is new and the environment asks for it. Whether it did.
pub fn set_up(engine: &Engine) -> Result<bool> {
    if engine.catalog().is_set_up() {
        return Ok(false);
    }
    match request(|name| std::env::var(name).ok())? {
        None => Ok(false),
        Some(request) => engine.catalog().set_up(request).map(|_| true).map_err(|f| f.context("first setup from the environment")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dockers_variables_ask_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "secret\n").expect("a file");
        let with = |pairs: &[(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|(n, _)| format!("{PREFIX}{n}") == name).map(|(_, value)| value.to_string());
            request(find)
        };
        assert!(with(&[("USERNAME", "u")]).expect("no mode").is_none());
        assert!(with(&[("MODE", "upgrade")]).expect_err("1.x").message.contains("`upgrade`"));
        assert!(with(&[("MODE", "setup"), ("USERNAME", "u")]).expect_err("no password").message.contains("INIT_PASSWORD is required"));
        let path = file.to_string_lossy();
        let all = [
            ("MODE", "setup"),
            ("USERNAME", "u"),
            ("PASSWORD", "longenough"),
            ("ORG", "o"),
            ("BUCKET", "b"),
            ("RETENTION", "1w"),
            ("ADMIN_TOKEN_FILE", path.as_ref()),
        ];
        let request = with(&all).expect("fine").expect("asked for");
        assert_eq!((request.retention_ns, request.token.as_deref()), (Some(7 * 86_400_000_000_000), Some("secret")));
    }
}
