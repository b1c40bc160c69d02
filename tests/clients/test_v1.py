"""The stock 1.x client (`influxdb`): its own writes, and what the 2.x client wrote, read through `/query`."""

import numpy as np
import pytest
import requests
from conftest import ORG, PASSWORD, TOKEN, USER
from influxdb import InfluxDBClient as ClientV1
from influxdb.exceptions import InfluxDBClientError
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

VALUES = np.round(np.random.default_rng(11).normal(50, 10, 120), 3)
# Whole minutes of one day.
START = 1_700_006_400


@pytest.fixture(scope="module")
def v1(server):
    client = ClientV1("127.0.0.1", server.port, USER, PASSWORD, "metrics")
    client.create_database("metrics")
    points = [
        {"measurement": "cpu", "tags": {"host": f"h{i % 2}"}, "time": (START + 30 * i) * 10**9, "fields": {"usage": float(v), "n": i}}
        for i, v in enumerate(VALUES)
    ]
    assert client.write_points(points, batch_size=50)
    return client


def test_databases_and_metadata(v1):
    assert "metrics" in [d["name"] for d in v1.get_list_database()]
    assert [m["name"] for m in v1.get_list_measurements()] == ["cpu"]
    assert v1.ping()


def test_windows(v1):
    where = f"time >= {START}s AND time < {START + 3600}s"
    result = v1.query(f"SELECT mean(usage), max(n) FROM cpu WHERE {where} GROUP BY time(10m), host", epoch="s")
    for host in (0, 1):
        rows = list(result.get_points(tags={"host": f"h{host}"}))
        own = VALUES[host::2].reshape(-1, 10)
        np.testing.assert_allclose([r["mean"] for r in rows], own.mean(axis=1))
        assert [r["max"] for r in rows] == [host + 2 * (10 * w + 9) for w in range(6)]
        assert [r["time"] for r in rows] == [START + 600 * w for w in range(6)]


def test_raw_rows_and_conditions(v1):
    rows = list(v1.query("SELECT usage, n FROM cpu WHERE host = 'h1' AND usage > 50 ORDER BY time DESC LIMIT 5", epoch="ns").get_points())
    expected = [(i, v) for i, v in enumerate(VALUES) if i % 2 == 1 and v > 50][::-1][:5]
    assert [(r["n"], r["usage"], r["time"]) for r in rows] == [(i, v, (START + 30 * i) * 10**9) for i, v in expected]


def test_chunks(server, v1):
    # The client cannot read chunks in MessagePack, its default: it takes the body for one document.
    client = ClientV1("127.0.0.1", server.port, USER, PASSWORD, "metrics", headers={"Accept": "application/json"})
    parts = list(client.query("SELECT n FROM cpu", chunked=True, chunk_size=7))
    assert len(parts) == 18
    assert [point["n"] for part in parts for point in part.get_points()] == list(range(120))


def test_errors(v1):
    with pytest.raises(InfluxDBClientError) as refused:
        v1.query("SELEC usage FROM cpu")
    assert refused.value.code == 400 and "error parsing query: found SELEC" in refused.value.content
    with pytest.raises(InfluxDBClientError) as refused:
        v1.query("SELECT usage FROM cpu", database="none")
    assert "database not found: none" in str(refused.value)
    with pytest.raises(InfluxDBClientError) as refused:
        v1.write_points([{"measurement": "cpu", "fields": {"usage": "text"}}])
    assert refused.value.code == 400 and "field type conflict" in refused.value.content


def test_what_the_2x_client_wrote(server, v1):
    with InfluxDBClient(url=server.url, token=TOKEN, org=ORG) as client:
        lines = "\n".join(f"shared,run=a loss={v} {(START + i) * 10**9}" for i, v in enumerate(VALUES))
        client.write_api(write_options=SYNCHRONOUS).write("mlops", record=lines)
        flux = f'from(bucket: "mlops") |> range(start: {START}, stop: {START + 120}) |> filter(fn: (r) => r._measurement == "shared") |> mean()'
        (table,) = client.query_api().query(flux)
    rows = list(v1.query("SELECT mean(loss), count(loss) FROM shared", database="mlops").get_points())
    np.testing.assert_allclose([rows[0]["mean"], table.records[0].get_value()], VALUES.mean())
    assert rows[0]["count"] == 120


def test_a_token_is_taken_where_a_password_stands(server):
    answer = requests.get(f"{server.url}/query", params={"db": "metrics", "q": "SELECT count(n) FROM cpu", "u": "any", "p": TOKEN}, timeout=30)
    assert answer.json()["results"][0]["series"][0]["values"][0][1] == 120
    answer = requests.get(f"{server.url}/query", params={"db": "metrics", "q": "SELECT count(n) FROM cpu"}, timeout=30)
    assert answer.status_code == 401
