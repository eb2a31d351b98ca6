"""What a model said, in no SDK's terms."""

import dataclasses

import httpx


@dataclasses.dataclass
class Said:
    text: str = ""
    # (id, name, arguments)
    calls: list = dataclasses.field(default_factory=list)
    thought: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    # Events with text or arguments in them.
    pieces: int = 0
    # The assistant's turn as the SDK sends it back: a list of its messages.
    turn: list = dataclasses.field(default_factory=list)
    # `stop`, `length`, `tools`, or the dialect's own word.
    finish: str = ""


class Heard:
    """Remembers the headers of the last answer, for clients that go by httpx."""

    def __init__(self):
        self.headers = {}

    def client(self, library=httpx):
        return library.Client(event_hooks={"response": [self._remember]}, timeout=30)

    def _remember(self, response):
        self.headers = dict(response.headers)
