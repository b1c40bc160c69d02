// Statuses of checks and records of notifications, in bucket `_monitoring`.

import "experimental"
import "influxdata/influxdb"
import "influxdata/influxdb/v1"

bucket = "_monitoring"

option write = (tables=<-) => tables |> experimental.to(bucket: bucket)
option log = (tables=<-) => tables |> experimental.to(bucket: bucket)

levelOK = "ok"
levelInfo = "info"
levelWarn = "warn"
levelCrit = "crit"
levelUnknown = "unknown"

_stored = (measurement, start, stop, fn) => influxdb.from(bucket: bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == measurement)
    |> filter(fn: fn)
    |> v1.fieldsAsCols()

logs = (start, stop=now(), fn) => _stored(measurement: "notifications", start: start, stop: stop, fn: fn)

from = (start, stop=now(), fn=(r) => true) => _stored(measurement: "statuses", start: start, stop: stop, fn: fn)

// Rows at which a number made of the level steps in a way that counts, statuses in order of their sources' times.
_steps = (tables=<-, rank, counts) => tables
    |> map(fn: (r) => ({r with level_value: rank(level: r._level)}))
    |> duplicate(column: "_level", as: "____temp_level____")
    |> drop(columns: ["_level"])
    |> rename(columns: {"____temp_level____": "_level"})
    |> sort(columns: ["_source_timestamp", "_time"])
    |> difference(columns: ["level_value"])
    |> filter(fn: (r) => counts(step: r.level_value))
    |> drop(columns: ["level_value"])
    |> experimental.group(mode: "extend", columns: ["_level"])

_severity = (level) => if level == levelCrit then
    4
else if level == levelWarn then
    3
else if level == levelInfo then
    2
else if level == levelOK then
    1
else
    0

stateChangesOnly = (tables=<-) => tables |> _steps(rank: _severity, counts: (step) => step != 0)

// Levels that end the change are 1, those that begin it 0, the others far off, so that only a change steps by 1.
_stateChanges = (tables=<-, fromLevel="any", toLevel="any") => {
    ends = if toLevel == "any" then (level) => level != fromLevel and exists level else (level) => level == toLevel
    begins = if fromLevel == "any" then (level) => level != toLevel and exists level else (level) => level == fromLevel

    return tables
        |> _steps(
            rank: (level) => if ends(level: level) then 1 else if begins(level: level) then 0 else -10,
            counts: (step) => step == 1,
        )
}

stateChanges = (tables=<-, fromLevel="any", toLevel="any") => if fromLevel == "any" and toLevel == "any" then
    tables |> stateChangesOnly()
else
    tables |> _stateChanges(fromLevel: fromLevel, toLevel: toLevel)

notify = (tables=<-, endpoint, data) => tables
    |> experimental.set(o: data)
    |> experimental.group(mode: "extend", columns: experimental.objectKeys(o: data))
    |> map(fn: (r) => ({r with _measurement: "notifications", _status_timestamp: int(v: r._time), _time: now()}))
    |> endpoint()
    |> experimental.group(mode: "extend", columns: ["_sent"])
    |> log()

deadman = (tables=<-, t) => tables
    |> max(column: "_time")
    |> map(fn: (r) => ({r with dead: r._time < t}))

check = (
    tables=<-,
    data,
    messageFn,
    crit=(r) => false,
    warn=(r) => false,
    info=(r) => false,
    ok=(r) => true,
) => tables
    |> experimental.set(o: data.tags)
    |> experimental.group(mode: "extend", columns: experimental.objectKeys(o: data.tags))
    |> map(
        fn: (r) => ({r with
            _measurement: "statuses",
            _source_measurement: r._measurement,
            _type: data._type,
            _check_id: data._check_id,
            _check_name: data._check_name,
            _level: if crit(r: r) then
                levelCrit
            else if warn(r: r) then
                levelWarn
            else if info(r: r) then
                levelInfo
            else if ok(r: r) then
                levelOK
            else
                levelUnknown,
            _source_timestamp: int(v: r._time),
            _time: now(),
        }),
    )
    |> map(fn: (r) => ({r with _message: messageFn(r: r)}))
    |> experimental.group(
        mode: "extend",
        columns: [
            "_source_measurement",
            "_type",
            "_check_id",
            "_check_name",
            "_level",
        ],
    )
    |> write()
