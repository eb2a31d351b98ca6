"""The official Google Gen AI SDK, unchanged, against the sandbox: generateContent, its streams, countTokens, embeddings."""

import sys

from google import genai
from google.genai import errors, types

import provider


CLIENT = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=provider.URL))


def ask(model="sandbox-tokens-30", **config):
    return CLIENT.models.generate_content(model=model, contents=provider.PROMPT, config=types.GenerateContentConfig(**config))


def check_generate():
    answer = ask()
    provider.check_text(answer.text)
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (provider.PROMPT_TOKENS, 30, 35)
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP and answer.model_version == "sandbox-tokens-30"
    cut = ask(max_output_tokens=16, system_instruction="Be brief.")
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert (cut.usage_metadata.prompt_token_count, cut.usage_metadata.candidates_token_count) == (provider.PROMPT_TOKENS + 3, 16)


def check_streamed():
    chunks = list(CLIENT.models.generate_content_stream(model="sandbox-tokens-30", contents=provider.PROMPT))
    assert "".join(chunk.text or "" for chunk in chunks) == ask().text
    assert [chunk.candidates[0].finish_reason for chunk in chunks] == [None] * 30 + [types.FinishReason.STOP]
    assert chunks[-1].usage_metadata == ask().usage_metadata


def check_streamed_as_an_array():
    body = {"contents": [{"parts": [{"text": provider.PROMPT}]}]}
    chunks = provider.call("POST", "/v1beta/models/sandbox-tokens-30:streamGenerateContent", body)
    assert "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks) == ask().text


def check_token_counts():
    assert CLIENT.models.count_tokens(model="m", contents=provider.PROMPT).total_tokens == provider.PROMPT_TOKENS


def check_embeddings():
    answer = CLIENT.models.embed_content(
        model="gemini-embedding-001", contents=["quiet rain", "river"], config=types.EmbedContentConfig(output_dimensionality=64)
    )
    assert [len(embedding.values) for embedding in answer.embeddings] == [64, 64]
    body = {"content": {"parts": [{"text": "river"}]}, "outputDimensionality": 64}
    one = provider.call("POST", "/v1beta/models/gemini-embedding-001:embedContent", body)
    assert one["embedding"]["values"] == answer.embeddings[1].values


def check_models():
    assert [model.name for model in CLIENT.models.list()] == ["models/sandbox-small", "models/sandbox-large"]
    assert CLIENT.models.get(model="gemini-x").name == "models/gemini-x"


def check_error_classes():
    names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    for status, name in names.items():
        error = provider.raises(errors.ClientError, lambda: ask(f"sandbox-status-{status}"))
        assert (error.code, error.status) == (status, name)
    for status, name in {500: "INTERNAL", 503: "UNAVAILABLE"}.items():
        error = provider.raises(errors.ServerError, lambda: ask(f"sandbox-status-{status}"))
        assert (error.code, error.status) == (status, name)
        stream = CLIENT.models.generate_content_stream(model=f"sandbox-status-{status}", contents="a")
        assert provider.raises(errors.ServerError, lambda: list(stream)).status == name


def check_limits():
    with provider.scenario(limits=[{"model": "gemini-*", "requests-per-minute": 1}]):
        ask("gemini-x")
        error = provider.raises(errors.ClientError, lambda: ask("gemini-x"))
        assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
        details = {detail["@type"].rsplit(".", 1)[1]: detail for detail in error.details["error"]["details"]}
        assert set(details) == {"QuotaFailure", "Help", "RetryInfo"}
        violation = details["QuotaFailure"]["violations"][0]
        assert violation["quotaValue"] == "1" and violation["quotaDimensions"]["model"] == "gemini-x"
        assert details["RetryInfo"]["retryDelay"].endswith("s") and 0 < int(details["RetryInfo"]["retryDelay"][:-1]) <= 60


provider.run(sys.modules[__name__])
