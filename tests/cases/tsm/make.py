#!/usr/bin/env python3
"""Makes the folder `v1` and the file `v1.lp.gz` beside this script with InfluxDB 1.x (`influxd` on the PATH; 1.6.7 was used).

  make.py SCRATCH_DIR [PORT]

The server writes rows of every kind into TSM files, tombstones and the log of its data directory. `v1.lp.gz` is what
the server itself answers at the end, as line protocol under a comment that names database and retention policy.
"""
import atexit, glob, gzip, json, os, pathlib, shutil, signal, subprocess, sys, time, urllib.error, urllib.parse, urllib.request

HERE = pathlib.Path(__file__).parent
SCRATCH = pathlib.Path(sys.argv[1])
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 28600
URL = f"http://127.0.0.1:{PORT}"
DAY = 86_400_000_000_000
T0 = 1_600_000_000_000_000_000


def start(snapshot):
    """A server whose cache becomes a file after `snapshot`, and whose files are never merged."""
    env = dict(os.environ, INFLUXDB_META_DIR=f"{SCRATCH}/meta", INFLUXDB_DATA_DIR=f"{SCRATCH}/data", INFLUXDB_DATA_WAL_DIR=f"{SCRATCH}/wal",
               INFLUXDB_HTTP_BIND_ADDRESS=f"127.0.0.1:{PORT}", INFLUXDB_BIND_ADDRESS=f"127.0.0.1:{PORT + 1}",
               INFLUXDB_REPORTING_DISABLED="true", INFLUXDB_MONITOR_STORE_ENABLED="false", INFLUXDB_DATA_INDEX_VERSION="inmem",
               INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION=snapshot, INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION="24h")
    config = SCRATCH / "influx.conf"
    config.write_text("[meta]\n[data]\n[http]\n")
    log = open(SCRATCH / "server.log", "ab")
    server = subprocess.Popen(["influxd", "run", "-config", str(config)], env=env, stdout=log, stderr=log)
    atexit.register(server.kill)
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{URL}/ping", timeout=1).read()
            return server
        except OSError:
            time.sleep(0.1)
    sys.exit(f"influxd does not answer; see {SCRATCH}/server.log")


def stop(server):
    server.send_signal(signal.SIGTERM)
    server.wait(60)


def ask(text, **params):
    form = urllib.parse.urlencode({"q": text, "epoch": "ns", **params}).encode()
    # JSON's -0 is a float's: as an integer it would lose its sign.
    integer = lambda digits: -0.0 if digits == "-0" else int(digits)
    answer = json.load(urllib.request.urlopen(f"{URL}/query", form), parse_int=integer)
    for result in answer["results"]:
        if "error" in result:
            sys.exit(f"{text}: {result['error']}")
    return answer["results"]


def write(lines, db="plant", rp="autogen"):
    params = urllib.parse.urlencode({"db": db, "rp": rp})
    try:
        urllib.request.urlopen(f"{URL}/write?{params}", "\n".join(lines).encode())
    except urllib.error.HTTPError as e:
        sys.exit(e.read().decode())


def snapshot(expected):
    """Waits until what was written is in files, of which there are `expected` then."""
    for _ in range(300):
        files = glob.glob(f"{SCRATCH}/data/*/*/*/*.tsm")
        if len(files) == expected:
            return
        time.sleep(0.1)
    sys.exit(f"{len(files)} files instead of {expected}: {files}")


def first_generation():
    ask("CREATE DATABASE plant")
    ask('CREATE RETENTION POLICY ages ON plant DURATION INF REPLICATION 1 SHARD DURATION 10400w')
    ask('CREATE DATABASE "other db" WITH NAME "two words"')
    # Times at equal distances (run length), integers that rise steadily (run length), values of every type.
    rows = [f"machine,host=a,rack=1 load={i / 7!r},jobs={i}i,up={'true' if i % 3 else 'false'},note=\"step {i}\" {T0 + i * 10_000_000_000}"
            for i in range(1100)]
    # Times with jitter (simple8b), integers of many sizes (simple8b), fields that are not in every row.
    rows += [f"machine,host=b load={-i * 1e300 / 1100!r},jobs={(-1) ** i * i ** 3}i {T0 + i * 1_000_000_000 + i * i % 977}" for i in range(0, 1100, 2)]
    rows += [f"machine,host=b up=true {T0 + i * 1_000_000_000 + i * i % 977}" for i in range(0, 1100, 3)]
    # Integers past 60 bits (raw), floats at the edges of their range.
    edges = [0, 1, -1, 2**63 - 1, -2**63, 2**60, -2**60]
    rows += [f"edges integer={v}i {T0 + i}" for i, v in enumerate(edges)]
    floats = ["0", "-0", "1", "-1", "5e-324", "1.7976931348623157e308", "-1.7976931348623157e308", "0.1", "3"]
    rows += [f"edges float={v} {T0 + i}" for i, v in enumerate(floats)]
    rows += [f"constant value=42i,same=1.5,on=true,text=\"\" {T0 + i * 1000}" for i in range(1050)]
    # Names and strings with all that has to be escaped.
    rows += [
        f'odd\\ name\\,\\ here,tag\\ key\\==va\\=lue\\,\\ x,zone=日本 field\\ key\\,\\==1,quote\\"d="say \\"hi\\" \\\\ end" {T0}',
        f'odd\\ name\\,\\ here text="two\nlines",other="日本語 🦀" {T0 + 1}',
        f"machine,host=a#,rack=! load=1 {T0}",
        f"machine,host=a!,rack=1 load=2 {T0}",
    ]
    # Five more shards on both sides of the epoch.
    rows += [f"sparse,side=west depth={i}i {i * 40 * DAY + 7}" for i in range(-2, 3)]
    write(rows)
    # Two shards; one has more than 2^60 ns between its times (raw).
    write([f"age,kind=rock years={i}i {t}" for i, t in enumerate([-4_000_000_000_000_000_000, 0, 5, 1_500_000_000_000_000_000])], rp="ages")
    write([f"m,k=v f={i}i {T0 + i}" for i in range(3)], db="other db", rp="two words")


def second_generation():
    """Over what is in files: other values, and fields that were not there."""
    write([f"machine,host=a,rack=1 load={-i}.5,extra={i}i {T0 + i * 10_000_000_000}" for i in range(100, 1000, 7)])
    write([f"machine,host=a,rack=1 load=0.25 {T0 + i * 10_000_000_000 + 5}" for i in range(50)])


def deletes():
    """Of rows in files: they become tombstones."""
    ask(f"DELETE FROM machine WHERE host = 'b' AND time >= {T0 + 100_000_000_000} AND time < {T0 + 200_000_000_000}", db="plant")
    ask(f"DELETE FROM constant WHERE time < {T0 + 500_000}", db="plant")
    ask("DELETE FROM sparse WHERE time = 7", db="plant")


def in_the_log():
    """Stays in the log: rows over files, rows over rows, deletes of both, rows after deletes."""
    write([f"machine,host=a,rack=1 load=1000.125,note=\"again\" {T0 + i * 10_000_000_000}" for i in range(0, 300, 5)])
    write([f"machine,host=a,rack=1 load=2000.25 {T0 + i * 10_000_000_000}" for i in range(0, 100, 10)])
    write([f"fresh,host=c value={i}i,up={'true' if i % 2 else 'false'},note=\"n{i}\",load={i}.5 {T0 + i}" for i in range(100)])
    write([f"gone,host=c value={i}i {T0 + i}" for i in range(10)])
    ask(f"DELETE FROM fresh WHERE time >= {T0 + 20} AND time < {T0 + 30}", db="plant")
    ask("DROP SERIES FROM gone", db="plant")
    write([f"fresh,host=c value=-1i {T0 + 25}", f"gone,host=d value=7i {T0 + 3}"])
    ask(f"DELETE FROM machine WHERE rack = '1' AND time >= {T0 + 250 * 10_000_000_000} AND time <= {T0 + 260 * 10_000_000_000}", db="plant")
    write([f"m,k=v f=9i {T0 + 1}"], db="other db", rp="two words")


def escaped(text, of):
    return "".join("\\" + c if c in of else c for c in text)


def value(v, kind):
    if kind == "integer":
        return f"{v}i"
    if kind == "float":
        return repr(float(v))
    if kind == "boolean":
        return "true" if v else "false"
    return '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def answer(db, rp):
    lines = []
    for series in ask(f"SHOW FIELD KEYS FROM {quoted(rp)}./.*/", db=db)[0].get("series", []):
        kinds, name = dict(series["values"]), series["name"]
        for group in ask(f"SELECT * FROM {quoted(rp)}.{quoted(name)} GROUP BY *", db=db)[0].get("series", []):
            tags = "".join(f",{escaped(k, ', =')}={escaped(v, ', =')}" for k, v in sorted(group["tags"].items()) if v) if "tags" in group else ""
            for row in group["values"]:
                cells = zip(group["columns"][1:], row[1:])
                fields = ",".join(f"{escaped(k, ', =')}={value(v, kinds[k])}" for k, v in sorted(cells) if v is not None)
                lines.append(f"{escaped(name, ', ')}{tags} {fields} {row[0]}")
    return sorted(lines)


def main():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    server = start("1s")
    first_generation()
    snapshot(1 + 5 + 2 + 1)
    second_generation()
    snapshot(1 + 5 + 2 + 1 + 1)
    deletes()
    stop(server)
    server = start("24h")
    in_the_log()
    text = ""
    for db, rp in [("plant", "autogen"), ("plant", "ages"), ("other db", "two words")]:
        text += f"# {db}/{rp}\n" + "\n".join(answer(db, rp)) + "\n"
    stop(server)
    if len(list(SCRATCH.rglob("*.tombstone"))) < 3:
        sys.exit("the server merged files before it was stopped, which takes their tombstones away; run this again")
    shutil.rmtree(HERE / "v1", ignore_errors=True)
    for path in sorted(p for p in SCRATCH.rglob("*") if p.suffix in (".tsm", ".tombstone", ".wal")):
        if path.stat().st_size and "_internal" not in path.parts:
            to = HERE / "v1" / path.relative_to(SCRATCH)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
    (HERE / "v1.lp.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


main()
