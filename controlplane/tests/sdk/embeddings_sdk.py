"""Embeddings, rerank and token counts by the official SDKs, unchanged, from providers of every shape.

The sandbox gives the same vector for the same text whoever asks, so each answer is held to what it says itself.
"""

import json
import os
import sys
import urllib.request

import anthropic
import cohere
import httpx2
import openai
from google import genai
from google.genai import types

import gate
from clients.said import Heard

TEXTS = ["quiet rain over the river", "a \"quoted\" word\nand 🌧️"]
DIMENSIONS = 256
# Google's SDK takes the texts of a model with "gemini" in its name for parts of one.
TARGETS = ["openai", "openai-responses", "google", "cohere", "titan", "bedrock-cohere"]


def sandbox(path, body):
    request = urllib.request.Request(os.environ["SANDBOX_URL"] + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


TRUTH = sandbox("/v1/embeddings", {"model": "m", "input": TEXTS, "dimensions": DIMENSIONS})
VECTORS = [item["embedding"] for item in TRUTH["data"]]
TOKENS = TRUTH["usage"]["prompt_tokens"]


def counted(target):
    """Input tokens that the gateway has recorded for a target."""
    with urllib.request.urlopen(os.environ["TOLLGATE_METRICS_URL"]) as answer:
        lines = answer.read().decode().splitlines()
    wanted = ['direction="input"', f'model="{target}"']
    found = [line for line in lines if line.startswith("tollgate_tokens_total") and all(label in line for label in wanted)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def hold_vectors(target, vectors, heard):
    assert len(vectors) == len(VECTORS), (target, len(vectors))
    for vector, right in zip(vectors, VECTORS):
        assert len(vector) == DIMENSIONS, (target, len(vector))
        # Base64 holds floats of 32 bits.
        assert all(abs(a - b) < 1e-7 for a, b in zip(vector, right)), target
    headers = heard.headers
    assert headers["x-tollgate-provider"], headers


def hold_usage(target, tokens, before, heard):
    """What the client is told is what was recorded; what the provider said, where it says it."""
    estimated = heard.headers.get("x-tollgate-estimated") == "true"
    if target == "google":
        assert 4 <= tokens <= 60, tokens
    else:
        assert not estimated and tokens == TOKENS, (target, tokens, TOKENS)
    gate.until(f"{target} to be recorded", lambda: counted(target) == before + tokens)


def check_openai_sdk():
    for target in TARGETS:
        for more in ({}, {"encoding_format": "float"}):
            heard, before = Heard(), counted(target)
            sdk = openai.OpenAI(base_url=gate.URL + "/v1", api_key=gate.KEY, max_retries=0, http_client=heard.client())
            answer = sdk.embeddings.create(model=target, input=TEXTS, dimensions=DIMENSIONS, **more)
            hold_vectors(target, [item.embedding for item in answer.data], heard)
            assert [item.index for item in answer.data] == [0, 1] and answer.object == "list"
            hold_usage(target, answer.usage.prompt_tokens, before, heard)


def check_azure_client():
    heard = Heard()
    sdk = openai.AzureOpenAI(azure_endpoint=gate.URL, api_key=gate.KEY, api_version="2024-10-21", max_retries=0, http_client=heard.client())
    answer = sdk.embeddings.create(model="cohere", input=TEXTS, dimensions=DIMENSIONS)
    hold_vectors("cohere", [item.embedding for item in answer.data], heard)


def check_cohere_sdk():
    for target in TARGETS:
        heard, before = Heard(), counted(target)
        sdk = cohere.ClientV2(api_key=gate.KEY, base_url=gate.URL, httpx_client=heard.client())
        answer = sdk.embed(
            model=target,
            input_type="search_document",
            texts=TEXTS,
            output_dimension=DIMENSIONS,
            embedding_types=["float", "base64"],
            request_options={"max_retries": 0},
        )
        hold_vectors(target, answer.embeddings.float_, heard)
        assert len(answer.embeddings.base64) == 2 and answer.texts == TEXTS and answer.id
        dropped = heard.headers.get("x-tollgate-dropped")
        assert dropped == ("input_type" if target in ("openai", "openai-responses", "titan") else None), (target, dropped)
        if target != "cohere":
            hold_usage(target, int(answer.meta.billed_units.input_tokens), before, heard)


def check_gemini_sdk():
    for target in TARGETS:
        heard, before = Heard(), counted(target)
        sdk = genai.Client(api_key=gate.KEY, http_options=types.HttpOptions(base_url=gate.URL, httpx_client=heard.client()))
        config = types.EmbedContentConfig(output_dimensionality=DIMENSIONS, task_type="RETRIEVAL_QUERY")
        answer = sdk.models.embed_content(model=target, contents=TEXTS, config=config)
        hold_vectors(target, [embedding.values for embedding in answer.embeddings], heard)
        if target == "google":
            gate.until("google to be recorded", lambda: counted(target) > before)
        else:
            hold_usage(target, answer.usage_metadata.prompt_token_count, before, heard)


def check_int8_from_coheres_models_alone():
    sdk = cohere.ClientV2(api_key=gate.KEY, base_url=gate.URL)
    once = {"max_retries": 0}
    answer = sdk.embed(model="bedrock-cohere", input_type="search_query", texts=TEXTS, embedding_types=["int8"], request_options=once)
    assert len(answer.embeddings.int8) == 2 and answer.embeddings.float_ is None
    refused = gate.raises(
        cohere.BadRequestError,
        lambda: sdk.embed(model="openai", input_type="search_query", texts=TEXTS, embedding_types=["int8"], request_options=once),
    )
    assert "embedding_types" in str(refused.body), refused.body


def check_errors_come_in_the_callers_classes():
    sdk = openai.OpenAI(base_url=gate.URL + "/v1", api_key=gate.KEY, max_retries=0)
    # Token ids, as some frameworks send them.
    refused = gate.raises(openai.BadRequestError, lambda: sdk.embeddings.create(model="cohere", input=[[1, 2, 3]]))
    assert refused.param == "input" and "token ids" in refused.message, refused.message
    # The provider's own refusal, in the caller's words.
    refused = gate.raises(openai.BadRequestError, lambda: sdk.embeddings.create(model="titan", input="a", dimensions=7))
    assert "one of" in refused.message, refused.message
    refused = gate.raises(openai.InternalServerError, lambda: sdk.embeddings.create(model="anthropic", input="a"))
    assert refused.status_code == 501, refused


def check_rerank():
    heard = Heard()
    sdk = cohere.ClientV2(api_key=gate.KEY, base_url=gate.URL, httpx_client=heard.client())
    documents = ["noise", "a quiet day", "quiet rain"]
    right = sandbox("/v2/rerank", {"model": "m", "query": "quiet rain", "documents": documents, "top_n": 2})["results"]
    for model in ("cohere", "bedrock-rerank"):
        answer = sdk.rerank(model=model, query="quiet rain", documents=documents, top_n=2)
        assert [(result.index, result.relevance_score) for result in answer.results] == [
            (result["index"], result["relevance_score"]) for result in right
        ], model


def check_token_counts():
    heard = Heard()
    messages = [{"role": "user", "content": "Why is the sky blue at noon and red in the evening?"}]
    sdk = anthropic.Anthropic(base_url=gate.URL, api_key=gate.KEY, max_retries=0, http_client=heard.client(httpx2))
    for target, estimated in (("anthropic", None), ("openai", "true"), ("titan", "true")):
        count = sdk.messages.count_tokens(model=target, messages=messages)
        assert 10 < count.input_tokens < 40, (target, count)
        assert heard.headers.get("x-tollgate-estimated") == estimated, target
    heard = Heard()
    sdk = genai.Client(api_key=gate.KEY, http_options=types.HttpOptions(base_url=gate.URL, httpx_client=heard.client()))
    for target, estimated in (("google", None), ("cohere", "true")):
        count = sdk.models.count_tokens(model=target, contents=messages[0]["content"])
        assert 10 < count.total_tokens < 40, (target, count)
        assert heard.headers.get("x-tollgate-estimated") == estimated, target
    sdk = openai.OpenAI(base_url=gate.URL + "/v1", api_key=gate.KEY, max_retries=0)
    count = sdk.responses.input_tokens.count(model="anthropic", input=messages[0]["content"])
    assert count.object == "response.input_tokens" and 10 < count.input_tokens < 40, count


gate.run(sys.modules[__name__])
