"""The official OpenAI SDK, unchanged, against the gateway."""

import asyncio
import sys

import openai

import gate

MESSAGES = [{"role": "user", "content": "Hello there, gate."}]


def client(**options):
    return openai.OpenAI(base_url=gate.URL + "/v1", api_key=options.pop("api_key", gate.KEY), max_retries=options.pop("max_retries", 0), **options)


def async_client(**options):
    return openai.AsyncOpenAI(base_url=gate.URL + "/v1", api_key=gate.KEY, max_retries=0, **options)


def ask(sdk, model="openai/sandbox-small", **options):
    return sdk.chat.completions.create(model=model, messages=MESSAGES, **options)


def check_buffered():
    answer = ask(client(), "openai/sandbox-tokens-12")
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 12 and answer.usage.prompt_tokens == 5
    assert answer.usage.total_tokens == 17
    limited = ask(client(), "openai/sandbox-tokens-12", max_tokens=3)
    assert limited.choices[0].finish_reason == "length" and limited.usage.completion_tokens == 3


def check_streamed():
    whole = ask(client(), "openai/sandbox-tokens-30").choices[0].message.content
    chunks = list(ask(client(), "openai/sandbox-tokens-30", stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole, (text, whole)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks), "usage nobody asked for"


def check_streamed_with_usage():
    chunks = list(ask(client(), "openai/sandbox-tokens-30", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens == 30 and not chunks[-1].choices
    assert all(chunk.usage is None for chunk in chunks[:-1])


def check_streamed_by_the_helper():
    with client().chat.completions.stream(model="openai/sandbox-tokens-9", messages=MESSAGES) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content


def check_models():
    assert client().models.list().data is not None
    error = gate.raises(openai.NotFoundError, lambda: client().models.retrieve("no-such-model"))
    assert error.status_code == 404


def check_each_error_class():
    wanted = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
    }
    for status, kind in wanted.items():
        for stream in (False, True):
            error = gate.raises(kind, lambda: ask(client(), f"openai/sandbox-status-{status}", stream=stream))
            assert error.request_id, f"{status}: no request id"


def check_errors_of_the_gateway():
    error = gate.raises(openai.AuthenticationError, lambda: ask(client(api_key="wrong")))
    assert error.code == "invalid_api_key", error.body
    error = gate.raises(openai.PermissionDeniedError, lambda: ask(client(api_key=gate.NARROW_KEY)))
    assert error.code == "model_not_allowed", error.body
    error = gate.raises(openai.NotFoundError, lambda: ask(client(), "no-such-model"))
    assert error.code == "model_not_found", error.body
    error = gate.raises(openai.BadRequestError, lambda: client().chat.completions.create(model="openai/sandbox-small", messages=[]))
    assert error.status_code == 400
    error = gate.raises(openai.InternalServerError, lambda: ask(client(), "openai/sandbox-garbage"))
    assert error.status_code == 502 and error.code == "upstream_error", error.body


def check_connection_error():
    sdk = openai.OpenAI(base_url=gate.NOWHERE + "/v1", api_key="k", max_retries=0)
    gate.raises(openai.APIConnectionError, lambda: ask(sdk))


def check_stream_broken_in_the_middle():
    def read():
        return list(ask(client(), "openai/sandbox-tokens-30", stream=True, extra_headers={"x-sandbox-cut-after": "3000"}))

    error = gate.raises(openai.APIError, read)
    assert error.body, "the error event says what happened"


def check_retries():
    headers = {"x-sandbox-id": "retry-openai", "x-sandbox-status": "503", "x-sandbox-fail-first": "2", "x-sandbox-retry-after": "0"}
    answer = ask(client(max_retries=2), extra_headers=headers)
    assert answer.choices[0].message.content
    assert len(gate.arrivals_with("x-sandbox-id", "retry-openai")) == 3


def check_retry_after_is_passed_on():
    headers = {"x-sandbox-status": "429", "x-sandbox-retry-after": "7"}
    error = gate.raises(openai.RateLimitError, lambda: ask(client(), extra_headers=headers))
    assert error.response.headers["retry-after"] == "7"


def check_timeout():
    headers = {"x-sandbox-latency": "60s", "x-sandbox-id": "timeout-openai"}
    gate.raises(openai.APITimeoutError, lambda: ask(client(timeout=1.5), extra_headers=headers))
    gate.until("the provider to be let go", lambda: gate.client_gone("timeout-openai"))


def check_cancelled_stream():
    headers = {"x-sandbox-tokens-per-second": "5", "x-sandbox-tokens": "1000", "x-sandbox-id": "cancel-openai"}
    stream = ask(client(), stream=True, extra_headers=headers)
    for index, _ in enumerate(stream):
        if index == 2:
            break
    stream.close()
    gate.until("the provider to be let go", lambda: gate.client_gone("cancel-openai"))


def check_raw_response():
    raw = client().chat.completions.with_raw_response.create(model="openai/sandbox-small", messages=MESSAGES)
    assert raw.headers["x-tollgate-provider"] == "openai" and raw.request_id
    assert raw.parse().choices


async def check_async():
    async with async_client() as sdk:
        answer = await ask(sdk)
        assert answer.choices[0].message.content
        text = ""
        async for chunk in await ask(sdk, stream=True):
            text += chunk.choices[0].delta.content or ""
        assert text == answer.choices[0].message.content


async def check_async_cancellation():
    async with async_client() as sdk:
        headers = {"x-sandbox-latency": "60s", "x-sandbox-id": "cancel-async-openai"}
        task = asyncio.create_task(ask(sdk, extra_headers=headers))
        await asyncio.to_thread(gate.until, "the call to arrive", lambda: gate.arrivals_with("x-sandbox-id", "cancel-async-openai"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(gate.until, "the provider to be let go", lambda: gate.client_gone("cancel-async-openai"))


async def check_two_hundred_streams_at_once():
    async def read(sdk):
        text = ""
        async for chunk in await ask(sdk, "openai/sandbox-tokens-40", stream=True, extra_headers={"x-sandbox-tokens-per-second": "40"}):
            text += chunk.choices[0].delta.content or ""
        return text

    async with async_client() as sdk:
        whole = (await ask(sdk, "openai/sandbox-tokens-40")).choices[0].message.content
        texts = await asyncio.gather(*(read(sdk) for _ in range(200)))
    assert all(text == whole for text in texts), "a stream was not whole"


def check_the_azure_client():
    """Only where the gateway has its paths; until then they answer 404 in the dialect's shape."""
    sdk = openai.AzureOpenAI(azure_endpoint=gate.URL, api_key=gate.KEY, api_version="2024-10-21", max_retries=0)
    try:
        ask(sdk, "openai/sandbox-small")
    except openai.APIStatusError as refused:
        assert refused.status_code in (404, 501), refused


gate.run(sys.modules[__name__])
