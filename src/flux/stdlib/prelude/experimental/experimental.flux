// What became part of other packages, functions of `_value`, and compositions.

import "date"
import "influxdata/influxdb"
import "universe"

addDuration = (d, to, location=location) => date.add(d: d, to: to, location: location)
subDuration = (d, from, location=location) => date.sub(d: d, from: from, location: location)

to = influxdb.wideTo

// Times become what has passed since the first row of the table, counted from `alignTo`.
alignTime = (tables=<-, alignTo=time(v: 0)) => tables
    |> stateDuration(fn: (r) => true, column: "_since_first", unit: 1ns)
    |> map(fn: (r) => ({r with _time: time(v: int(v: alignTo) + r._since_first)}))
    |> drop(columns: ["_since_first"])

window = (
    tables=<-,
    every=0s,
    period=0s,
    offset=0s,
    location=location,
    createEmpty=false,
) => tables
    |> universe.window(
        every: if every == 0s then period else every,
        period: if period == 0s then every else period,
        offset: offset,
        location: location,
        createEmpty: createEmpty,
    )

count = (tables=<-) => tables |> universe.count()
distinct = (tables=<-) => tables |> universe.distinct()
first = (tables=<-) => tables |> universe.first()
kaufmansAMA = (tables=<-, n) => tables |> universe.kaufmansAMA(n: n)
last = (tables=<-) => tables |> universe.last()
max = (tables=<-) => tables |> universe.max()
mean = (tables=<-) => tables |> universe.mean()
min = (tables=<-) => tables |> universe.min()
mode = (tables=<-) => tables |> universe.mode()
skew = (tables=<-) => tables |> universe.skew()
spread = (tables=<-) => tables |> universe.spread()
stddev = (tables=<-, mode="sample") => tables |> universe.stddev(mode: mode)
sum = (tables=<-) => tables |> universe.sum()
unique = (tables=<-) => tables |> universe.unique()

integral = (tables=<-, unit=1s, interpolate="") => tables |> universe.integral(unit: unit, interpolate: interpolate)

quantile = (tables=<-, q, compression=1000.0, method="estimate_tdigest") => if method == "estimate_tdigest" then
    tables |> universe.quantile(q: q, compression: compression, method: method)
else
    tables |> universe.quantile(q: q, method: method)

histogram = (tables=<-, bins, normalize=false) => tables
    |> universe.histogram(bins: bins, normalize: normalize, column: "_value", upperBoundColumn: "le", countColumn: "_value")

histogramQuantile = (tables=<-, quantile=0.5, minValue=0.0) => tables
    |> universe.histogramQuantile(quantile: quantile, minValue: minValue, upperBoundColumn: "le", countColumn: "_value", valueColumn: "_value")
