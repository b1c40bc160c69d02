//! The life of a server: open, say so, answer, drain, close.

use super::super::{first_start, output::say, settings::Settings, stop};
use crate::{
    engine::{Engine, EngineSettings},
    http,
    memory::{Budget, allocator::settle_thread, machine::LimitSource, shown},
    model::{ErrorKind, Failure, Result},
    query::session::STACK_BYTES,
};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// Time for queries that were cancelled to let go of what they hold.
const CLOSING: Duration = Duration::from_secs(1);

/// Runs `work` on the threads of a server. What is left on them then does not keep the process.
pub fn on_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).on_thread_stop(settle_thread).enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(CLOSING);
    done
}

/// Logs go to stderr, so that stdout is the banner's.
pub fn start_logging(level: &str) -> Result<()> {
    let filter = EnvFilter::try_new(level).map_err(|e| Failure::invalid(format!("log-level `{level}` cannot be read: {e}")))?;
    // A second call (the demo, tests) leaves the first one's choice.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
    Ok(())
}

pub async fn serve(settings: Settings) -> Result<()> {
    let stopping = stop::requested()?;
    // The address first: it is what most often cannot be had.
    let listener = listen(&settings.bind_address).await?;
    let address = listener.local_addr()?;
    let (data_dir, store) = (settings.engine.data_dir.clone(), settings.engine.store.clone());
    settings.engine.memory.enforce();
    if settings.code_huge_pages {
        code_on_huge_pages();
    }
    let engine = tokio::select! {
        opened = open(settings.engine) => opened?,
        () = stopping.clone() => return Ok(()),
    };
    let by_environment = first_start::set_up(&engine)?;
    tracing::info!("memory {}", memory(engine.memory(), &settings.memory_source));
    say(&banner(&engine, &data_dir, store.as_deref(), address, by_environment, &settings.memory_source))?;
    let served = http::serve(engine.clone(), listener, settings.http, stopping).await;
    tracing::info!("stopping: writing what is buffered to files");
    let closed = engine.close().await;
    tracing::info!("stopped");
    served.and(closed)
}

/// While the server opens: nothing waits for it, and nothing needs it.
fn code_on_huge_pages() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    tokio::task::spawn_blocking(|| match crate::memory::code::onto_huge_pages() {
        Ok(0) => {}
        Ok(bytes) => tracing::debug!("{} of code may be on huge pages", shown(bytes)),
        Err(error) => tracing::info!("the code stays where it is, not on huge pages: {error}"),
    });
}

pub async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        let hint = match e.kind() {
            std::io::ErrorKind::AddrInUse => "; something listens there already: stop it, or choose another --http-bind-address",
            std::io::ErrorKind::InvalidInput => "; write it like 127.0.0.1:8086 or :8086",
            _ => "",
        };
        Failure::new(ErrorKind::Unavailable, format!("cannot listen on {address}: {e}{hint}"))
    })
}

pub async fn open(settings: EngineSettings) -> Result<Engine> {
    let engine = Engine::open(settings).await?;
    for damage in engine.damage() {
        tracing::warn!(file = %damage.file, "damage on disk: {}", damage.what);
    }
    Ok(engine)
}

/// Where a person on this machine finds the server.
pub fn url(address: SocketAddr) -> String {
    let host = if address.ip().is_unspecified() { "localhost".to_string() } else { address.ip().to_string() };
    let host = if address.is_ipv6() && !address.ip().is_unspecified() { format!("[{host}]") } else { host };
    format!("http://{host}:{}", address.port())
}

/// `512.0 MiB of the machine: buffer 102.4 MiB, files 76.8 MiB, ...`: who may have what.
fn memory(memory: &Budget, source: &LimitSource) -> String {
    let shares: Vec<String> = memory.shares().iter().map(|share| format!("{} {}", share.name(), shown(share.limit()))).collect();
    format!("{} {source}: {}", shown(memory.total), shares.join(", "))
}

fn banner(
    engine: &Engine,
    data_dir: &Path,
    store: Option<&str>,
    address: SocketAddr,
    by_environment: bool,
    memory_source: &LimitSource,
) -> String {
    let url = url(address);
    let shown = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.into());
    let mut lines = vec![
        format!("Tidegauge {} (speaks the API of InfluxDB {})", env!("CARGO_PKG_VERSION"), http::VERSION),
        format!("  data  {}", shown.display()),
        format!("  url   {url}  (listening on {address})"),
    ];
    lines.extend(store.map(|store| format!("  rows  {store}")));
    lines.push(format!("  mem   {}", memory(engine.memory(), memory_source)));
    if by_environment {
        lines.push("Set up from DOCKER_INFLUXDB_INIT_*.".into());
    }
    if engine.catalog().is_set_up() {
        lines.push("Ready. Ctrl-C stops it cleanly.".into());
    } else {
        let command = "tidegauge setup --username admin --password CHANGE-ME --org my-org --bucket my-bucket --force";
        lines.push(format!("Ready, and new: nobody can sign in yet. Set it up with\n\n  {command} --host {url}\n"));
        lines.push("or POST /api/v2/setup. Ctrl-C stops it cleanly.".into());
    }
    lines.join("\n") + "\n"
}
