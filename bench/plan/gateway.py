"""The gateway and its provider, pinned, for as long as a measurement lasts. Knows nothing of what is measured."""

import json
import os
import sys
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "bench", "compare"))
from child import LOAD_CORE, PROXY_CORE, Child, free_port  # noqa: E402

PROGRAMS = os.environ.get("TOLLGATE_PROGRAMS", os.path.join(ROOT, "target", "release"))
LOADTEST = os.path.join(PROGRAMS, "tollgate-loadtest")
KEY = "tg-plan-key"


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
            provider_port = free_port()
            provider = self.start("sandbox", LOAD_CORE, [
                LOADTEST, "sandbox", "--threads", "1", "--address", f"127.0.0.1:{provider_port}"])
            provider.wait_for_port(provider_port)
            config = os.path.join(self.folder, "tollgate.json")
            with open(config, "w") as file:
                json.dump(self.document(provider_port), file)
            up = self.start("tollgate", PROXY_CORE, [
                os.path.join(PROGRAMS, "tollgate"), "up", "--config", config, "--state-dir",
                os.path.join(self.folder, "state"), "--control-socket", os.path.join(self.folder, "control.sock"),
                "--shards", "1"])
            self.pid = up.process.pid
            up.wait_until(self.is_ready, "/readyz answers", 20)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.stop()

    def start(self, name, core, command):
        environment = {"TOLLGATE_PLAN_KEY": KEY, "TOLLGATE_PLAN_CREDENTIAL": "sk-sandbox"}
        child = Child(name, core, command, self.folder, environment)
        self.children.append(child)
        return child

    def document(self, provider_port):
        models = {name: {"targets": [{"provider": "sandbox", "model": model}]} for name, model in self.models.items()}
        return {
            "version": 1, "access_log": "off", "admin": {"address": f"127.0.0.1:{self.admin}"},
            "listeners": {"public": {"address": f"127.0.0.1:{self.port}"}},
            "providers": {"sandbox": {"dialect": "openai", "base_url": f"http://127.0.0.1:{provider_port}",
                                      "credential": "env:TOLLGATE_PLAN_CREDENTIAL",
                                      "connections": {"max_idle": 2048, "idle_timeout": "600s"}}},
            "models": models,
            "keys": {"plan": {"secret": "env:TOLLGATE_PLAN_KEY", "models": list(models)}},
        }

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/readyz", timeout=2).status == 200
        except (urllib.error.URLError, OSError):
            return False
