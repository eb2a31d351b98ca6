"""The official SDKs, unchanged: an answer that is kept reads as the one it was, whole and streamed, in every dialect."""

import sys

import gate
from clients import PYTHON


def asks(make):
    """Whole, then streamed, then both again; what was kept first decides what the others are made of."""
    client = make(gate.URL, gate.KEY)
    model = f"kept-{client.dialect}"
    for number, first in enumerate([False, True]):
        words = f"Hello there, gate {number}, from {client.name}."
        before = len(gate.arrivals())
        said = [client.ask(model, client.user(words), stream=stream) for stream in (first, first, not first, not first)]
        texts = {answer.text for answer in said}
        assert len(texts) == 1 and texts.pop(), [answer.text for answer in said]
        asked = len(gate.arrivals()) - before
        assert asked == 1, f"{client.name}, first {'streamed' if first else 'whole'}: the provider was asked {asked} times"


def check(make):
    return lambda: asks(make)


for make in PYTHON:
    if not hasattr(make, "needs_tls"):
        globals()["check_" + make.__name__.lower()] = check(make)

gate.run(sys.modules[__name__])
