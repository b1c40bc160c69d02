#!/usr/bin/env python3
"""Figures of Tidegauge that need no peer, each a line of JSON: what was measured, its bar, and whether it holds.

    benches/bars.py BINARY [SECTION ...]

Sections (all when none is named): restart tags year delete last pivot mixed. Needs python3 and a release build; every section has a
server and a folder of its own (BENCH_DIR, default a temporary one). YEAR_DAYS (default 365), TAGS (10000000) and PIVOT_ROWS (1000000)
size the large ones. The load of the machine is in every line: figures of a busy machine are worth little.
"""
import http.client, json, multiprocessing, os, random, shutil, signal, statistics, subprocess, sys, tempfile, threading, time

BINARY, SECTIONS = os.path.abspath(sys.argv[1]), sys.argv[2:]
PORT, TOKEN, SECOND = 28396, "bench-token", 10**9
START = 1_700_006_400  # seconds; midnight UTC
DAY = 86_400
WORK = os.environ.get("BENCH_DIR") or tempfile.mkdtemp(prefix="tidegauge-bars-")
os.makedirs(WORK, exist_ok=True)
FIELDS = ["usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal",
          "usage_guest", "usage_guest_nice"]


def report(figure, value, unit, bar, holds, **more):
    number = float(f"{value:.4g}")
    line = {"figure": figure, "value": number, "unit": unit, "bar": bar, "holds": bool(holds), **more, "load": os.getloadavg()[0]}
    print(json.dumps(line), flush=True)


class Server:
    def __init__(self, name, *flags):
        self.folder, self.flags = os.path.join(WORK, name), flags
        shutil.rmtree(self.folder, ignore_errors=True)
        self.start()
        self.request("POST", "/api/v2/setup", json.dumps({"username": "bench", "org": "bench", "bucket": "bench", "token": TOKEN}))

    def start(self):
        """Seconds until it is ready."""
        command = [BINARY, "serve", "--http-bind-address", f"127.0.0.1:{PORT}", "--data-dir", self.folder, *self.flags]
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(self.folder + ".log", "ab"))
        while True:
            try:
                if self.request("GET", "/ready")[0] == 200:
                    return time.perf_counter() - begun
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"the server ended: see {self.folder}.log")
            time.sleep(0.005)

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()

    def peak_mib(self):
        text = open(f"/proc/{self.process.pid}/status").read()
        return int(text.split("VmHWM:")[1].split()[0]) / 1024

    def request(self, method, path, body=None, headers={}, connection=None):
        link = connection or http.client.HTTPConnection("127.0.0.1", PORT, timeout=1800)
        link.request(method, path, body, {"Authorization": f"Token {TOKEN}", "Connection": "keep-alive", **headers})
        answer = link.getresponse()
        return answer.status, answer.read()

    def write(self, bodies):
        """Sends all bodies with two writers; seconds, and each request's."""
        bodies, lock, spans, failures = iter(bodies), threading.Lock(), [], []

        def writer():
            link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=600)
            while True:
                with lock:
                    body = next(bodies, None)
                if body is None:
                    return
                begun = time.perf_counter()
                status, text = self.request("POST", "/api/v2/write?org=bench&bucket=bench&precision=s", body, connection=link)
                spans.append(time.perf_counter() - begun)
                if status != 204:
                    failures.append(text)
                    return

        begun = time.perf_counter()
        writers = [threading.Thread(target=writer) for _ in range(2)]
        [w.start() for w in writers], [w.join() for w in writers]
        if failures:
            sys.exit(f"a write failed: {failures[0]!r}")
        return time.perf_counter() - begun, spans

    def flux(self, text):
        """Seconds and rows of the answer."""
        begun = time.perf_counter()
        status, answer = self.request("POST", "/api/v2/query?org=bench", text, {"Content-Type": "application/vnd.flux", "Accept": "text/csv"})
        seconds = time.perf_counter() - begun
        if status != 200:
            sys.exit(f"a query failed: {answer[:500]!r}\n{text}")
        rows = [line for line in answer.decode().splitlines() if line.startswith(",_result,") or line.startswith(",,")]
        return seconds, rows

    def best(self, text, times=5):
        spans = [self.flux(text) for _ in range(times)]
        return min(s for s, _ in spans), spans[-1][1]

    def settle(self):
        """Everything in files, merged."""
        self.request("POST", "/api/v2/tidegauge/compact")


def cpu_day(hosts, step=10):
    """A day of rows as (second of the day, lines with `@` for the time), time-major as agents send them."""
    walk = random.Random(1)
    state = [[walk.uniform(0, 100) for _ in FIELDS] for _ in range(hosts)]
    blocks = []
    for second in range(0, DAY, step):
        lines = []
        for host, values in enumerate(state):
            for at, value in enumerate(values):
                values[at] = min(100.0, max(0.0, value + walk.gauss(0, 1)))
            lines.append(f"cpu,hostname=host_{host} " + ",".join(f"{n}={int(v)}i" for n, v in zip(FIELDS, values)) + " @")
        blocks.append((second, "\n".join(lines)))
    return blocks


def bodies(blocks, days, per_request=50):
    for day in days:
        for at in range(0, len(blocks), per_request):
            stamped = (text.replace("@", str(START + day * DAY + second)) for second, text in blocks[at:at + per_request])
            yield "\n".join(stamped).encode()


def flux_range(first_day, end_day, rest):
    return f'from(bucket: "bench") |> range(start: {START + first_day * DAY}, stop: {START + end_day * DAY}) |> {rest}'


def restart():
    """kill -9 after 100,000 hosts x 10 fields x 5 rows -> ready."""
    server = Server("restart")
    values = ",".join(f"{name}=1i" for name in FIELDS)
    lines = [f"cpu,hostname=host_{host},rack=r{host % 100} {values} {START + step * 10}" for step in range(5) for host in range(100_000)]
    seconds, spans = server.write("\n".join(lines[at:at + 5_000]).encode() for at in range(0, len(lines), 5_000))
    p99 = sorted(spans)[int(len(spans) * 0.99)] * 1e3
    report("ingest, 1 M field series", len(lines) * 10 / seconds, "values/s", "see peers.sh", True, peak_mib=server.peak_mib(), p99_ms=p99)
    server.end(signal.SIGKILL)
    ready = server.start()
    counted = server.flux(flux_range(0, 1, 'filter(fn: (r) => r._field == "usage_user") |> group() |> count()'))[1]
    whole = counted[0].endswith(",500000")
    report("kill -9 after the 1 M-series load -> ready", ready, "s", "< 1", ready < 1 and whole, rows_back=whole)
    server.end()


def tags():
    """The same rows with 10^4 and with 10^7 distinct values of a tag."""
    rows = int(os.environ.get("TAGS", 10_000_000))
    peaks = []
    for distinct in (10_000, rows):
        server = Server(f"tags-{distinct}")
        names = (range(at, min(at + 20_000, rows)) for at in range(0, rows, 20_000))
        body = lambda some: "\n".join(f"m,id=u{i % distinct} v=1i {START + i // 1000}" for i in some).encode()
        seconds, _ = server.write(body(some) for some in names)
        peaks.append(server.peak_mib())
        report(f"ingest, {distinct} distinct tag values", rows / seconds, "rows/s", "none", True, peak_mib=peaks[-1], rows=rows)
        server.end()
    report("peak memory, 10^7 tag values over 10^4", peaks[1] / peaks[0], "ratio", "<= 1.2", peaks[1] <= 1.2 * peaks[0])


def year():
    """A day's mean of every series over a year: 100 hosts x 10 fields at 10 s."""
    days = int(os.environ.get("YEAR_DAYS", 365))
    server, blocks = Server("year"), cpu_day(100)
    values = days * len(blocks) * 100 * len(FIELDS)
    seconds, _ = server.write(bodies(blocks, range(days)))
    server.settle()
    report(f"ingest of {days} days", values / seconds, "values/s", "none", True)
    field = 'filter(fn: (r) => r._field == "usage_user") |> ' if os.environ.get("ONE_FIELD") else ""
    text = flux_range(0, days, f"{field}aggregateWindow(every: 1d, fn: mean)")
    seconds, rows = server.best(text, 2)
    asked = values // 10 if field else values
    rate, whole = asked / seconds / os.cpu_count(), len(rows) == (100 if field else 1000) * days
    report(f"mean of a day over {days} days", rate, "values/s per core", ">= 100 M", rate >= 1e8 and whole, seconds=seconds,
           peak_mib=server.peak_mib(), rows=len(rows))
    server.end()


def delete():
    """One hour of a day of 100 hosts, and the question after it."""
    server, blocks = Server("delete"), cpu_day(100)
    server.write(bodies(blocks, range(1)))
    hour = {"start": "2023-11-15T06:00:00Z", "stop": "2023-11-15T06:59:59Z"}
    count = flux_range(0, 1, 'filter(fn: (r) => r._field == "usage_user") |> group() |> count()')
    for where, more in (("from the buffer", {}), ("by tag", {"predicate": 'hostname="host_7"'}), ("by value", {"predicate": '_field="usage_user" AND _value<10'})):
        before = int(server.flux(count)[1][0].rsplit(",", 1)[1])
        begun = time.perf_counter()
        status, text = server.request("POST", "/api/v2/delete?org=bench&bucket=bench", json.dumps({**hour, **more}))
        seconds = time.perf_counter() - begun
        gone = before - int(server.flux(count)[1][0].rsplit(",", 1)[1])
        report(f"delete of one hour, {where}", seconds, "s", "< 1", status == 204 and seconds < 1, rows_gone=gone, said=text.decode())
        hour = {"start": "2023-11-15T08:00:00Z", "stop": "2023-11-15T08:59:59Z"}
    server.end()


def last():
    """`last()` without a time bound, with one day of history and with sixteen."""
    server, blocks = Server("last"), cpu_day(100)
    spans, have = [], 0
    question = 'from(bucket: "bench") |> range(start: 0) |> filter(fn: (r) => r._measurement == "cpu") |> last()'
    for days in (1, 4, 16):
        server.write(bodies(blocks, range(have, days)))
        have = days
        server.settle()
        seconds, rows = server.best(question, 10)
        spans.append(seconds)
        report(f"last() without a bound, {days} days of history", seconds * 1e3, "ms", "none", len(rows) == 1000)
    report("last(), 16 days over 1", spans[-1] / spans[0], "ratio", "<= 1.3", spans[-1] <= 1.3 * spans[0])
    server.end()


def pivot():
    """Rows of ten fields from fields in rows: linear in the rows."""
    rows = int(os.environ.get("PIVOT_ROWS", 1_000_000))
    server, blocks = Server("pivot"), cpu_day(100)
    days = -(-rows // (len(blocks) * 100))
    server.write(bodies(blocks, range(days)))
    spans = []
    for share in (10, 1):
        end = START + (rows // share // 100) * 10
        # All ten columns are used, so that none can be left out.
        total = " + ".join(f"r.{name}" for name in FIELDS)
        pivoted = ('pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value") |> group() '
                   f'|> map(fn: (r) => ({{_value: {total}}})) |> count()')
        text = f'from(bucket: "bench") |> range(start: {START}, stop: {end}) |> {pivoted}'
        seconds, answer = server.best(text, 3)
        spans.append(seconds)
        whole = answer[0].endswith(f",{rows // share}")
        report(f"pivot of {rows // share} rows x 10 fields", seconds, "s", "none", whole, rows_per_s=rows / share / seconds)
    report("pivot, ten times the rows", spans[1] / spans[0], "ratio", "<= 12", spans[1] <= 12 * spans[0])
    server.end()


def mixed():
    """Small questions, half of them about the newest hour, while rows come in at half the peak rate; against the same in peace."""
    server, blocks = Server("mixed"), cpu_day(100)
    seconds, _ = server.write(bodies(blocks, range(1)))
    rate = len(blocks) * 100 / seconds
    choice = random.Random(2)
    newest = multiprocessing.Value("q", START + DAY)

    def questions(count):
        spans = []
        for _ in range(count):
            begin, host = choice.choice((START + choice.randrange(0, 23) * 3600, newest.value - 3600)), choice.randrange(100)
            text = (f'from(bucket: "bench") |> range(start: {begin}, stop: {begin + 3600}) '
                    f'|> filter(fn: (r) => r._measurement == "cpu" and r._field == "usage_user" and r.hostname == "host_{host}") '
                    '|> aggregateWindow(every: 1m, fn: max)')
            spans.append(server.flux(text)[0])
        return spans

    def pour():
        begun, sent = time.perf_counter(), 0
        for body in bodies(blocks, range(1, 1000)):
            server.write([body])
            sent += body.count(b"\n") + 1
            newest.value = START + DAY + sent // 100 * 10
            time.sleep(max(0.0, sent / (rate / 2) - (time.perf_counter() - begun)))

    questions(50)
    quiet = questions(1000)
    # A process of its own: beside a thread the questions would wait for Python's lock.
    pouring = multiprocessing.Process(target=pour, daemon=True)
    pouring.start()
    time.sleep(3)
    busy = questions(2000)
    still_pouring = pouring.is_alive()
    pouring.terminate(), pouring.join()
    p99 = lambda spans: statistics.quantiles(spans, n=100)[98] * 1e3
    ratio = p99(busy) / p99(quiet)
    report("p99 while ingesting at half the peak rate, over the quiet p99", ratio, "ratio", "< 2", still_pouring and ratio < 2,
           quiet_ms=p99(quiet), busy_ms=p99(busy), rows_per_s=rate / 2)
    server.end()


known = {f.__name__: f for f in (restart, tags, year, delete, last, pivot, mixed)}
if unknown := set(SECTIONS) - set(known):
    sys.exit(f"no section {', '.join(unknown)}; there are {' '.join(known)}")
for name in SECTIONS or known:
    known[name]()
