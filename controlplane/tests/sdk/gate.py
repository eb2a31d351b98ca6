"""What both SDKs' checks share: addresses, the provider's record of what arrived, and the runner."""

import json
import os
import time
import urllib.request

from checks import raises, run  # noqa: F401, for the scripts

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


def client_gone(identity):
    return [a for a in arrivals_with("x-sandbox-id", identity) if a["ending"] == "client_gone"]
