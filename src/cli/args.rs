//! The command line: one sub-command each, `Error: ...` on stderr and exit status 1 when it fails.

use super::{
    auth, bucket, compact, config, console, delete, demo, import, inspect, invocation, org, ping, query, rebuild_manifest, serve, setup,
    test_flux, user, v1, verify, version, write,
};
use crate::model::Result;
use clap::{Parser, Subcommand};
use std::{ffi::OsString, process::ExitCode};

#[derive(Parser)]
#[command(
    name = "tidegauge",
    version,
    about = "A time-series database that speaks InfluxDB's protocols and languages over Arrow, DataFusion and Parquet"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArguments),
    /// Run a server with sample data, ask it questions in Flux, InfluxQL and SQL, and leave it running.
    Demo(demo::DemoArguments),
    /// Ask questions interactively, in Flux, InfluxQL and SQL.
    #[command(visible_alias = "shell")]
    Console(console::ConsoleArguments),
    /// Set a new server up: the first user, organisation, bucket and token.
    Setup(setup::SetupArguments),
    /// Check that a server answers.
    Ping(ping::PingArguments),
    /// Write line protocol or CSV.
    Write(write::WriteArguments),
    /// Import the files of an InfluxDB 1.x or 2.x.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Run a query given as an argument, in a file, or on stdin.
    Query(query::QueryArguments),
    /// Delete the rows of a time range that meet a predicate.
    Delete(delete::DeleteArguments),
    /// Manage buckets.
    #[command(subcommand)]
    Bucket(bucket::BucketCommand),
    /// Manage organisations.
    #[command(subcommand, visible_alias = "organization")]
    Org(org::OrgCommand),
    /// Manage API tokens.
    #[command(subcommand, visible_alias = "authorization")]
    Auth(auth::AuthCommand),
    /// Manage users.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Manage what the InfluxDB 1.x API sees.
    #[command(subcommand)]
    V1(v1::V1Command),
    /// Show, switch and manage the servers this command line knows.
    Config(config::ConfigArguments),
    /// Read everything that is stored and name what is damaged; exit status 0 is well, 1 damaged, 2 not checked.
    Verify(verify::VerifyArguments),
    /// Show what is stored: partitions, files, sizes, rows and series of each measurement.
    Inspect(inspect::InspectArguments),
    /// Make lost manifests anew from the files there are; the server must be stopped.
    RebuildManifest(rebuild_manifest::RebuildManifestArguments),
    /// Merge files and fold deletes in, now.
    Compact(compact::CompactArguments),
    /// Run test files of a language.
    #[command(subcommand)]
    Test(TestCommand),
    /// Print the version.
    Version(version::VersionArguments),
}

#[derive(Subcommand)]
enum TestCommand {
    /// Run the testcases of `*_test.flux` files, each in a database in memory.
    Flux(test_flux::TestFluxArguments),
}

impl Command {
    fn run(self) -> Result<ExitCode> {
        let done = match self {
            Command::Serve(arguments) => arguments.run(),
            Command::Demo(arguments) => arguments.run(),
            Command::Console(arguments) => arguments.run(),
            Command::Setup(arguments) => arguments.run(),
            Command::Ping(arguments) => arguments.run(),
            Command::Write(arguments) => arguments.run(),
            Command::Import(command) => command.run(),
            Command::Query(arguments) => arguments.run(),
            Command::Delete(arguments) => arguments.run(),
            Command::Bucket(command) => command.run(),
            Command::Org(command) => command.run(),
            Command::Auth(command) => command.run(),
            Command::User(command) => command.run(),
            Command::V1(command) => command.run(),
            Command::Config(arguments) => arguments.run(),
            Command::Test(TestCommand::Flux(arguments)) => test_flux::run(arguments),
            Command::Version(arguments) => arguments.run(),
            Command::Inspect(arguments) => arguments.run(),
            Command::RebuildManifest(arguments) => arguments.run(),
            Command::Compact(arguments) => arguments.run(),
            // It has an exit status of its own.
            Command::Verify(arguments) => return Ok(arguments.run()),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let verifies = words.get(1).is_some_and(|word| word == "verify");
    let arguments = match invocation::arguments(words) {
        Ok(arguments) => Arguments::try_parse_from(arguments),
        Err(failure) => return failed(&failure),
    };
    match arguments.map(|arguments| arguments.command.run()) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => failed(&failure),
        // Help and version are no failures; what is wrong with the arguments is, with the status of the `influx` CLI.
        Err(unread) => {
            let _ = unread.print();
            match unread.use_stderr() {
                true if verifies => ExitCode::from(verify::UNCHECKED),
                true => ExitCode::FAILURE,
                false => ExitCode::SUCCESS,
            }
        }
    }
}

fn failed(failure: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("Error: {failure}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Arguments::command().debug_assert();
    }

    /// Lines of InfluxDB's documentation and of scripts in the wild.
    #[test]
    fn lines_written_for_the_influx_cli_are_understood() {
        let lines = "influx version
influx ping --host http://localhost:8086
influx setup -u admin -p password -o mlops -b mlops -r 30d -t secret -f --name local
influx bucket create --name mlops --retention 30d
influx bucket create -n archives -r 0 -d text -o mlops --shard-group-duration 1d
influx bucket list --token your_token
influx bucket ls --org-id 0000000000000001 --json --hide-headers --limit 5 --offset 1 --page-size 50
influx bucket find -n mlops
influx bucket set -i 0000000000000001 -n other -r 1w
influx bucket delete -n mlops -o mlops
influx query --file query.flux
influx query -r -
influx query --raw -o mlops --host http://localhost:8086 -t secret buckets()
influx write -b mlops -o mlops -p s m,a=b v=1 1700000000
influx write --bucket mlops --format csv -f rows.csv --file more.csv.gz --skipHeader 1 --header #datatype --errors-file bad
influx write dryrun -f rows.csv --format csv -b mlops
influx delete --bucket mlops --start 2020-01-01T00:00:00Z --stop 2021-01-01T00:00:00Z -p _measurement=\"m\"
influx auth create --all-access -o mlops
influx auth create --read-bucket 0000000000000001 --write-bucket 0000000000000001 --read-buckets --write-orgs -u admin -d text
influx auth ls --user admin
influx auth inactive -i 0000000000000001
influx org create -n other -d text
influx organization list
influx user create -n me -p longenough -o mlops
influx user password -n me -p longenough
influx v1 dbrp create --bucket-id 0000000000000001 --db telegraf --rp autogen --default
influx v1 dbrp ls --db telegraf
influx config create -a -n local -u http://localhost:8086 -t secret -o mlops
influx config ls
influx config -
influx config local --json
influxd
influxd run --http-bind-address :9999
influxd --data-dir=data --log-level debug --query-concurrency 10";
        for line in lines.lines() {
            let words = line.split(' ').map(Into::into).collect();
            let words = invocation::arguments(words).expect(line);
            if let Err(error) = Arguments::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }
}
