//! Geometry on the unit sphere: points, great-circle segments, and cells of the S2 grid (s2geometry.io).

pub mod cell;

pub use cell::CellId;

use std::{
    f64::consts::{FRAC_PI_2, PI},
    ops::{Add, Mul, Neg, Sub},
};

/// A vector; a point of the sphere when its length is 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub z: f64,
}

impl Point {
    pub fn new(x: f64, y: f64, z: f64) -> Point {
        Point { x, y, z }
    }

    /// Latitude and longitude in radians.
    pub fn from_lat_lon(lat: f64, lon: f64) -> Point {
        Point::new(lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin())
    }

    pub fn from_degrees(lat: f64, lon: f64) -> Point {
        Point::from_lat_lon(lat.to_radians(), lon.to_radians())
    }

    pub fn lat(self) -> f64 {
        self.z.atan2(self.x.hypot(self.y))
    }

    pub fn lon(self) -> f64 {
        self.y.atan2(self.x)
    }

    pub fn dot(self, other: Point) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    pub fn cross(self, other: Point) -> Point {
        Point::new(self.y * other.z - self.z * other.y, self.z * other.x - self.x * other.z, self.x * other.y - self.y * other.x)
    }

    pub fn length(self) -> f64 {
        self.dot(self).sqrt()
    }

    pub fn normalized(self) -> Point {
        let length = self.length();
        if length == 0.0 { self } else { self * (1.0 / length) }
    }

    /// The angle between two points, in radians.
    pub fn distance(self, other: Point) -> f64 {
        self.cross(other).length().atan2(self.dot(other))
    }
}

impl Add for Point {
    type Output = Point;
    fn add(self, o: Point) -> Point {
        Point::new(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for Point {
    type Output = Point;
    fn sub(self, o: Point) -> Point {
        Point::new(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f64> for Point {
    type Output = Point;
    fn mul(self, k: f64) -> Point {
        Point::new(self.x * k, self.y * k, self.z * k)
    }
}

impl Neg for Point {
    type Output = Point;
    fn neg(self) -> Point {
        self * -1.0
    }
}

/// A piece of a great circle, the shorter way.
pub type Segment = (Point, Point);

/// The angle from a point to the nearest point of a segment.
pub fn distance_to_segment(point: Point, (a, b): Segment) -> f64 {
    let normal = a.cross(b);
    let within = normal.length() > 0.0 && normal.cross(a).dot(point) > 0.0 && b.cross(normal).dot(point) > 0.0;
    if within {
        let above = point.dot(normal.normalized());
        return above.abs().min(1.0).asin();
    }
    point.distance(a).min(point.distance(b))
}

/// Whether two segments cross in a point that is inside of both.
pub fn cross((a, b): Segment, (c, d): Segment) -> bool {
    let ab = a.cross(b);
    let (acb, bda) = (-ab.dot(c), ab.dot(d));
    if acb * bda <= 0.0 {
        return false;
    }
    let cd = c.cross(d);
    let (cbd, dac) = (-cd.dot(b), cd.dot(a));
    acb * cbd > 0.0 && acb * dac > 0.0
}

/// The angle between two segments.
pub fn segment_distance(first: Segment, second: Segment) -> f64 {
    if cross(first, second) {
        return 0.0;
    }
    let ends = [
        distance_to_segment(first.0, second),
        distance_to_segment(first.1, second),
        distance_to_segment(second.0, first),
        distance_to_segment(second.1, first),
    ];
    ends.into_iter().fold(f64::INFINITY, f64::min)
}

/// Segments from point to point; for one point, the point alone.
pub fn segments(points: &[Point]) -> Vec<Segment> {
    match points {
        [only] => vec![(*only, *only)],
        points => points.windows(2).map(|w| (w[0], w[1])).collect(),
    }
}

/// A part of the sphere.
#[derive(Debug, Clone, PartialEq)]
pub enum Region {
    /// Latitudes and longitudes in radians, both ends included.
    Box { lat: (f64, f64), lon: (f64, f64) },
    /// A centre and an angle.
    Circle { centre: Point, radius: f64 },
    /// Corners of a polygon, counter-clockwise, that is less than half of the sphere.
    Polygon(Vec<Point>),
}

impl Region {
    /// The polygon with these corners, in either direction.
    pub fn polygon(mut corners: Vec<Point>) -> Region {
        let centre = corners.iter().fold(Point::new(0.0, 0.0, 0.0), |sum, p| sum + *p).normalized();
        if turning(centre, &corners) < 0.0 {
            corners.reverse();
        }
        Region::Polygon(corners)
    }

    pub fn contains(&self, point: Point) -> bool {
        match self {
            Region::Box { lat, lon } => within(*lat, point.lat()) && within(*lon, point.lon()),
            Region::Circle { centre, radius } => centre.distance(point) <= *radius,
            Region::Polygon(corners) => turning(point, corners) > PI,
        }
    }

    /// The angle from the region to a point; 0 inside.
    pub fn distance(&self, point: Point) -> f64 {
        if self.contains(point) {
            return 0.0;
        }
        match self {
            Region::Box { lat, lon } => {
                if within(*lon, point.lon()) {
                    return (lat.0 - point.lat()).max(point.lat() - lat.1).max(0.0);
                }
                let side = |lon| distance_to_segment(point, (Point::from_lat_lon(lat.0, lon), Point::from_lat_lon(lat.1, lon)));
                side(lon.0).min(side(lon.1))
            }
            Region::Circle { centre, radius } => (centre.distance(point) - radius).max(0.0),
            Region::Polygon(corners) => edges(corners).map(|e| distance_to_segment(point, e)).fold(f64::INFINITY, f64::min),
        }
    }

    /// The angle from the region to a line; 0 where they meet. A box counts as the polygon of its corners.
    pub fn distance_to_line(&self, line: &[Point]) -> f64 {
        match self {
            Region::Circle { centre, radius } => {
                let nearest = segments(line).into_iter().map(|s| distance_to_segment(*centre, s)).fold(f64::INFINITY, f64::min);
                (nearest - radius).max(0.0)
            }
            Region::Box { .. } => Region::Polygon(self.corners()).distance_to_line(line),
            Region::Polygon(corners) => {
                if line.iter().any(|p| self.contains(*p)) {
                    return 0.0;
                }
                let between = segments(line).into_iter().flat_map(|s| edges(corners).map(move |e| segment_distance(s, e)));
                between.fold(f64::INFINITY, f64::min)
            }
        }
    }

    fn corners(&self) -> Vec<Point> {
        match self {
            Region::Box { lat, lon } => {
                [(lat.0, lon.0), (lat.0, lon.1), (lat.1, lon.1), (lat.1, lon.0)].map(|(a, o)| Point::from_lat_lon(a, o)).into()
            }
            Region::Circle { .. } => vec![],
            Region::Polygon(corners) => corners.clone(),
        }
    }

    /// Whether region and cell share a point.
    pub fn meets(&self, cell: CellId) -> bool {
        let corners = cell.corners();
        if self.contains(cell.centre()) || corners.iter().any(|c| self.contains(*c)) || self.corners().iter().any(|c| cell.contains(*c)) {
            return true;
        }
        let mut sides = edges(&corners);
        match self {
            Region::Circle { centre, radius } => cell.contains(*centre) || sides.any(|s| distance_to_segment(*centre, s) <= *radius),
            Region::Polygon(own) => sides.any(|s| edges(own).any(|e| cross(s, e))),
            Region::Box { lat, lon } => sides.any(|s| {
                let meridian = |lon| cross(s, (Point::from_lat_lon(lat.0, lon), Point::from_lat_lon(lat.1, lon)));
                meridian(lon.0) || meridian(lon.1) || meets_parallel(s, lat.0, *lon) || meets_parallel(s, lat.1, *lon)
            }),
        }
    }

    /// All cells of a level that share a point with the region; at most `limit` and one more.
    pub fn cells(&self, level: u32, limit: usize) -> Vec<CellId> {
        let mut found: Vec<CellId> = CellId::faces().filter(|f| self.meets(*f)).collect();
        for _ in 0..level {
            found = found.into_iter().flat_map(CellId::children).filter(|c| self.meets(*c)).collect();
            // A level has at least as many cells as the one above it.
            if found.len() > limit {
                break;
            }
        }
        found
    }
}

fn within((low, high): (f64, f64), v: f64) -> bool {
    low <= v && v <= high
}

/// The sides of a polygon.
fn edges(corners: &[Point]) -> impl Iterator<Item = Segment> {
    (0..corners.len()).map(move |i| (corners[i], corners[(i + 1) % corners.len()]))
}

/// By how much one turns about `point` while going round a polygon: 2 pi when it lies inside of a counter-clockwise one.
fn turning(point: Point, corners: &[Point]) -> f64 {
    edges(corners)
        .map(|(a, b)| {
            let (a, b) = (a - point * point.dot(a), b - point * point.dot(b));
            point.dot(a.cross(b)).atan2(a.dot(b))
        })
        .sum()
}

/// Whether a segment meets the parallel of latitude `lat` between two longitudes.
fn meets_parallel((a, b): Segment, lat: f64, lon: (f64, f64)) -> bool {
    if lat.abs() >= FRAC_PI_2 {
        return false;
    }
    let normal = a.cross(b).normalized();
    let normal = if normal.z < 0.0 { -normal } else { normal };
    // Towards the great circle's northernmost point, and at right angles to it.
    let east = normal.cross(Point::new(0.0, 0.0, 1.0)).normalized();
    let north = east.cross(normal);
    if lat.sin().abs() >= north.z {
        return false;
    }
    let cos = lat.sin() / north.z;
    let sin = (1.0 - cos * cos).sqrt();
    let on_segment = |p: Point| a.cross(p).dot(normal) * p.cross(b).dot(normal) >= 0.0 && (a + b).dot(p) > 0.0;
    [north * cos + east * sin, north * cos - east * sin].into_iter().any(|p| on_segment(p) && within(lon, p.lon()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_containment() {
        let degrees = |lat, lon| Point::from_degrees(lat, lon);
        assert!((degrees(0.0, 0.0).distance(degrees(0.0, 90.0)) - FRAC_PI_2).abs() < 1e-15);
        let equator = (degrees(0.0, -10.0), degrees(0.0, 10.0));
        assert!((distance_to_segment(degrees(5.0, 0.0), equator) - 5f64.to_radians()).abs() < 1e-12);
        assert!((distance_to_segment(degrees(0.0, 15.0), equator) - 5f64.to_radians()).abs() < 1e-12);
        assert!(cross(equator, (degrees(-1.0, 1.0), degrees(1.0, 1.0))));
        let triangle = Region::polygon(vec![degrees(10.0, 0.0), degrees(0.0, 10.0), degrees(0.0, 0.0)]);
        assert!(triangle.contains(degrees(2.0, 2.0)));
        assert!(!triangle.contains(degrees(9.0, 9.0)));
        assert_eq!(triangle.distance_to_line(&[degrees(5.0, -5.0), degrees(5.0, 15.0)]), 0.0);
        let square = Region::Box { lat: (0.0, 0.1), lon: (0.0, 0.1) };
        assert!((square.distance(Point::from_lat_lon(0.2, 0.05)) - 0.1).abs() < 1e-12);
    }

    /// A circle, a box and a polygon on Long Island, with what Google's S2 covers them with.
    #[test]
    fn cells_of_a_region() {
        let tokens = |region: &Region| {
            let mut tokens: Vec<String> = region.cells(9, 100).into_iter().map(CellId::token).collect();
            tokens.sort();
            tokens.join(" ")
        };
        let expected = "89c264 89c26c 89c274 89c27c 89c284 89c28c 89e82c 89e9d4";
        assert_eq!(tokens(&Region::Circle { centre: Point::from_degrees(40.7090214, -73.61846), radius: 15.0 / 6371.01 }), expected);
        let radians = |low: f64, high: f64| (low.to_radians(), high.to_radians());
        assert_eq!(tokens(&Region::Box { lat: radians(40.5880775, 40.8247008), lon: radians(-73.80014, -73.4630336) }), expected);
        let corners = [(40.776527, -73.338811), (40.788093, -73.776396), (40.475939, -73.751854), (40.576506, -73.573634)];
        assert_eq!(tokens(&Region::polygon(corners.map(|(lat, lon)| Point::from_degrees(lat, lon)).into())), expected);
    }
}
