"""The bytes that every peer gets and gives: one chat call, one long prompt, one answer. Deterministic."""

import json

KEY = "sk-bench-0123456789abcdef"  # LiteLLM takes only keys that begin so
CHUNKS = 100
CHUNKS_PER_SECOND = 50
LARGE_ANSWER_BYTES = 16384
# By route: the model that clients ask for and the provider's name of it. They differ, so that a gateway has to edit the
# request; both say the same to the sandbox provider, so that a proxy that edits nothing is answered alike.
MODELS = {
    "whole": ("sandbox-small-tokens-64", "sandbox-tokens-64"),
    "large": (f"sandbox-small-bytes-{LARGE_ANSWER_BYTES}", f"sandbox-bytes-{LARGE_ANSWER_BYTES}"),
    "events": (f"sandbox-small-tokens-{CHUNKS}-rate-{CHUNKS_PER_SECOND}",
               f"sandbox-tokens-{CHUNKS}-rate-{CHUNKS_PER_SECOND}"),
}

WORDS = "the gateway reads a head, finds the model, checks a key, asks a provider and hands the answer back ".split()


def text_of(size):
    """`size` bytes of plain words."""
    words, length = [], 0
    while length < size:
        word = WORDS[len(words) % len(WORDS)]
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]


# In a mix, sixteen hex digits that no other call has; as long, in the body that is sent.
OWN_TEXT, OWN_TEXT_BYTES = "${random:16}", 16
# As long: the same question in two ways.
ASKED, ASKED_OTHERWISE = "how does it work", "How does it work"


def chat_request(size, route="whole", own_text=None):
    """A chat body of exactly `size` bytes that the given route answers. `own_text` begins its prompt, and counts as
    `OWN_TEXT_BYTES`."""
    document = {
        "model": MODELS[route][0],
        "messages": [
            {"role": "system", "content": "You are a terse assistant. Answer in one short paragraph."},
            {"role": "user", "content": ""},
        ],
        "temperature": 0.2,
    }
    if route == "events":
        document["stream"] = True
        document["stream_options"] = {"include_usage": True}
    missing = size - len(json.dumps(document))
    if own_text is None:
        document["messages"][1]["content"] = text_of(missing)
    else:
        document["messages"][1]["content"] = own_text + " " + text_of(missing - OWN_TEXT_BYTES - 1)
    return json.dumps(document).encode()


def chat_answer(text_bytes=400):
    """About 0.5 KB around the text, in OpenAI's shape, with usage. No single quote and no `$`, for nginx's `return`."""
    return json.dumps({
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "sandbox-large",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text_of(text_bytes), "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 231,
            "completion_tokens": 84,
            "total_tokens": 315,
            "prompt_tokens_details": {"cached_tokens": 128, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    }).encode()


def stream_event(content):
    """One event of an OpenAI chat stream around `content`, about 220 bytes."""
    document = {
        "id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1767225600,
        "model": "sandbox-large", "system_fingerprint": "fp_bench",
        "choices": [{"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": None}],
        "usage": None,
    }
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def stream_end():
    """The usage event and the end mark."""
    document = {
        "id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1767225600,
        "model": "sandbox-large", "system_fingerprint": "fp_bench", "choices": [],
        "usage": {"prompt_tokens": 231, "completion_tokens": CHUNKS, "total_tokens": 231 + CHUNKS},
    }
    return b"data: " + json.dumps(document).encode() + b"\n\ndata: [DONE]\n\n"


def request_head(headers, length):
    """An HTTP/1.1 head as the SDKs send it; `headers` are what the peer wants beside the usual ones."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: compare/1\r\n{lines}"
            f"Content-Length: {length}\r\n\r\n").encode()


def content_of(route, answer):
    """The text of a whole answer or of a whole stream; raises ValueError when it is neither."""
    if route != "events":
        return json.loads(answer)["choices"][0]["message"]["content"]
    events = [line[6:] for line in answer.decode().splitlines() if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        raise ValueError("the stream has no end mark")
    pieces = []
    for event in events[:-1]:
        for choice in json.loads(event)["choices"]:
            pieces.append(choice["delta"].get("content") or "")
    return "".join(pieces)
