"""SIGKILL of either plane under load, again and again: a seeded order, the contract's promises checked after each.

Promises: while the control plane is dead, no call fails; after the data plane was killed, calls are answered again
within `RECOVERY_S`; a change that was acknowledged before a kill is in force after it; nothing is left running.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

RECOVERY_S = 10
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.join(ROOT, "target", "release")
KEY = "tg-soak-key"
BODY = json.dumps({"model": "sandbox-small", "messages": [{"role": "user", "content": "Hello"}]})


class Broken(Exception):
    """A promise was not kept; the message names which."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class House:
    """Both planes on a state directory of their own, and a sandbox provider behind them."""

    def __init__(self, folder):
        self.folder, self.socket = folder, os.path.join(folder, "control.sock")
        self.log = open(os.path.join(folder, "planes.log"), "ab")
        self.sandbox = subprocess.Popen([os.path.join(RELEASE, "tollgate-loadtest"), "sandbox", "--threads", "1"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.provider = provider = self.sandbox.stdout.readline().split()[1]
        self.port = free_port()
        self.config = os.path.join(folder, "tollgate.json")
        with open(self.config, "w") as file:
            json.dump({
                "version": 1, "access_log": "off", "admin": {"address": f"127.0.0.1:{free_port()}"},
                "listeners": {"public": {"address": f"127.0.0.1:{self.port}"}},
                "providers": {"sandbox": {"dialect": "openai", "base_url": f"http://{provider}",
                                          "credential": "env:SOAK_CREDENTIAL"}},
                "models": {"sandbox-small": {"targets": [{"provider": "sandbox", "model": "sandbox-small"}]}},
                "teams": {"soak": {"cost_center": "none"}},
                "keys": {"soak": {"secret": "env:SOAK_KEY", "team": "soak", "models": ["sandbox-small"]}},
            }, file)
        self.up = None
        self.start()

    def start(self):
        self.up = subprocess.Popen(
            [os.path.join(RELEASE, "tollgate"), "up", "--config", self.config, "--state-dir",
             os.path.join(self.folder, "state"), "--control-socket", self.socket, "--shards", "1"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, "SOAK_KEY": KEY, "SOAK_CREDENTIAL": "sk-soak"})
        self.wait(lambda: self.status() is not None, "the control socket answers")

    def wait(self, true, what):
        until = time.monotonic() + RECOVERY_S
        while not true():
            if time.monotonic() > until:
                raise Broken(f"not within {RECOVERY_S} s: {what}")
            time.sleep(0.02)

    def call(self):
        """One chat call on a new connection: the status, or None when there was no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/v1/chat/completions", BODY,
                               {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def control(self, method, path, body=None):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def status(self):
        try:
            status, document = self.control("GET", "/v1/status")
        except (OSError, http.client.HTTPException, ValueError):
            return None
        usable = status == 200 and (document.get("dataplane") or {}).get("pid") and document.get("shards")
        return document if usable else None

    def stop(self):
        for process in (self.up, self.sandbox):
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()


class Load:
    """Calls one after the other from a thread until told to stop; counts those that were not answered with 200."""

    def __init__(self, house):
        self.house, self.answered, self.failed, self.running = house, 0, 0, True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.running:
            if self.house.call() == 200:
                self.answered += 1
            else:
                self.failed += 1
                time.sleep(0.01)

    def stop(self):
        self.running = False
        self.thread.join(30)


def kill_controlplane(house, load):
    """Calls go on without it, and the next start adopts the data plane that kept serving."""
    dataplane = house.status()["dataplane"]["pid"]
    failed, answered = load.failed, load.answered
    house.up.send_signal(signal.SIGKILL)
    house.up.wait()
    house.wait(lambda: load.answered > answered + 20, "20 calls answered without a control plane")
    if load.failed != failed:
        raise Broken(f"{load.failed - failed} calls failed while only the control plane was dead")
    house.start()
    if house.status()["dataplane"]["pid"] != dataplane:
        raise Broken("the next start did not adopt the data plane that was serving")


def kill_dataplane(house, load):
    """It is restarted at once and serves."""
    pid = house.status()["dataplane"]["pid"]
    os.kill(pid, signal.SIGKILL)
    house.wait(lambda: (house.status() or {"dataplane": {"pid": pid}})["dataplane"]["pid"] != pid, "a new data plane")
    answered = load.answered
    house.wait(lambda: load.answered > answered + 5, "calls answered after the data plane was killed")


def change(house, number):
    """A change that the control plane acknowledged."""
    status, told = house.control("PUT", "/v1/config/teams/soak/cost_center", json.dumps(f"round-{number}"))
    if status != 200:
        raise Broken(f"PUT answered {status}: {told}")
    return told["revision"]


def check_change(house, number, revision):
    status, value = house.control("GET", "/v1/config/teams/soak/cost_center")
    if (status, value) != (200, f"round-{number}"):
        raise Broken(f"acknowledged change {number} is gone: {status} {value}")
    shards = house.status()["shards"]
    if any(shard["revision"] != revision for shard in shards):
        raise Broken(f"shards run {[shard['revision'] for shard in shards]}, acknowledged was {revision}")


def run(folder, seed, kills):
    """`kills` kills in the order of `seed`; returns what was counted. Raises Broken with the kill's number."""
    chance = random.Random(seed)
    house = House(folder)
    load = Load(house)
    done = {"kills": 0, "controlplane": 0, "dataplane": 0, "answered": 0, "unanswered": 0}
    try:
        house.wait(lambda: load.answered > 0, "the first call")
        for number in range(kills):
            victim = chance.choice(["controlplane", "dataplane"])
            revision = change(house, f"{seed}-{number}")
            try:
                (kill_controlplane if victim == "controlplane" else kill_dataplane)(house, load)
                house.wait(lambda: house.status() is not None, "status after the kill")
                check_change(house, f"{seed}-{number}", revision)
            except Broken as broken:
                raise Broken(f"seed {seed}, kill {number} ({victim}): {broken}")
            done["kills"] += 1
            done[victim] += 1
    finally:
        load.stop()
        done["answered"], done["unanswered"] = load.answered, load.failed
        house.stop()
    return done
