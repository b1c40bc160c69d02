//! Covariance and Pearson's correlation of two columns in one pass (Welford; Flux v0.200 `covariance.go`).

#[derive(Debug, Clone, Copy, Default)]
pub struct Covariance {
    pub count: f64,
    pub mean_x: f64,
    pub mean_y: f64,
    pub m2_x: f64,
    pub m2_y: f64,
    pub co: f64,
}

impl Covariance {
    /// One row; rows that miss either value are not pushed.
    pub fn push(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let (dx, dy) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += dx / self.count;
        self.mean_y += dy / self.count;
        self.m2_x += dx * (x - self.mean_x);
        self.m2_y += dy * (y - self.mean_y);
        self.co += dx * (y - self.mean_y);
    }

    /// Covariance of a sample; NaN for fewer than two rows.
    pub fn covariance(&self) -> f64 {
        if self.count < 2.0 { f64::NAN } else { self.co / (self.count - 1.0) }
    }

    /// Pearson's r; NaN for fewer than two rows or a column that does not vary.
    pub fn pearson(&self) -> f64 {
        if self.count < 2.0 { f64::NAN } else { self.co / (self.m2_x * self.m2_y).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        // numpy.cov([1, 2, 3, 4], [2, 1, 4, 3])[0][1] = 1.0; numpy.corrcoef(...)[0][1] = 0.6
        let mut state = Covariance::default();
        [(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0)].into_iter().for_each(|(x, y)| state.push(x, y));
        assert!((state.covariance() - 1.0).abs() < 1e-14 && (state.pearson() - 0.6).abs() < 1e-14);
        assert!(Covariance::default().covariance().is_nan());
    }
}
