"""Streams whose provider breaks off in their middle, and that another goes on with: the official SDKs read one answer."""

import sys

import anthropic
import cohere
import openai

import gate

MESSAGES = [{"role": "user", "content": "Hello there, gate."}]
CHAT = openai.OpenAI(base_url=gate.URL + "/v1", api_key=gate.KEY, max_retries=0)
CLAUDE = anthropic.Anthropic(base_url=gate.URL, api_key=gate.KEY, max_retries=0)


def whole():
    text = CHAT.chat.completions.create(model="whole", messages=MESSAGES).choices[0].message.content
    assert text
    return text


def check_the_openai_sdk():
    broken = len(gate.arrivals())
    with CHAT.chat.completions.stream(model="both", messages=MESSAGES, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == whole(), answer
    assert answer.choices[0].finish_reason == "stop" and answer.usage.completion_tokens >= 50, answer
    assert len(gate.arrivals()) == broken + 1, "the first provider was asked once"


def check_the_openai_sdks_responses():
    with CHAT.responses.stream(model="both", input="Hello there, gate.") as stream:
        for _ in stream:
            pass
        answer = stream.get_final_response()
    assert answer.output_text == whole() and answer.status == "completed", answer


def check_the_anthropic_sdk():
    with CLAUDE.messages.stream(model="both", messages=MESSAGES, max_tokens=200) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == whole() and len(message.content) == 1 and message.content[0].text == text, message
    assert message.stop_reason == "end_turn" and message.usage.output_tokens >= 50, message


def check_the_cohere_sdk():
    client = cohere.ClientV2(api_key=gate.KEY, base_url=gate.URL)
    events = list(client.chat_stream(model="both", messages=MESSAGES))
    text = "".join(event.delta.message.content.text for event in events if event.type == "content-delta")
    assert text == whole(), text


gate.run(sys.modules[__name__])
