//! `compact`: merges all files that can be merged and folds deletes into them, now instead of by and by.

use super::{
    output::{OutputArguments, Table},
    place::{Place, PlaceArguments},
    quantity::size,
    serve::run::{on_runtime, start_logging},
    server::answered,
};
use crate::{
    engine::{MaintenanceFigures, upkeep::compact_offline},
    model::{Failure, Result},
};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct CompactArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    output: OutputArguments,
}

impl CompactArguments {
    pub fn run(self) -> Result<()> {
        let done = self.compact()?;
        let cells = vec![
            done.compactions.to_string(),
            done.compaction_files_in.to_string(),
            size(done.compaction_bytes_in),
            size(done.compaction_bytes_out),
            done.files.to_string(),
            size(done.bytes),
        ];
        let table = Table::new(&["Merges", "Files merged", "Size before", "Size after", "Files now", "Size now"]).row(cells);
        self.output.print(&table, &json!(done))
    }

    fn compact(&self) -> Result<MaintenanceFigures> {
        match self.place.open()? {
            Place::Online(connection) => answered(connection.server.post("/api/v2/tidegauge/compact", &[], &Value::Null)?),
            Place::Offline(_, true) => {
                Err(Failure::invalid("a store without its data directory cannot be compacted: name that with --data-dir"))
            }
            Place::Offline(settings, false) => {
                start_logging("error")?;
                on_runtime(compact_offline(*settings))
            }
        }
    }
}
