//! Cells of the S2 grid: a cube round the sphere, each face quartered thirty times over, cells numbered along a
//! Hilbert curve.
//!
//! An id is three bits of face, two bits a level of the way down the curve, a one, and zeros. Its token is the
//! hexadecimal digits without the zeros at the end.

use super::Point;

pub const LEVEL_MAX: u32 = 30;

/// Which quarter (column << 1 | row) has which position of the curve, by orientation, and back.
const POSITION: [[u64; 4]; 4] = [[0, 1, 3, 2], [0, 3, 1, 2], [2, 3, 1, 0], [2, 1, 3, 0]];
const QUARTER: [[u64; 4]; 4] = [[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]];
/// How a position turns the curve inside: exchanged axes (1), reversed (2).
const TURN: [usize; 4] = [1, 0, 0, 3];

/// Leaf cells along a side of a face.
const SIDE: u64 = 1 << LEVEL_MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u64);

impl CellId {
    /// The six faces.
    pub fn faces() -> impl Iterator<Item = CellId> {
        (0..6).map(|face| CellId(face << 61 | 1 << 60))
    }

    /// The leaf cell at a point.
    pub fn of_point(point: Point) -> CellId {
        let (face, u, v) = face_uv(point);
        let leaf = |x: f64| ((uv_to_st(x) * SIDE as f64).floor()).clamp(0.0, (SIDE - 1) as f64) as u64;
        let (i, j) = (leaf(u), leaf(v));
        let (mut path, mut turn) = (face, face as usize & 1);
        for bit in (0..LEVEL_MAX).rev() {
            let position = POSITION[turn][(i >> bit & 1) as usize * 2 + (j >> bit & 1) as usize];
            path = path << 2 | position;
            turn ^= TURN[position as usize];
        }
        CellId(path << 1 | 1)
    }

    /// `None` for what is no cell's token.
    pub fn from_token(token: &str) -> Option<CellId> {
        if token.is_empty() || token.len() > 16 {
            return None;
        }
        let id = u64::from_str_radix(&format!("{token:0<16}"), 16).ok()?;
        Some(CellId(id)).filter(|c| c.0 >> 61 < 6 && c.0 != 0 && c.0.trailing_zeros() % 2 == 0 && c.0.trailing_zeros() <= 60)
    }

    pub fn token(self) -> String {
        format!("{:016x}", self.0).trim_end_matches('0').to_string()
    }

    pub fn level(self) -> u32 {
        LEVEL_MAX - self.0.trailing_zeros() / 2
    }

    /// The cell of a level at or above this one's that holds it.
    pub fn parent(self, level: u32) -> CellId {
        let low = 1u64 << (2 * (LEVEL_MAX - level));
        CellId(self.0 & low.wrapping_neg() | low)
    }

    /// The four quarters, in order of the curve. Not for leaf cells.
    pub fn children(self) -> [CellId; 4] {
        let low = self.0 & self.0.wrapping_neg();
        let quarter = low >> 2;
        [0, 1, 2, 3].map(|at| CellId(self.0 - low + quarter * (2 * at + 1)))
    }

    /// Face, first leaf column and row, and leaves along a side.
    fn place(self) -> (u64, u64, u64, u64) {
        let face = self.0 >> 61;
        let (mut i, mut j, mut turn) = (0, 0, face as usize & 1);
        for step in 0..self.level() {
            let position = (self.0 >> (59 - 2 * step) & 3) as usize;
            let quarter = QUARTER[turn][position];
            i = i << 1 | quarter >> 1;
            j = j << 1 | quarter & 1;
            turn ^= TURN[position];
        }
        let size = SIDE >> self.level();
        (face, i * size, j * size, size)
    }

    /// Sides in the face's plane: (u low, u high), (v low, v high).
    fn bounds(self) -> (u64, (f64, f64), (f64, f64)) {
        let (face, i, j, size) = self.place();
        let ends = |from: u64| (st_to_uv(from as f64 / SIDE as f64), st_to_uv((from + size) as f64 / SIDE as f64));
        (face, ends(i), ends(j))
    }

    pub fn centre(self) -> Point {
        let (face, i, j, size) = self.place();
        let middle = |from: u64| st_to_uv((2 * from + size) as f64 / (2 * SIDE) as f64);
        on_face(face, middle(i), middle(j)).normalized()
    }

    /// Counter-clockwise.
    pub fn corners(self) -> [Point; 4] {
        let (face, u, v) = self.bounds();
        [(u.0, v.0), (u.1, v.0), (u.1, v.1), (u.0, v.1)].map(|(u, v)| on_face(face, u, v).normalized())
    }

    pub fn contains(self, point: Point) -> bool {
        let (face, u, v) = self.bounds();
        let Some((x, y)) = uv_on(face, point) else { return false };
        u.0 <= x && x <= u.1 && v.0 <= y && y <= v.1
    }
}

/// The quadratic projection, which makes cells of a level nearly equal in size.
fn st_to_uv(s: f64) -> f64 {
    if s >= 0.5 { (4.0 * s * s - 1.0) / 3.0 } else { (1.0 - 4.0 * (1.0 - s) * (1.0 - s)) / 3.0 }
}

fn uv_to_st(u: f64) -> f64 {
    if u >= 0.0 { 0.5 * (1.0 + 3.0 * u).sqrt() } else { 1.0 - 0.5 * (1.0 - 3.0 * u).sqrt() }
}

fn on_face(face: u64, u: f64, v: f64) -> Point {
    match face {
        0 => Point::new(1.0, u, v),
        1 => Point::new(-u, 1.0, v),
        2 => Point::new(-u, -v, 1.0),
        3 => Point::new(-1.0, -v, -u),
        4 => Point::new(v, -1.0, -u),
        _ => Point::new(v, u, -1.0),
    }
}

fn face_uv(p: Point) -> (u64, f64, f64) {
    let face = match (p.x.abs(), p.y.abs(), p.z.abs()) {
        (x, y, z) if x > y && x > z => {
            if p.x < 0.0 {
                3
            } else {
                0
            }
        }
        (_, y, z) if y > z => {
            if p.y < 0.0 {
                4
            } else {
                1
            }
        }
        _ => {
            if p.z < 0.0 {
                5
            } else {
                2
            }
        }
    };
    let (u, v) = uv_on(face, p).unwrap_or((0.0, 0.0));
    (face, u, v)
}

/// Where the ray to a point meets the plane of a face; `None` on the other side.
fn uv_on(face: u64, p: Point) -> Option<(f64, f64)> {
    let (depth, u, v) = match face {
        0 => (p.x, p.y, p.z),
        1 => (p.y, -p.x, p.z),
        2 => (p.z, -p.x, -p.y),
        3 => (-p.x, -p.z, -p.y),
        4 => (-p.y, -p.z, p.x),
        _ => (-p.z, p.y, p.x),
    };
    (depth > 0.0).then(|| (u / depth, v / depth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_its_centre_and_its_children() {
        for (lat, lon) in [(40.7, -73.6), (-33.9, 151.2), (89.9, 10.0), (-89.9, -10.0), (0.1, 179.9), (10.0, -91.0)] {
            let leaf = CellId::of_point(Point::from_degrees(lat, lon));
            assert_eq!(leaf.level(), LEVEL_MAX);
            for level in [1, 5, 11, 20, 29] {
                let cell = leaf.parent(level);
                assert_eq!(cell.level(), level);
                assert_eq!(CellId::from_token(&cell.token()), Some(cell));
                assert!(cell.contains(Point::from_degrees(lat, lon)), "{lat} {lon} {level}");
                assert_eq!(CellId::of_point(cell.centre()).parent(level), cell);
                assert!(cell.children().iter().all(|c| c.parent(level) == cell));
            }
        }
    }

    #[test]
    fn tokens() {
        let leaf = CellId::of_point(Point::from_degrees(40.688564, -73.965881));
        assert_eq!(leaf.parent(11).token(), "89c25bc");
        assert_eq!(leaf.parent(9).token(), "89c25c");
        assert_eq!(CellId::from_token("x"), None);
        assert_eq!(CellId::from_token("e0"), None);
    }
}
