//! When to stop: SIGINT (Ctrl-C) or SIGTERM. The second one ends the process at once.

use crate::model::Result;
use tokio::sync::watch;

/// Listens from now on; the future is ready when the first signal came.
pub fn requested() -> Result<impl Future<Output = ()> + Clone + Send + 'static> {
    use futures::FutureExt;
    let (told, mut telling) = watch::channel(false);
    let mut signals = Signals::listen()?;
    tokio::spawn(async move {
        signals.next().await;
        // Nobody listens any more only when the server has ended by itself.
        let _ = told.send(true);
        signals.next().await;
        eprintln!("stopped at the second signal; what was acknowledged is in the log");
        std::process::exit(1);
    });
    Ok(async move {
        let _ = telling.wait_for(|told| *told).await;
    }
    .boxed()
    .shared())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
