"""The gateway and its provider, pinned, for as long as a measurement lasts. Knows nothing of what is measured."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = os.environ.get("TOLLGATE_PROGRAMS", os.path.join(ROOT, "target", "release"))
LOADTEST = os.path.join(PROGRAMS, "tollgate-loadtest")
GATEWAY_CORE, LOAD_CORE = "0", "1"
KEY = "tg-plan-key"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """`tollgate up` with one shard on one core, and the sandbox on the other; both end with the block."""

    def __init__(self, folder, models):
        self.folder, self.models, self.children = folder, models, []
        self.port, self.admin = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.pid = None

    def __enter__(self):
        try:
            for program in ("tollgate", "tollgate-dataplane", "tollgate-loadtest"):
                if not os.path.exists(os.path.join(PROGRAMS, program)):
                    raise SystemExit(f"{os.path.join(PROGRAMS, program)} is missing: cargo build --release --bins")
            provider = self.start(LOAD_CORE, [LOADTEST, "sandbox", "--threads", "1"], stdout=subprocess.PIPE)
            address = provider.stdout.readline().split()[-1]
            config = os.path.join(self.folder, "tollgate.json")
            with open(config, "w") as file:
                json.dump(self.document(address), file)
            up = self.start(GATEWAY_CORE, [
                os.path.join(PROGRAMS, "tollgate"), "up", "--config", config, "--state-dir",
                os.path.join(self.folder, "state"), "--control-socket", os.path.join(self.folder, "control.sock"),
                "--shards", "1"], stdout=subprocess.DEVNULL)
            self.pid = up.pid
            self.wait_until_ready(up)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def start(self, core, command, stdout):
        environment = {**os.environ, "TOLLGATE_PLAN_KEY": KEY, "TOLLGATE_PLAN_CREDENTIAL": "sk-sandbox"}
        with open(os.path.join(self.folder, "log"), "ab") as log:
            child = subprocess.Popen(["taskset", "-c", core] + command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log,
                                     env=environment, text=True)
        self.children.append(child)
        return child

    def document(self, provider):
        models = {name: {"targets": [{"provider": "sandbox", "model": model}]} for name, model in self.models.items()}
        return {
            "version": 1, "access_log": "off", "admin": {"address": f"127.0.0.1:{self.admin}"},
            "listeners": {"public": {"address": f"127.0.0.1:{self.port}"}},
            "providers": {"sandbox": {"dialect": "openai", "base_url": f"http://{provider}",
                                      "credential": "env:TOLLGATE_PLAN_CREDENTIAL",
                                      "connections": {"max_idle": 2048, "idle_timeout": "600s"}}},
            "models": models,
            "keys": {"plan": {"secret": "env:TOLLGATE_PLAN_KEY", "models": list(models)}},
        }

    def wait_until_ready(self, child):
        until = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                if child.poll() is not None or time.monotonic() > until:
                    with open(os.path.join(self.folder, "log"), errors="replace") as log:
                        raise SystemExit(f"the gateway is not ready:\n{log.read()[-2000:]}")
            time.sleep(0.02)
