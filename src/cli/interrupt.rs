//! Ctrl-C as the wish to end what is going on, while the program stays: for the console.

use crate::model::{ErrorKind, Failure, Result};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Until somebody listens, Ctrl-C ends the program as ever.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Default)]
struct State {
    listening: AtomicBool,
    /// Cancelled by the first Ctrl-C since the last [`Interrupt::forget`].
    wanted: Mutex<CancellationToken>,
}

impl Interrupt {
    /// Takes over Ctrl-C for the rest of the program's life.
    pub fn listen(&self, runtime: &Handle) {
        if self.0.listening.swap(true, Ordering::Relaxed) {
            return;
        }
        let state = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            // Without a handler (an error here) Ctrl-C goes on to end the program.
            while tokio::signal::ctrl_c().await.is_ok() {
                let Some(state) = state.upgrade() else { return };
                state.wanted.lock().cancel();
            }
        });
    }

    /// Something new begins: what was interrupted is over.
    pub fn forget(&self) {
        *self.0.wanted.lock() = CancellationToken::new();
    }

    /// Cancelled when the user has had enough.
    pub fn wanted(&self) -> CancellationToken {
        self.0.wanted.lock().clone()
    }

    /// Fails when it is.
    pub fn check(&self) -> Result<()> {
        if self.wanted().is_cancelled() { Err(Interrupt::failure()) } else { Ok(()) }
    }

    pub fn failure() -> Failure {
        Failure::new(ErrorKind::Unavailable, "interrupted")
    }
}
