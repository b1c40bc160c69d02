"""A real server for the clients: a fresh data directory, a free port, set up as InfluxDB 2.7 is."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

import pytest

TOKEN, ORG, USER, PASSWORD = "clients-token", "mlops-lab", "admin", "password1"


class Server:
    """A `tidegauge serve` process."""

    def __init__(self, data_dir):
        self.data_dir = str(data_dir)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.log = open(os.path.join(self.data_dir, "server.log"), "ab")
        command = [os.environ["TIDEGAUGE_BIN"], "serve", "--http-bind-address", f"127.0.0.1:{self.port}", "--data-dir", self.data_dir]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=1)
                return
            except OSError:
                assert self.process.poll() is None, open(self.log.name).read()
                time.sleep(0.05)
        raise AssertionError("the server did not answer within 10 s")

    def stop(self):
        """Asks the server to end, as a service manager does; it must be quick and clean."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=15) == 0
        self.log.close()

    def request(self, method, path, body=None, headers=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {TOKEN}", **(headers or {})}
        return urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method), timeout=30)

    def set_up(self, bucket):
        body = {"username": USER, "password": PASSWORD, "org": ORG, "bucket": bucket, "token": TOKEN}
        assert self.request("POST", "/api/v2/setup", body).status == 201


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("data"))
    server.set_up("mlops")
    yield server
    server.stop()
