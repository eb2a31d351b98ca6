"""The official OpenAI SDK, unchanged: it comes back when an overloaded gateway asks it to, and a call that it repeats after a
time-out is not made twice."""

import os
import sys
import threading
import time
import urllib.request

import httpx
import openai

import gate

MESSAGES = [{"role": "user", "content": "Hello there, gate."}]


def ask(sdk, model, **options):
    return sdk.chat.completions.create(model=model, messages=MESSAGES, **options)


def client(**options):
    return openai.OpenAI(base_url=gate.URL + "/v1", api_key=gate.KEY, **options)


def shards():
    with urllib.request.urlopen(os.environ["TOLLGATE_METRICS_URL"]) as page:
        return sum(line.startswith(b"tollgate_config_revision{") for line in page)


def keep_busy():
    """A call on each shard, which has room for no other; connections fall on shards by themselves."""
    headers = {"x-sandbox-latency": "8s", "x-sandbox-id": "busy"}
    calls, wanted = [], shards()

    def call():
        try:
            ask(client(max_retries=0), "narrow", extra_headers=headers)
        except openai.InternalServerError:
            pass

    while len(gate.arrivals_with("x-sandbox-id", "busy")) < wanted:
        calls.append(threading.Thread(target=call))
        calls[-1].start()
        time.sleep(0.05)
    return calls


def check_it_comes_back_when_it_is_asked_to():
    sent, answered = [], []
    hooks = {"request": [lambda _: sent.append(time.monotonic())], "response": [lambda answer: answered.append(answer)]}
    busy = keep_busy()
    with httpx.Client(event_hooks=hooks) as http:
        answer = ask(client(http_client=http, max_retries=20), "narrow")
    for one in busy:
        one.join()
    assert answer.choices[0].message.content
    refused = [one for one in answered if one.status_code == 503]
    assert refused and answered[-1].status_code == 200, answered
    assert all(one.headers["retry-after"] == "1" for one in refused)
    # By itself it would have come back within half a second.
    assert sent[1] - sent[0] >= 1.0, sent


def check_what_is_repeated_after_a_timeout_is_made_once():
    headers = {"Idempotency-Key": "repeat-openai", "x-sandbox-id": "repeat-openai", "x-sandbox-latency": "2s"}
    raw = client(timeout=0.6, max_retries=8).chat.completions.with_raw_response.create(model="wide", messages=MESSAGES, extra_headers=headers)
    assert raw.retries_taken >= 1 and raw.headers["x-tollgate-idempotent"] == "replayed"
    assert raw.parse().choices[0].message.content
    assert len(gate.arrivals_with("x-sandbox-id", "repeat-openai")) == 1


gate.run(sys.modules[__name__])
