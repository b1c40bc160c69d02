//! Time between neighbouring rows, in whole units, truncated.

/// InfluxQL `elapsed`: exact integers (InfluxDB 1.8).
pub fn elapsed(earlier: i64, time: i64, unit_ns: i64) -> i64 {
    time.saturating_sub(earlier) / unit_ns
}

/// Flux `elapsed`: both times become floats **before** they are subtracted (Flux v0.200 `elapsed.go`), so for times
/// of our century differences below 256 ns are lost: `elapsed(unit: 1ns)` between two rows 100 ns apart gives 0 or 256.
pub fn elapsed_as_flux(earlier: i64, time: i64, unit_ns: i64) -> i64 {
    ((time as f64 - earlier as f64) / unit_ns as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates() {
        assert_eq!(elapsed(0, 2_999_999_999, 1_000_000_000), 2);
        assert_eq!(elapsed(2_999_999_999, 0, 1_000_000_000), -2);
        assert_eq!(elapsed_as_flux(0, 2_999_999_999, 1_000_000_000), 2);
    }

    #[test]
    fn flux_loses_what_a_float_cannot_hold() {
        let t = 1_600_000_000_000_000_000;
        assert_eq!(elapsed(t, t + 100, 1), 100);
        assert_eq!(elapsed_as_flux(t, t + 100, 1), 0);
    }
}
