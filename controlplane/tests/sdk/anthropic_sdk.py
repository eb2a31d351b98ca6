"""The official Anthropic SDK, unchanged, against the gateway."""

import asyncio
import sys

import anthropic

import gate

MESSAGES = [{"role": "user", "content": "Hello there, gate."}]


def client(**options):
    return anthropic.Anthropic(base_url=gate.URL, api_key=options.pop("api_key", gate.KEY), max_retries=options.pop("max_retries", 0), **options)


def async_client(**options):
    return anthropic.AsyncAnthropic(base_url=gate.URL, api_key=gate.KEY, max_retries=0, **options)


def ask(sdk, model="anthropic/sandbox-small", **options):
    return sdk.messages.create(model=model, messages=MESSAGES, max_tokens=options.pop("max_tokens", 2000), **options)


def text_of(events):
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


def check_buffered():
    answer = ask(client(), "anthropic/sandbox-tokens-12")
    assert answer.content[0].text and answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == 12 and answer.usage.input_tokens == 5
    limited = ask(client(), "anthropic/sandbox-tokens-12", max_tokens=3)
    assert limited.stop_reason == "max_tokens" and limited.usage.output_tokens == 3


def check_streamed():
    whole = ask(client(), "anthropic/sandbox-tokens-30").content[0].text
    events = list(ask(client(), "anthropic/sandbox-tokens-30", stream=True))
    assert text_of(events) == whole
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
    assert next(event for event in events if event.type == "message_delta").usage.output_tokens == 30


def check_streamed_by_the_helper():
    with client().messages.stream(model="anthropic/sandbox-tokens-9", messages=MESSAGES, max_tokens=100) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.content[0].text == text and final.usage.output_tokens == 9


def check_models():
    page = client().models.list()
    assert page.data is not None


def check_each_error_class():
    wanted = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        409: anthropic.ConflictError,
        422: anthropic.UnprocessableEntityError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
    }
    for status, kind in wanted.items():
        for stream in (False, True):
            error = gate.raises(kind, lambda: ask(client(), f"anthropic/sandbox-status-{status}", stream=stream))
            assert error.request_id, f"{status}: no request id"
            assert error.body["type"] == "error", error.body
    for status in (503, 529):
        try:
            ask(client(), f"anthropic/sandbox-status-{status}")
        except anthropic.APIStatusError as error:
            assert error.status_code in (status, 502, 503), error
        else:
            raise AssertionError("nothing was raised")


def check_errors_of_the_gateway():
    error = gate.raises(anthropic.AuthenticationError, lambda: ask(client(api_key="wrong")))
    assert error.body["error"]["type"] == "authentication_error", error.body
    error = gate.raises(anthropic.PermissionDeniedError, lambda: ask(client(api_key=gate.NARROW_KEY)))
    assert error.body["error"]["type"] == "permission_error", error.body
    error = gate.raises(anthropic.NotFoundError, lambda: ask(client(), "no-such-model"))
    assert error.body["error"]["type"] == "not_found_error", error.body
    try:
        ask(client(), "anthropic/sandbox-garbage")
    except anthropic.APIStatusError as error:
        assert error.status_code == 502 and error.body["type"] == "error", error.body
    else:
        raise AssertionError("nothing was raised")


def check_connection_error():
    sdk = anthropic.Anthropic(base_url=gate.NOWHERE, api_key="k", max_retries=0)
    gate.raises(anthropic.APIConnectionError, lambda: ask(sdk))


def check_stream_broken_in_the_middle():
    def read():
        return list(ask(client(), "anthropic/sandbox-tokens-30", stream=True, extra_headers={"x-sandbox-cut-after": "2000"}))

    try:
        read()
    except anthropic.APIError as error:
        assert error.body["type"] == "error", error.body
    else:
        raise AssertionError("a part was taken for the whole")


def check_retries():
    headers = {"x-sandbox-id": "retry-anthropic", "x-sandbox-status": "529", "x-sandbox-fail-first": "2", "x-sandbox-retry-after": "0"}
    answer = ask(client(max_retries=2), extra_headers=headers)
    assert answer.content[0].text
    assert len(gate.arrivals_with("x-sandbox-id", "retry-anthropic")) == 3


def check_timeout():
    headers = {"x-sandbox-latency": "60s", "x-sandbox-id": "timeout-anthropic"}
    gate.raises(anthropic.APITimeoutError, lambda: ask(client(timeout=1.5), extra_headers=headers))
    gate.until("the provider to be let go", lambda: gate.client_gone("timeout-anthropic"))


def check_cancelled_stream():
    headers = {"x-sandbox-tokens-per-second": "5", "x-sandbox-tokens": "1000", "x-sandbox-id": "cancel-anthropic"}
    stream = ask(client(), stream=True, extra_headers=headers)
    for index, _ in enumerate(stream):
        if index == 3:
            break
    stream.close()
    gate.until("the provider to be let go", lambda: gate.client_gone("cancel-anthropic"))


def check_raw_response():
    raw = client().messages.with_raw_response.create(model="anthropic/sandbox-small", messages=MESSAGES, max_tokens=50)
    assert raw.headers["x-tollgate-provider"] == "anthropic" and raw.headers["request-id"]
    assert raw.parse().content


async def check_async():
    async with async_client() as sdk:
        answer = await ask(sdk)
        events = [event async for event in await ask(sdk, stream=True)]
        assert text_of(events) == answer.content[0].text


async def check_async_cancellation():
    async with async_client() as sdk:
        headers = {"x-sandbox-latency": "60s", "x-sandbox-id": "cancel-async-anthropic"}
        task = asyncio.create_task(ask(sdk, extra_headers=headers))
        await asyncio.to_thread(gate.until, "the call to arrive", lambda: gate.arrivals_with("x-sandbox-id", "cancel-async-anthropic"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(gate.until, "the provider to be let go", lambda: gate.client_gone("cancel-async-anthropic"))


async def check_two_hundred_streams_at_once():
    async def read(sdk):
        headers = {"x-sandbox-tokens-per-second": "40"}
        stream = await ask(sdk, "anthropic/sandbox-tokens-40", stream=True, extra_headers=headers)
        return text_of([event async for event in stream])

    async with async_client() as sdk:
        whole = (await ask(sdk, "anthropic/sandbox-tokens-40")).content[0].text
        texts = await asyncio.gather(*(read(sdk) for _ in range(200)))
    assert all(text == whole for text in texts), "a stream was not whole"


gate.run(sys.modules[__name__])
