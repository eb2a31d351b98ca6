#!/usr/bin/env python3
"""Writes streams/*.bin: ConverseStream answers as AWS event streams, framed by code that is not ours to test.

Each line of a case is an event's type and payload; `!type` is an exception, `#code` an error without a payload.
Run it after a change of the cases; what it writes is committed.
"""

import json
import pathlib
import struct
import zlib

SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds/wsdDCHHQFYyyl2sZ5+Tz0+w=="
SEALED = "Ev4BcmVkYWN0ZWQgdGhvdWdodHMA/34="


def message(headers, payload):
    head = b"".join(
        struct.pack(">B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def frame(kind, payload):
    body = json.dumps(payload, ensure_ascii=False).encode()
    if kind.startswith("!"):
        key, kind, message_type = ":exception-type", kind[1:], "exception"
    elif kind.startswith("#"):
        headers = [(":message-type", "error"), (":error-code", kind[1:]), (":error-message", payload)]
        return message(headers, b"")
    else:
        key, message_type = ":event-type", "event"
    return message([(key, kind), (":content-type", "application/json"), (":message-type", message_type)], body)


START = ("messageStart", {"p": "abcdefgh", "role": "assistant"})


def tool(index, call, name, **more):
    return "contentBlockStart", {"contentBlockIndex": index, "p": "ab", "start": {"toolUse": {"toolUseId": call, "name": name, **more}}}


def delta(index, **delta):
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abcdefghijklmnopqrstuvwxyzABCDEF"[: index + 3]}


def text(index, *pieces):
    return [delta(index, text=piece) for piece in pieces]


def tool_input(index, *pieces):
    return [delta(index, toolUse={"input": piece}) for piece in pieces]


def thought(index, **said):
    return delta(index, reasoningContent=said)


def stop(index):
    return "contentBlockStop", {"contentBlockIndex": index, "p": "abcde"}


def done(reason, **more):
    return "messageStop", {"p": "abcdefghijk", "stopReason": reason, **more}


def metadata(read, written, **more):
    total = read + written + more.get("cacheReadInputTokens", 0) + more.get("cacheWriteInputTokens", 0)
    usage = {"inputTokens": read, "outputTokens": written, "totalTokens": total, **more}
    return "metadata", {"metrics": {"latencyMs": 1234}, "p": "abcd", "usage": usage}


CASES = {
    "text": [START, *text(0, "Hello", ", wörld", "! \U0001f600", ""), stop(0), done("end_turn"), metadata(9, 7)],
    "nothing": [START, done("end_turn"), metadata(9, 0)],
    "max_tokens": [START, *text(0, "Once upon", " a ti"), stop(0), done("max_tokens"), metadata(12, 4)],
    "stop_sequence": [
        START,
        *text(0, "one, ", "two, "),
        stop(0),
        done("stop_sequence", additionalModelResponseFields={"stop_sequence": "three"}),
        metadata(20, 6),
    ],
    "tool_call": [
        START,
        *text(0, "I will", " look."),
        stop(0),
        tool(1, "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "get_weather"),
        *tool_input(1, "", '{"ci', 'ty": "Os', 'lo", "note": "a \\"b\\""}'),
        stop(1),
        done("tool_use"),
        metadata(391, 88),
    ],
    "parallel_tools": [
        START,
        tool(0, "tooluse_A", "get_weather"),
        *tool_input(0, '{"city"', ': "Oslo"}'),
        stop(0),
        tool(1, "tooluse_B", "get_weather"),
        *tool_input(1, '{"city": "Ro', 'me"}'),
        stop(1),
        tool(2, "tooluse_C", "get_time"),
        stop(2),
        done("tool_use"),
        metadata(391, 120),
    ],
    "tools_between_each_other": [
        START,
        tool(0, "tooluse_A", "get_weather"),
        tool(1, "tooluse_B", "get_time"),
        *tool_input(0, '{"city"'),
        *tool_input(1, '{"zone": '),
        *tool_input(0, ': "Oslo"}'),
        *tool_input(1, '"CET"}'),
        stop(1),
        stop(0),
        done("tool_use"),
        metadata(391, 120),
    ],
    "thinking": [
        START,
        thought(0, text="The user wants "),
        thought(0, text='"proof".\nLet x…'),
        thought(0, signature=SIGNATURE),
        stop(0),
        thought(1, redactedContent=SEALED),
        stop(1),
        *text(2, "Here is", " the proof."),
        stop(2),
        done("end_turn"),
        metadata(40, 310),
    ],
    "thinking_signed_in_pieces": [
        START,
        thought(0, text="Hm."),
        thought(0, signature=SIGNATURE[:10]),
        thought(0, signature=SIGNATURE[10:]),
        stop(0),
        tool(1, "tooluse_D", "search_notes"),
        *tool_input(1, '{"query": "tea"}'),
        stop(1),
        done("tool_use"),
        metadata(40, 31),
    ],
    "thinking_not_shown": [START, thought(0, signature=SIGNATURE), stop(0), *text(1, "Yes."), stop(1), done("end_turn"), metadata(4, 3)],
    "thinking_unsigned": [START, thought(0, text="3 times 3"), stop(0), *text(1, "Nine."), stop(1), done("end_turn"), metadata(10, 25)],
    "citations": [
        START,
        *text(0, "According to the report, "),
        stop(0),
        *text(1, "revenue grew", " by 12%"),
        delta(
            1,
            citation={
                "title": "Quarterly report",
                "sourceContent": [{"text": "Revenue grew by 12% year over year."}],
                "location": {"documentPage": {"documentIndex": 0, "start": 3, "end": 4}},
            },
        ),
        delta(
            1,
            citation={
                "title": "notes",
                "sourceContent": [{"text": "grew 12 %"}],
                "location": {"documentChar": {"documentIndex": 1, "start": 10, "end": 19}},
            },
        ),
        stop(1),
        delta(2, citation={"title": "News", "location": {"web": {"url": "https://example.com/costs", "domain": "example.com"}}}),
        *text(2, "Costs fell."),
        stop(2),
        done("end_turn"),
        metadata(2210, 61),
    ],
    "cache_usage": [
        START,
        *text(0, "Cached."),
        stop(0),
        done("end_turn"),
        metadata(
            14,
            3,
            cacheReadInputTokens=1800,
            cacheWriteInputTokens=656,
            cacheDetails=[{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 456}],
        ),
    ],
    "guardrail": [START, *text(0, "Sorry, I cannot talk about that."), stop(0), done("guardrail_intervened"), metadata(0, 0)],
    "content_filtered": [START, *text(0, "I"), stop(0), done("content_filtered"), metadata(33, 1)],
    "unknown_events": [
        ("initial-response", {}),
        START,
        *text(0, "Hi."),
        ("futureEvent", {"anything": [1, 2]}),
        stop(0),
        stop(7),
        done("end_turn", futureMember=1),
        metadata(3, 2),
    ],
    "server_tool": [
        START,
        tool(0, "srv1", "nova_grounding", type="server_tool_use"),
        *tool_input(0, '{"q": "tea"}'),
        stop(0),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "srv1", "status": "success"}}}),
        delta(1, toolResult=[{"text": "…"}]),
        stop(1),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"image": {"format": "png"}}}),
        delta(2, image={"source": {"bytes": "iVBORw0KGgo="}}),
        stop(2),
        *text(3, "Tea is a leaf."),
        stop(3),
        done("end_turn"),
        metadata(50, 20),
    ],
    "no_usage": [START, *text(0, "Hi."), stop(0), done("end_turn")],
    "throttled": [START, *text(0, "Hel"), ("!throttlingException", {"message": "Too many tokens, please wait before trying again."})],
    "throttled_at_once": [("!throttlingException", {"message": "Too many requests, please wait before trying again."})],
    "model_error": [
        START,
        tool(0, "tooluse_E", "get_weather"),
        *tool_input(0, '{"ci'),
        ("!modelStreamErrorException", {"message": "The model broke.", "originalStatusCode": 500, "originalMessage": "boom"}),
    ],
    "unavailable": [START, ("!serviceUnavailableException", {"message": "Bedrock is unable to process your request."})],
    "too_long": [("!validationException", {"message": "Input is too long for requested model."})],
    "internal": [START, ("!internalServerException", {"message": "The system encountered an unexpected error."})],
    "unmodelled_error": [START, ("#InternalFailure", "An internal server error occurred")],
}

if __name__ == "__main__":
    folder = pathlib.Path(__file__).parent / "streams"
    for name, events in CASES.items():
        (folder / f"{name}.bin").write_bytes(b"".join(frame(kind, payload) for kind, payload in events))
