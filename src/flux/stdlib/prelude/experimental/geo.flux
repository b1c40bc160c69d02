// Filters and measures of tables with places: rows with `lat` and `lon`, or fields of these names, and `s2_cell_id`.

import "experimental"
import "influxdata/influxdb/v1"

option units = {distance: "km"}

ST_Contains = (region, geometry, units=units) => stContains(region: region, geometry: geometry, units: units)

ST_Distance = (region, geometry, units=units) => stDistance(region: region, geometry: geometry, units: units)

ST_DWithin = (region, geometry, distance, units=units) => stDistance(region: region, geometry: geometry, units: units) <= distance

ST_Intersects = (region, geometry, units=units) => stDistance(region: region, geometry: geometry, units: units) <= 0.0

ST_Length = (geometry, units=units) => stLength(geometry: geometry, units: units)

// The places of each table as one line.
ST_LineString = (tables=<-) => tables
    |> reduce(
        identity: {st_linestring: "", _places: 0},
        fn: (r, accumulator) => ({
            st_linestring: accumulator.st_linestring + (if accumulator._places > 0 then ", " else "") + string(v: r.lon) + " " + string(v: r.lat),
            _places: accumulator._places + 1,
        }),
    )
    |> drop(columns: ["_places"])

// The level of the cells in the group keys.
_detectLevel = (tables=<-) => {
    first = tables
        |> tableFind(fn: (key) => exists key.s2_cell_id)
        |> getRecord(idx: 0)

    return getLevel(token: first.s2_cell_id)
}

_levelOf = (tables=<-, given) => if given == -1 then tables |> _detectLevel() else given

toRows = (tables=<-) => tables |> v1.fieldsAsCols()

shapeData = (tables=<-, latField, lonField, level) => tables
    |> map(
        fn: (r) => ({r with
            _field: if r._field == latField then
                "lat"
            else if r._field == lonField then
                "lon"
            else
                r._field,
        }),
    )
    |> toRows()
    |> map(fn: (r) => ({r with s2_cell_id: s2CellIDToken(point: {lat: r.lat, lon: r.lon}, level: level)}))
    |> experimental.group(mode: "extend", columns: ["s2_cell_id"])

gridFilter = (
    tables=<-,
    region,
    minSize=24,
    maxSize=-1,
    level=-1,
    s2cellIDLevel=-1,
    units=units,
) => {
    stored = tables |> _levelOf(given: s2cellIDLevel)
    grid = getGrid(
        region: region,
        minSize: minSize,
        maxSize: maxSize,
        level: level,
        maxLevel: stored,
        units: units,
    )

    return tables
        |> filter(
            fn: (r) => if grid.level == stored then
                contains(value: r.s2_cell_id, set: grid.set)
            else
                contains(value: s2CellIDToken(token: r.s2_cell_id, level: grid.level), set: grid.set),
        )
}

strictFilter = (tables=<-, region) => tables
    |> filter(fn: (r) => ST_Contains(region: region, geometry: {lat: r.lat, lon: r.lon}))

filterRows = (
    tables=<-,
    region,
    minSize=24,
    maxSize=-1,
    level=-1,
    s2cellIDLevel=-1,
    strict=true,
) => {
    names = tables
        |> columns(column: "_name")
        |> findColumn(column: "_name", fn: (key) => true)
    near = tables
        |> gridFilter(
            region: region,
            minSize: minSize,
            maxSize: maxSize,
            level: level,
            s2cellIDLevel: s2cellIDLevel,
        )
    rows = if contains(value: "lat", set: names) then near else near |> toRows()

    return if strict then rows |> strictFilter(region: region) else rows
}

groupByArea = (tables=<-, newColumn, level, s2cellIDLevel=-1) => {
    stored = tables |> _levelOf(given: s2cellIDLevel)
    named = if level == stored then
        tables |> duplicate(column: "s2_cell_id", as: newColumn)
    else
        tables
            |> map(fn: (r) => ({r with _area: s2CellIDToken(point: {lat: r.lat, lon: r.lon}, level: level)}))
            |> rename(columns: {_area: newColumn})

    return named |> group(columns: [newColumn])
}

asTracks = (tables=<-, groupBy=["id", "tid"], orderBy=["_time"]) => tables
    |> group(columns: groupBy)
    |> sort(columns: orderBy)

// The length of the way through all places of a table.
totalDistance = (tables=<-, outputColumn="_value") => tables
    |> reduce(
        identity: {_places: 0, _lat: 0.0, _lon: 0.0, _way: 0.0},
        fn: (r, accumulator) => ({
            _places: accumulator._places + 1,
            _lat: r.lat,
            _lon: r.lon,
            _way: if accumulator._places == 0 then
                0.0
            else
                accumulator._way + ST_Distance(
                    region: {lat: accumulator._lat, lon: accumulator._lon},
                    geometry: {lat: r.lat, lon: r.lon},
                ),
        }),
    )
    |> drop(columns: ["_places", "_lat", "_lon"])
    |> rename(columns: {_way: outputColumn})
