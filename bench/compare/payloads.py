"""The bytes that every peer gets and gives: one chat call, one long prompt, one answer. Deterministic."""

import json

KEY = "tg-bench-key"
CLIENT_MODEL = "smart"  # another name than the provider's, so that the gateway has to edit the request
STREAM_MODEL = "smart-stream"  # routed to the provider that streams
PROVIDER_MODEL = "gpt-5.4-mini"
CHUNKS = 100

WORDS = "the gateway reads a head, finds the model, checks a key, asks a provider and hands the answer back ".split()


def text_of(size):
    """`size` bytes of plain words."""
    words, length = [], 0
    while length < size:
        word = WORDS[len(words) % len(WORDS)]
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]


def chat_request(size, stream=False):
    """A chat body of exactly `size` bytes."""
    document = {
        "model": CLIENT_MODEL,
        "messages": [
            {"role": "system", "content": "You are a terse assistant. Answer in one short paragraph."},
            {"role": "user", "content": ""},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
    }
    if stream:
        document["model"] = STREAM_MODEL
        document["stream"] = True
        document["stream_options"] = {"include_usage": True}
    missing = size - len(json.dumps(document))
    document["messages"][1]["content"] = text_of(missing)
    return json.dumps(document).encode()


def chat_answer():
    """About 0.9 KB in OpenAI's shape, with usage. No single quote and no `$`: nginx's `return` takes it as it is."""
    return json.dumps({
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1767225600,
        "model": PROVIDER_MODEL,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text_of(400), "refusal": None, "annotations": []},
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
        "model": PROVIDER_MODEL, "system_fingerprint": "fp_bench",
        "choices": [{"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": None}],
        "usage": None,
    }
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def stream_end():
    """The usage event and the end mark."""
    document = {
        "id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1767225600,
        "model": PROVIDER_MODEL, "system_fingerprint": "fp_bench", "choices": [],
        "usage": {"prompt_tokens": 231, "completion_tokens": CHUNKS, "total_tokens": 231 + CHUNKS},
    }
    return b"data: " + json.dumps(document).encode() + b"\n\ndata: [DONE]\n\n"


def request_head(path, length):
    """An HTTP/1.1 head as the SDKs send it, host left to the caller's format."""
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nAccept: application/json\r\n"
            f"User-Agent: compare/1\r\nContent-Length: {length}\r\n\r\n").encode()
