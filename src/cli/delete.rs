//! `delete`: the rows of a time range that meet a predicate, or values of theirs. It prints how many, where the server says so.

use super::{
    connection::{Connection, ConnectionArguments, OrgArguments, given},
    output::emit,
};
use crate::{
    http::DELETED_ROWS,
    model::{Failure, Result},
};
use reqwest::Method;
use serde_json::json;

#[derive(clap::Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// The name of the bucket to delete from
    #[arg(long, short, env = "INFLUX_BUCKET_NAME")]
    bucket: Option<String>,
    /// The ID of the bucket to delete from
    #[arg(long, env = "INFLUX_BUCKET_ID")]
    bucket_id: Option<String>,
    /// The first time to delete, for instance 2009-01-02T23:00:00Z
    #[arg(long)]
    start: String,
    /// The last time to delete
    #[arg(long)]
    stop: String,
    /// Which rows, for instance 'tag1="v1" and tag2=123'; with _field and _value, which values of theirs: '_field="temp" and
    /// _value > 90'; all of them without it
    #[arg(long, short)]
    predicate: Option<String>,
}

impl DeleteArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let mut params = connection.org_params(&self.org)?;
        params.push(bucket_param(&self.bucket, &self.bucket_id)?);
        let body = json!({ "start": self.start, "stop": self.stop, "predicate": self.predicate.unwrap_or_default() });
        let request = connection.server.request(Method::POST, "/api/v2/delete", &Connection::params(&params)).json(&body);
        let answer = connection.server.send(request).map_err(|f| f.context("failed to delete data"))?;
        match answer.header(DELETED_ROWS) {
            Some("1") => emit(b"1 row deleted\n"),
            Some(count) => emit(format!("{count} rows deleted\n").as_bytes()),
            None => Ok(()),
        }
    }
}

/// The bucket as a parameter of a URL.
pub fn bucket_param(name: &Option<String>, id: &Option<String>) -> Result<(&'static str, String)> {
    match (given(id), given(name)) {
        (Some(id), _) => Ok(("bucketID", id.into())),
        (None, Some(name)) => Ok(("bucket", name.into())),
        (None, None) => Err(Failure::invalid("must specify bucket ID or bucket name (--bucket-id, --bucket)")),
    }
}
