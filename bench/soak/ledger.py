"""SIGKILL of either plane under load with streams, and after each the ledger beside the provider's own record, call by call.

Promises: every call that reached the provider is in the ledger, once; every call that a client got whole is there as
answered; no more are `crashed` than were in flight; nothing is lost, missing or damaged.
"""

import http.client
import json
import os
import random
import signal
import threading
import time

from kills import Broken, House, KEY

CLIENTS = 8
CALLS_A_ROUND = 60  # answered before the kill, and again after it
ROUND_S = 30


class Clients:
    """Call without pause until told to stop; each call is told apart by a number, every third is a stream."""

    def __init__(self, port, numbers):
        self.port, self.numbers, self.running = port, numbers, True
        self.whole, self.lock = set(), threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while self.running:
            with self.lock:
                number = next(self.numbers)
            if self.call(number):
                with self.lock:
                    self.whole.add(number)

    def call(self, number):
        body = {"model": "sandbox-small", "messages": [{"role": "user", "content": f"call {number}."}]}
        if number % 3 == 0:
            body["stream"] = True
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json",
                   "x-tollgate-tags": f"call={number}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status == 200 and (number % 3 > 0 or b"[DONE]" in text)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join(20)
        return self.whole


def sandbox(house, method, path):
    host, port = house.provider.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request(method, path)
        return json.loads(connection.getresponse().read() or b"null")
    finally:
        connection.close()


def arrived(house):
    report = sandbox(house, "GET", "/_sandbox/arrivals")
    if report["requests"] != len(report["arrivals"]):
        raise Broken("the sandbox does not remember all arrivals of a round")
    return {int(one["body"].split("call ")[1].split(".")[0]) for one in report["arrivals"] if "call " in one["body"]}


def recorded(house, first):
    """[answered, failed, crashed] by number, of this round."""
    status, told = house.control("GET", "/v1/usage?by=tag:call")
    if status != 200:
        raise Broken(f"/v1/usage answered {status}")
    counts = {}
    for row in told["rows"]:
        if row["tag:call"] and int(row["tag:call"]) >= first:
            counts[int(row["tag:call"])] = [row["requests"], row["failed"], row["crashed"]]
    return counts


def agree(house, first, whole):
    """How many crashed; raises where the two records differ."""
    calls, until = arrived(house), time.monotonic() + ROUND_S
    while True:
        ledger = recorded(house, first)
        if calls <= ledger.keys() or time.monotonic() > until:
            break
        time.sleep(0.1)
    if not calls <= ledger.keys():
        raise Broken(f"{len(calls - ledger.keys())} calls reached the provider and are not in the ledger")
    doubled = [number for number, counts in ledger.items() if sum(counts) != 1]
    if doubled:
        raise Broken(f"calls {doubled[:5]} are not there once")
    unseen = [number for number, counts in ledger.items() if counts[0] and number not in calls]
    if unseen:
        raise Broken(f"calls {unseen[:5]} were answered and the provider never saw them")
    lost = [number for number in whole if ledger.get(number) != [1, 0, 0]]
    if lost:
        raise Broken(f"calls {lost[:5]} were answered whole and are not there as answered")
    return sum(counts[2] for counts in ledger.values())


def kill(house, victim):
    pid = house.status()[victim]["pid"]
    os.kill(pid, signal.SIGKILL)
    if victim == "controlplane":
        house.up.wait()
        house.start()
    else:
        house.wait(lambda: (house.status() or {"dataplane": {"pid": pid}})["dataplane"]["pid"] != pid, "a new data plane")


def run(folder, seed, kills_each):
    """Each plane is killed `kills_each` times, in the order of `seed`; returns what was counted."""
    order = ["controlplane", "dataplane"] * kills_each
    random.Random(seed).shuffle(order)
    house = House(folder)
    done = {"kills": 0, "controlplane": 0, "dataplane": 0, "calls": 0, "crashed": 0}
    first = 1
    try:
        for number, victim in enumerate(order):
            sandbox(house, "POST", "/_sandbox/reset")
            clients = Clients(house.port, iter(range(first, first + 10_000_000)))
            try:
                for step in range(2):
                    wanted = len(clients.whole) + CALLS_A_ROUND
                    house.wait(lambda: len(clients.whole) >= wanted, "calls answered")
                    if step == 0:
                        kill(house, victim)
            finally:
                whole = clients.stop()
            try:
                crashed = agree(house, first, whole)
            except Broken as broken:
                raise Broken(f"seed {seed}, kill {number} ({victim}): {broken}")
            if crashed > (CLIENTS if victim == "dataplane" else 0):
                raise Broken(f"seed {seed}, kill {number} ({victim}): {crashed} calls crashed")
            done["kills"] += 1
            done[victim] += 1
            done["calls"] += len(whole)
            done["crashed"] += crashed
            first = next(clients.numbers) + 1
        status, told = house.control("GET", "/v1/status")
        if status != 200:
            raise Broken(f"/v1/status answered {status}: {told}")
    finally:
        house.stop()
    return done
