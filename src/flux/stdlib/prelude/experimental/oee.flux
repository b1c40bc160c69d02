// Overall equipment effectiveness: availability, performance, quality, and their product.

import "contrib/tomhollingworth/events"
import "experimental"

computeAPQ = (productionEvents, partEvents, runningState, plannedTime, idealCycleTime) => {
    availability = productionEvents
        |> events.duration(unit: 1ns, columnName: "runTime")
        |> filter(fn: (r) => r.state == runningState)
        |> sum(column: "runTime")
        |> map(fn: (r) => ({r with _time: r._stop, availability: float(v: r.runTime) / float(v: int(v: plannedTime))}))
    made = (column) => partEvents
        |> difference(columns: [column], nonNegative: true)
        |> sum(column: column)
        |> duplicate(column: "_stop", as: "_time")
    all = made(column: "partCount")
    bad = made(column: "badCount")
    performance = experimental.join(
        left: availability,
        right: all,
        fn: (left, right) => ({left with
            performance: float(v: right.partCount) * float(v: int(v: idealCycleTime)) / float(v: left.runTime),
        }),
    )
    quality = experimental.join(
        left: bad,
        right: all,
        fn: (left, right) => ({left with
            quality: (float(v: right.partCount) - float(v: left.badCount)) / float(v: right.partCount),
        }),
    )

    return experimental.join(
        left: performance,
        right: quality,
        fn: (left, right) => ({left with
            quality: right.quality,
            oee: left.availability * left.performance * right.quality,
        }),
    )
}

APQ = (tables=<-, runningState, plannedTime, idealCycleTime) => computeAPQ(
    productionEvents: tables,
    partEvents: tables,
    runningState: runningState,
    plannedTime: plannedTime,
    idealCycleTime: idealCycleTime,
)
