//! Forecasts by Holt and Winters' damped method: level, trend and, with a season of at least two, seasonal factors.
//!
//! The recursion and the grid of first guesses are those that Flux (v0.200) and InfluxQL (1.8) share; the best parameters
//! are looked for with Flux's optimiser, so InfluxQL's answers may differ from 1.8 in the digits its own optimiser reaches.

use super::nelder_mead::minimize;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// One value per interval: the fit over the data first, when asked for, then the values to come.
    pub values: Vec<f64>,
    /// Least sum of squared errors over the data.
    pub min_sse: f64,
}

/// `values` are one per interval, `None` where the data has a gap; the first is present. `season` below 2: none.
/// `None` when there is too little data (fewer than two values, or less than a season) or nothing to forecast.
pub fn holt_winters(values: &[Option<f64>], count: usize, season: usize, with_fit: bool) -> Option<Forecast> {
    let seasonal = season >= 2;
    let first = values.first().copied().flatten()?;
    if values.len() < 2 || seasonal && values.len() < season || count == 0 {
        return None;
    }
    let m = season as f64;
    let mut start = vec![0.0; 6];
    if seasonal {
        start[4] = values[..season].iter().flatten().map(|v| v / m).sum();
        let pairs = values.iter().zip(&values[season..]).take(season);
        start[5] = pairs.filter_map(|(a, b)| Some((b.as_ref()? - a.as_ref()?) / (m * m))).sum();
        let level = start[4];
        start.extend(values[..season].iter().map(|v| v.map_or(1.0, |v| v / level)));
    } else {
        start[4] = 0.5 * first;
        start[5] = values[1].map_or(0.0, |second| 0.5 * (second - first));
    }
    let length = values.len();
    let error = |parameters: &[f64]| -> f64 {
        let fit = run(parameters, first, length);
        fit.iter().zip(values).filter_map(|(f, v)| v.map(|v| (f - v).powi(2))).sum()
    };
    let guesses = [0.3, 0.7];
    let mut best: Option<(f64, Vec<f64>)> = None;
    for place in 0..16 {
        for (i, parameter) in start[..4].iter_mut().enumerate() {
            *parameter = guesses[place >> (3 - i) & 1];
        }
        let found = minimize(error, &start, 1e-4, 100);
        if best.as_ref().is_none_or(|b| found.0 < b.0) {
            best = Some(found);
        }
    }
    let (min_sse, parameters) = best?;
    let mut values = run(&parameters, first, length + count);
    if !with_fit {
        values.drain(..length);
    }
    Some(Forecast { values, min_sse })
}

/// The recursion: `parameters` are alpha, beta, gamma, phi (held within 0..=1), level, trend and seasonal factors.
fn run(parameters: &[f64], first: f64, length: usize) -> Vec<f64> {
    let [alpha, beta, gamma, phi] = std::array::from_fn(|i| parameters[i].clamp(0.0, 1.0));
    let (mut y, mut level, mut trend) = (first, parameters[4], parameters[5]);
    // A ring of the last seasonal factors.
    let mut factors = parameters[6..].to_vec();
    let m = factors.len();
    let mut shift = m.wrapping_sub(1);
    let mut phi_sum = phi;
    let mut out = Vec::with_capacity(length);
    out.push(y);
    for t in 1..length {
        let (before, ahead) = match m {
            0 => (1.0, 1.0),
            _ => (factors[(t + shift) % m], factors[(t + t % m + shift) % m]),
        };
        let expected = level + phi * trend;
        let new_level = alpha * (y / before) + (1.0 - alpha) * expected;
        trend = beta * (new_level - level) + (1.0 - beta) * phi * trend;
        let factor = gamma * (y / expected) + (1.0 - gamma) * before;
        level = new_level;
        y = (level + phi_sum * trend) * ahead;
        phi_sum += phi.powf(t as f64);
        if m > 0 {
            factors[(t + shift) % m] = factor;
            shift += 1;
        }
        out.push(y);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_series_stays() {
        let values = vec![Some(10.0); 12];
        let forecast = holt_winters(&values, 3, 0, false).expect("enough data");
        assert_eq!(forecast.values.len(), 3);
        assert!(forecast.values.iter().all(|v| (v - 10.0).abs() < 0.5), "{forecast:?}");
        assert_eq!(holt_winters(&values, 3, 4, true).map(|f| f.values.len()), Some(15));
    }

    #[test]
    fn too_little_data() {
        assert_eq!(holt_winters(&[Some(1.0)], 3, 0, false), None);
        assert_eq!(holt_winters(&[Some(1.0), Some(2.0)], 3, 4, false), None);
        assert_eq!(holt_winters(&[Some(1.0), Some(2.0)], 0, 0, false), None);
    }
}
