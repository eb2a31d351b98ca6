"""What both SDKs' checks share: addresses, the provider's record of what arrived, and a runner."""

import asyncio
import inspect
import json
import os
import sys
import time
import traceback
import urllib.request

URL = os.environ["TOLLGATE_URL"]
KEY = os.environ["TOLLGATE_KEY"]
NOWHERE = os.environ["NOWHERE_URL"]
NARROW_KEY = "tg-narrow"


def arrivals():
    """Requests the provider got, oldest first."""
    with urllib.request.urlopen(os.environ["SANDBOX_URL"] + "/_sandbox/arrivals") as answer:
        return json.load(answer)["arrivals"]


def arrivals_with(name, value):
    return [arrival for arrival in arrivals() if [name, value] in arrival["headers"]]


def until(what, probe, seconds=10):
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def raises(kind, call):
    """Calls, expects exactly that class of exception, and answers it."""
    try:
        call()
    except Exception as raised:
        assert type(raised) is kind, f"expected {kind.__name__}, got {type(raised).__name__}: {raised}"
        return raised
    raise AssertionError(f"expected {kind.__name__}, nothing was raised")


def client_gone(identity):
    return [a for a in arrivals_with("x-sandbox-id", identity) if a["ending"] == "client_gone"]


def run(module):
    """Runs every check of the module in order of definition; exits 1 when one failed."""
    failed = 0
    checks = [(n, f) for n, f in vars(module).items() if n.startswith("check_")]
    for name, check in checks:
        try:
            asyncio.run(check()) if inspect.iscoroutinefunction(check) else check()
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)
