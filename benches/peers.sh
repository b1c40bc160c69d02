#!/usr/bin/env bash
# Tidegauge beside InfluxDB 1.x and VictoriaMetrics: durable ingest and the 15 TSBS cpu query classes, on one machine in
# one run, every server given the same bytes. Prints both raw numbers of every ratio, and the load.
#
#   benches/peers.sh [ingest]     `ingest` leaves out the queries
#
# Needs the bench kit (TIDEGAUGE_BENCH_KIT, default ../shared/bench), influxd 1.x and victoria-metrics on the PATH
# (Debian: influxdb, victoria-metrics), python3, and a release build. HOSTS and HOURS size the data; VALUES is int, float2 (two decimals)
# or float17 (all digits). Benches that need no peer are in bars.py.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
kit="${TIDEGAUGE_BENCH_KIT:-$root/../shared/bench}"
target="${CARGO_TARGET_DIR:-$root/target}"
binary="${TIDEGAUGE_BIN:-$target/release/tidegauge}"
what="${1:-all}"
hosts="${HOSTS:-100}" hours="${HOURS:-24}" values="${VALUES:-int}"
[ -d "$kit" ] || { echo "no bench kit at $kit: set TIDEGAUGE_BENCH_KIT"; exit 1; }
[ -x "$binary" ] || { echo "no release build: run cargo build --release"; exit 1; }
for peer in influxd victoria-metrics; do
  command -v "$peer" >/dev/null || { echo "$peer is needed: apt-get install influxdb victoria-metrics"; exit 1; }
done

work="${BENCH_DIR:-$(mktemp -d)}"
python="$target/bench-venv/bin/python"
if [ ! -x "$python" ]; then
  python3 -m venv "$target/bench-venv"
  "$target/bench-venv/bin/pip" install --quiet --disable-pip-version-check numpy pyarrow duckdb
fi
token=bench-token org=bench database=tsbs
data="$work/data-$hosts-$hours-$values"
[ -e "$data/manifest.json" ] || "$python" "$kit/gen.py" --out "$data" --scale "$hosts" --hours "$hours" --values "$values" >/dev/null

influx_port=28186 victoria_port=28286 own_port=28386
own_pid=""
stop_all() {
  [ -z "$own_pid" ] || { kill "$own_pid" 2>/dev/null || true; wait "$own_pid" 2>/dev/null || true; own_pid=""; }
  for peer in influx1 victoria; do
    [ ! -e "$work/$peer/bench.pid" ] || python3 "$kit/peers.py" stop --dir "$work/$peer" >/dev/null || true
  done
}
trap stop_all EXIT

start_own() {
  rm -rf "$work/tidegauge"
  "$binary" serve --http-bind-address "127.0.0.1:$own_port" --data-dir "$work/tidegauge" >"$work/tidegauge.log" 2>&1 &
  own_pid=$!
  for _ in $(seq 100); do curl -sf "http://127.0.0.1:$own_port/health" >/dev/null && break; sleep 0.1; done
  curl -sf -o /dev/null "http://127.0.0.1:$own_port/api/v2/setup" \
    -d "{\"username\":\"bench\",\"org\":\"$org\",\"bucket\":\"$database\",\"token\":\"$token\"}"
}
pid_of() { cat "$work/$1/bench.pid"; }
load() { # name kind port pid directory
  echo "-- $1"
  "$python" "$kit/ingest.py" "$data/cpu.lp" --name "$1" --kind "$2" --url "http://127.0.0.1:$3" --pid "$4" --data-dir "$5" \
    --db "$database" --org "$org" --token "${6:-}" --settle 4 --settle-max 60 --json "$work/ingest.jsonl" |
    grep -E "values_per_s|batch_ms|server_cpu_s |server_peak_mb |disk_mb|bytes_per_value|other_cpu|load_before|errors"
}

rm -f "$work/ingest.jsonl"
python3 "$kit/peers.py" start influx1 --dir "$work/influx1" --port "$influx_port" --fresh >/dev/null
load "InfluxDB 1.x (durable ack)" influx1 "$influx_port" "$(pid_of influx1)" "$work/influx1"
python3 "$kit/peers.py" start victoria --dir "$work/victoria" --port "$victoria_port" --fresh >/dev/null
load "VictoriaMetrics (ack from memory)" victoria "$victoria_port" "$(pid_of victoria)" "$work/victoria"
start_own
load "Tidegauge (durable ack)" influx2 "$own_port" "$own_pid" "$work/tidegauge" "$token"
"$python" - "$work/ingest.jsonl" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
own = rows[-1]
print("\ningest, values/s:", ", ".join(f"{r['name']} {r['values_per_s']:,}" for r in rows))
for r in rows[:-1]:
    print(f"  Tidegauge / {r['name']}: {own['values_per_s'] / r['values_per_s']:.2f}")
PY
# InfluxDB and VictoriaMetrics were waited for above; Tidegauge flushes by age, so it is told to.
curl -sf -o /dev/null -X POST -H "Authorization: Token $token" "http://127.0.0.1:$own_port/api/v2/tidegauge/compact"
"$python" - "$data/manifest.json" "$work" <<'PY'
import json, os, sys
manifest, work = json.load(open(sys.argv[1])), sys.argv[2]
values = sum(part["values"] for part in manifest["measurements"].values())
size = lambda folder, end="": sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(folder) for f in fs if f.endswith(end))
own = work + "/tidegauge"
print(f"\ndisk after settling, bytes per value: Tidegauge {size(own) / values:.3f} (Parquet files alone {size(own, '.parquet') / values:.3f}),",
      f"InfluxDB 1.x {size(work + '/influx1') / values:.3f}, VictoriaMetrics {size(work + '/victoria') / values:.3f}")
PY
[ "$what" != ingest ] || exit 0

# Who is asked right after another server has answered finds its caches cold and that server still tidying up. So the order goes round:
# each is asked as often after each of the others.
targets=("influx1=influxql:http://127.0.0.1:$influx_port/$database" "victoria=promql:http://127.0.0.1:$victoria_port"
  "influxql=influxql:http://127.0.0.1:$own_port/$database" "flux=flux:http://127.0.0.1:$own_port/$org/$database"
  "sql=sql3:http://127.0.0.1:$own_port/$database")
rounds="${#targets[@]}" asked="${N:-10}"
rm -f "$work"/queries-*.json
for ((turn = 0; turn < rounds; turn++)); do
  order=()
  for ((at = 0; at < rounds; at++)); do order+=(--target "${targets[(turn + at) % rounds]}"); done
  "$python" "$kit/queries.py" --data "$data" --token "$token" --base influx1 -n $(((asked + rounds - 1) / rounds)) --seed "$((7 + turn))" \
    "${order[@]}" --json "$work/queries-$turn.json" >"$work/queries-$turn.txt" || { cat "$work/queries-$turn.txt"; exit 1; }
done
"$python" - "$work"/queries-*.json <<'PY'
import json, os, statistics, sys
names = ["influx1", "victoria", "influxql", "flux", "sql"]
spans = {}
for path in sys.argv[1:]:
    for one in json.load(open(path)):
        for name, ms in one["ms"].items():
            spans.setdefault(one["class"], {}).setdefault(name, []).extend(ms or [])
print("\nload average", *(f"{load:.2f}" for load in os.getloadavg()))
print("latency in ms: min / median / p95; then how many times the median of InfluxDB is that of the target. Every answer was the same.")
print("class".ljust(24) + "".join(name.rjust(24) for name in names) + "".join(f"x {name}".rjust(12) for name in names[1:]))
for name, by in spans.items():
    line, medians = name.ljust(24), {}
    for target in names:
        ms = sorted(by.get(target) or [])
        if ms:
            medians[target] = statistics.median(ms)
            line += f"{ms[0]:.2f} / {medians[target]:.2f} / {ms[int((len(ms) - 1) * 0.95)]:.2f}".rjust(24)
        else:
            line += "-".rjust(24)
    print(line + "".join((f"{medians['influx1'] / medians[t]:.2f}" if t in medians else "-").rjust(12) for t in names[1:]))
PY
