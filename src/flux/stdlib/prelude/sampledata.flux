// Two tables of six rows, `t1` and `t2`, in every column type (the values that InfluxDB documents).
import "array"
import "internal/debug"

start = 2021-01-01T00:00:00Z
stop = 2021-01-01T00:01:00Z

// `gap` marks rows whose value is null with `includeNull`; a numeric boolean is `b` as 0 or 1.
_rows = array.from(
    rows: [
        {_time: 2021-01-01T00:00:00Z, tag: "t1", f: -2.18, i: -2, s: "smpl_g9qczs", b: true, gap: false},
        {_time: 2021-01-01T00:00:10Z, tag: "t1", f: 10.92, i: 10, s: "smpl_0mgv9n", b: true, gap: true},
        {_time: 2021-01-01T00:00:20Z, tag: "t1", f: 7.35, i: 7, s: "smpl_phw664", b: false, gap: false},
        {_time: 2021-01-01T00:00:30Z, tag: "t1", f: 17.53, i: 17, s: "smpl_guvzy4", b: true, gap: true},
        {_time: 2021-01-01T00:00:40Z, tag: "t1", f: 15.23, i: 15, s: "smpl_5v3cce", b: false, gap: true},
        {_time: 2021-01-01T00:00:50Z, tag: "t1", f: 4.43, i: 4, s: "smpl_s9fmgy", b: false, gap: false},
        {_time: 2021-01-01T00:00:00Z, tag: "t2", f: 19.85, i: 19, s: "smpl_b5eida", b: false, gap: true},
        {_time: 2021-01-01T00:00:10Z, tag: "t2", f: 4.97, i: 4, s: "smpl_eu4oxp", b: true, gap: false},
        {_time: 2021-01-01T00:00:20Z, tag: "t2", f: -3.75, i: -3, s: "smpl_5g7tz4", b: false, gap: false},
        {_time: 2021-01-01T00:00:30Z, tag: "t2", f: 19.77, i: 19, s: "smpl_sox1ut", b: true, gap: false},
        {_time: 2021-01-01T00:00:40Z, tag: "t2", f: 13.86, i: 13, s: "smpl_wfm757", b: true, gap: true},
        {_time: 2021-01-01T00:00:50Z, tag: "t2", f: 1.86, i: 1, s: "smpl_dtn2bv", b: false, gap: false},
    ],
)
    |> group(columns: ["tag"])

// Taken before the names below hide them.
_uint = uint

_sets = (value, type, includeNull) => _rows
    |> map(fn: (r) => ({_time: r._time, tag: r.tag, _value: if includeNull and r.gap then debug.null(type: type) else value(r: r)}))

float = (includeNull=false) => _sets(value: (r) => r.f, type: "float", includeNull: includeNull)
int = (includeNull=false) => _sets(value: (r) => r.i, type: "int", includeNull: includeNull)
uint = (includeNull=false) => _sets(value: (r) => _uint(v: r.i), type: "uint", includeNull: includeNull)
string = (includeNull=false) => _sets(value: (r) => r.s, type: "string", includeNull: includeNull)
bool = (includeNull=false) => _sets(value: (r) => r.b, type: "bool", includeNull: includeNull)
numericBool = (includeNull=false) => _sets(value: (r) => if r.b then 1 else 0, type: "int", includeNull: includeNull)
