// What Kapacitor's TICKscript nodes do, for scripts moved from there.

import "experimental"
import "experimental/array"
import "influxdata/influxdb/monitor"
import "influxdata/influxdb/schema"
import "universe"

defineCheck = (id, name, type="custom") => ({_check_id: id, _check_name: name, _type: type, tags: {}})

alert = (
    tables=<-,
    check,
    id=(r) => "${r._check_id}",
    details=(r) => "",
    message=(r) => "Threshold Check: ${r._check_name} is: ${r._level}",
    crit=(r) => false,
    warn=(r) => false,
    info=(r) => false,
    ok=(r) => true,
    topic="",
) => {
    named = tables
        |> drop(fn: (column) => column =~ /_start.*/ or column =~ /_stop.*/)
        |> map(fn: (r) => ({r with _check_id: check._check_id, _check_name: check._check_name}))
        |> map(fn: (r) => ({r with id: id(r: r)}))
        |> map(fn: (r) => ({r with details: details(r: r)}))
    addressed = if topic == "" then
        named
    else
        named
            |> set(key: "_topic", value: topic)
            |> experimental.group(mode: "extend", columns: ["_topic"])

    return addressed
        |> monitor.check(
            crit: crit,
            warn: warn,
            info: info,
            ok: ok,
            messageFn: message,
            data: check,
        )
}

// An alert when a measurement has had at most `threshold` rows; none at all counts as 0 and makes one table still.
deadman = (
    tables=<-,
    check,
    measurement,
    threshold=0,
    id=(r) => "${r._check_id}",
    message=(r) => "Deadman Check: ${r._check_name} is: " + (if r.dead then "dead" else "alive"),
    topic="",
) => {
    placeholder = array.from(rows: [{_time: 2000-01-01T00:00:00Z, _field: "unknown", _value: 0, _measurement: measurement}])
        |> experimental.group(mode: "extend", columns: ["_measurement"])
        |> schema.fieldsAsCols()
    rowCounts = union(tables: [placeholder, tables])
        |> keep(columns: ["_measurement", "_time"])
        |> duplicate(column: "_measurement", as: "_counted")
        |> count(column: "_counted")
        |> findColumn(fn: (key) => key._measurement == measurement, column: "_counted")
    watched = if rowCounts[0] == 1 then
        placeholder |> drop(columns: ["unknown"]) |> limit(n: 0)
    else
        tables

    return watched
        |> duplicate(column: "_measurement", as: "_counted")
        |> count(column: "_counted")
        |> map(fn: (r) => ({r with _time: now()}))
        |> map(fn: (r) => ({r with dead: r._counted <= threshold}))
        |> drop(columns: ["_counted"])
        |> alert(
            check: check,
            id: id,
            message: message,
            crit: (r) => r.dead,
            topic: topic,
        )
}

select = (tables=<-, column="_value", fn=(tables=<-, column) => tables, as) => {
    from = column
    to = as

    return tables
        |> fn(column: from)
        |> rename(fn: (column) => if column == from then to else column)
}

selectWindow = (tables=<-, column="_value", fn, as, every, defaultValue) => {
    from = column
    to = as

    return tables
        |> aggregateWindow(every: every, fn: fn, column: from, createEmpty: true)
        |> fill(column: from, value: defaultValue)
        |> rename(fn: (column) => if column == from then to else column)
}

compute = select

groupBy = (tables=<-, columns) => tables
    |> group(columns: columns)
    |> experimental.group(mode: "extend", columns: ["_measurement"])

join = (tables, on=["_time"], measurement) => universe.join(tables: tables, on: on)
    |> map(fn: (r) => ({r with _measurement: measurement}))
    |> experimental.group(mode: "extend", columns: ["_measurement"])
