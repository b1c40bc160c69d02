//! Minimising a function of many parameters by a simplex that crawls downhill, with the coefficients of Flux's
//! optimiser: steps that depend on the dimension (Gao and Han), a first simplex of side 0.05, and an end when the
//! best value has not improved by more than `tolerance` for `patience` rounds (gonum's `NelderMead`, as Flux v0.200 calls it).

/// The least value found and where. `start` must have a dimension of at least one.
pub fn minimize(f: impl Fn(&[f64]) -> f64, start: &[f64], tolerance: f64, patience: usize) -> (f64, Vec<f64>) {
    let dim = start.len();
    let n = dim as f64;
    let (expansion, contraction, shrink) = if dim == 1 { (2.0, 0.5, 0.5) } else { (1.0 + 2.0 / n, 0.75 - 1.0 / (2.0 * n), 1.0 - 1.0 / n) };
    let valued = |x: Vec<f64>| (f(&x), x);
    let mut simplex: Vec<(f64, Vec<f64>)> = (0..dim)
        .map(|i| {
            let mut x = start.to_vec();
            x[i] += 0.05;
            valued(x)
        })
        .collect();
    simplex.push(valued(start.to_vec()));
    let mut best = simplex[dim].0;
    let by_value = |a: &(f64, Vec<f64>), b: &(f64, Vec<f64>)| a.0.total_cmp(&b.0);
    simplex.sort_by(by_value);
    let mut idle = 0;
    loop {
        let least = simplex[0].0;
        if least < best && best - least > tolerance {
            (best, idle) = (least, 0);
        } else {
            idle += 1;
            if idle >= patience {
                return simplex.swap_remove(0);
            }
        }
        let centroid: Vec<f64> = (0..dim).map(|j| simplex[..dim].iter().map(|(_, x)| x[j]).sum::<f64>() / n).collect();
        let at = |scale: f64| valued(centroid.iter().zip(&simplex[dim].1).map(|(c, w)| scale * (c - w) + c).collect());
        let reflected = at(1.0);
        let worst = simplex[dim].0;
        let next = if reflected.0 < simplex[0].0 {
            let expanded = at(expansion);
            Some(if expanded.0 < reflected.0 { expanded } else { reflected })
        } else if reflected.0 < simplex[dim - 1].0 {
            Some(reflected)
        } else if reflected.0 < worst {
            Some(at(contraction)).filter(|outside| outside.0 <= reflected.0)
        } else {
            Some(at(-contraction)).filter(|inside| inside.0 < worst)
        };
        match next {
            Some(point) => simplex[dim] = point,
            None => {
                let origin = simplex[0].1.clone();
                for vertex in &mut simplex[1..] {
                    *vertex = valued(vertex.1.iter().zip(&origin).map(|(x, o)| shrink * (x - o) + o).collect());
                }
            }
        }
        simplex.sort_by(by_value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_bottom_of_a_valley() {
        let rosenbrock = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let (value, at) = minimize(rosenbrock, &[-1.2, 1.0], 1e-12, 100);
        assert!(value < 1e-9 && (at[0] - 1.0).abs() < 1e-3 && (at[1] - 1.0).abs() < 1e-3, "{value} {at:?}");
    }
}
