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

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

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


class Wordless(Exception):
    """One of the two dialects has no words for it; says which, and what becomes of it."""


# Where thoughts cannot come back signed: by the client's name or dialect, and the upstream's.
UNSIGNED = [
    (None, "cohere", "Cohere signs no thoughts. They are shown, and not sent back."),
    ("cohere", None, "Cohere's messages have no place for a signature. Thoughts are shown, and not sent back."),
    ("boto3", "gemini", "Gemini signs texts and calls, for which Converse has no place. Thoughts are shown, and not sent back."),
    (
        "ai with @ai-sdk/openai (npm)",
        "gemini",
        "Gemini signs texts and calls; this SDK sends back no member of them that it does not know. Thoughts are shown, and not sent back.",
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
    assert said.finish == "stop", said.finish
    assert said.input_tokens == PROMPT_TOKENS, f"{said.input_tokens} input tokens"
    assert said.output_tokens > 4, f"{said.output_tokens} output tokens"


def streamed(client, model):
    whole = client.ask(model, client.user(PROMPT))
    said = client.ask(model, client.user(PROMPT), stream=True)
    assert said.text == whole.text, (said.text, whole.text)
    assert said.finish == "stop", said.finish
    assert said.pieces > 4, f"{said.pieces} pieces"
    assert (said.input_tokens, said.output_tokens) == (whole.input_tokens, whole.output_tokens)


def settings(client, model):
    """System text, an output cap, a stop sequence."""
    whole = client.ask(model, client.user(PROMPT), system="Be brief.")
    assert whole.input_tokens == PROMPT_TOKENS + 3, f"{whole.input_tokens} input tokens"
    for stream in (False, True):
        # OpenAI's helpers for streams raise where one was cut.
        if not (stream and hasattr(client, "raises_when_cut")):
            cut = client.ask(model, client.user(PROMPT), max_tokens=16, system="Be brief.", stream=stream)
            assert (cut.finish, cut.output_tokens) == ("length", 16), (cut.finish, cut.output_tokens)
        if client.dialect == "openai-responses":
            continue
        word = whole.text.split(" ")[5]
        stopped = client.ask(model, client.user(PROMPT), stop=word, system="Be brief.", stream=stream)
        assert stopped.finish == "stop", stopped.finish
        if model == "via-openai-responses":
            raise Wordless("Responses know no stop sequences.")
        assert stopped.text.rstrip() == whole.text[: whole.text.index(word)].rstrip(), (stopped.text, whole.text)


def tools(client, model):
    whole = client.ask(model, client.user(PROMPT), tools=TOOLS)
    assert {name: arguments for _, name, arguments in whole.calls} == ARGUMENTS, whole.calls
    assert whole.finish == "tools", whole.finish
    said = client.ask(model, client.user(PROMPT), tools=TOOLS, stream=True)
    assert {name: arguments for _, name, arguments in said.calls} == ARGUMENTS, said.calls
    assert said.finish == "tools", said.finish
    assert len({call for call, _, _ in said.calls}) == 2, said.calls
    # Gemini's calls come whole, one after the other.
    least = 2 if model == "via-gemini" else client.least_argument_pieces
    assert said.pieces >= least, f"{said.pieces} pieces"
    named = client.ask(model, client.user(PROMPT), tools=TOOLS, choice="get_time")
    assert [name for _, name, _ in named.calls] == ["get_time"], named.calls


def results(client, model):
    for stream in (False, True):
        asked = client.user(PROMPT)
        said = client.ask(model, asked, tools=TOOLS, stream=stream)
        answered = client.results([(call, name, RESULTS[name]) for call, name, _ in said.calls])
        told = client.ask(model, asked + said.turn + answered, tools=TOOLS, stream=stream)
        check_results(told)


def check_results(told):
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


def document(client, model):
    if not hasattr(client, "document"):
        raise Wordless("Cohere's documents are texts.")
    for stream in (False, True):
        said = client.ask(model, client.document("What is this?", PDF), stream=stream)
        if f"I see an application/pdf of {len(PDF)} bytes." not in said.text and model == "via-cohere":
            raise Wordless("Cohere's documents are texts.")
        assert f"I see an application/pdf of {len(PDF)} bytes." in said.text, said.text


def thinking(client, model):
    for stream in (False, True):
        asked = client.user(PROMPT)
        said = client.ask(model, asked, thinking=True, stream=stream)
        check_text(said.text)
        assert said.thought == THOUGHT, said.thought
        again = client.ask(model, asked + said.turn + client.user("And then?"), thinking=True, stream=stream)
        assert again.thought == THOUGHT, again.thought
        check_signature(client, model, again)


def agent(client, model):
    """Thoughts before calls: both go back with the results."""
    for stream in (False, True):
        asked = client.user(PROMPT)
        said = client.ask(model, asked, tools=TOOLS, thinking=True, stream=stream)
        assert said.thought == THOUGHT, said.thought
        assert {name: arguments for _, name, arguments in said.calls} == ARGUMENTS, said.calls
        answered = client.results([(call, name, RESULTS[name]) for call, name, _ in said.calls])
        told = client.ask(model, asked + said.turn + answered, tools=TOOLS, thinking=True, stream=stream)
        check_results(told)
        check_signature(client, model, told)


def check_signature(client, model, said):
    if "signature verified" in said.text:
        return
    for ours, theirs, reason in UNSIGNED:
        if ours in (None, client.name, client.dialect) and theirs in (None, model.removeprefix("via-")):
            raise Wordless(reason)
    raise AssertionError(said.text)
