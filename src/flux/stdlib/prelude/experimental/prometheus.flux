import "experimental"
import "universe"

// Quantiles of Prometheus histograms as Telegraf stores them: metric version 2 has bounds in tag `le`, version 1 in `_field`.
histogramQuantile = (tables=<-, quantile, metricVersion=2, onNonmonotonic="error") => {
    bounded = if metricVersion == 2 then
        tables
            |> group(mode: "except", columns: ["le", "_value"])
            |> map(fn: (r) => ({r with le: float(v: r.le)}))
    else if metricVersion == 1 then
        tables
            |> filter(fn: (r) => r._field != "sum" and r._field != "count")
            |> map(fn: (r) => ({r with le: float(v: r._field)}))
            |> group(mode: "except", columns: ["_field", "le", "_value"])
    else
        die(msg: "Invalid metricVersion. Available versions are 1 and 2.")

    return bounded
        |> universe.histogramQuantile(quantile: quantile, onNonmonotonic: onNonmonotonic)
        |> group(mode: "except", columns: ["le", "_value", "_time"])
        |> set(key: "quantile", value: string(v: quantile))
        |> experimental.group(mode: "extend", columns: ["quantile"])
}

scrape = (url) => die(msg: "scripts cannot read metrics from other hosts: let Telegraf or another agent scrape ${url} and write to Tidegauge")
