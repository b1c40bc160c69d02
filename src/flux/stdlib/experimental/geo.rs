//! Package `experimental/geo`: places on the sphere and cells of the S2 grid. What works on tables is the prelude.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
        stdlib::{Call, function::functions},
    },
    kernel::sphere::{CellId, Point, Region, cell::LEVEL_MAX, distance_to_segment, segments},
};
use std::sync::Arc;

/// Cells of one grid; a finer grid is not looked for (Flux v0.200).
const GRID_MAX: usize = 100;

functions! {
    "stContains" "(region: A, geometry: B, units: {distance: string}) => bool" "Whether a box, circle or polygon holds a point or all points of a line." |c| {
        let unit = unit(c)?;
        let region = region(&shape(c, "region", unit)?).map_err(|e| e.at(c.span))?;
        match shape(c, "geometry", unit)? {
            Shape::Point(point) => Ok(Value::Bool(region.contains(point))),
            Shape::Line(points) => Ok(Value::Bool(points.iter().all(|p| region.contains(*p)))),
            Shape::Region(_) => Err(FluxError::invalid("unsupported geometry type: must be a point or a linestring").at(c.span)),
        }
    };
    "stDistance" "(region: A, geometry: B, units: {distance: string}) => float" "The distance from a point, box, circle or polygon to a point or a line." |c| {
        let unit = unit(c)?;
        let angle = match (shape(c, "region", unit)?, shape(c, "geometry", unit)?) {
            (Shape::Point(a), Shape::Point(b)) => a.distance(b),
            (Shape::Point(a), Shape::Line(line)) => segments(&line).into_iter().map(|s| distance_to_segment(a, s)).fold(f64::INFINITY, f64::min),
            (Shape::Region(region), Shape::Point(point)) => region.distance(point),
            (Shape::Region(region), Shape::Line(line)) => region.distance_to_line(&line),
            _ => return Err(FluxError::invalid("unsupported geometry type: must be a point or a linestring").at(c.span)),
        };
        Ok(Value::Float(angle * unit))
    };
    "stLength" "(geometry: A, units: {distance: string}) => float" "The length of a line; a point has none." |c| {
        let unit = unit(c)?;
        match shape(c, "geometry", unit)? {
            Shape::Point(_) => Ok(Value::Float(0.0)),
            Shape::Line(points) => Ok(Value::Float(points.windows(2).map(|w| w[0].distance(w[1])).sum::<f64>() * unit)),
            Shape::Region(_) => Err(FluxError::invalid("unsupported geometry type: must be a point or a linestring").at(c.span)),
        }
    };
    "getGrid" "(region: T, ?minSize: int, ?maxSize: int, ?level: int, ?maxLevel: int, units: {distance: string}) => {level: int, set: [string]}"
        "The cells of one level that cover a region: of `level`, or of the first with `minSize` of them." grid;
    "getLevel" "(token: string) => int" "The level of a cell." |c| {
        let cell = cell(c)?.ok_or_else(|| FluxError::invalid("invalid token specified").at(c.span))?;
        Ok(Value::Int(cell.level().into()))
    };
    "s2CellIDToken" "(?token: string, ?point: {lat: float, lon: float}, level: int) => string" "The cell of a level that holds a point or a smaller cell." |c| {
        let level = c.required::<i64>("level")?;
        let level = u32::try_from(level).ok().filter(|l| (1..=LEVEL_MAX).contains(l)).ok_or_else(|| FluxError::invalid("level value must be [1, 30]").at(c.span))?;
        let point = c.optional::<Arc<Record>>("point")?.filter(|p| !p.is_empty());
        let given = cell(c)?;
        let cell = match (given, point) {
            (Some(cell), None) if level <= cell.level() => cell,
            (None, Some(point)) => CellId::of_point(lat_lon(&point, "point").map_err(|e| e.at(c.span))?),
            (Some(_), None) => return Err(FluxError::invalid("invalid token specified or requested level greater then current level").at(c.span)),
            _ => return Err(FluxError::invalid("either token or point parameter must be specified and must not be empty").at(c.span)),
        };
        Ok(Value::string(cell.parent(level).token()))
    };
    "s2CellLatLon" "(token: string) => {lat: float, lon: float}" "The centre of a cell." |c| {
        let centre = cell(c)?.ok_or_else(|| FluxError::invalid("invalid token specified").at(c.span))?.centre();
        Ok(Value::record([("lat", Value::Float(centre.lat().to_degrees())), ("lon", Value::Float(centre.lon().to_degrees()))]))
    };
}

enum Shape {
    Point(Point),
    Line(Vec<Point>),
    Region(Region),
}

/// The Earth's mean radius in the unit asked for.
fn unit(call: &mut Call<'_>) -> FluxResult<f64> {
    let units = call.required::<Arc<Record>>("units")?;
    const EARTH_RADIUS_KM: f64 = 6371.01;
    match units.get("distance") {
        Some(Value::String(name)) => match name.as_ref() {
            "m" => Ok(EARTH_RADIUS_KM * 1000.0),
            "km" => Ok(EARTH_RADIUS_KM),
            "mile" => Ok(EARTH_RADIUS_KM / 1.609344),
            other => {
                Err(FluxError::invalid(format!("invalid units parameter: unsupported distance unit '{other}': must be m, km or mile"))
                    .at(call.span))
            }
        },
        _ => Err(FluxError::invalid("invalid units parameter: missing field: distance").at(call.span)),
    }
}

fn number(record: &Record, name: &str, what: &str) -> FluxResult<f64> {
    match record.get(name) {
        Some(Value::Float(v)) => Ok(*v),
        _ => Err(FluxError::invalid(format!("invalid {what} specification - must have {name} as a float"))),
    }
}

fn lat_lon(record: &Record, what: &str) -> FluxResult<Point> {
    Ok(Point::from_degrees(number(record, "lat", what)?, number(record, "lon", what)?))
}

/// A place given as a record, whose properties tell its kind.
fn shape(call: &mut Call<'_>, name: &str, unit: f64) -> FluxResult<Shape> {
    let record = call.required::<Arc<Record>>(name)?;
    read(&record, name, unit).map_err(|e| e.at(call.span))
}

fn read(record: &Record, name: &str, unit: f64) -> FluxResult<Shape> {
    let has = |property: &str| record.contains_key(property);
    Ok(match record.len() {
        2 if has("lat") => Shape::Point(lat_lon(record, "point")?),
        3 if has("radius") => {
            let (centre, radius) = (lat_lon(record, "circle")?, number(record, "radius", "circle")? / unit);
            Shape::Region(Region::Circle { centre, radius })
        }
        4 if has("minLat") => {
            let range = |low: &str, high: &str| -> FluxResult<(f64, f64)> {
                let (a, b) = (number(record, low, "box")?.to_radians(), number(record, high, "box")?.to_radians());
                Ok((a.min(b), a.max(b)))
            };
            Shape::Region(Region::Box { lat: range("minLat", "maxLat")?, lon: range("minLon", "maxLon")? })
        }
        1 if has("points") => {
            let Some(Value::Array(points)) = record.get("points") else {
                return Err(FluxError::invalid("invalid polygon specification - points must be an array"));
            };
            if points.len() < 3 {
                return Err(FluxError::invalid("polygon must have at least 3 points"));
            }
            let corner = |p: &Value| match p {
                Value::Record(p) => lat_lon(p, "polygon point"),
                _ => Err(FluxError::invalid("invalid polygon point specification - must have lat, lon fields")),
            };
            Shape::Region(Region::polygon(points.iter().map(corner).collect::<FluxResult<_>>()?))
        }
        1 if has("linestring") => {
            let Some(Value::String(text)) = record.get("linestring") else { return Err(FluxError::invalid("empty linestring")) };
            Shape::Line(text.split(',').map(vertex).collect::<FluxResult<_>>()?)
        }
        _ => return Err(FluxError::invalid(format!("unsupported geometry specified for '{name}'"))),
    })
}

/// `lon lat`, in degrees.
fn vertex(text: &str) -> FluxResult<Point> {
    let mut parts = text.split_whitespace().map(|part| part.parse::<f64>().ok());
    match (parts.next(), parts.next()) {
        (Some(Some(lon)), Some(Some(lat))) => Ok(Point::from_degrees(lat, lon)),
        _ => Err(FluxError::invalid(format!("invalid linestring - \"{}\" is not a longitude and a latitude", text.trim()))),
    }
}

fn region(shape: &Shape) -> FluxResult<Region> {
    match shape {
        Shape::Region(region) => Ok(region.clone()),
        _ => Err(FluxError::invalid("unsupported region type: must be a box, a circle or a polygon")),
    }
}

/// The cell of argument `token`; `None` without one.
fn cell(call: &mut Call<'_>) -> FluxResult<Option<CellId>> {
    match call.optional::<Arc<str>>("token")? {
        None => Ok(None),
        Some(token) if token.is_empty() => Ok(None),
        Some(token) => CellId::from_token(&token)
            .map(Some)
            .ok_or_else(|| FluxError::invalid(format!("invalid token specified: \"{token}\"")).at(call.span)),
    }
}

fn grid(call: &mut Call<'_>) -> FluxResult<Value> {
    let unit = unit(call)?;
    let region = region(&shape(call, "region", unit)?).map_err(|e| e.at(call.span))?;
    let mut number = |name: &str| call.or::<i64>(name, -1);
    let (level, most_level, least, most) = (number("level")?, number("maxLevel")?, number("minSize")?, number("maxSize")?);
    if most_level > LEVEL_MAX.into() || level > LEVEL_MAX.into() {
        return Err(FluxError::invalid(format!("invalid level (must be at most {LEVEL_MAX})")).at(call.span));
    }
    if least > 0 && most > 0 && least > most {
        return Err(FluxError::invalid(format!("minSize > maxSize ({least} > {most})")).at(call.span));
    }
    let mut found = None;
    if level > -1 {
        found = Some((level, region.cells(level as u32, usize::MAX)));
    } else if least > 0 || most > 0 {
        let (least, most) = (least.max(0) as usize, if most > 0 { most as usize } else { GRID_MAX });
        let last = if most_level > 0 { most_level } else { LEVEL_MAX.into() };
        for level in 1..=last {
            let cells = region.cells(level as u32, most);
            if cells.len() > most {
                break;
            }
            let enough = least > 0 && cells.len() >= least;
            found = Some((level, cells));
            if enough {
                break;
            }
        }
        // With `maxLevel` the finest grid will do.
        found = found.filter(|(_, cells)| cells.len() >= least || most_level > 0);
    } else {
        return Err(FluxError::invalid("either minSize or maxSize must be specified").at(call.span));
    }
    let (level, mut cells) = found.filter(|(_, cells)| !cells.is_empty()).unwrap_or((-1, vec![]));
    cells.sort();
    Ok(Value::record([("level", Value::Int(level)), ("set", Value::array(cells.into_iter().map(|c| Value::string(c.token())).collect()))]))
}
