//! The merging t-digest behind Flux's `quantile(method: "estimate_tdigest")`, in behaviour that of
//! github.com/influxdata/tdigest: even small tables are interpolated between centroids there, so the answers differ
//! from textbook quantiles and have to be matched rather than improved.

use std::f64::consts::{FRAC_PI_2, PI};

/// Flux's default.
pub const DEFAULT_COMPRESSION: f64 = 1000.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centroid {
    pub mean: f64,
    pub weight: f64,
}

/// A sketch of a distribution: values wait in `incoming` until there are many, then all are merged in one sweep
/// under a scale function that keeps centroids small at both ends.
#[derive(Debug, Clone)]
pub struct TDigest {
    compression: f64,
    merged: Vec<Centroid>,
    merged_weight: f64,
    incoming: Vec<Centroid>,
    incoming_weight: f64,
    min: f64,
    max: f64,
}

impl Default for TDigest {
    fn default() -> TDigest {
        TDigest::new(DEFAULT_COMPRESSION)
    }
}

impl TDigest {
    pub fn new(compression: f64) -> TDigest {
        TDigest { compression, merged: vec![], merged_weight: 0.0, incoming: vec![], incoming_weight: 0.0, min: f64::MAX, max: -f64::MAX }
    }

    /// One value; NaN is ignored.
    pub fn push(&mut self, value: f64) {
        self.push_centroid(Centroid { mean: value, weight: 1.0 });
    }

    pub fn push_centroid(&mut self, centroid: Centroid) {
        if centroid.mean.is_nan() || !(centroid.weight > 0.0 && centroid.weight.is_finite()) {
            return;
        }
        self.incoming.push(centroid);
        self.incoming_weight += centroid.weight;
        let unit = self.compression.ceil() as usize;
        if self.merged.len() > 2 * unit || self.incoming.len() > 8 * unit {
            self.compress();
        }
    }

    pub fn merge(&mut self, mut other: TDigest) {
        other.compress();
        // A centroid's mean hides the extremes of its values.
        let (min, max) = (other.min, other.max);
        other.merged.into_iter().for_each(|c| self.push_centroid(c));
        (self.min, self.max) = (self.min.min(min), self.max.max(max));
    }

    /// All centroids, values waiting included.
    pub fn centroids(&mut self) -> &[Centroid] {
        self.compress();
        &self.merged
    }

    fn compress(&mut self) {
        if self.incoming.is_empty() {
            return;
        }
        self.incoming.append(&mut self.merged);
        self.incoming.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        self.merged_weight += std::mem::take(&mut self.incoming_weight);

        let total = self.merged_weight;
        let mut current = self.incoming[0];
        let mut so_far = current.weight;
        let mut limit = total * self.share_at(1.0);
        for next in &self.incoming[1..] {
            if so_far + next.weight <= limit {
                current.weight += next.weight;
                current.mean += next.weight * (next.mean - current.mean) / current.weight;
            } else {
                limit = total * self.share_at(self.place_of(so_far / total) + 1.0);
                self.merged.push(std::mem::replace(&mut current, *next));
            }
            so_far += next.weight;
        }
        self.merged.push(current);
        self.incoming.clear();
        self.min = self.min.min(self.merged[0].mean);
        self.max = self.max.max(current.mean);
    }

    /// The scale function: share of the weight below place `k` of `compression` places.
    fn share_at(&self, k: f64) -> f64 {
        ((k.min(self.compression) * PI / self.compression - FRAC_PI_2).sin() + 1.0) / 2.0
    }

    /// Its inverse.
    fn place_of(&self, share: f64) -> f64 {
        self.compression * ((2.0 * share - 1.0).asin() + FRAC_PI_2) / PI
    }

    /// The value below which a share `q` of the weight lies. `None` without values; NaN for `q` outside 0..=1.
    pub fn quantile(&mut self, q: f64) -> Option<f64> {
        self.compress();
        let (first, last) = (*self.merged.first()?, *self.merged.last()?);
        if !(0.0..=1.0).contains(&q) {
            return Some(f64::NAN);
        }
        if self.merged.len() == 1 {
            return Some(first.mean);
        }
        let index = q * self.merged_weight;
        if index <= first.weight / 2.0 {
            return Some(self.min + 2.0 * index / first.weight * (first.mean - self.min));
        }
        // Centroid i stands at the weight before it plus half its own.
        let mut before = 0.0;
        let mut left = 0.0;
        for (i, centroid) in self.merged.iter().enumerate() {
            let place = before + centroid.weight / 2.0;
            if place >= index {
                let previous = self.merged[i - 1].mean;
                return Some(weighted(previous, place - index, centroid.mean, index - left));
            }
            (left, before) = (place, before + centroid.weight);
        }
        // Past the last centroid's middle. The weights are those of the original, odd as they are.
        let z1 = index - self.merged_weight - last.weight / 2.0;
        let z2 = last.weight / 2.0 - z1;
        Some(weighted(last.mean, z1, self.max, z2))
    }
}

/// Weighted mean of two values, never outside of them.
fn weighted(a: f64, weight_a: f64, b: f64, weight_b: f64) -> f64 {
    let mean = (a * weight_a + b * weight_b) / (weight_a + weight_b);
    mean.min(a.max(b)).max(a.min(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(values: &[f64], q: f64) -> Option<f64> {
        let mut digest = TDigest::default();
        values.iter().for_each(|v| digest.push(*v));
        digest.quantile(q)
    }

    #[test]
    fn small_tables() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.5), Some(3.0));
        // Two values: halfway between the centroids' middles, not a step.
        assert_eq!(quantile(&[1.0, 3.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.0), Some(1.0));
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 1.0), Some(3.0));
    }

    #[test]
    fn close_to_exact_for_many_values() {
        let values: Vec<f64> = (0..100_000).map(|i| f64::from((i * 7919) % 100_003)).collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for q in [0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999] {
            let exact = sorted[(q * 99_999.0) as usize];
            let got = quantile(&values, q).unwrap_or(f64::NAN);
            assert!((got - exact).abs() < 100.0, "{q}: {got} for {exact}");
        }
    }

    #[test]
    fn merging_parts() {
        let mut left = TDigest::default();
        let mut right = TDigest::default();
        (0..5000).for_each(|i| left.push(f64::from(i)));
        (5000..10_000).for_each(|i| right.push(f64::from(i)));
        left.merge(right);
        assert!(left.quantile(0.5).is_some_and(|m| (m - 5000.0).abs() < 10.0));
        assert_eq!(left.quantile(1.0), Some(9999.0));
        assert!(left.centroids().len() <= 2000);
    }
}
