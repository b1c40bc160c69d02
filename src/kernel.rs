//! Loops: one operation per file, as free functions on slices and as small streaming states for a table that
//! arrives in several batches. A kernel takes numbers and gives numbers.
//!
//! Kernels have never heard of Arrow, of plans, or of a query language; where Flux and InfluxQL disagree about an
//! operation, the difference is a parameter and the comment names the product. A missing value is `None` in a
//! streaming state and a `false` in a validity slice. The CPU loops here are the truth that a GPU is compared with.

pub mod number;
// A row from the row before.
pub mod cumulative_sum;
pub mod derivative;
pub mod difference;
pub mod elapsed;
pub mod fill;
pub mod state_tracking;
// A row from the rows before.
pub mod chande_momentum_oscillator;
pub mod exponential_moving_average;
pub mod kaufmans;
pub mod moving_average;
pub mod relative_strength_index;
// A number from a column.
pub mod covariance;
pub mod histogram_quantile;
pub mod integral;
pub mod linear_regression;
pub mod mode;
pub mod quantile;
pub mod skew;
pub mod spread;
pub mod tdigest;
pub mod variance;
// Forecasts.
pub mod holt_winters;
pub mod nelder_mead;
// Time windows.
pub mod time_window;
// Places.
pub mod sphere;

pub use number::Number;

#[cfg(test)]
mod tests;
