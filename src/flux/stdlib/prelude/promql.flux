import "experimental"
import "math"
import "universe"

join = experimental.join

quantile = (q, tables=<-, method="exact_mean") => if q < 0.0 then
    tables |> reduce(identity: {_value: math.mInf(sign: -1)}, fn: (r, accumulator) => accumulator)
else if q > 1.0 then
    tables |> reduce(identity: {_value: math.mInf(sign: 1)}, fn: (r, accumulator) => accumulator)
else
    tables |> universe.quantile(q: q, method: method)
