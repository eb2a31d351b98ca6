"""Tollgate itself: `tollgate up` with one shard, both planes on the proxy's core, in the profiles of profiles.py.

The key is checked, the model's name in the body rewritten, usage read and recorded. `shards: 1` for one core; more idle
connections to the provider than there are clients, so that none is dialled anew.
"""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import child
import payloads
import profiles
from peers.peer import Absent, Peer
from rows import Row


class Tollgate(Peer):
    name = title = "tollgate"
    profile = "bare"

    def __init__(self, site):
        super().__init__(site)
        self.ports = dict.fromkeys(self.ports, self.ports["whole"])
        own = {"plain": self.ports["whole"], "tls": self.tls_port, "admin": child.free_port()}
        self.document, self.wanted_headers = profiles.PROFILES[self.profile](own, site.providers.ports)
        self.socket = site.path(f"{self.name}.sock")

    def launch(self, tls):
        config = self.site.write(f"{self.name}.json", json.dumps(self.document))
        return self.launch_program("tollgate", [
            "up", "--config", config, "--state-dir", self.site.path(f"{self.name}.state"), "--control-socket",
            self.socket, "--shards", "1"])

    def launch_program(self, name, arguments):
        program = os.path.join(child.ROOT, "target", os.environ.get("TOLLGATE_COMPARE_BUILD", "release"), name)
        if not os.path.exists(program):
            raise Absent(f"{os.path.relpath(program, child.ROOT)} is missing: `cargo build --release --bins`")
        return child.Child(self.name, child.PROXY_CORE, [program] + arguments, self.site.folder, {
            "TOLLGATE_BENCH_KEY": payloads.KEY, "TOLLGATE_BENCH_CREDENTIAL": "sk-mock"})

    def wait(self):
        super().wait()
        self.running.wait_until(self.is_ready, "/readyz answers", self.start_seconds)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.ports['whole']}/readyz", timeout=2).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def headers(self, _row):
        return self.wanted_headers

    def version(self):
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True,
                                cwd=child.ROOT).stdout.strip()
        return f"Tollgate at {commit or 'an unknown commit'}"


class Everything(Tollgate):
    name = "tollgate-all"
    title = "tollgate, everything on"
    profile = "everything"
    own_text = payloads.OWN_TEXT

    def version(self):
        return None


class Hit(Tollgate):
    """The same call again and again, answered from the exact cache but for the first time."""

    name = "tollgate-hit"
    title = "tollgate, exact hit"
    profile = "kept"

    def version(self):
        return None


class Like(Tollgate):
    """The same question in other words than the one whose answer is kept, again and again: found by meaning each time."""

    name = "tollgate-like"
    title = "tollgate, semantic hit"
    profile = "like"
    own_text = payloads.ASKED_OTHERWISE
    found_seconds = 5

    def wait(self):
        super().wait()
        self.have_answered(Row("first", "before any load"))

    def before_row(self, row):
        super().before_row(row)
        self.have_answered(row)

    def have_answered(self, row):
        """Has the question answered in its first form. What loads asks it in the other, which must not be kept itself:
        raises `Absent` where that is not found by meaning."""
        self.ask(row, payloads.ASKED, {})
        until = time.monotonic() + self.found_seconds
        while (found := self.ask(row, self.own_text, {"x-tollgate-cache": "only"})) != "semantic-hit":
            if time.monotonic() > until:
                raise Absent(f"its call is not found by meaning (`{found}`): a last turn this long is not compared, or "
                             "there is no model to embed it with")
            time.sleep(0.1)

    def ask(self, row, own_text, headers):
        """What is told of the cache; None where the call is refused."""
        body = payloads.chat_request(row.prompt_bytes, row.route, own_text)
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[row.route]}/v1/chat/completions", body, {
            "Authorization": f"Bearer {payloads.KEY}", "Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                answer.read()
                return answer.headers.get("x-tollgate-cache")
        except urllib.error.HTTPError:
            return None

    def version(self):
        return None


class Dataplane(Tollgate):
    """The data plane alone, serving its last good configuration: what is measured without a control plane."""

    name = title = "dataplane"

    def launch(self, tls):
        state = self.site.path("alone")
        os.makedirs(state, 0o700, exist_ok=True)
        self.site.write("alone/last-good.json", json.dumps({"revision": 1, "document": self.document, "keys": []}))
        return self.launch_program("tollgate-dataplane", ["--state-dir", state, "--shards", "1"])

    def version(self):
        return None
