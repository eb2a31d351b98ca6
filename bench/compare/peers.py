"""The processes that are compared, and the providers behind them. Each is pinned, started, checked, and ended by pid."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import payloads
import proc

PROXY_CORE, LOAD_CORE = "0", "1"
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """A pinned child with its own log file."""

    def __init__(self, name, core, command, folder, environment=None):
        self.name = name
        self.log = os.path.join(folder, f"{name}.log")
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(["taskset", "-c", core] + command, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, env={**os.environ, **(environment or {})})

    def wait_for(self, port):
        def ready():
            if self.child.poll() is not None:
                with open(self.log, errors="replace") as log:
                    raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{log.read()[-2000:]}")
            return accepts(port)
        proc.wait_until(ready, f"{self.name} on port {port}")

    def pids(self):
        return proc.tree(self.child.pid)

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def nginx_program():
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise SystemExit("nginx is not installed: `make compare` installs it from Debian (nginx-light)")
    return found


NGINX_HEAD = """
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log error;
events {{ worker_connections 24000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_buffer_size 256k;
  client_max_body_size 64m;
  client_body_temp_path {folder}/{name}.body;
  proxy_temp_path {folder}/{name}.proxy;
  fastcgi_temp_path {folder}/{name}.fastcgi;
  uwsgi_temp_path {folder}/{name}.uwsgi;
  scgi_temp_path {folder}/{name}.scgi;
"""


def start_nginx(name, core, folder, rest):
    config = os.path.join(folder, f"{name}.conf")
    with open(config, "w") as file:
        file.write(NGINX_HEAD.format(folder=folder, name=name) + rest + "\n}\n")
    return Process(name, core, [nginx_program(), "-p", folder, "-c", config], folder)


class Providers:
    """The mock providers: nginx with one fixed answer, and paced event streams."""

    def __init__(self, folder):
        self.buffered, self.streamed = free_port(), free_port()
        answer = payloads.chat_answer().decode()
        self.processes = [
            start_nginx("provider", LOAD_CORE, folder, f"""
  default_type application/json;
  server {{ listen 127.0.0.1:{self.buffered} backlog=16384; location / {{ return 200 '{answer}'; }} }}"""),
            Process("streams", LOAD_CORE,
                    [sys.executable, os.path.join(HERE, "streams.py"), "provider", str(self.streamed)], folder),
        ]
        self.processes[0].wait_for(self.buffered)
        self.processes[1].wait_for(self.streamed)

    def pids(self):
        return [pid for process in self.processes for pid in process.pids()]

    def stop(self):
        for process in self.processes:
            process.stop()


class Direct:
    """No proxy: what the load generator and the provider reach alone."""

    name = "direct"

    def __init__(self, providers, _folder, _options):
        self.buffered, self.streamed = providers.buffered, providers.streamed

    def port(self, stream):
        return self.streamed if stream else self.buffered

    def pids(self):
        return []

    def stop(self):
        pass


class Nginx(Direct):
    """`proxy_pass` to a keep-alive upstream, one worker: the reference that is always there."""

    name = "nginx"

    def __init__(self, providers, folder, _options):
        self.buffered, self.streamed = free_port(), free_port()
        servers = "".join(f"""
  upstream {name} {{ server 127.0.0.1:{to}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  server {{
    listen 127.0.0.1:{port} backlog=16384;
    location / {{ proxy_pass http://{name}; proxy_http_version 1.1; proxy_set_header Connection ""; {more} }}
  }}""" for name, port, to, more in (("whole", self.buffered, providers.buffered, ""),
                                     ("events", self.streamed, providers.streamed, "proxy_buffering off;")))
        self.process = start_nginx("nginx", PROXY_CORE, folder, servers)
        self.process.wait_for(self.streamed)

    def pids(self):
        return self.process.pids()

    def stop(self):
        self.process.stop()


class Tollgate(Direct):
    """`tollgate up` with one shard: both planes on the proxy's core, key checked, usage read and recorded."""

    name = "tollgate"

    def __init__(self, providers, folder, options):
        self.buffered, self.streamed, self.folder = free_port(), free_port(), folder
        self.admin = free_port()
        self.socket = os.path.join(folder, "control.sock")
        self.config = os.path.join(folder, "tollgate.json")
        self.providers = providers
        with open(self.config, "w") as file:
            json.dump(self.document(), file)
        self.process = self.start(os.path.join(ROOT, "target", options.profile_folder))
        self.process.wait_for(self.buffered)
        proc.wait_until(self.is_ready, "tollgate's /readyz")

    def start(self, programs):
        return self.run(os.path.join(programs, "tollgate"), [
            "up", "--config", self.config, "--state-dir", os.path.join(self.folder, "state"), "--control-socket",
            self.socket, "--shards", "1"])

    def run(self, program, arguments):
        if not os.path.exists(program):
            raise SystemExit(f"{program} is missing: cargo build --release --bins")
        secrets = {"TOLLGATE_BENCH_KEY": payloads.KEY, "TOLLGATE_BENCH_CREDENTIAL": "sk-mock"}
        return Process(self.name, PROXY_CORE, [program] + arguments, self.folder, secrets)

    def document(self, more_keys=0):
        """The configuration, with `more_keys` keys beside the one that is used. Streams have their own provider."""
        def provider(port):
            return {"dialect": "openai", "base_url": f"http://127.0.0.1:{port}",
                    "credential": "env:TOLLGATE_BENCH_CREDENTIAL",
                    "connections": {"max_idle": 512, "idle_timeout": "600s"}}

        def model(provider_name):
            return {"targets": [{"provider": provider_name, "model": payloads.PROVIDER_MODEL}]}

        models = {payloads.CLIENT_MODEL: model("mock"), payloads.STREAM_MODEL: model("streams")}
        keys = {"bench": {"secret": "env:TOLLGATE_BENCH_KEY", "models": list(models)}}
        for number in range(more_keys):
            keys[f"key-{number:06}"] = {"hash": f"sha256:{number:064x}", "models": list(models)}
        return {
            "version": 1, "access_log": "off", "admin": {"address": f"127.0.0.1:{self.admin}"},
            "listeners": {"public": {"address": f"127.0.0.1:{self.buffered}"}},
            "providers": {"mock": provider(self.providers.buffered), "streams": provider(self.providers.streamed)},
            "models": models,
            "keys": keys,
        }

    def port(self, stream):
        return self.buffered

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.buffered}/readyz", timeout=2).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def pids(self):
        return self.process.pids()

    def stop(self):
        self.process.stop()


class Dataplane(Tollgate):
    """The data plane alone, serving its last good configuration: what is measured without a control plane."""

    name = "dataplane"

    def start(self, programs):
        state = os.path.join(self.folder, "alone")
        os.mkdir(state, 0o700)
        with open(os.path.join(state, "last-good.json"), "w") as file:
            json.dump({"revision": 1, "document": self.document(), "keys": []}, file)
        return self.run(os.path.join(programs, "tollgate-dataplane"), ["--state-dir", state, "--shards", "1"])


PEERS = {peer.name: peer for peer in (Nginx, Tollgate, Dataplane, Direct)}


def check(peer, body, stream):
    """One call by hand before any measurement: a wrong answer is not worth timing."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{peer.port(stream)}/v1/chat/completions", body,
        {"Authorization": f"Bearer {payloads.KEY}", "Content-Type": "application/json"})
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            got = answer.read()
    except urllib.error.HTTPError as refused:
        raise SystemExit(f"{peer.name} answered {refused.code}: {refused.read()[:500]!r}")
    if stream:
        right = got.count(b"t=") == payloads.CHUNKS and got.endswith(payloads.stream_end())
    else:
        right = got == payloads.chat_answer()
    if not right:
        raise SystemExit(f"{peer.name} gave a wrong answer after {time.monotonic() - began:.1f} s: {got[:500]!r}")
