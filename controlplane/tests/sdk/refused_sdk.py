"""Official SDKs, unchanged, where a limit of the gateway's own is spent: they come back when they are told to, and not at all
where that is of no use. What they sent and what the provider got is counted, no time is taken."""

import os
import sys
import urllib.request

import anthropic
import httpx
import httpx2
import openai
from google import genai
from google.genai import errors, types

import gate

MESSAGES = [{"role": "user", "content": "Hello there, gate."}]
# By themselves, SDKs would have come back so often long before a bucket of six seconds has room.
RETRIES = 2


def headers(name):
    return {"x-sandbox-id": name, "x-sandbox-tokens": "40"}


class Counted:
    """Clients of one key; counts the answers they got, by status."""

    def __init__(self, key):
        self.secret = f"tg-{key}-0123456789abcdef"
        self.statuses = []

    def hooks(self):
        return {"response": [lambda answer: self.statuses.append(answer.status_code)]}

    def openai(self):
        return openai.OpenAI(base_url=gate.URL + "/v1", api_key=self.secret, max_retries=RETRIES, http_client=httpx.Client(event_hooks=self.hooks(), timeout=30))

    def anthropic(self):
        return anthropic.Anthropic(base_url=gate.URL, api_key=self.secret, max_retries=RETRIES, http_client=httpx2.Client(event_hooks=self.hooks(), timeout=30))

    def google(self, retries=None):
        options = types.HttpOptions(base_url=gate.URL, httpx_client=httpx.Client(event_hooks=self.hooks(), timeout=30), retry_options=retries)
        return genai.Client(api_key=self.secret, http_options=options)


def chat(sdk, name):
    return sdk.chat.completions.create(model="openai", max_tokens=64, messages=MESSAGES, extra_headers=headers(name))


def response(sdk, name):
    return sdk.responses.create(model="openai-responses", max_output_tokens=64, input="Hello there, gate.", extra_headers=headers(name))


def streamed(sdk, name):
    stream = sdk.chat.completions.create(model="openai", max_tokens=64, messages=MESSAGES, stream=True, extra_headers=headers(name))
    return list(stream)


def message(sdk, name):
    return sdk.messages.create(model="anthropic", max_tokens=64, messages=MESSAGES, extra_headers=headers(name))


def generate(sdk, name):
    config = types.GenerateContentConfig(max_output_tokens=64, http_options=types.HttpOptions(headers=headers(name)))
    return sdk.models.generate_content(model="gemini", contents="Hello there, gate.", config=config)


# What each asks, and how it says that it was refused.
WAYS = {
    "chat": ("openai", chat, openai.RateLimitError),
    "streamed": ("openai", streamed, openai.RateLimitError),
    "response": ("openai", response, openai.RateLimitError),
    "message": ("anthropic", message, anthropic.RateLimitError),
}


def arrived(name):
    return len(gate.arrivals_with("x-sandbox-id", name))


def check_a_limit_that_fills_again_is_waited_for_as_long_as_is_told():
    for way, (sdk, ask, _) in WAYS.items():
        counted = Counted(f"paced-{way}")
        client = getattr(counted, sdk)()
        for _ in range(2):
            ask(client, f"paced-{way}")
        # One try that was refused, and the next one was in time.
        assert counted.statuses == [200, 429, 200], f"{way}: {counted.statuses}"
        assert arrived(f"paced-{way}") == 2, way


def check_what_is_spent_for_its_period_is_not_asked_for_again():
    for kind in ("calls", "money"):
        for way, (sdk, ask, refusal) in WAYS.items():
            name = f"{kind}-{way}"
            counted = Counted(name)
            client = getattr(counted, sdk)()
            ask(client, name)
            refused = gate.raises(refusal, lambda: ask(client, name))
            assert counted.statuses == [200, 429], f"{name}: {counted.statuses}"
            assert refused.response.headers["x-should-retry"] == "false", name
            assert arrived(name) == 1, name
            # In the words of its dialect: what an SDK shows its user.
            kinds = {"openai": ("insufficient_quota",), "anthropic": ("rate_limit_error", "billing_error")}[sdk]
            told = refused.body.get("code") if sdk == "openai" else refused.body["error"]["type"]
            assert told in kinds, f"{name}: {refused.body}"


def check_what_never_fits_is_not_asked_for_again():
    """Its limit fills again within a second: only `x-should-retry` tells an SDK that this is of no use."""
    for way, (sdk, ask, refusal) in WAYS.items():
        counted = Counted(f"large-{way}")
        client = getattr(counted, sdk)()
        gate.raises(refusal, lambda: ask(client, f"large-{way}"))
        assert counted.statuses == [429], f"{way}: {counted.statuses}"
        assert arrived(f"large-{way}") == 0, way


def check_googles_sdk_is_refused_in_its_own_words_and_tries_as_often_as_its_user_says():
    """It reads neither header: by itself it tries once, and where its user says so, as often as he says."""
    for kind in ("calls", "money"):
        name = f"{kind}-google"
        counted = Counted(name)
        generate(counted.google(), name)
        refused = gate.raises(errors.ClientError, lambda: generate(counted.google(), name))
        assert (refused.code, refused.status) == (429, "RESOURCE_EXHAUSTED"), refused
        assert counted.statuses == [200, 429], f"{name}: {counted.statuses}"
        assert arrived(name) == 1, name
    often = Counted("calls-google")
    options = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.02, jitter=0.01)
    gate.raises(errors.ClientError, lambda: generate(often.google(options), "calls-google"))
    assert often.statuses == [429] * 3, often.statuses
    assert arrived("calls-google") == 1


def check_the_gateway_counts_what_it_refused():
    with urllib.request.urlopen(os.environ["TOLLGATE_METRICS_URL"]) as page:
        lines = page.read().decode().splitlines()
    refused = {code: 0 for code in ("rate_limit_exceeded", "insufficient_quota")}
    for line in lines:
        for code in refused:
            if line.startswith("tollgate_rejected_requests_total{") and f'"{code}"' in line:
                refused[code] += int(float(line.rsplit(" ", 1)[1]))
    # Four ways paced and four too large, four ways and Google's of each kind, and three tries more.
    assert refused == {"rate_limit_exceeded": 4 + 4, "insufficient_quota": 4 * 2 + 2 + 3}, refused


gate.run(sys.modules[__name__])
