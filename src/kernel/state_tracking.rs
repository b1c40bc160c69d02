//! How long a condition has held: number of rows and time (Flux `stateTracking`, `stateCount`, `stateDuration`).
//!
//! Outside the state both are -1. The row that enters the state counts 1 and lasts 0; later durations are
//! `(time - time of entry) / unit`, an integer division (Flux v0.200 `state_tracking.go`).

#[derive(Debug, Clone)]
pub struct StateTracking {
    unit_ns: i64,
    /// Rows in the state so far and the time of entry.
    inside: Option<(i64, i64)>,
}

/// What a row is told about its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub count: i64,
    pub duration: i64,
}

impl StateTracking {
    pub fn new(unit_ns: i64) -> StateTracking {
        StateTracking { unit_ns: unit_ns.max(1), inside: None }
    }

    pub fn push(&mut self, time: i64, holds: bool) -> State {
        if !holds {
            self.inside = None;
            return State { count: -1, duration: -1 };
        }
        let (count, since) = self.inside.map_or((1, time), |(count, since)| (count + 1, since));
        self.inside = Some((count, since));
        State { count, duration: time.saturating_sub(since) / self.unit_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_lasts() {
        let mut state = StateTracking::new(10);
        let rows = [(0, false), (10, true), (25, true), (60, true), (70, false), (80, true)];
        let told = rows.map(|(t, holds)| state.push(t, holds)).map(|s| (s.count, s.duration));
        assert_eq!(told, [(-1, -1), (1, 0), (2, 1), (3, 5), (-1, -1), (1, 0)]);
    }
}
