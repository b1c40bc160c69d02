//! Go's `math/rand` of a seed, number for number: upstream's generated tables are known by their seeds.
//!
//! An additive lagged Fibonacci generator, `s[k] = s[k-607] + s[k-273]` modulo 2^64. Seeding mixes Lehmer numbers of
//! the seed with the state that the generator, seeded in another way, has after 7.8e12 steps. Go carries that state as
//! a table; here it is found by jumping ahead: the step is multiplication by x modulo x^607 - x^334 - 1.

use std::sync::LazyLock;

const LENGTH: usize = 607;
const TAP: usize = 273;
const WARM_UP_STEPS: u64 = 7_800_000_000_000;

pub struct GoRandom {
    state: Vec<u64>,
    tap: usize,
    feed: usize,
}

/// The minimal standard generator: `48271 x` modulo 2^31 - 1.
fn lehmer(x: &mut u64) -> u64 {
    *x = *x * 48271 % 0x7fff_ffff;
    *x
}

/// Numbers of the Lehmer generator in three overlapping pieces.
fn seeded(seed: u64, shift: u32) -> Vec<u64> {
    let mut x = seed;
    (0..20).for_each(|_| {
        lehmer(&mut x);
    });
    (0..LENGTH).map(|_| lehmer(&mut x) << (2 * shift) ^ lehmer(&mut x) << shift ^ lehmer(&mut x)).collect()
}

/// A product modulo x^607 - x^334 - 1.
fn multiply(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut out = vec![0u64; 2 * LENGTH - 1];
    for (i, a) in a.iter().enumerate().filter(|(_, a)| **a != 0) {
        for (o, b) in out[i..].iter_mut().zip(b) {
            *o = o.wrapping_add(a.wrapping_mul(*b));
        }
    }
    for i in (LENGTH..out.len()).rev() {
        let c = out[i];
        out[i - LENGTH] = out[i - LENGTH].wrapping_add(c);
        out[i - TAP] = out[i - TAP].wrapping_add(c);
    }
    out.truncate(LENGTH);
    out
}

/// The slot in which the number of step `k` (from -607) stands.
fn slot(k: i64) -> usize {
    (LENGTH as i64 - TAP as i64 - 1 - k).rem_euclid(LENGTH as i64) as usize
}

static COOKED: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let start = seeded(1, 10);
    let mut numbers: Vec<u64> = (-(LENGTH as i64)..0).map(|k| start[slot(k)]).collect();
    for k in LENGTH..2 * LENGTH {
        numbers.push(numbers[k - LENGTH].wrapping_add(numbers[k - TAP]));
    }
    let mut power = vec![0u64; LENGTH];
    power[0] = 1;
    for bit in (0..u64::BITS - WARM_UP_STEPS.leading_zeros()).rev() {
        power = multiply(&power, &power);
        if WARM_UP_STEPS >> bit & 1 == 1 {
            // Times x.
            let last = power.pop().unwrap_or(0);
            power.insert(0, last);
            power[LENGTH - TAP] = power[LENGTH - TAP].wrapping_add(last);
        }
    }
    let mut cooked = vec![0u64; LENGTH];
    for i in 0..LENGTH {
        let terms = power.iter().zip(&numbers[i..]).map(|(p, n)| p.wrapping_mul(*n));
        cooked[slot(WARM_UP_STEPS as i64 - LENGTH as i64 + i as i64)] = terms.fold(0, u64::wrapping_add);
    }
    cooked
});

impl GoRandom {
    pub fn new(seed: i64) -> GoRandom {
        let seed = seed.rem_euclid(0x7fff_ffff) as u64;
        let mixed = seeded(if seed == 0 { 89_482_311 } else { seed }, 20);
        GoRandom { state: mixed.iter().zip(COOKED.iter()).map(|(a, b)| a ^ b).collect(), tap: 0, feed: LENGTH - TAP }
    }

    fn next(&mut self) -> u64 {
        self.tap = (self.tap + LENGTH - 1) % LENGTH;
        self.feed = (self.feed + LENGTH - 1) % LENGTH;
        self.state[self.feed] = self.state[self.feed].wrapping_add(self.state[self.tap]);
        self.state[self.feed]
    }

    fn bits63(&mut self) -> u64 {
        self.next() & (u64::MAX >> 1)
    }

    /// From 0 up to `n`, which is not reached.
    pub fn below(&mut self, n: u32) -> u32 {
        let mut draw = || (self.bits63() >> 32) as u32;
        if n.is_power_of_two() {
            return draw() & (n - 1);
        }
        let most = (1u32 << 31) - 1 - (1u32 << 31) % n;
        loop {
            let v = draw();
            if v <= most {
                return v % n;
            }
        }
    }

    /// From 0 up to 1, which is not reached.
    pub fn float(&mut self) -> f64 {
        loop {
            let v = self.bits63() as f64 / 2f64.powi(63);
            if v < 1.0 {
                return v;
            }
        }
    }

    /// Normally distributed, by Marsaglia and Tsang's ziggurat (Journal of Statistical Software 5, 2000).
    pub fn normal(&mut self) -> f64 {
        loop {
            let j = (self.bits63() >> 31) as u32 as i32;
            let i = (j & 0x7f) as usize;
            let x = f64::from(j) * f64::from(ZIGGURAT.width[i]);
            if j.unsigned_abs() < ZIGGURAT.inside[i] {
                return x;
            }
            if i == 0 {
                let tail = loop {
                    let x = -self.float().ln() * (1.0 / ZIGGURAT_END);
                    let y = -self.float().ln();
                    if y + y >= x * x {
                        break x;
                    }
                };
                return if j > 0 { ZIGGURAT_END + tail } else { -ZIGGURAT_END - tail };
            }
            let height = ZIGGURAT.height[i] + self.float() as f32 * (ZIGGURAT.height[i - 1] - ZIGGURAT.height[i]);
            if height < (-0.5 * x * x).exp() as f32 {
                return x;
            }
        }
    }
}

const ZIGGURAT_END: f64 = 3.442619855899;

/// 128 layers of equal area under the bell curve.
struct Ziggurat {
    inside: [u32; 128],
    width: [f32; 128],
    height: [f32; 128],
}

static ZIGGURAT: LazyLock<Ziggurat> = LazyLock::new(|| {
    const AREA: f64 = 9.91256303526217e-3;
    let scale = 2f64.powi(31);
    let bell = |x: f64| (-0.5 * x * x).exp();
    let mut z = Ziggurat { inside: [0; 128], width: [0.0; 128], height: [0.0; 128] };
    let (mut x, mut outer) = (ZIGGURAT_END, ZIGGURAT_END);
    let base = AREA / bell(x);
    z.inside[0] = (x / base * scale) as u32;
    z.width[0] = (base / scale) as f32;
    z.width[127] = (x / scale) as f32;
    z.height[0] = 1.0;
    z.height[127] = bell(x) as f32;
    for i in (1..127).rev() {
        x = (-2.0 * (AREA / x + bell(x)).ln()).sqrt();
        z.inside[i + 1] = (x / outer * scale) as u32;
        outer = x;
        z.height[i] = bell(x) as f32;
        z.width[i] = (x / scale) as f32;
    }
    z
});

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go prints for `rand.New(rand.NewSource(seed))`: the values of upstream's own test of `gen.tables`.
    #[test]
    fn draws_as_go_does() {
        let mut random = GoRandom::new(123);
        let drawn: Vec<f64> = (0..5).map(|_| random.normal() * 50.0).collect();
        let expected = [-39.7289264835779, 3.561659508431711, 34.956531511845476, -53.72013420347799, 49.20701082669753];
        assert!(drawn.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{drawn:?}");
        let mut random = GoRandom::new(1234);
        let sixteenth = (0..16).map(|_| random.normal() * 50.0).last().unwrap_or_default();
        assert!((sixteenth + 44.44668391211515).abs() < 1e-9, "{sixteenth}");
    }
}
