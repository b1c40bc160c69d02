"""The users' guide with the stock `influxdb_client`: every answer is compared with NumPy's."""

import asyncio
import time
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from conftest import ORG, TOKEN
from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api import ASYNCHRONOUS, SYNCHRONOUS
from influxdb_client.rest import ApiException

STEP_S = 300
COUNT = 240
RUNS = ["exp_001", "exp_002", "exp_003"]
STOP = int(time.time()) // 3600 * 3600
START = STOP - STEP_S * COUNT
TIMES = START + STEP_S * np.arange(COUNT)
RANDOM = np.random.default_rng(7)
LOSS = {run: np.round(2 * np.exp(-np.arange(COUNT) / 60) + RANDOM.normal(0, 0.05, COUNT), 6) for run in RUNS}
ACCURACY = {run: np.round(1 - LOSS[run] / 3, 6) for run in RUNS}


def rfc3339(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


RANGE = f"|> range(start: {rfc3339(START)}, stop: {rfc3339(STOP)})"
TRAINING = f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "training_metrics")'
LOSS_OF_1 = f'{TRAINING} |> filter(fn: (r) => r.experiment_id == "exp_001") |> filter(fn: (r) => r._field == "loss")'


@pytest.fixture(scope="module")
def client(server):
    with InfluxDBClient(url=server.url, token=TOKEN, org=ORG) as client:
        write_api = client.write_api(write_options=SYNCHRONOUS)
        for run in RUNS:
            lines = [
                f"training_metrics,experiment_id={run} loss={loss},accuracy={accuracy},epoch={epoch}i {int(at) * 10**9}"
                for epoch, (at, loss, accuracy) in enumerate(zip(TIMES, LOSS[run], ACCURACY[run]))
            ]
            write_api.write(bucket="mlops", record="\n".join(lines))
        yield client


def values(client, query, **arguments):
    tables = client.query_api().query(query, org=ORG, **arguments)
    return [[record.get_value() for record in table.records] for table in tables]


def close(got, expected, tolerance=1e-9):
    np.testing.assert_allclose(np.array(got, dtype=float), np.array(expected, dtype=float), rtol=tolerance, atol=1e-12)


def test_range_and_filter(client):
    query = f'{TRAINING} |> filter(fn: (r) => r.experiment_id == "exp_001") |> filter(fn: (r) => r._field == "accuracy")'
    tables = client.query_api().query(org=ORG, query=query)
    assert len(tables) == 1
    close([r.values["_value"] for r in tables[0].records], ACCURACY["exp_001"])
    assert [r.get_time() for r in tables[0].records] == [datetime.fromtimestamp(int(t), timezone.utc) for t in TIMES]
    assert tables[0].records[0].values["experiment_id"] == "exp_001" and tables[0].records[0].get_field() == "accuracy"


def test_types_survive(client):
    epochs = values(client, f'{TRAINING} |> filter(fn: (r) => r._field == "epoch" and r.experiment_id == "exp_002")')
    assert epochs == [list(range(COUNT))] and all(isinstance(v, int) for v in epochs[0])


def test_aggregate_window(client):
    tables = client.query_api().query(f'{TRAINING} |> filter(fn: (r) => r._field != "epoch") |> aggregateWindow(every: 1h, fn: mean)')
    assert len(tables) == 2 * len(RUNS)
    for table in tables:
        first = table.records[0].values
        column = {"loss": LOSS, "accuracy": ACCURACY}[first["_field"]][first["experiment_id"]]
        close([r.get_value() for r in table.records], column.reshape(-1, 12).mean(axis=1))
        assert [r.get_time().timestamp() for r in table.records] == [START + 3600 * (i + 1) for i in range(COUNT // 12)]


def test_group_then_window(client):
    query = f'{TRAINING} |> filter(fn: (r) => r._field == "loss") |> group(columns: ["experiment_id"]) |> aggregateWindow(every: 10m, fn: mean)'
    got = values(client, query)
    assert len(got) == len(RUNS)
    for run, means in zip(RUNS, got):
        close(means, LOSS[run].reshape(-1, 2).mean(axis=1))


def test_derivative(client):
    (got,) = values(client, f"{LOSS_OF_1} |> derivative(unit: 1m)")
    close(got, np.diff(LOSS["exp_001"]) / (STEP_S / 60))


def test_moving_averages(client):
    loss = LOSS["exp_001"]
    (simple,) = values(client, f"{LOSS_OF_1} |> movingAverage(n: 10)")
    close(simple, np.convolve(loss, np.ones(10) / 10, "valid"))
    (exponential,) = values(client, f"{LOSS_OF_1} |> exponentialMovingAverage(n: 10)")
    expected = [loss[:10].mean()]
    for value in loss[10:]:
        expected.append(value * 2 / 11 + expected[-1] * 9 / 11)
    close(exponential, expected)


def test_quantiles(client):
    loss = np.sort(LOSS["exp_001"])
    ((digest,),) = values(client, f"{LOSS_OF_1} |> quantile(q: 0.95)")
    assert abs(digest - np.quantile(loss, 0.95)) < 0.02
    for method, expected in [
        ("exact_mean", np.quantile(loss, 0.95)),
        ("interpolated", np.quantile(loss, 0.95)),
        ("exact_selector", loss[int(np.ceil(0.95 * COUNT)) - 1]),
    ]:
        ((got,),) = values(client, f'{LOSS_OF_1} |> quantile(q: 0.95, method: "{method}")')
        close(got, expected)
    grouped = f'{TRAINING} |> filter(fn: (r) => r._field == "accuracy") |> group(columns: ["experiment_id"]) |> quantile(q: 0.5, method: "interpolated")'
    close([table[0] for table in values(client, grouped)], [np.median(ACCURACY[run]) for run in RUNS])


def test_map_with(client):
    (got,) = values(client, f"{LOSS_OF_1} |> map(fn: (r) => ({{r with _value: r._value * 1.1}}))")
    close(got, LOSS["exp_001"] * 1.1)


def test_stream_csv_and_frame(client):
    api = client.query_api()
    close([record.get_value() for record in api.query_stream(LOSS_OF_1)], LOSS["exp_001"])
    rows = [row for row in api.query_csv(LOSS_OF_1) if row and not row[0].startswith("#")]
    at = rows[0].index("_value")
    close([row[at] for row in rows[1:]], LOSS["exp_001"])
    pivoted = f'{TRAINING} |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
    frame = api.query_data_frame(pivoted)
    frame = pd.concat(frame) if isinstance(frame, list) else frame
    for run in RUNS:
        own = frame[frame["experiment_id"] == run].sort_values("_time")
        close(own["loss"], LOSS[run])
        close(own["accuracy"], ACCURACY[run])
        assert list(own["epoch"]) == list(range(COUNT))


def test_bind_parameters(client):
    query = 'from(bucket: bucketName) |> range(start: begin, stop: end) |> filter(fn: (r) => r.experiment_id == run and r._field == "loss" and r._value > limit)'
    params = {
        "bucketName": "mlops",
        "begin": datetime.fromtimestamp(START, timezone.utc),
        "end": datetime.fromtimestamp(STOP, timezone.utc),
        "run": "exp_001",
        "limit": 1.0,
    }
    (got,) = values(client, query, params=params)
    close(got, [v for v in LOSS["exp_001"] if v > 1.0])
    relative = 'from(bucket: "mlops") |> range(start: begin) |> filter(fn: (r) => r._measurement == "training_metrics") |> limit(n: 1)'
    assert len(values(client, relative, params={"begin": timedelta(days=-2)})) == 3 * len(RUNS)


def test_points_and_asynchronous_writes(client):
    points = [
        Point("system_metrics")
        .tag("experiment_id", "exp_001")
        .tag("node", "worker-1")
        .field("cpu_usage", 45.2 + i)
        .field("memory_mb", 2048 + i * 10)
        .field("up", True)
        .field("note", f'say "{i}", \\ and = so on')
        .time((START + i) * 10**9)
        for i in range(100)
    ]
    results = client.write_api(write_options=ASYNCHRONOUS).write(bucket="mlops", record=points)
    results.get()
    base = f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "system_metrics")'
    (memory,) = values(client, f'{base} |> filter(fn: (r) => r._field == "memory_mb")')
    assert memory == [2048 + i * 10 for i in range(100)]
    (notes,) = values(client, f'{base} |> filter(fn: (r) => r._field == "note")')
    assert notes == [f'say "{i}", \\ and = so on' for i in range(100)]
    assert values(client, f'{base} |> filter(fn: (r) => r._field == "up") |> last()') == [[True]]


def test_batching(client):
    failed = []
    options = WriteOptions(batch_size=500, flush_interval=200, jitter_interval=0)
    with client.write_api(write_options=options, error_callback=lambda *error: failed.append(error)) as batching:
        for i in range(5000):
            batching.write(bucket="mlops", record=f"batched,worker={i % 10} v={i}i {START * 10**9 + i}")
    assert not failed
    base = f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "batched") |> group()'
    assert values(client, f"{base} |> sum()") == [[5000 * 4999 // 2]]


def test_data_frame_writes(client):
    index = pd.to_datetime(TIMES, unit="s", utc=True)
    frame = pd.DataFrame({"gpu_id": ["0", "1"] * (COUNT // 2), "usage": LOSS["exp_001"], "memory": np.arange(COUNT)}, index=index)
    client.write_api(write_options=SYNCHRONOUS).write("mlops", record=frame, data_frame_measurement_name="gpu_usage", data_frame_tag_columns=["gpu_id"])
    base = f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "gpu_usage" and r._field == "usage")'
    even, odd = values(client, base)
    close(even, LOSS["exp_001"][0::2])
    close(odd, LOSS["exp_001"][1::2])


def test_asynchronous_client(server, client):
    async def work():
        async with InfluxDBClientAsync(url=server.url, token=TOKEN, org=ORG) as own:
            assert await own.ping()
            assert await own.write_api().write("mlops", record=[f"awaited v={i} {START * 10**9 + i}" for i in range(50)])
            tables = await own.query_api().query(f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "awaited")')
            stream = await own.query_api().query_stream(f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "awaited")')
            return [r.get_value() for r in tables[0].records], [r.get_value() async for r in stream]

    assert asyncio.run(work()) == ([float(i) for i in range(50)], [float(i) for i in range(50)])


def test_errors_reach_the_client(client):
    write_api = client.write_api(write_options=SYNCHRONOUS)
    with pytest.raises(ApiException) as refused:
        write_api.write("mlops", record=f"partly v=1 {START * 10**9}\npartly v=not_a_number\npartly v= 2")
    assert refused.value.status == 400 and "unable to parse" in refused.value.message and "missing field value" in refused.value.message
    assert values(client, f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "partly")') == [[1.0]]
    for query, status, text in [
        ('from(bucket: "missing") |> range(start: -1h)', 404, "could not find bucket"),
        ('from(bucket: "mlops") |> range(start: -1h', 400, "error @1:"),
        ('from(bucket: "mlops") |> rnage(start: -1h)', 400, "undefined identifier"),
    ]:
        with pytest.raises(ApiException) as refused:
            client.query_api().query(query)
        assert refused.value.status == status and text in refused.value.message, refused.value.message
    with InfluxDBClient(url=client.url, token="wrong", org=ORG) as stranger, pytest.raises(ApiException) as refused:
        stranger.query_api().query("buckets()")
    assert refused.value.status == 401


def test_deletes(client):
    write_api = client.write_api(write_options=SYNCHRONOUS)
    write_api.write("mlops", record="\n".join(f"deleted,half={i % 2} v={i}i {(START + i) * 10**9}" for i in range(10)))
    client.delete_api().delete(rfc3339(START), rfc3339(START + 4), '_measurement="deleted" AND half="1"', bucket="mlops", org=ORG)
    left = values(client, f'from(bucket: "mlops") {RANGE} |> filter(fn: (r) => r._measurement == "deleted") |> group() |> sort()')
    assert left == [[0, 2, 4, 5, 6, 7, 8, 9]]


def test_service_and_names(client):
    assert client.ping() and client.version().startswith("v2.7") and client.build() == "OSS"
    assert client.health().status == "pass" and client.ready().status == "ready"
    api = client.buckets_api()
    assert api.find_bucket_by_name("none") is None
    bucket = api.create_bucket(bucket_name="thirty-days", org=ORG, retention_rules={"type": "expire", "everySeconds": 30 * 86400})
    assert api.find_bucket_by_name("thirty-days").retention_rules[0].every_seconds == 30 * 86400
    assert {"mlops", "thirty-days", "_tasks", "_monitoring"} <= {b.name for b in api.find_buckets_iter()}
    org = client.organizations_api().find_organizations(org=ORG)[0]
    made = client.authorizations_api().create_authorization(org_id=org.id, permissions=[
        {"action": "read", "resource": {"type": "buckets", "id": bucket.id, "orgID": org.id}}])
    with InfluxDBClient(url=client.url, token=made.token, org=ORG) as reader, pytest.raises(ApiException) as refused:
        reader.write_api(write_options=SYNCHRONOUS).write("thirty-days", record="m v=1")
    assert refused.value.status == 403
    api.delete_bucket(bucket)
    assert api.find_bucket_by_name("thirty-days") is None
    user = client.users_api().me()
    assert user.name == "admin"


def test_metadata(client):
    schema = 'import "influxdata/influxdb/schema"\n'
    assert "training_metrics" in values(client, f'{schema}schema.measurements(bucket: "mlops")')[0]
    fields = values(client, f'{schema}schema.measurementFieldKeys(bucket: "mlops", measurement: "training_metrics", start: -30d)')[0]
    assert fields == ["accuracy", "epoch", "loss"]
    runs = values(client, f'{schema}schema.measurementTagValues(bucket: "mlops", measurement: "training_metrics", tag: "experiment_id", start: -30d)')[0]
    assert runs == RUNS
    names = client.query_api().query_data_frame("buckets()")
    assert "mlops" in set(names["name"])
