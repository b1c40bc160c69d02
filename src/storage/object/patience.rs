//! How long a store is asked again, and what is said when it was in vain.

use crate::clock::Randomness;
use std::{error::Error, time::Duration};
use tokio::time::Instant;

/// How often, after which pauses and for how long a failed request is sent again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Of one request; at least 1.
    pub attempts: u32,
    /// Before the second attempt at most, and half of it at least; it doubles with each. A server that asks for a longer one gets it.
    pub first_pause: Duration,
    /// None begins later than this after the first one.
    pub patience: Duration,
    /// Until a reply over the network is there, with its last byte.
    pub reply_within: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        let (patience, reply_within) = (Duration::from_secs(60), Duration::from_secs(120));
        Retry { attempts: 5, first_pause: Duration::from_millis(200), patience, reply_within }
    }
}

/// Before any attempt.
pub const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Those at one request.
pub struct Attempts<'a> {
    retry: Retry,
    spread: &'a Randomness,
    made: u32,
    since: Instant,
}

impl Attempts<'_> {
    /// The first one is under way.
    pub fn new(retry: Retry, spread: &Randomness) -> Attempts<'_> {
        Attempts { retry, spread, made: 1, since: Instant::now() }
    }

    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether the one under way is not the first.
    pub fn repeated(&self) -> bool {
        self.made > 1
    }

    /// Waits until it is time for another one; false when it was the last.
    pub async fn another(&mut self, error: &object_store::Error) -> bool {
        if self.made >= self.retry.attempts || self.since.elapsed() >= self.retry.patience {
            return false;
        }
        let pause = self.pause();
        tracing::debug!(attempt = self.made, ?pause, %error, "store request failed, trying again");
        tokio::time::sleep(pause).await;
        self.made += 1;
        true
    }

    /// Those who failed together do not come back together.
    fn pause(&self) -> Duration {
        let longest = self.retry.first_pause.saturating_mul(1 << (self.made - 1).min(16)).min(PAUSE_MAX);
        longest.mul_f64(self.spread.in_range(0.5..1.0))
    }
}

/// An error with all that caused it, in one line. The outer ones often say no more than that something failed.
pub fn cause_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("sending failed")]
    struct Sending(#[source] std::io::Error);

    fn failed() -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: Box::new(Sending(std::io::ErrorKind::ConnectionRefused.into())) }
    }

    #[tokio::test]
    async fn pauses_grow_are_spread_and_end() {
        let retry = Retry { attempts: 8, first_pause: Duration::from_secs(1), ..Retry::default() };
        let pauses = |seed: u64| {
            let spread = Randomness::seeded(seed);
            let pause = |made| Attempts { made, ..Attempts::new(retry, &spread) }.pause().as_secs_f64();
            (1..8).map(pause).collect::<Vec<_>>()
        };
        let (one, other) = (pauses(1), pauses(2));
        assert_ne!(one, other);
        for (pause, longest) in one.iter().chain(&other).zip([1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0].iter().cycle()) {
            assert!((longest / 2.0..*longest).contains(pause), "{pause} of {longest}");
        }
        let spread = Randomness::seeded(1);
        for (patience, expected) in [(Duration::MAX, 8), (Duration::ZERO, 1)] {
            let mut attempts = Attempts::new(Retry { first_pause: Duration::ZERO, patience, ..retry }, &spread);
            while attempts.another(&failed()).await {}
            assert_eq!(attempts.made(), expected);
        }
    }

    #[test]
    fn the_innermost_cause_is_named() {
        assert_eq!(cause_of(&failed()), "Generic S3 error: sending failed: connection refused");
    }
}
