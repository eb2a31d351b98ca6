"""What every client is asked to do, and what the sandbox answers to it."""

import base64
import zlib

import pydantic

PROMPT = "Hello there, gate."
PROMPT_TOKENS = 5
THOUGHT = "The user wants an answer. I weigh what I was told, and choose the words."
RESULTS = {"get_weather": '21 "degrees" in Zürich 🌍', "get_time": "noon"}

WORDS = (
    "amber anchor autumn beacon birch bridge bright canal cedar clear cloud copper coral delta dune early ember fern field "
    "flint forest garden gentle glass granite harbor hazel island ivory juniper lake lantern linen maple marble meadow "
    "mellow mist morning north oak ocean olive open orchard pebble pine plain quiet rain ridge river saffron shore silver "
    "slate spring stone summer timber valley velvet willow winter"
).split()

# A picture of one point.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# Name, description, JSON schema of the arguments.
TOOLS = [
    (
        "get_weather",
        "The weather of some days to come.",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Where."},
                "days": {"type": "integer", "minimum": 2},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "hours": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["city", "days", "unit"],
        },
    ),
    (
        "get_time",
        "The time at a place.",
        {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    ),
]


class Event(pydantic.BaseModel):
    title: str
    guests: list[str]
    confirmed: bool
    seats: int


def word(name):
    """The text that the sandbox gives for a member of this name."""
    return f'{WORDS[zlib.crc32(name.encode()) % 64]} "café" 🌍'


ARGUMENTS = {
    "get_weather": {"city": word("city"), "days": 2, "unit": "celsius"},
    "get_time": {"zone": word("zone")},
}
EVENT = Event(title=word("title"), guests=[word("guests")], confirmed=True, seats=1)


def check_text(text):
    """The last four words are the checksum of what is before them."""
    body, *said = text.rsplit(" ", 4)
    crc = zlib.crc32(body.encode())
    assert said == [WORDS[crc >> 6 * word & 63] for word in range(4)], text


def buffered(client, model):
    said = client.ask(model, client.user(PROMPT))
    check_text(said.text)
    assert said.input_tokens == PROMPT_TOKENS, f"{said.input_tokens} input tokens"
    assert said.output_tokens > 4, f"{said.output_tokens} output tokens"


def streamed(client, model):
    whole = client.ask(model, client.user(PROMPT))
    said = client.ask(model, client.user(PROMPT), stream=True)
    assert said.text == whole.text, (said.text, whole.text)
    assert said.pieces > 4, f"{said.pieces} pieces"
    assert (said.input_tokens, said.output_tokens) == (whole.input_tokens, whole.output_tokens)


def tools(client, model):
    whole = client.ask(model, client.user(PROMPT), tools=TOOLS)
    assert {name: arguments for _, name, arguments in whole.calls} == ARGUMENTS, whole.calls
    said = client.ask(model, client.user(PROMPT), tools=TOOLS, stream=True)
    assert {name: arguments for _, name, arguments in said.calls} == ARGUMENTS, said.calls
    assert len({call for call, _, _ in said.calls}) == 2, said.calls
    assert said.pieces >= client.least_argument_pieces, f"{said.pieces} pieces"


def results(client, model):
    for stream in (False, True):
        asked = client.user(PROMPT)
        said = client.ask(model, asked, tools=TOOLS, stream=stream)
        answered = client.results([(call, name, RESULTS[name]) for call, name, _ in said.calls])
        told = client.ask(model, asked + said.turn + answered, tools=TOOLS, stream=stream)
        assert not told.calls, told.calls
        for name, result in RESULTS.items():
            assert f"{name} said: {result}" in told.text, told.text
        check_text(told.text)


def structured(client, model):
    parsed = client.parsed(model, client.user(PROMPT), Event)
    assert parsed == EVENT, parsed


def picture(client, model):
    for stream in (False, True):
        said = client.ask(model, client.picture("What is this?", PICTURE), stream=stream)
        assert f"I see an image/png of {len(PICTURE)} bytes." in said.text, said.text


def thinking(client, model):
    for stream in (False, True):
        asked = client.user(PROMPT)
        said = client.ask(model, asked, thinking=True, stream=stream)
        check_text(said.text)
        assert said.thought == THOUGHT, said.thought
        again = client.ask(model, asked + said.turn + client.user("And then?"), thinking=True, stream=stream)
        assert again.thought == THOUGHT, again.thought
        assert "signature verified" in again.text, again.text
