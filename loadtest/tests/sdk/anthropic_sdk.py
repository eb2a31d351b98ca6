"""The official Anthropic SDK, unchanged, against the sandbox: messages, their token counts, models."""

import datetime
import sys

import anthropic
from anthropic.types import Message, ModelInfo, RawMessageStreamEvent
from pydantic import TypeAdapter

import provider

MESSAGES = [{"role": "user", "content": provider.PROMPT}]


def client(**options):
    return anthropic.Anthropic(base_url=provider.URL, api_key="k", max_retries=0, **options)


def ask(model="sandbox-tokens-30", **options):
    return client().messages.create(model=model, messages=MESSAGES, max_tokens=options.pop("max_tokens", 2000), **options)


def check_messages():
    answer = ask()
    provider.check_text(answer.content[0].text)
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (provider.PROMPT_TOKENS, 30)
    Message.model_validate(answer.model_dump(), strict=True)
    assert ask(max_tokens=16).stop_reason == "max_tokens"


def check_streamed():
    whole = ask()
    events = list(ask(stream=True))
    for event in events:
        TypeAdapter(RawMessageStreamEvent).validate_python(event.model_dump(exclude_unset=True), strict=True)
    with client().messages.stream(model="sandbox-tokens-30", messages=MESSAGES, max_tokens=2000) as stream:
        final = stream.get_final_message()
    assert final.content[0].text == whole.content[0].text
    assert final.usage.output_tokens == 30 and final.stop_reason == "end_turn"


def check_token_counts():
    counted = client().messages.count_tokens(model="m", system="Be brief.", messages=MESSAGES)
    assert counted.input_tokens == provider.PROMPT_TOKENS + 3


def check_models():
    models = list(client().models.list())
    assert [model.id for model in models] == ["sandbox-small", "sandbox-large"]
    raw = provider.call("GET", "/v1/models/claude-sonnet-5", headers={"anthropic-version": "2023-06-01"})
    assert ModelInfo.model_validate(raw).id == client().models.retrieve("claude-sonnet-5").id == "claude-sonnet-5"


def check_error_classes():
    wanted = {
        400: (anthropic.BadRequestError, "invalid_request_error"),
        401: (anthropic.AuthenticationError, "authentication_error"),
        403: (anthropic.PermissionDeniedError, "permission_error"),
        404: (anthropic.NotFoundError, "not_found_error"),
        429: (anthropic.RateLimitError, "rate_limit_error"),
        500: (anthropic.InternalServerError, "api_error"),
    }
    for status, (kind, name) in wanted.items():
        for stream in (False, True):
            error = provider.raises(kind, lambda: ask(f"sandbox-status-{status}", stream=stream))
            assert error.body["type"] == "error" and error.body["error"]["type"] == name
            assert error.body["request_id"] == error.request_id


def check_limits():
    with provider.scenario(limits=[{"requests-per-minute": 2, "input-tokens-per-minute": 1000, "output-tokens-per-minute": 40}]):
        headers = client().messages.with_raw_response.create(model="sandbox-tokens-30", messages=MESSAGES, max_tokens=99).headers
        now = datetime.datetime.now(datetime.timezone.utc)
        for name, limit, remaining in (("requests", 2, 1), ("input-tokens", 1000, 995), ("output-tokens", 40, 10)):
            assert headers[f"anthropic-ratelimit-{name}-limit"] == str(limit)
            assert headers[f"anthropic-ratelimit-{name}-remaining"] == str(remaining)
            reset = datetime.datetime.fromisoformat(headers[f"anthropic-ratelimit-{name}-reset"])
            assert -2 < (reset - now).total_seconds() < 61
        error = provider.raises(anthropic.RateLimitError, ask)
        assert error.body["error"]["type"] == "rate_limit_error" and "of 40 output tokens per minute" in error.message
        assert 0 < int(error.response.headers["retry-after"]) <= 60
        assert error.response.headers["anthropic-ratelimit-output-tokens-limit"] == "40"


provider.run(sys.modules[__name__])
