"""The official OpenAI SDK, unchanged, against the sandbox: chat completions, responses, embeddings, moderations, models."""

import sys

import openai
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

import provider

MESSAGES = [{"role": "user", "content": provider.PROMPT}]


def client(**options):
    return openai.OpenAI(base_url=provider.URL + "/v1", api_key="k", max_retries=0, **options)


def check_chat():
    answer = client().chat.completions.create(model="sandbox-tokens-30", messages=MESSAGES)
    text = answer.choices[0].message.content
    provider.check_text(text)
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (provider.PROMPT_TOKENS, 30, 35)
    type(answer).model_validate(answer.model_dump(), strict=True)
    chunks = list(client().chat.completions.create(model="sandbox-tokens-30", messages=MESSAGES, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-1].usage == answer.usage


def check_responses():
    answer = client().responses.create(model="sandbox-tokens-30", input=provider.PROMPT)
    provider.check_text(answer.output_text)
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (provider.PROMPT_TOKENS, 30, 35)
    assert answer.status == "completed" and answer.error is None
    raw = provider.call("POST", "/v1/responses", {"model": "sandbox-tokens-30", "input": provider.PROMPT})
    Response.model_validate(raw, strict=True)
    cut = client().responses.create(model="sandbox-tokens-30", input=[{"role": "user", "content": provider.PROMPT}], max_output_tokens=16)
    assert (cut.status, cut.incomplete_details.reason, cut.usage.output_tokens) == ("incomplete", "max_output_tokens", 16)
    assert cut.max_output_tokens == 16 and answer.max_output_tokens is None


def check_responses_streamed():
    whole = client().responses.create(model="sandbox-tokens-30", input=provider.PROMPT)
    events = list(client().responses.create(model="sandbox-tokens-30", input=provider.PROMPT, stream=True))
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event.model_dump(exclude_unset=True), strict=True)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ], kinds
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    assert events[-1].response == whole
    with client().responses.stream(model="sandbox-tokens-30", input=provider.PROMPT) as stream:
        assert stream.get_final_response().output_text == whole.output_text
    cut = client().responses.create(model="sandbox-tokens-30", input=provider.PROMPT, stream=True, max_output_tokens=20)
    assert list(cut)[-1].type == "response.incomplete"


def check_embeddings():
    # The SDK asks for Base64 unless told otherwise.
    packed = client().embeddings.create(model="text-embedding-3-small", input=["quiet rain", "river"], dimensions=64)
    plain = client().embeddings.create(model="text-embedding-3-small", input=["quiet rain", "river"], dimensions=64, encoding_format="float")
    assert [len(item.embedding) for item in packed.data] == [64, 64] and [item.index for item in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data):
        assert all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding))
    assert packed.data[0].embedding != packed.data[1].embedding
    assert plain.usage.prompt_tokens == 3 and plain.usage.total_tokens == 3
    assert len(client().embeddings.create(model="text-embedding-3-small", input="river").data[0].embedding) == 1536
    assert client().embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3]]).usage.prompt_tokens == 3


def check_moderations():
    answer = client().moderations.create(model="omni-moderation-latest", input=["a quiet day", "so much violence"])
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence and not answer.results[1].categories.hate
    type(answer).model_validate(answer.model_dump(by_alias=True), strict=True)


def check_models():
    assert [model.id for model in client().models.list()] == ["sandbox-small", "sandbox-large"]
    assert client().models.retrieve("a/b").id == "a/b"


def check_error_classes():
    wanted = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
    }
    for status, kind in wanted.items():
        for stream in (False, True):
            error = provider.raises(kind, lambda: client().chat.completions.create(model=f"sandbox-status-{status}", messages=MESSAGES, stream=stream))
            assert error.request_id and error.body["message"]
            provider.raises(kind, lambda: client().responses.create(model=f"sandbox-status-{status}", input="a", stream=stream))
    provider.raises(openai.BadRequestError, lambda: client().embeddings.create(model="m", input=""))


def check_limits():
    with provider.scenario(limits=[{"model": "limited", "requests-per-minute": 2, "tokens-per-minute": 10000}]):
        def ask():
            return client().chat.completions.with_raw_response.create(model="limited", messages=MESSAGES)

        headers = ask().headers
        assert headers["x-ratelimit-limit-requests"] == "2" and headers["x-ratelimit-remaining-requests"] == "1"
        assert headers["x-ratelimit-limit-tokens"] == "10000" and 9900 < int(headers["x-ratelimit-remaining-tokens"]) < 10000
        assert headers["x-ratelimit-reset-requests"] == "30s" and headers["x-ratelimit-reset-tokens"].endswith("ms")
        ask()
        error = provider.raises(openai.RateLimitError, ask)
        assert (error.code, error.type) == ("rate_limit_exceeded", "requests")
        assert "Limit 2, Used 2, Requested 1. Please try again in" in error.message
        headers = error.response.headers
        assert 0 < int(headers["retry-after-ms"]) <= 30000 and 0 < int(headers["retry-after"]) <= 30
        assert headers["x-ratelimit-remaining-requests"] == "0"
        client(default_headers={"Authorization": "Bearer another"}).chat.completions.create(model="limited", messages=MESSAGES)
    with provider.scenario(limits=[{"tokens-per-minute": 20}]):
        error = provider.raises(openai.RateLimitError, lambda: client().responses.create(model="sandbox-tokens-30", input="a"))
        assert error.type == "tokens" and "tokens per min (TPM): Limit 20, Used 0, Requested 31" in error.message


provider.run(sys.modules[__name__])
