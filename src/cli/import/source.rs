//! What a data directory holds, cut into parts that become one bucket each.

use super::CopyArguments;
use crate::{
    model::{ErrorKind, Failure, Result},
    tsm::{
        bolt::{self, BucketName},
        layout::{self, ShardFiles, ShardName},
    },
};
use itertools::Itertools;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The database in which InfluxDB 1.x keeps figures of its own.
const INTERNAL_DATABASE: &str = "_internal";
/// Buckets in which InfluxDB 2.x keeps what it does itself.
const SYSTEM_BUCKETS: [&str; 2] = ["_monitoring", "_tasks"];

#[derive(clap::Args)]
pub struct V1Arguments {
    /// The data directory, with `data` and `wal` in it, for instance /var/lib/influxdb
    dir: PathBuf,
    /// Where the logs are [default: DIR/wal]
    #[arg(long, value_name = "DIR")]
    wal_dir: Option<PathBuf>,
    /// Only this database [default: all but _internal]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Only this retention policy of the database
    #[arg(long, value_name = "NAME", visible_alias = "rp", requires = "database")]
    retention: Option<String>,
    #[command(flatten)]
    pub copy: CopyArguments,
}

#[derive(clap::Args)]
pub struct V2Arguments {
    /// The directory with `engine` in it (~/.influxdbv2, /var/lib/influxdb, /var/lib/influxdb2), or the engine's own
    dir: PathBuf,
    /// The file that knows the names of buckets [default: influxd.bolt in DIR or above the engine's]
    #[arg(long, value_name = "FILE")]
    bolt_path: Option<PathBuf>,
    /// Only this bucket, by name or ID; may be repeated [default: all but _monitoring and _tasks]
    #[arg(long, short, value_name = "BUCKET")]
    bucket: Vec<String>,
    /// Import a bucket under another name; may be repeated
    #[arg(long, value_name = "ID=NAME")]
    bucket_map: Vec<Renamed>,
    #[command(flatten)]
    pub copy: CopyArguments,
}

/// `ID=NAME`.
#[derive(Debug, Clone)]
struct Renamed {
    id: String,
    name: String,
}

/// Shards that become one bucket.
pub struct Part {
    pub destination: Destination,
    pub shards: Vec<(ShardName, ShardFiles)>,
}

/// The bucket that a part becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Of InfluxDB 1.x, which `/query?db=` shall find again.
    Policy {
        database: String,
        policy: String,
        /// The policy of queries that name none.
        default: bool,
    },
    Bucket(String),
}

impl Destination {
    /// The name of a new bucket for it, as InfluxDB 2's `upgrade` makes it.
    pub fn bucket(&self) -> String {
        match self {
            Destination::Policy { database, policy, .. } => format!("{database}/{policy}"),
            Destination::Bucket(name) => name.clone(),
        }
    }
}

impl Part {
    /// Length of all files. One that has gone is none.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|(_, files)| length(files)).sum()
    }
}

pub fn length(files: &ShardFiles) -> u64 {
    files.tsm.iter().chain(&files.wal).filter_map(|path| Some(path.metadata().ok()?.len())).sum()
}

pub fn nothing() -> Failure {
    Failure::not_found("nothing to import: no shard of the directory is of that database, bucket, retention policy or number")
}

impl V1Arguments {
    pub fn parts(&self) -> Result<Vec<Part>> {
        let data = self.dir.join("data");
        if !data.is_dir() {
            let message = format!(
                "{} is no data directory of InfluxDB 1.x: it has no folder `data`; one is usually at /var/lib/influxdb",
                self.dir.display()
            );
            return Err(Failure::not_found(message));
        }
        let wal = self.wal_dir.clone().unwrap_or_else(|| self.dir.join("wal"));
        let shards = layout::shards(&data, &wal)?;
        // Which policy is the default stands in a file of another format; a database's first one is `autogen` unless its
        // owner named it.
        let mut defaults: BTreeMap<String, String> = BTreeMap::new();
        for name in shards.keys() {
            let default = defaults.entry(name.database.clone()).or_insert_with(|| name.policy.clone());
            if name.policy == "autogen" {
                default.clone_from(&name.policy);
            }
        }
        let wanted = |name: &ShardName| match &self.database {
            Some(database) => name.database == *database && self.retention.as_ref().is_none_or(|policy| name.policy == *policy),
            None => name.database != INTERNAL_DATABASE,
        };
        let grouped =
            shards.into_iter().filter(|(name, _)| wanted(name)).chunk_by(|(name, _)| (name.database.clone(), name.policy.clone()));
        let mut parts = vec![];
        for ((database, policy), shards) in &grouped {
            let default = defaults.get(&database) == Some(&policy);
            parts.push(Part { destination: Destination::Policy { database, policy, default }, shards: shards.collect() });
        }
        // Default policies first: a server makes the first mapping of a database its default.
        parts.sort_by_key(|part| matches!(part.destination, Destination::Policy { default: false, .. }));
        Ok(parts)
    }
}

impl V2Arguments {
    pub fn parts(&self) -> Result<Vec<Part>> {
        let (engine, home) = self.engine()?;
        let names = self.names(&home)?;
        let shards = layout::shards(&engine.join("data"), &engine.join("wal"))?;
        let grouped = shards.into_iter().chunk_by(|(name, _)| name.database.clone());
        let mut parts: Vec<(String, Part)> = vec![];
        for (id, shards) in &grouped {
            let known = names.iter().find(|bucket| bucket.id == id).map(|bucket| bucket.name.as_str());
            let own_name = known.unwrap_or(&id);
            let wanted = match self.bucket.as_slice() {
                [] => !SYSTEM_BUCKETS.contains(&own_name),
                some => some.iter().any(|wanted| *wanted == id || wanted == own_name),
            };
            if wanted {
                let renamed = self.bucket_map.iter().find(|renamed| renamed.id == id).map(|renamed| renamed.name.as_str());
                let name = renamed.unwrap_or(own_name).to_string();
                parts.push((id.clone(), Part { destination: Destination::Bucket(name), shards: shards.collect() }));
            }
        }
        let twice = parts.iter().tuple_combinations::<(_, _)>().find(|(a, b)| a.1.destination == b.1.destination);
        if let Some(((one, part), (other, _))) = twice {
            let name = part.destination.bucket();
            let message = format!("buckets {one} and {other} are both called {name}; name one of them with --bucket-map ID=NAME");
            return Err(Failure::new(ErrorKind::Conflict, message));
        }
        Ok(parts.into_iter().map(|(_, part)| part).collect())
    }

    /// The engine's folder, and the one that it stands in.
    fn engine(&self) -> Result<(PathBuf, PathBuf)> {
        let inner = self.dir.join("engine");
        if inner.join("data").is_dir() {
            return Ok((inner, self.dir.clone()));
        }
        if self.dir.join("data").is_dir() {
            return Ok((self.dir.clone(), self.dir.join("..")));
        }
        let message = format!(
            "{} is no directory of InfluxDB 2.x: it has neither `engine/data` nor `data`; one is usually at ~/.influxdbv2 or /var/lib/influxdb",
            self.dir.display()
        );
        Err(Failure::not_found(message))
    }

    /// The buckets that the bolt file knows; none where there is no such file.
    fn names(&self, home: &Path) -> Result<Vec<BucketName>> {
        let path = match &self.bolt_path {
            Some(path) => path.clone(),
            None => [home, self.dir.as_path()]
                .map(|folder| folder.join("influxd.bolt"))
                .into_iter()
                .find(|path| path.is_file())
                .unwrap_or_default(),
        };
        if path.as_os_str().is_empty() {
            eprintln!(
                "There is no influxd.bolt: buckets keep their IDs as names. --bucket-map ID=NAME names them, --bolt-path finds the file."
            );
            return Ok(vec![]);
        }
        let hint = |unreadable| Failure::from(unreadable).context("the names of buckets are unknown (--bucket-map ID=NAME gives them)");
        bolt::buckets(&path).map_err(hint)
    }
}

impl FromStr for Renamed {
    type Err = String;

    fn from_str(text: &str) -> Result<Renamed, String> {
        match text.split_once('=') {
            Some((id, name)) if !id.is_empty() && !name.is_empty() => Ok(Renamed { id: id.into(), name: name.into() }),
            _ => Err("write it like 0123456789abcdef=my-bucket".into()),
        }
    }
}
