import "regexp"
import "strings"

_words = [
    {unit: / ns /, word: " nanoseconds "},
    {unit: / us /, word: " microseconds "},
    {unit: / ms /, word: " milliseconds "},
    {unit: / s /, word: " seconds "},
    {unit: / m /, word: " minutes "},
    {unit: / h /, word: " hours "},
    {unit: / d /, word: " days "},
    {unit: / w /, word: " weeks "},
    {unit: / mo /, word: " months "},
    {unit: / y /, word: " years "},
]

_spell = (v, at=0) => regexp.replaceAllString(r: _words[at].unit, v: v, t: _words[at].word)

// A duration as SQL's INTERVAL reads it: 1 weeks 6 days.
sqlInterval = (d) => {
    apart = regexp.replaceAllString(r: /([^\d]+)/, v: string(v: d), t: " $1 ")
    short = _spell(v: _spell(v: _spell(v: _spell(v: apart, at: 0), at: 1), at: 2), at: 3)
    middle = _spell(v: _spell(v: _spell(v: short, at: 4), at: 5), at: 6)
    long = _spell(v: _spell(v: _spell(v: middle, at: 7), at: 8), at: 9)

    return strings.trimSpace(v: long)
}

from = (bucket, measurement) => die(
    msg: "iox.from: use from(bucket: \"${bucket}\") |> filter(fn: (r) => r._measurement == \"${measurement}\") and pivot",
)

sql = (bucket, query) => die(msg: "iox.sql: send SQL to /api/v3/query_sql; Flux cannot hold it yet")
