"""A large configuration pushed to Tollgate under load: how long until every shard has it, and who notices."""

import http.client
import json
import socket
import threading
import time

import profiles


class OverUnixSocket(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def push(generator, tollgate, keys, row, seconds=6):
    """Time of a document with `keys` keys from PUT to the last shard's word, while `row` runs; p99 with and without."""
    quiet = generator.closed(tollgate, row, seconds)
    document = json.dumps(profiles.with_more_keys(tollgate.document, keys))
    loaded, took = {}, []
    load = threading.Thread(target=lambda: loaded.update(generator.closed(tollgate, row, seconds)))
    load.start()
    try:
        time.sleep(1)
        # The second push changes one key among many: what a rotation costs when the document is large.
        for body in (document, document.replace(f'"key-{keys - 1:06}"', '"key-renamed"')):
            took.append(put(tollgate.socket, body))
    finally:
        load.join()
    return {"keys": keys, "document_bytes": len(document), "first_ms": took[0], "one_key_ms": took[1],
            "p99_us_quiet": quiet["p99_us"], "p99_us_during": loaded.get("p99_us"), "failed": loaded.get("failed")}


def put(path, body):
    """Milliseconds until a whole configuration is acknowledged."""
    connection = OverUnixSocket(path)
    began = time.monotonic()
    connection.request("PUT", "/v1/config", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"PUT /v1/config answered {answer.status}: {told[:500]!r}")
    return (time.monotonic() - began) * 1000
