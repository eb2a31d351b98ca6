"""Every SDK to every dialect through the gateway: what works, what a dialect has no words for, and that nothing fails.

Prints the matrix and holds `docs/dialects.md` to it; with TOLLGATE_WRITE_MATRIX=1 the file is written anew.
"""

import json
import os
import pathlib
import sys
import traceback
import urllib.request

import gate
import requests_sent
from clients import ALL, tasks

FILE = pathlib.Path(__file__).parents[3] / "docs/dialects.md"
UPSTREAMS = {
    "openai": "OpenAI chat",
    "openai-responses": "OpenAI Responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "cohere": "Cohere",
    "bedrock": "Bedrock",
}
ABOUT = """<!-- Written by the test `every_sdk_reaches_every_dialect`; TOLLGATE_WRITE_MATRIX=1 renews it. -->
# SDKs and dialects

What each official SDK, unchanged, gets through the gateway from a model of each dialect. `✓`: it works, and the test
proves it; a number: something the dialect on one side has no words for, told below.
"""


def errors(client, model):
    """The error classes that the SDK has, for the gateway's errors and for the provider's."""
    stranger = connect(type(client), "wrong")
    check_error(stranger, 401, lambda: stranger.ask(model, stranger.user("Hello.")))
    client = connect(type(client), gate.KEY)
    check_error(client, 404, lambda: client.ask("no-such-model", client.user("Hello.")))
    for status in (400, 429, 503):
        for stream in (False, True):
            check_error(client, status, lambda: client.ask(f"{model}.sandbox-status-{status}", client.user("Hello."), stream=stream))


def check_error(client, status, call):
    try:
        call()
    except Exception as raised:
        wanted = client.errors[status]
        assert type(raised) in (wanted if isinstance(wanted, tuple) else (wanted,)), f"{status}: {type(raised).__name__}: {raised}"
        return
    raise AssertionError(f"{status}: no error")


def leaving(client, model):
    """A client that closes its stream lets the provider go."""
    client.leave(f"{model}.sandbox-rate-50-tokens-2000")
    gate.until("the provider to be let go", lambda: gate.arrivals() and gate.arrivals()[-1]["ending"] == "client_gone")


TASKS = {
    "text": tasks.buffered,
    "stream": tasks.streamed,
    "system text, cap, stop sequence": tasks.settings,
    "parallel tools, streamed arguments": tasks.tools,
    "tool results": tasks.results,
    "structured output": tasks.structured,
    "picture": tasks.picture,
    "document (PDF)": tasks.document,
    "thinking, signature replayed": tasks.thinking,
    "thinking and tools together": tasks.agent,
    "error classes": errors,
    "cancelled stream": leaving,
}


def connect(make, key):
    return make(os.environ["TOLLGATE_SECURE_URL"] if hasattr(make, "needs_tls") else gate.URL, key)


class Matrix:
    def __init__(self):
        self.notes = []
        self.failures = []

    def cell(self, make, upstream, name, task):
        sandbox("POST", "/_sandbox/reset")
        client = connect(make, gate.KEY)
        try:
            task(client, f"via-{upstream}")
            outcome = "✓"
        except tasks.Wordless as reason:
            dropped = client.heard.headers.get("x-tollgate-dropped")
            outcome = self.note(f"{reason}" + (f" `x-tollgate-dropped: {dropped}`" if dropped else ""))
        except Exception:
            return self.failed(make, upstream, name)
        wrong = requests_sent.faults(gate.arrivals(), make.dialect)
        if wrong:
            self.failures.append(f"{make.name} to {upstream}, {name}: the provider was sent\n  " + "\n  ".join(wrong))
        return outcome

    def failed(self, make, upstream, name):
        self.failures.append(f"{make.name} to {upstream}, {name}:\n{traceback.format_exc()}")
        return "✗"

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
        return str(self.notes.index(text) + 1)

    def tables(self):
        for make in ALL:
            yield f"\n## {make.name}\n\n"
            yield "| | " + " | ".join(UPSTREAMS.values()) + " |\n" + "|---" * (len(UPSTREAMS) + 1) + "|\n"
            for name, task in TASKS.items():
                cells = [self.cell(make, upstream, name, task) for upstream in UPSTREAMS]
                print(f"{make.name:30} {name:34} {' '.join(cells)}", flush=True)
                yield f"| {name} | " + " | ".join(cells) + " |\n"

    def document(self):
        text = ABOUT + "".join(self.tables())
        if self.notes:
            text += "\n## Notes\n\n" + "".join(f"{number}. {note}\n" for number, note in enumerate(self.notes, 1))
        return text


def sandbox(method, path):
    with urllib.request.urlopen(urllib.request.Request(os.environ["SANDBOX_URL"] + path, method=method)) as answer:
        return json.load(answer)


only = os.environ.get("TOLLGATE_MATRIX_ONLY")
if only:
    ALL = [make for make in ALL if only in make.name]
matrix = Matrix()
document = matrix.document()
print(document)
print("\n\n".join(matrix.failures))
if matrix.failures:
    sys.exit(f"{len(matrix.failures)} cells failed")
if only:
    sys.exit(0)
if os.environ.get("TOLLGATE_WRITE_MATRIX"):
    FILE.write_text(document)
elif document != FILE.read_text():
    sys.exit(f"{FILE} says something else: TOLLGATE_WRITE_MATRIX=1 renews it, and the difference is for you to read")
