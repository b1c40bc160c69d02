//! Exponential moving averages, as Flux and as InfluxQL define them, with their compositions.
//!
//! Both weigh a new value with `2 / (n + 1)`; they differ in how they begin and in what they do with missing values.

/// Flux's `exponentialMovingAverage` (v0.200 `exponential_moving_average.go`).
///
/// The first average stands at row `n`: the plain mean of the values present among the first `n` rows. Later a
/// missing value repeats the last average. When all of the first `n` are missing, the first value that comes is the
/// first average.
#[derive(Debug, Clone)]
pub struct FluxEma {
    n: usize,
    weight: f64,
    rows: usize,
    present: usize,
    /// Sum of the first values until row `n`, the average afterwards.
    value: f64,
}

impl FluxEma {
    pub fn new(n: usize) -> FluxEma {
        let n = n.max(1);
        FluxEma { n, weight: 2.0 / (n as f64 + 1.0), rows: 0, present: 0, value: 0.0 }
    }

    /// `None` before row `n`; then the average, missing while no value has been seen.
    pub fn push(&mut self, value: Option<f64>) -> Option<Option<f64>> {
        self.rows += 1;
        if self.rows <= self.n {
            if let Some(value) = value {
                self.value += value;
                self.present += 1;
            }
            if self.rows < self.n {
                return None;
            }
            if self.present > 0 {
                self.value /= self.present as f64;
            }
        } else if let Some(value) = value {
            self.value = if self.present == 0 { value } else { value * self.weight + self.value * (1.0 - self.weight) };
            self.present += 1;
        }
        Some((self.present > 0).then_some(self.value))
    }

    /// After the last row: the mean so far when there were rows but fewer than `n`.
    pub fn finish(&self) -> Option<Option<f64>> {
        (self.rows > 0 && self.rows < self.n).then(|| (self.present > 0).then(|| self.value / self.present as f64))
    }
}

/// Flux's `tripleExponentialDerivative` (v0.200): percentage by which the average of the average of the average
/// changes from row to row. The first result stands at row `3n - 1` (counted from one).
#[derive(Debug, Clone)]
pub struct FluxTripleExponentialDerivative {
    averages: [FluxEma; 3],
    last: Option<Option<f64>>,
}

impl FluxTripleExponentialDerivative {
    pub fn new(n: usize) -> FluxTripleExponentialDerivative {
        FluxTripleExponentialDerivative { averages: [FluxEma::new(n), FluxEma::new(n), FluxEma::new(n)], last: None }
    }

    /// `None` while the averages warm up; then the percentage, missing when either average is.
    pub fn push(&mut self, value: Option<f64>) -> Option<Option<f64>> {
        let [first, second, third] = &mut self.averages;
        let average = first.push(value).and_then(|a| second.push(a)).and_then(|a| third.push(a))?;
        let last = self.last.replace(average)?;
        Some(average.zip(last).map(|(now, before)| (now / before - 1.0) * 100.0))
    }
}

/// How an InfluxQL average begins, before it has seen as many values as its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Warmup {
    /// Weight `2 / (k + 1)` at the k-th value.
    #[default]
    Exponential,
    /// The plain mean so far.
    Simple,
}

/// InfluxQL's average, one number per value from the first (InfluxDB 1.8). The caller leaves out the values before
/// the hold period.
#[derive(Debug, Clone)]
pub struct Ema {
    period: usize,
    weight: f64,
    warmup: Warmup,
    seen: usize,
    last: f64,
}

impl Ema {
    pub fn new(period: usize, warmup: Warmup) -> Ema {
        Ema { period, weight: 2.0 / (period as f64 + 1.0), warmup, seen: 0, last: 0.0 }
    }

    /// With another weight than `2 / (period + 1)`: relative strength uses `1 / n` over a period of `n + 1`.
    pub fn with_weight(self, weight: f64) -> Ema {
        Ema { weight, ..self }
    }

    /// Values left out by default: `period - 1`.
    pub fn hold(&self) -> usize {
        self.period.saturating_sub(1)
    }

    pub fn is_warm(&self) -> bool {
        self.seen >= self.period
    }

    pub fn last(&self) -> f64 {
        self.last
    }

    pub fn push(&mut self, value: f64) -> f64 {
        let seen = self.seen as f64;
        self.last = match (self.seen, self.is_warm(), self.warmup) {
            (0, _, _) => value,
            (_, true, _) => (value - self.last) * self.weight + self.last,
            (_, false, Warmup::Simple) => (self.last * seen + value) / (seen + 1.0),
            (_, false, Warmup::Exponential) => (value - self.last) * (2.0 / (seen + 2.0)) + self.last,
        };
        self.seen = (self.seen + 1).min(self.period);
        self.last
    }

    /// Whether what this average gives may feed the next one.
    fn feeds(&self) -> bool {
        self.warmup == Warmup::Exponential || self.is_warm()
    }
}

/// InfluxQL `double_exponential_moving_average`: `2 a - a(a)`.
#[derive(Debug, Clone)]
pub struct DoubleEma([Ema; 2]);

impl DoubleEma {
    pub fn new(period: usize, warmup: Warmup) -> DoubleEma {
        DoubleEma(std::array::from_fn(|_| Ema::new(period, warmup)))
    }

    /// Values left out by default.
    pub fn hold(&self) -> usize {
        self.0[0].hold() * if self.0[0].warmup == Warmup::Simple { 2 } else { 1 }
    }

    pub fn push(&mut self, value: f64) -> f64 {
        let [first, second] = &mut self.0;
        let a = first.push(value);
        let b = if first.feeds() { second.push(a) } else { a };
        2.0 * a - b
    }
}

/// InfluxQL `triple_exponential_moving_average`: `3 a - 3 a(a) + a(a(a))`.
#[derive(Debug, Clone)]
pub struct TripleEma([Ema; 3]);

impl TripleEma {
    pub fn new(period: usize, warmup: Warmup) -> TripleEma {
        TripleEma(std::array::from_fn(|_| Ema::new(period, warmup)))
    }

    /// Values left out by default.
    pub fn hold(&self) -> usize {
        self.0[0].hold() * if self.0[0].warmup == Warmup::Simple { 3 } else { 1 }
    }

    pub fn push(&mut self, value: f64) -> f64 {
        let [first, second, third] = &mut self.0;
        let a = first.push(value);
        let b = if first.feeds() { second.push(a) } else { a };
        let c = if second.feeds() { third.push(b) } else { b };
        3.0 * a - 3.0 * b + c
    }
}

/// InfluxQL `triple_exponential_derivative`, in percent. The first value has nothing before it and gives an infinity
/// (or NaN), which the caller leaves out.
#[derive(Debug, Clone)]
pub struct TripleExponentialDerivative {
    averages: [Ema; 3],
    last: f64,
}

impl TripleExponentialDerivative {
    pub fn new(period: usize, warmup: Warmup) -> TripleExponentialDerivative {
        TripleExponentialDerivative { averages: std::array::from_fn(|_| Ema::new(period, warmup)), last: 0.0 }
    }

    /// Values left out by default.
    pub fn hold(&self) -> usize {
        self.averages[0].hold() * if self.averages[0].warmup == Warmup::Simple { 3 } else { 1 } + 1
    }

    pub fn push(&mut self, value: f64) -> f64 {
        let [first, second, third] = &mut self.averages;
        let mut now = first.push(value);
        if first.feeds() {
            now = second.push(now);
            if second.feeds() {
                now = third.push(now);
            }
        }
        let before = std::mem::replace(&mut self.last, now);
        (now / before - 1.0) * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn flux_begins_with_the_plain_mean() {
        let mut state = FluxEma::new(3);
        let got = [Some(1.0), None, Some(3.0), Some(6.0), None].map(|v| state.push(v));
        assert_eq!(got, [None, None, Some(Some(2.0)), Some(Some(4.0)), Some(Some(4.0))]);
    }

    #[test]
    fn flux_with_nothing_at_first() {
        let mut state = FluxEma::new(2);
        assert_eq!([None, None, Some(5.0), Some(8.0)].map(|v| state.push(v)), [None, Some(None), Some(Some(5.0)), Some(Some(7.0))]);
        let mut short = FluxEma::new(4);
        short.push(Some(1.0));
        short.push(Some(2.0));
        assert_eq!(short.finish(), Some(Some(1.5)));
    }

    #[test]
    fn influxql_warmups() {
        // Measured on InfluxDB 1.6.7: n = 2 over 1, 2 gives 1.667 at the second value.
        let mut exponential = Ema::new(2, Warmup::Exponential);
        exponential.push(1.0);
        close(exponential.push(2.0), 5.0 / 3.0);
        let mut simple = Ema::new(2, Warmup::Simple);
        simple.push(1.0);
        close(simple.push(2.0), 1.5);
        close(simple.push(3.0), 2.5);
    }

    #[test]
    fn a_straight_line_is_followed_by_double_and_triple() {
        let mut double = DoubleEma::new(3, Warmup::Exponential);
        let mut triple = TripleEma::new(3, Warmup::Exponential);
        for i in 0..200 {
            let (d, t) = (double.push(f64::from(i)), triple.push(f64::from(i)));
            if i > 100 {
                close(d, f64::from(i));
                close(t, f64::from(i));
            }
        }
        assert_eq!((DoubleEma::new(3, Warmup::Simple).hold(), TripleEma::new(3, Warmup::Exponential).hold()), (4, 2));
    }

    #[test]
    fn flux_trix_starts_after_three_averages() {
        let mut state = FluxTripleExponentialDerivative::new(4);
        let first = (1..).find(|i| state.push(Some(f64::from(*i))).is_some());
        assert_eq!(first, Some(11));
        assert_eq!(TripleExponentialDerivative::new(4, Warmup::Exponential).hold(), 4);
    }
}
