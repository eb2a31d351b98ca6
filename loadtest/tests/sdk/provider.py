"""What the SDKs' checks share: the sandbox's address and scenario, its checksum, and the runner."""

import json
import os
import sys
import urllib.request
import zlib

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../controlplane/tests/sdk"))
from checks import raises, run  # noqa: E402, F401, for the scripts

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
