"""The official Cohere SDK, unchanged, against the sandbox: version 2's chat, embed and rerank."""

import sys

import cohere

import provider

MESSAGES = [{"role": "user", "content": provider.PROMPT}]
ONCE = {"max_retries": 0}


def client():
    return cohere.ClientV2(api_key="k", base_url=provider.URL)


def ask(model="sandbox-tokens-30", **options):
    return client().chat(model=model, messages=MESSAGES, request_options=ONCE, **options)


def check_chat():
    answer = ask()
    provider.check_text(answer.message.content[0].text)
    assert answer.finish_reason == "COMPLETE" and answer.message.role == "assistant"
    for counted in (answer.usage.tokens, answer.usage.billed_units):
        assert (counted.input_tokens, counted.output_tokens) == (provider.PROMPT_TOKENS, 30)
    assert ask(max_tokens=16).finish_reason == "MAX_TOKENS"


def check_streamed():
    whole = ask()
    events = list(client().chat_stream(model="sandbox-tokens-30", messages=MESSAGES))
    kinds = [event.type for event in events if event.type != "content-delta"]
    assert kinds == ["message-start", "content-start", "content-end", "message-end"], kinds
    deltas = [event for event in events if event.type == "content-delta"]
    assert "".join(event.delta.message.content.text for event in deltas) == whole.message.content[0].text
    assert events[-1].delta.finish_reason == "COMPLETE" and events[-1].delta.usage == whole.usage
    assert events[0].id == whole.id


def check_embed():
    kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    answer = client().embed(
        model="embed-v4.0", input_type="search_query", texts=["quiet rain", "river"], output_dimension=64, embedding_types=kinds
    )
    embeddings = answer.embeddings
    assert [len(vector) for vector in embeddings.float_] == [64, 64] and [len(vector) for vector in embeddings.binary] == [8, 8]
    assert [value + 128 for value in embeddings.int8[0]] == embeddings.uint8[0]
    assert [value + 128 for value in embeddings.binary[1]] == embeddings.ubinary[1]
    assert len(embeddings.base64) == 2
    assert answer.texts == ["quiet rain", "river"] and answer.meta.billed_units.input_tokens == 3
    assert answer.response_type == "embeddings_by_type"


def check_rerank():
    documents = ["noise", "a quiet rain fell", "a quiet day"]
    answer = client().rerank(model="rerank-v3.5", query="quiet rain", documents=documents, top_n=2)
    assert [result.index for result in answer.results] == [1, 2]
    assert 1 > answer.results[0].relevance_score > answer.results[1].relevance_score > 0
    assert answer.meta.billed_units.search_units == 1


def check_error_classes():
    wanted = {
        400: cohere.BadRequestError,
        401: cohere.UnauthorizedError,
        403: cohere.ForbiddenError,
        404: cohere.NotFoundError,
        422: cohere.UnprocessableEntityError,
        429: cohere.TooManyRequestsError,
        500: cohere.InternalServerError,
        503: cohere.ServiceUnavailableError,
    }
    for status, kind in wanted.items():
        error = provider.raises(kind, lambda: ask(f"sandbox-status-{status}"))
        assert error.body["message"] and error.body["id"]
        stream = client().chat_stream(model=f"sandbox-status-{status}", messages=MESSAGES, request_options=ONCE)
        provider.raises(kind, lambda: list(stream))


def check_limits():
    with provider.scenario(limits=[{"requests-per-minute": 1}]):
        ask("limited")
        error = provider.raises(cohere.TooManyRequestsError, lambda: ask("limited"))
        assert "limited to 1 API calls / minute" in error.body["message"]
        assert error.headers["x-trial-endpoint-call-limit"] == "1" and error.headers["x-trial-endpoint-call-remaining"] == "0"


provider.run(sys.modules[__name__])
