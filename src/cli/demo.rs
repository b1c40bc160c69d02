//! `demo`: a server with the sample data of `data/`, a question in each language, and an invitation to ask more.

mod load;
mod questions;
mod token;

use super::{
    output::say,
    serve::run as server,
    server::{Identity, Server},
    stop,
};
use crate::{
    engine::EngineSettings,
    http::{self, HttpSettings},
    memory::{Budget, BudgetLimits, machine},
    model::{ErrorKind, Result},
};
use std::path::PathBuf;
use tokio::net::TcpListener;

/// Organisation, bucket and user of the demo.
pub const NAME: &str = "demo";
const ADDRESS_DEFAULT: &str = "127.0.0.1:8086";

#[derive(clap::Args)]
pub struct DemoArguments {
    /// Where the database lives; a second run finds its data there
    #[arg(long, default_value = "tidegauge-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to listen [default: 127.0.0.1:8086, or a free port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    http_bind_address: Option<String>,
    /// End after the questions
    #[arg(long)]
    once: bool,
}

impl DemoArguments {
    pub fn run(self) -> Result<()> {
        server::start_logging("warn")?;
        server::on_runtime(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let stopping = stop::requested()?;
        let memory = Budget::new(machine::limit().0, &BudgetLimits::default());
        memory.enforce();
        let engine = server::open(EngineSettings::at(&self.data_dir).within(memory)).await?;
        let listener = self.listen().await?;
        let url = server::url(listener.local_addr()?);
        let token = token::of_demo(&engine, &self.data_dir)?;
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let until = {
            let stopping = stopping.clone();
            async move {
                tokio::select! {
                    () = stopping => {}
                    _ = ended => {}
                }
            }
        };
        let served = tokio::spawn(http::serve(engine.clone(), listener, HttpSettings::default(), until));
        let shown = {
            let (url, token, once) = (url.clone(), token.clone(), self.once);
            tokio::task::spawn_blocking(move || show(&url, &token, once))
        };
        // Ctrl-C while the data is loaded or a question is asked ends the demo too.
        let outcome = tokio::select! {
            shown = shown => shown.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic())),
            () = stopping.clone() => Ok(()),
        };
        if !self.once && outcome.is_ok() {
            stopping.await;
            say("\nstopping\n")?;
        }
        // Nobody waits for it any more only when the server has ended already.
        let _ = end.send(());
        let served = served.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
        outcome.and(served).and(engine.close().await)
    }

    async fn listen(&self) -> Result<TcpListener> {
        if let Some(address) = &self.http_bind_address {
            return server::listen(address).await;
        }
        match server::listen(ADDRESS_DEFAULT).await {
            Err(failure) if failure.kind == ErrorKind::Unavailable => {
                say(&format!("{failure}\nTaking a free port instead.\n"))?;
                server::listen("127.0.0.1:0").await
            }
            listening => listening,
        }
    }
}

/// What the demo shows: everything through HTTP, as any client would.
fn show(url: &str, token: &str, once: bool) -> Result<()> {
    let server = Server::at(url, Identity::Token(token.into()), false, false)?;
    say(&format!("Tidegauge {} is listening on {url}\n", env!("CARGO_PKG_VERSION")))?;
    load::unless_there(&server)?;
    questions::ask_all(&server)?;
    if once {
        return Ok(());
    }
    let program = std::env::args().next().unwrap_or_else(|| "tidegauge".into());
    say(&invitation(&program, url, token))
}

/// The commands name all that a config of the reader's could say otherwise.
fn invitation(program: &str, url: &str, token: &str) -> String {
    let flags = format!("--host {url} --token {token} --org {NAME}");
    format!(
        "The server stays up.

  url    {url}
  org    {NAME}
  bucket {NAME}
  token  {token}

Try in another terminal:

  {program} console {flags} --bucket {NAME}
  {program} query {flags} 'from(bucket: \"{NAME}\") |> range(start: 0) |> filter(fn: (r) => r._measurement == \"mem\") |> last()'
  {program} write {flags} --bucket {NAME} 'training,run=first loss=0.25,step=1i'

Ctrl-C ends it; the data stays.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_depend_on_no_config() {
        let text = invitation("tidegauge", "http://127.0.0.1:1", "t0");
        let commands: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("tidegauge ")).collect();
        let names: Vec<&str> = commands.iter().filter_map(|command| command.split(' ').next()).collect();
        assert_eq!(names, ["console", "query", "write"]);
        assert!(commands.iter().all(|c| c.contains(" --host http://127.0.0.1:1 --token t0 --org demo ")), "{text}");
    }
}
