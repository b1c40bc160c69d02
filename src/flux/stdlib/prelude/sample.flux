// The sample data sets that InfluxData publishes.

import "array"
import "dict"

_folder = "https://influx-testdata.s3.amazonaws.com/"

_sets = [
    "airSensor": {file: "air-sensor-data-annotated.csv", size: "~600 KB", type: "live", description: "Temperature, humidity and carbon monoxide of simulated rooms"},
    "birdMigration": {file: "bird-migration.csv", size: "~1.2 MB", type: "static", description: "Positions of migrating birds in Africa, 2019"},
    "bitcoin": {file: "bitcoin-historical-annotated.csv", size: "~700 KB", type: "live", description: "Price of Bitcoin in the last 30 days (CoinDesk)"},
    "machineProduction": {file: "machine-production.csv", size: "~11.9 MB", type: "static", description: "Four grinding machines on 1 August 2021"},
    "noaa": {file: "noaa-ndbc-latest-observations-annotated.csv", size: "~1.3 MB", type: "live", description: "Latest observations of NOAA's buoys"},
    "noaaWater": {file: "noaa.csv", size: "~10.3 MB", type: "static", description: "Water levels at two NOAA stations, August and September 2019"},
    "usgs": {file: "usgs-earthquake-all-week-annotated.csv", size: "~6 MB", type: "live", description: "Earthquakes of the last week (USGS)"},
]

_setInfo = (set) => {
    known = dict.get(dict: _sets, key: set, default: {file: "", size: "", type: "", description: ""})

    return {
        name: set,
        description: known.description,
        url: if known.file == "" then "" else _folder + known.file,
        size: known.size,
        type: known.type,
    }
}

list = () => array.from(
    rows: ["airSensor", "birdMigration", "bitcoin", "machineProduction", "noaa", "noaaWater", "usgs"]
        |> array.map(fn: (x) => _setInfo(set: x)),
)

data = (set) => {
    url = _setInfo(set: set).url

    return if url == "" then
        die(msg: "Invalid sample data set. Use sample.list to view available datasets.")
    else
        die(msg: "scripts cannot fetch files from other hosts yet: download ${url} and write it with `tidegauge write`")
}

// All times moved so that the last one is now.
alignToNow = (tables=<-) => {
    newest = tables
        |> keep(columns: ["_time"])
        |> last(column: "_time")
        |> findRecord(fn: (key) => true, idx: 0)

    return tables |> timeShift(duration: duration(v: int(v: now()) - int(v: newest._time)))
}
