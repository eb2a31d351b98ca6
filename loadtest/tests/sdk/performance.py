"""Every official SDK, unchanged, against the sandbox as it performs: tools, structured answers, pictures, signed thoughts;
and what it refuses as the real providers do."""

import sys

import anthropic
import openai
from anthropic.types import RawMessageStreamEvent
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

import provider
from clients import PYTHON, tasks

CLIENTS = [make(provider.URL, "k") for make in PYTHON]
TASKS = [
    tasks.buffered,
    tasks.streamed,
    tasks.settings,
    tasks.tools,
    tasks.results,
    tasks.structured,
    tasks.picture,
    tasks.document,
    tasks.thinking,
    tasks.agent,
]
MODEL = "claude-sonnet-5"
OPENAI, ANTHROPIC = CLIENTS[0].sdk, CLIENTS[3].sdk


def add(client, task):
    """A check for each pair; thoughts that a dialect does not sign come back unverified."""

    def check():
        try:
            task(client, MODEL)
        except tasks.Wordless:
            assert client.dialect == "cohere" and task in (tasks.document, tasks.thinking, tasks.agent)

    globals()[f"check_{task.__name__} of {client.name}"] = check


for each_client in CLIENTS:
    for each_task in TASKS:
        add(each_client, each_task)


def check_types_of_streams():
    """Every event is what the SDK's own types say it is."""
    options = {"model": MODEL, "tools": [{"name": n, "description": d, "input_schema": s} for n, d, s in tasks.TOOLS], "max_tokens": 4000}
    thinking = {"type": "enabled", "budget_tokens": 2000}
    for event in ANTHROPIC.messages.create(messages=CLIENTS[3].user("Hi."), thinking=thinking, stream=True, **options):
        TypeAdapter(RawMessageStreamEvent).validate_python(event.model_dump(exclude_unset=True), strict=True)
    options = CLIENTS[2]._options(tasks.TOOLS, True)
    for event in OPENAI.responses.create(model=MODEL, input="Hi.", stream=True, **options):
        TypeAdapter(ResponseStreamEvent).validate_python(event.model_dump(exclude_unset=True), strict=True)


def check_a_signature_changed_is_refused():
    anthropics = CLIENTS[3]
    asked = anthropics.user("Hello.")
    said = anthropics.ask(MODEL, asked, thinking=True)
    block = said.turn[0]["content"][0]
    for change in ({"thinking": "I thought nothing."}, {"signature": "A" + block.signature[1:]}):
        content = [{**block.model_dump(), **change}, *said.turn[0]["content"][1:]]
        turns = asked + [{"role": "assistant", "content": content}] + anthropics.user("And then?")
        error = provider.raises(anthropic.BadRequestError, lambda: anthropics.ask(MODEL, turns, thinking=True))
        assert "Invalid `signature`" in error.body["error"]["message"]


def check_calls_and_results_belong_together():
    chat = CLIENTS[0]
    said = chat.ask(MODEL, chat.user("Hello."), tools=tasks.TOOLS)
    for answered in ([("call_nobodys", "get_weather", "21")], [(said.calls[0][0], "get_weather", "21")]):
        turns = chat.user("Hello.") + said.turn + chat.results(answered) + chat.user("So?")
        error = provider.raises(openai.BadRequestError, lambda: chat.ask(MODEL, turns, tools=tasks.TOOLS))
        assert "call" in error.body["message"]


def check_which_tools_are_called():
    tools = CLIENTS[0]._options(tasks.TOOLS, False)["tools"]

    def called(**options):
        answer = OPENAI.chat.completions.create(model=MODEL, messages=CLIENTS[0].user("Hello."), tools=tools, **options)
        return [call.function.name for call in answer.choices[0].message.tool_calls or []]

    assert called(tool_choice="none") == []
    assert called(parallel_tool_calls=False) == ["get_weather"]
    assert called(tool_choice={"type": "function", "function": {"name": "get_time"}}) == ["get_time"]
    nobody = {"type": "function", "function": {"name": "get_money"}}
    provider.raises(openai.BadRequestError, lambda: called(tool_choice=nobody))


def check_stops_limits_and_choices():
    def ask(**options):
        return OPENAI.chat.completions.create(model="sandbox-tokens-30", messages=CLIENTS[0].user("Hello."), **options)

    whole = ask().choices[0].message.content
    word = whole.split(" ")[5]
    stopped = ask(stop=[word]).choices[0]
    assert stopped.message.content == whole[: whole.index(word)] and stopped.finish_reason == "stop"
    cut = ask(reasoning_effort="low", max_tokens=20)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens <= 20
    assert cut.usage.completion_tokens_details.reasoning_tokens > 10
    assert [choice.message.content for choice in ask(n=2, stop="no such word").choices] == [whole, whole]


def check_thinking_has_conditions():
    def ask(budget=2000, **options):
        thinking = {"type": "enabled", "budget_tokens": budget}
        return ANTHROPIC.messages.create(model=MODEL, messages=CLIENTS[3].user("Hi."), thinking=thinking, **{"max_tokens": 4000, **options})

    assert ask().usage.output_tokens > 10
    for options in ({"max_tokens": 2000}, {"budget": 1000}, {"extra_body": {"temperature": 0.5}}, {"extra_body": {"top_k": 5}}):
        provider.raises(anthropic.BadRequestError, lambda: ask(**options))


def check_thoughts_come_back_with_the_calls_they_led_to():
    anthropics = CLIENTS[3]
    asked = anthropics.user("Hi.")
    said = anthropics.ask(MODEL, asked, tools=tasks.TOOLS, thinking=True)
    thoughtless = [{"role": "assistant", "content": said.turn[0]["content"][1:]}]
    results = anthropics.results([(call, name, "noon") for call, name, _ in said.calls])
    error = provider.raises(
        anthropic.BadRequestError, lambda: anthropics.ask(MODEL, asked + thoughtless + results, tools=tasks.TOOLS, thinking=True)
    )
    assert "must start with a thinking block" in error.body["error"]["message"]


def check_a_result_may_be_a_picture_or_an_error():
    anthropics = CLIENTS[3]
    said = anthropics.ask(MODEL, anthropics.user("Hello."), tools=tasks.TOOLS)
    image = anthropics.picture("", tasks.PICTURE)[0]["content"][0]
    results = anthropics.results([(call, name, "out of order") for call, name, _ in said.calls])
    results[0]["content"][0].update({"content": [image]})
    results[0]["content"][1].update({"is_error": True})
    told = anthropics.ask(MODEL, anthropics.user("Hello.") + said.turn + results, tools=tasks.TOOLS)
    assert f"get_weather said: an image/png of {len(tasks.PICTURE)} bytes. get_time failed: out of order." in told.text


provider.run(sys.modules[__name__])
