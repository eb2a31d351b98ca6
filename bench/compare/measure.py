"""One measurement each: a round of load, idle connections, memory, a large configuration push."""

import http.client
import json
import resource
import socket
import threading
import time

import payloads
import proc

# A round in which others took more of either core is run again.
MOST_OTHERS = 0.08
DISTURBED_TRIES = 4
DISTURBED_WAIT_S = 3


def round_of(peer, providers, row, seconds):
    """Loads one peer with one row. Adds CPU µs per completed request (`cpu_us`, the whole process tree) and `others`:
    the larger share of a core that processes outside this comparison took meanwhile."""
    port = peer.port(row.stream)
    row.run(port, 0.5 if row.stream else 1)  # connections, caches and pools as in steady state
    pids, began = peer.pids(), time.monotonic()
    before = {pid: proc.cpu_seconds([pid]) for pid in pids}
    cores = [proc.core_seconds(core) for core in (0, 1)]
    loaders = proc.cpu_seconds(providers.pids()) + children_seconds()
    result = row.run(port, seconds)
    spent = {pid: proc.cpu_seconds([pid]) - before[pid] for pid in pids}
    cores = [proc.core_seconds(core) - cores[core] for core in (0, 1)]
    loaders = proc.cpu_seconds(providers.pids()) + children_seconds() - loaders
    others = max(cores[0] - sum(spent.values()), cores[1] - loaders)
    result["others"] = max(0.0, others / (time.monotonic() - began))
    if pids and result["requests"]:
        result["cpu_us"] = sum(spent.values()) * 1e6 / result["requests"]
        result["cpu_us_by_process"] = {}
        for pid, seconds_spent in spent.items():
            name = proc.name_of(pid)
            by = result["cpu_us_by_process"]
            by[name] = by.get(name, 0.0) + seconds_spent * 1e6 / result["requests"]
    result["rate"] = result["requests"] / result["seconds"]
    return result


def children_seconds():
    """CPU time of children that have ended: the load generators'."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def quiet_round_of(peer, providers, row, seconds):
    """A round that nobody else disturbed; after `DISTURBED_TRIES`, the least disturbed one."""
    tries = []
    for _ in range(DISTURBED_TRIES):
        tries.append(round_of(peer, providers, row, seconds))
        if tries[-1]["others"] <= MOST_OTHERS:
            return tries[-1]
        time.sleep(DISTURBED_WAIT_S)
    return min(tries, key=lambda one: one["others"])


def memory(peer):
    """Resident KiB of each process of a peer: now, peak and its own pages."""
    return {proc.name_of(pid): proc.memory_kib(pid) for pid in sorted(peer.pids(), reverse=True)}


def raise_descriptor_limit(wanted=65536):
    """For this process and what it starts, as far as it may; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    for limit in ((wanted, max(hard, wanted)), (min(wanted, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break
        except (ValueError, OSError):
            continue  # only root may raise the hard limit
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def idle_connections(peer, count):
    """Bytes of RSS that each of `count` kept connections costs after one answered call, and the CPU of 5 idle seconds."""
    # Tollgate keeps half of its descriptors for providers.
    count = min(count, raise_descriptor_limit() // 2 - 500)
    body = payloads.chat_request(1200)
    request = payloads.request_head("/v1/chat/completions", len(body)) + body
    before = sum(proc.memory_kib(pid)["now"] for pid in peer.pids())
    connections = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", peer.port(False)), timeout=20)
            connection.sendall(request)
            if b" 200 " not in connection.recv(65536)[:16]:
                raise RuntimeError(f"{peer.name}: connection {len(connections)} was refused")
            connections.append(connection)
        time.sleep(2)
        after = sum(proc.memory_kib(pid)["now"] for pid in peer.pids())
        cpu = proc.cpu_seconds(peer.pids())
        time.sleep(5)
        cpu = proc.cpu_seconds(peer.pids()) - cpu
    finally:
        for connection in connections:
            connection.close()
    return {"connections": count, "bytes_each": (after - before) * 1024 / count, "idle_cpu_ms_per_s": cpu * 1000 / 5}


class OverUnixSocket(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def push(tollgate, keys, row, seconds=6):
    """Time of a document with `keys` keys from PUT to the last shard's word, while `row` runs; p99 with and without."""
    quiet = row.run(tollgate.port(False), seconds)
    document = json.dumps(tollgate.document(more_keys=keys))
    loaded = {}
    load = threading.Thread(target=lambda: loaded.update(row.run(tollgate.port(False), seconds)))
    took = []
    load.start()
    try:
        time.sleep(1)
        # The second push changes one key among many: what a rotation costs when the document is large.
        changed = document.replace(f'"key-{keys - 1:06}"', '"key-renamed"')
        for body in (document, changed):
            connection = OverUnixSocket(tollgate.socket)
            began = time.monotonic()
            connection.request("PUT", "/v1/config", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = answer.read()
            took.append((time.monotonic() - began) * 1000)
            connection.close()
            if answer.status != 200:
                raise RuntimeError(f"PUT /v1/config answered {answer.status}: {told[:500]!r}")
    finally:
        load.join()
    return {"keys": keys, "document_bytes": len(document), "first_ms": took[0], "one_key_ms": took[1],
            "p99_us_quiet": quiet["p99_us"], "p99_us_during": loaded.get("p99_us"), "failed": loaded.get("failed")}
