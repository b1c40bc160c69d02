import "math"

// Median absolute deviation among the rows of each time: how many (scaled) deviations each value is off, and the
// verdict in `level`.
mad = (table=<-, threshold=3.0) => {
    data = table |> group(columns: ["_time"])
    middle = data |> median(column: "_value")
    distance = join(tables: {data: data, med: middle}, on: ["_time"])
        |> map(fn: (r) => ({r with _value: math.abs(x: r._value_data - r._value_med)}))
        |> drop(columns: ["_start", "_stop", "_value_med", "_value_data"])
    typical = distance
        |> median(column: "_value")
        |> map(fn: (r) => ({r with MAD: 1.4826 * r._value}))
        |> filter(fn: (r) => r.MAD > 0.0)

    return join(tables: {diff: distance, diff_med: typical}, on: ["_time"])
        |> map(fn: (r) => ({r with _value: r._value_diff / r._value_diff_med}))
        |> map(fn: (r) => ({r with level: if r._value >= threshold then "anomaly" else "normal"}))
}
