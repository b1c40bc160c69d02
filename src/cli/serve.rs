//! `serve`: opens the engine and answers on the network until it is told to stop.

pub mod run;

use super::settings::{self, Given, KEYS, Layer, Settings};
use crate::model::Result;
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use std::path::PathBuf;

/// A flag for every setting, and the file.
pub struct ServeArguments {
    flags: Layer,
    config: Option<PathBuf>,
}

impl clap::Args for ServeArguments {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config").long("config").value_name("FILE").env("TIDEGAUGE_CONFIG_PATH");
        let file = file.help("File of settings, TOML; INFLUXD_CONFIG_PATH names one too");
        KEYS.iter().fold(command.arg(file.value_parser(clap::value_parser!(PathBuf))), |command, key| {
            // Flags without a value (`--metrics-disabled`) are written so for influxd.
            let flag = Arg::new(key.name).long(key.name).value_name(key.value_name).help(key.help);
            command.arg(if key.value_name == "true|false" { flag.num_args(0..=1).default_missing_value("true") } else { flag })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ServeArguments, clap::Error> {
        let flag = |key: &settings::Key| {
            let text = matches.get_one::<String>(key.name)?.clone();
            Some((key.name, Given { text, source: format!("--{}", key.name) }))
        };
        Ok(ServeArguments { flags: KEYS.iter().filter_map(flag).collect(), config: matches.get_one("config").cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ServeArguments {
    pub fn settings(&self) -> Result<Settings> {
        Settings::gather(self.flags.clone(), self.config.clone())
    }

    pub fn run(self) -> Result<()> {
        let settings = self.settings()?;
        run::start_logging(&settings.log_level)?;
        settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        run::on_runtime(run::serve(settings))
    }
}
