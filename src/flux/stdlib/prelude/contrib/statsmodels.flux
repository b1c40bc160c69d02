// A straight line through the values of the first table, by the number of the row; `y_hat` is the line's value.
linearRegression = (tables=<-) => {
    numbered = tables
        |> rename(columns: {_value: "y"})
        |> map(fn: (r) => ({r with x: 1.0}))
        |> cumulativeSum(columns: ["x"])
    sums = numbered
        |> reduce(
            identity: {N: 0.0, sx: 0.0, sy: 0.0, sxx: 0.0, sxy: 0.0},
            fn: (r, accumulator) => ({
                N: accumulator.N + 1.0,
                sx: accumulator.sx + r.x,
                sy: accumulator.sy + r.y,
                sxx: accumulator.sxx + r.x * r.x,
                sxy: accumulator.sxy + r.x * r.y,
            }),
        )
        |> tableFind(fn: (key) => true)
        |> getRecord(idx: 0)
    slope = (sums.sxy - sums.sx * sums.sy / sums.N) / (sums.sxx - sums.sx * sums.sx / sums.N)
    intercept = (sums.sy - slope * sums.sx) / sums.N

    return numbered
        |> map(
            fn: (r) => ({r with
                y_hat: slope * r.x + intercept,
                slope: slope,
                N: sums.N,
                sx: sums.sx,
                sy: sums.sy,
                sxx: sums.sxx,
                sxy: sums.sxy,
            }),
        )
        |> map(fn: (r) => ({r with errors: (r.y - r.y_hat) ^ 2.0}))
}
