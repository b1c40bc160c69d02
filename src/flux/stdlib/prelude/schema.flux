// What is in a bucket. Bounds default to the last 30 days.

_start = -30d

option _from = (bucket) => from(bucket: bucket)

fieldsAsCols = (tables=<-) => tables |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")

tagValues = (bucket, tag, predicate=(r) => true, start=_start, stop=now()) => _from(bucket: bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: predicate)
    |> keep(columns: [tag])
    |> group()
    |> distinct(column: tag)

measurementTagValues = (bucket, measurement, tag, start=_start, stop=now()) => tagValues(
    bucket: bucket,
    tag: tag,
    predicate: (r) => r._measurement == measurement,
    start: start,
    stop: stop,
)

fieldKeys = (bucket, predicate=(r) => true, start=_start, stop=now()) => tagValues(
    bucket: bucket,
    tag: "_field",
    predicate: predicate,
    start: start,
    stop: stop,
)

measurementFieldKeys = (bucket, measurement, start=_start, stop=now()) => fieldKeys(
    bucket: bucket,
    predicate: (r) => r._measurement == measurement,
    start: start,
    stop: stop,
)

measurements = (bucket, start=_start, stop=now()) => tagValues(bucket: bucket, tag: "_measurement", start: start, stop: stop)

tagKeys = (bucket, predicate=(r) => true, start=_start, stop=now()) => _from(bucket: bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: predicate)
    |> keys()
    |> keep(columns: ["_value"])
    |> distinct()

measurementTagKeys = (bucket, measurement, start=_start, stop=now()) => tagKeys(
    bucket: bucket,
    predicate: (r) => r._measurement == measurement,
    start: start,
    stop: stop,
)
