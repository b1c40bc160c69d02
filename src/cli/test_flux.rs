//! `tidegauge test flux DIR`: runs the testcases of Flux test files and prints the score.

use crate::{
    clock::{Clock, SystemClock},
    flux::testcase::{Selection, Testcase},
    model::{Failure, Result},
    query::{
        session::{SessionSettings, Sessions},
        testcases::{Outcome, RunOptions, Suite, run as run_testcases},
    },
};
use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, time::Duration};

#[derive(clap::Args)]
pub struct TestFluxArguments {
    /// Folder with `*_test.flux` files, at any depth. A file `fluxtest.root` in it, above or below names their module.
    folder: PathBuf,
    /// Run only the testcases of this name (`name` or `package.name`), tagged or not; may be given more than once.
    #[arg(long)]
    test: Vec<String>,
    /// Leave out the testcases of this name; may be given more than once.
    #[arg(long)]
    skip: Vec<String>,
    /// Run tagged testcases whose tags are all among these.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Testcases that run at once.
    #[arg(long, short = 'p')]
    parallelism: Option<NonZeroUsize>,
    /// Seconds after which a testcase has failed.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// Run testcases that call `testing.load` over rows written to a store and read from it, instead of over those in memory.
    #[arg(long)]
    stored: bool,
    /// Show each testcase and whole messages.
    #[arg(long, short = 'v')]
    verbose: bool,
}

pub fn run(arguments: TestFluxArguments) -> Result<()> {
    let all = Suite::read(&arguments.folder)?.testcases()?;
    let selection = Selection { tests: arguments.test, skip: arguments.skip, tags: arguments.tags };
    let chosen: Vec<Testcase> = all.iter().filter(|t| selection.takes(t) && (!arguments.stored || t.loads())).cloned().collect();
    if chosen.is_empty() {
        return Err(Failure::not_found(format!("none of the {} testcases was chosen", all.len())));
    }
    let threads = arguments.parallelism.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let options =
        RunOptions { threads, time_limit: Duration::from_secs(arguments.timeout), now: SystemClock.now(), stored: arguments.stored };
    let sessions = Sessions::new(&SessionSettings::default(), vec![])?;
    let verbose = arguments.verbose;
    let outcomes = run_testcases(&chosen, &sessions, options, |testcase, outcome| {
        if verbose {
            let word = if outcome.failure.is_some() { "FAIL" } else { "ok" };
            println!("{word} {} ({} ms)", testcase.full_name(), outcome.elapsed.as_millis());
        }
    });
    report(&chosen, &outcomes, verbose);
    let failed = outcomes.iter().filter(|o| o.failure.is_some()).count();
    println!("{} of {} testcases passed, {} left out", chosen.len() - failed, chosen.len(), all.len() - chosen.len());
    if failed == 0 { Ok(()) } else { Err(Failure::invalid(format!("{failed} testcases failed"))) }
}

/// What failed and why, then the score by package.
fn report(testcases: &[Testcase], outcomes: &[Outcome], verbose: bool) {
    let mut packages: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (testcase, outcome) in testcases.iter().zip(outcomes) {
        let (passed, total) = packages.entry(&testcase.package).or_default();
        *total += 1;
        match &outcome.failure {
            None => *passed += 1,
            Some(message) if verbose => println!("\nFAIL {}\n{message}", testcase.full_name()),
            Some(message) => println!("FAIL {}: {}", testcase.full_name(), message.lines().next().unwrap_or_default()),
        }
    }
    println!();
    for (package, (passed, total)) in packages {
        println!("{passed:5} of {total:<5} {package}");
    }
}
