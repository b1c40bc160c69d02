import "experimental"

// Per-second rates of counters, averaged over time windows, added up over the series of each group.
rate = (tables=<-, every, groupColumns=[], unit=1s) => tables
    |> derivative(nonNegative: true, unit: unit)
    |> aggregateWindow(
        every: every,
        fn: (tables=<-, column) => tables
            |> mean(column: column)
            |> group(columns: groupColumns)
            |> experimental.group(mode: "extend", columns: ["_start", "_stop"])
            |> sum(column: column),
    )
