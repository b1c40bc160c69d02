//! Area under the line through the points (trapezoids), per `unit`.

/// Flux's `integral` (v0.200 `integral.go`) over `[start, stop)`. The caller passes rows in time order.
#[derive(Debug, Clone)]
pub struct Integral {
    unit_ns: f64,
    bounds: (i64, i64),
    interpolate: bool,
    /// The last two points.
    points: [(i64, f64); 2],
    count: usize,
    area: f64,
}

impl Integral {
    /// `interpolate` extends the line through the first two and the last two points to the bounds.
    pub fn new(unit_ns: i64, start: i64, stop: i64, interpolate: bool) -> Integral {
        Integral { unit_ns: unit_ns as f64, bounds: (start, stop), interpolate, points: [(0, 0.0); 2], count: 0, area: 0.0 }
    }

    /// A second point of the same time is passed over.
    pub fn push(&mut self, time: i64, value: f64) {
        let [_, last] = self.points;
        if self.count > 0 && time == last.0 {
            return;
        }
        self.points = [last, (time, value)];
        self.count += 1;
        if self.count > 1 {
            self.area += self.trapezoid(last, (time, value));
        }
        if self.count == 2 && self.interpolate && self.bounds.0 < last.0 {
            self.area += self.trapezoid((self.bounds.0, self.line_at(self.bounds.0)), last);
        }
    }

    /// No points: 0. One point: the rectangle over the bounds when interpolating, else 0.
    pub fn finish(&self) -> f64 {
        let [_, last] = self.points;
        match (self.count, self.interpolate) {
            (0, _) | (1, false) => 0.0,
            (1, true) => last.1 * (self.bounds.1 - self.bounds.0) as f64 / self.unit_ns,
            (_, false) => self.area,
            (_, true) => self.area + self.trapezoid(last, (self.bounds.1, self.line_at(self.bounds.1))),
        }
    }

    /// Value at `time` of the line through the last two points.
    fn line_at(&self, time: i64) -> f64 {
        let [(t0, v0), (t1, v1)] = self.points;
        v1 + (v1 - v0) / (t1 - t0) as f64 * (time - t1) as f64
    }

    fn trapezoid(&self, a: (i64, f64), b: (i64, f64)) -> f64 {
        0.5 * (a.1 + b.1) * (b.0 - a.0) as f64 / self.unit_ns
    }
}

/// Flux's `timeWeightedAvg`: the interpolated integral divided by the length of the bounds.
pub fn time_weighted_average(points: impl IntoIterator<Item = (i64, f64)>, start: i64, stop: i64) -> f64 {
    let mut integral = Integral::new(1, start, stop, true);
    points.into_iter().for_each(|(t, v)| integral.push(t, v));
    integral.finish() / (stop - start) as f64
}

/// InfluxQL's `integral` (InfluxDB 1.8) over a stream cut into time windows: at each border the area is split at the
/// interpolated value. What lies between the end of one window and the first point of a later one goes to the later.
#[derive(Debug, Clone)]
pub struct WindowedIntegral<W> {
    unit_ns: f64,
    window_of: W,
    /// Start and end of the current window, in the order of the stream: the end lies before the start when descending.
    window: (i64, i64),
    last: Option<(i64, f64)>,
    area: f64,
}

impl<W: Fn(i64) -> (i64, i64)> WindowedIntegral<W> {
    /// `window_of` gives start and end of the window that holds a time; (end, start) for a descending stream. Without
    /// time windows it gives the same two bounds for every time.
    pub fn new(unit_ns: i64, window_of: W) -> WindowedIntegral<W> {
        WindowedIntegral { unit_ns: unit_ns as f64, window_of, window: (0, 0), last: None, area: 0.0 }
    }

    /// (window start, area) of a window that this point closes.
    pub fn push(&mut self, time: i64, value: f64) -> Option<(i64, f64)> {
        let Some((last_time, last_value)) = self.last else {
            self.window = (self.window_of)(time);
            self.last = Some((time, value));
            return None;
        };
        if time == last_time {
            self.last = Some((time, value));
            return None;
        }
        let (start, end) = self.window;
        let (mut from, mut closed) = ((last_time, last_value), None);
        if if start <= end { time >= end } else { time <= end } {
            if last_time != end {
                let at_end = super::fill::linear(end, last_time, last_value, time, value);
                self.area += self.trapezoid(from, (end, at_end));
                from = (end, at_end);
            }
            closed = Some((start, std::mem::take(&mut self.area)));
            self.window = (self.window_of)(time);
        }
        self.area += self.trapezoid(from, (time, value));
        self.last = Some((time, value));
        closed
    }

    /// The last window; nothing when its only point stands on its very start, where there is no area.
    pub fn finish(&self) -> Option<(i64, f64)> {
        let (time, _) = self.last?;
        (time != self.window.0).then_some((self.window.0, self.area))
    }

    fn trapezoid(&self, a: (i64, f64), b: (i64, f64)) -> f64 {
        0.5 * (a.1 + b.1) * ((b.0 - a.0) as f64 / self.unit_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flux() {
        let of = |interpolate, points: &[(i64, f64)]| {
            let mut state = Integral::new(10, 0, 40, interpolate);
            points.iter().for_each(|(t, v)| state.push(*t, *v));
            state.finish()
        };
        assert_eq!(of(false, &[(10, 1.0), (20, 3.0), (20, 9.0), (30, 3.0)]), 5.0);
        // The line reaches -1 at 0 and 3 at 40.
        assert_eq!(of(true, &[(10, 1.0), (20, 3.0), (30, 3.0)]), 5.0 + 0.0 + 3.0);
        assert_eq!((of(true, &[(10, 2.0)]), of(false, &[(10, 2.0)]), of(true, &[])), (8.0, 0.0, 0.0));
        assert_eq!(time_weighted_average([(0, 1.0), (10, 3.0)], 0, 10), 2.0);
    }

    #[test]
    fn influxql_splits_at_the_border() {
        let mut state = WindowedIntegral::new(1, |t: i64| (t.div_euclid(10) * 10, t.div_euclid(10) * 10 + 10));
        assert_eq!(state.push(5, 1.0), None);
        assert_eq!(state.push(15, 1.0), Some((0, 5.0)));
        assert_eq!(state.push(18, 3.0), None);
        assert_eq!(state.finish(), Some((10, 5.0 + 6.0)));
    }
}
