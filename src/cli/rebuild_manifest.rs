//! `rebuild-manifest`: makes lost manifests anew from what the files say, and on request gives up the rows of unreadable files.

use super::{
    output::{OutputArguments, Table},
    place::OfflineArguments,
    serve::run::{on_runtime, start_logging},
};
use crate::{
    engine::upkeep::Offline,
    model::{BucketId, Failure, Result},
    storage::rebuild::Rebuilt,
};
use serde_json::json;

#[derive(clap::Args)]
pub struct RebuildManifestArguments {
    #[command(flatten)]
    offline: OfflineArguments,
    /// Only this bucket, by its ID
    #[arg(long, value_name = "ID")]
    bucket_id: Option<String>,
    /// Give up the rows of files that are lost, gone or unreadable, so that queries over their time work again; the bytes that are left
    /// are kept in quarantine/
    #[arg(long)]
    give_up: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl RebuildManifestArguments {
    pub fn run(self) -> Result<()> {
        start_logging("error")?;
        let invalid =
            |text: &str| Failure::invalid(format!("`{text}` is no bucket ID: it has 16 hexadecimal digits, see `inspect --json`"));
        let bucket = self.bucket_id.as_deref().map(|text| text.parse::<BucketId>().map_err(|_| invalid(text))).transpose()?;
        let (settings, rows_only) = self.offline.settings()?;
        let offline = Offline::open(settings, rows_only)?;
        let done = on_runtime(offline.rebuild(bucket, self.give_up))?;
        self.output.print(&table(&done), &json!({ "buckets": done }))?;
        let damaged = done.iter().flat_map(|b| b.damaged.iter().map(move |d| (b, d)));
        for (bucket, (path, what)) in damaged {
            let fate = if bucket.given_up.contains(path) { "; its rows were given up" } else { "" };
            eprintln!("damaged: {path}: {what}{fate}");
        }
        Ok(())
    }
}

fn table(done: &[Rebuilt]) -> Table {
    let rows = done.iter().map(|b| {
        let outcome = match (b.before == b.after, b.given_up.len()) {
            (true, _) => "sound, nothing done".to_string(),
            (false, 0) => "made anew".into(),
            (false, n) => format!("made anew without {n} files"),
        };
        vec![b.bucket.to_string(), b.before.to_string(), b.after.to_string(), b.files.to_string(), b.rows.to_string(), outcome]
    });
    Table::new(&["Bucket ID", "Version before", "Version now", "Files", "Rows", "Outcome"]).rows(rows)
}
