"""The files on disk, opened by DuckDB: plain Parquet with the rows that the server answers with."""

import glob

import duckdb
import numpy as np
from conftest import ORG, TOKEN, Server
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

VALUES = np.random.default_rng(13).normal(0, 1, 1000)


def test_duckdb_sees_the_same_rows(tmp_path):
    server = Server(tmp_path)
    server.set_up("open")
    with InfluxDBClient(url=server.url, token=TOKEN, org=ORG) as client:
        lines = "\n".join(f"m,host=h{i % 4},rack=r{i % 2} v={v!r},d={round(v, 2) + 0.0!r},n={i}i {1_700_000_000_000_000_000 + i}" for i, v in enumerate(VALUES.tolist()))
        client.write_api(write_options=SYNCHRONOUS).write("open", record=lines)
        # Written once more in part: the file shows each row once, with its newest value.
        client.write_api(write_options=SYNCHRONOUS).write("open", record="m,host=h0,rack=r0 n=-1i 1700000000000000000")
    server.stop()

    files = glob.glob(f"{tmp_path}/**/*.parquet", recursive=True)
    assert files
    # Floats of few digits are decimals in the file, and the same doubles again when cast.
    columns = "host, rack, epoch_ns(time), v, d::DOUBLE, n, typeof(d)"
    rows = duckdb.sql(f"SELECT {columns} FROM read_parquet({files!r}, union_by_name=true) ORDER BY time").fetchall()
    row = lambda i, v: (f"h{i % 4}", f"r{i % 2}", 1_700_000_000_000_000_000 + i, v, round(v, 2) + 0.0, i if i else -1, "DECIMAL(18,2)")
    assert rows == [row(i, v) for i, v in enumerate(VALUES.tolist())]

    server.start()
    with InfluxDBClient(url=server.url, token=TOKEN, org=ORG) as client:
        flux = 'from(bucket: "open") |> range(start: 0) |> filter(fn: (r) => r._field == "v") |> group() |> sort(columns: ["_time"])'
        (table,) = client.query_api().query(flux)
        assert [r.get_value() for r in table.records] == VALUES.tolist()
    server.stop()
