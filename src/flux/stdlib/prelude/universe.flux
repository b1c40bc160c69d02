// Compositions of package universe.

increase = (tables=<-, columns=["_value"]) => tables
    |> difference(nonNegative: true, columns: columns, keepFirst: true, initialZero: true)
    |> cumulativeSum(columns: columns)

median = (tables=<-, column="_value", method="estimate_tdigest", compression=0.0) => tables
    |> quantile(q: 0.5, column: column, method: method, compression: compression)

_sortLimit = (tables=<-, n, desc, columns=["_value"]) => tables
    |> sort(columns: columns, desc: desc)
    |> limit(n: n)

top = (tables=<-, n, columns=["_value"]) => tables |> _sortLimit(n: n, columns: columns, desc: true)

bottom = (tables=<-, n, columns=["_value"]) => tables |> _sortLimit(n: n, columns: columns, desc: false)

_highestOrLowest = (tables=<-, n, column="_value", groupColumns=[], reducer, _sortLimit) => tables
    |> group(columns: groupColumns)
    |> reducer()
    |> group(columns: [])
    |> _sortLimit(n: n, columns: [column])

highestMax = (tables=<-, n, column="_value", groupColumns=[]) => tables
    |> _highestOrLowest(n: n, column: column, groupColumns: groupColumns, reducer: (tables=<-) => tables |> max(column: column), _sortLimit: top)

highestAverage = (tables=<-, n, column="_value", groupColumns=[]) => tables
    |> _highestOrLowest(n: n, column: column, groupColumns: groupColumns, reducer: (tables=<-) => tables |> mean(column: column), _sortLimit: top)

highestCurrent = (tables=<-, n, column="_value", groupColumns=[]) => tables
    |> _highestOrLowest(n: n, column: column, groupColumns: groupColumns, reducer: (tables=<-) => tables |> last(column: column), _sortLimit: top)

lowestMin = (tables=<-, n, column="_value", groupColumns=[]) => tables
    |> _highestOrLowest(n: n, column: column, groupColumns: groupColumns, reducer: (tables=<-) => tables |> min(column: column), _sortLimit: bottom)

lowestAverage = (tables=<-, n, column="_value", groupColumns=[]) => tables
    |> _highestOrLowest(n: n, column: column, groupColumns: groupColumns, reducer: (tables=<-) => tables |> mean(column: column), _sortLimit: bottom)

lowestCurrent = (tables=<-, n, column="_value", groupColumns=[]) => tables
    |> _highestOrLowest(n: n, column: column, groupColumns: groupColumns, reducer: (tables=<-) => tables |> last(column: column), _sortLimit: bottom)

timedMovingAverage = (tables=<-, every, period, column="_value") => tables
    |> window(every: every, period: period)
    |> mean(column: column)
    |> duplicate(column: "_stop", as: "_time")
    |> window(every: inf)

doubleEMA = (n, tables=<-) => tables
    |> exponentialMovingAverage(n: n)
    |> duplicate(column: "_value", as: "__ema")
    |> exponentialMovingAverage(n: n)
    |> map(fn: (r) => ({r with _value: 2.0 * r.__ema - r._value}))
    |> drop(columns: ["__ema"])

tripleEMA = (n, tables=<-) => tables
    |> exponentialMovingAverage(n: n)
    |> duplicate(column: "_value", as: "__ema1")
    |> exponentialMovingAverage(n: n)
    |> duplicate(column: "_value", as: "__ema2")
    |> exponentialMovingAverage(n: n)
    |> map(fn: (r) => ({r with _value: 3.0 * r.__ema1 - 3.0 * r.__ema2 + r._value}))
    |> drop(columns: ["__ema1", "__ema2"])

kaufmansER = (n, tables=<-) => tables
    |> chandeMomentumOscillator(n: n)
    |> map(fn: (r) => ({r with _value: if r._value < 0.0 then r._value / -100.0 else r._value / 100.0}))

toString = (tables=<-) => tables |> map(fn: (r) => ({r with _value: string(v: r._value)}))
toInt = (tables=<-) => tables |> map(fn: (r) => ({r with _value: int(v: r._value)}))
toUInt = (tables=<-) => tables |> map(fn: (r) => ({r with _value: uint(v: r._value)}))
toFloat = (tables=<-) => tables |> map(fn: (r) => ({r with _value: float(v: r._value)}))
toBool = (tables=<-) => tables |> map(fn: (r) => ({r with _value: bool(v: r._value)}))
toTime = (tables=<-) => tables |> map(fn: (r) => ({r with _value: time(v: r._value)}))

stateCount = (tables=<-, fn, column="stateCount") => tables |> stateTracking(fn: fn, countColumn: column)

stateDuration = (tables=<-, fn, column="stateDuration", timeColumn="_time", unit=1s) => tables
    |> stateTracking(fn: fn, durationColumn: column, timeColumn: timeColumn, durationUnit: unit)

hourSelection = (tables=<-, start, stop, location=location, timeColumn="_time") => tables
    |> _hourSelection(start: start, stop: stop, location: location, timeColumn: timeColumn)

cov = (x, y, on, pearsonr=false) => join(tables: {x: x, y: y}, on: on)
    |> covariance(pearsonr: pearsonr, columns: ["_value_x", "_value_y"])

pearsonr = (x, y, on) => cov(x: x, y: y, on: on, pearsonr: true)

timeWeightedAvg = (tables=<-, unit) => tables
    |> integral(unit: unit, interpolate: "linear")
    |> map(fn: (r) => ({r with _value: r._value * float(v: int(v: unit)) / float(v: int(v: r._stop) - int(v: r._start))}))
