"""What the SDKs' checks share: the sandbox's address and scenario, its checksum, and a runner."""

import json
import os
import sys
import traceback
import urllib.request
import zlib

URL = os.environ["SANDBOX_URL"]
PROMPT = "Hello there, gate."
PROMPT_TOKENS = 5

WORDS = (
    "amber anchor autumn beacon birch bridge bright canal cedar clear cloud copper coral delta dune early ember fern field "
    "flint forest garden gentle glass granite harbor hazel island ivory juniper lake lantern linen maple marble meadow "
    "mellow mist morning north oak ocean olive open orchard pebble pine plain quiet rain ridge river saffron shore silver "
    "slate spring stone summer timber valley velvet willow winter"
).split()


def check_text(text):
    """The last four words are the checksum of what is before them."""
    body, *said = text.rsplit(" ", 4)
    crc = zlib.crc32(body.encode())
    assert said == [WORDS[crc >> 6 * word & 63] for word in range(4)], text


def call(method, path, body=None, headers={}):
    """Speaks to the sandbox without an SDK; answers the body as JSON."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method)) as answer:
        return json.load(answer)


class scenario:
    """The scenario that holds within the block."""

    def __init__(self, **document):
        self.document = document

    def __enter__(self):
        call("PUT", "/_sandbox/scenario", self.document)

    def __exit__(self, *_):
        call("PUT", "/_sandbox/scenario", {})


def raises(kind, ask):
    """Calls, expects exactly that class of exception, and answers it."""
    try:
        ask()
    except Exception as raised:
        assert type(raised) is kind, f"expected {kind.__name__}, got {type(raised).__name__}: {raised}"
        return raised
    raise AssertionError(f"expected {kind.__name__}, nothing was raised")


def run(module):
    """Runs every check of the module in order of definition; exits 1 when one failed."""
    failed = 0
    checks = [(name, check) for name, check in vars(module).items() if name.startswith("check_")]
    for name, check in checks:
        try:
            check()
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)
