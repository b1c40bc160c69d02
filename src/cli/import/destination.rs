//! The bucket of a part: the one that is there, or a new one that keeps rows for ever.

use super::source::Destination;
use crate::{
    cli::{connection::Connection, output::text, server::Server},
    model::{ErrorKind, Failure, Result},
};
use serde_json::{Value, json};

pub struct Bucket {
    pub id: String,
    pub name: String,
}

/// `org`: the organisation as parameters of a URL; `org_id`: its identifier, where one was named.
pub fn find_or_create(server: &Server, org: &[(&'static str, String)], org_id: Option<&str>, destination: &Destination) -> Result<Bucket> {
    let Destination::Policy { database, policy, default } = destination else {
        return bucket(server, org, org_id, &destination.bucket());
    };
    let mut params = org.to_vec();
    params.push(("db", database.clone()));
    let found = server.get("/api/v2/dbrps", &Connection::params(&params)).map_err(|f| f.context("failed to list dbrps"))?;
    let mappings = found["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(mapping) = mappings.iter().find(|m| m["retention_policy"] == *policy) {
        let id = text(mapping, "bucketID");
        let found = server.get(&format!("/api/v2/buckets/{id}"), &[])?;
        check_fit(&found)?;
        return Ok(Bucket { id, name: text(&found, "name") });
    }
    let bucket = bucket(server, org, org_id, &destination.bucket())?;
    let default = *default && !mappings.iter().any(|m| m["default"] == true);
    let mut body = json!({ "bucketID": bucket.id, "database": database, "retention_policy": policy, "default": default });
    if let Some(id) = org_id {
        body["orgID"] = id.into();
    }
    let made = server.post("/api/v2/dbrps", &[], &body);
    made.map_err(|f| f.context(format!("failed to map database {database} and retention policy {policy} to their bucket")))?;
    Ok(bucket)
}

/// An import that is run again, or sends a request again line by line, must not change what is stored; and it must be told what is
/// refused, to send it by value.
fn check_fit(bucket: &Value) -> Result<()> {
    let (does, set) = match (bucket["duplicates"].as_str(), bucket["typeConflicts"].as_str()) {
        (Some("sum"), _) => ("adds up values that are written twice, and an import sends some more than once", "--duplicates last"),
        (_, Some("quarantine")) => {
            let does = "keeps lines that clash in quarantine, and an import sends the other values of these by themselves";
            (does, "--type-conflicts reject")
        }
        _ => return Ok(()),
    };
    let name = text(bucket, "name");
    Err(Failure::invalid(format!("bucket \"{name}\" {does}: take another bucket, or set this one to `{set}` until the import is done")))
}

fn bucket(server: &Server, org: &[(&'static str, String)], org_id: Option<&str>, name: &str) -> Result<Bucket> {
    let mut params = org.to_vec();
    params.push(("name", name.into()));
    let found = match server.get("/api/v2/buckets", &Connection::params(&params)) {
        Err(failure) if failure.kind == ErrorKind::NotFound => Value::Null,
        found => found.map_err(|f| f.context(format!("failed to look for bucket \"{name}\"")))?,
    };
    let own = found["buckets"].as_array().into_iter().flatten().find(|bucket| bucket["name"] == name);
    let bucket = match own {
        Some(bucket) => bucket.clone(),
        None => {
            let mut body = json!({ "name": name, "retentionRules": [] });
            if let Some(id) = org_id {
                body["orgID"] = id.into();
            }
            server.post("/api/v2/buckets", &[], &body).map_err(|f| f.context(format!("failed to create bucket \"{name}\"")))?
        }
    };
    check_fit(&bucket)?;
    match text(&bucket, "id") {
        id if id.is_empty() => Err(Failure::internal(format!("the server does not say which ID bucket \"{name}\" has"))),
        id => Ok(Bucket { id, name: name.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_an_import_must_not_use_says_what_to_set() {
        let refusal = |duplicates: &str, type_conflicts: &str| {
            let bucket = json!({ "name": "b", "duplicates": duplicates, "typeConflicts": type_conflicts });
            check_fit(&bucket).err().map(|failure| failure.message)
        };
        for (duplicates, type_conflicts) in [("last", "reject"), ("max", "coerce")] {
            assert_eq!(refusal(duplicates, type_conflicts), None);
        }
        // A server that says nothing of either is InfluxDB's.
        assert_eq!(check_fit(&json!({ "name": "b" })), Ok(()));
        let sum = refusal("sum", "reject").expect("refused");
        assert!(sum.contains("\"b\" adds up values") && sum.contains("`--duplicates last`"), "{sum}");
        let kept = refusal("last", "quarantine").expect("refused");
        assert!(kept.contains("in quarantine") && kept.contains("`--type-conflicts reject`"), "{kept}");
    }
}
