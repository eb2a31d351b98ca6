"""Anthropic's Python SDK."""

import base64

import anthropic
import httpx2
from anthropic import _exceptions as exceptions

from clients.said import Heard, Said


FINISHES = {"tool_use": "tools", "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


class Anthropic:
    name = "anthropic"
    dialect = "anthropic"
    least_argument_pieces = 6
    errors = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        # Overloaded has a status of its own here, which other dialects' 503 becomes.
        503: (exceptions.ServiceUnavailableError, exceptions.OverloadedError),
    }

    def __init__(self, url, key):
        self.heard = Heard()
        self.sdk = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, http_client=self.heard.client(httpx2))

    def user(self, text):
        return [{"role": "user", "content": text}]

    def picture(self, text, png):
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png).decode()}
        return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}]

    def results(self, answered):
        return [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": text} for call, _, text in answered]}]

    def document(self, text, pdf):
        source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(pdf).decode()}
        return [{"role": "user", "content": [{"type": "document", "source": source}, {"type": "text", "text": text}]}]

    def _options(self, tools, thinking, system=None, choice=None, max_tokens=None, stop=None):
        options = {"max_tokens": max_tokens or 4000}
        if system:
            options["system"] = system
        if choice:
            options["tool_choice"] = {"type": "tool", "name": choice}
        if stop:
            options["stop_sequences"] = [stop]
        if tools:
            options["tools"] = [{"name": name, "description": description, "input_schema": schema} for name, description, schema in tools]
        if thinking:
            options["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        return options

    def ask(self, model, messages, tools=None, thinking=False, stream=False, **more):
        options = self._options(tools, thinking, **more)
        pieces = 0
        if stream:
            with self.sdk.messages.stream(model=model, messages=messages, **options) as events:
                for event in events:
                    pieces += event.type in ("text", "input_json")
                answer = events.get_final_message()
        else:
            answer = self.sdk.messages.create(model=model, messages=messages, **options)
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
        finish = FINISHES.get(answer.stop_reason, answer.stop_reason)
        thought = "".join(block.thinking for block in answer.content if block.type == "thinking")
        turn = [{"role": "assistant", "content": answer.content}]
        return Said(text, calls, thought, answer.usage.input_tokens, answer.usage.output_tokens, pieces, turn, finish)

    def parsed(self, model, messages, shape):
        return self.sdk.messages.parse(model=model, messages=messages, max_tokens=4000, output_format=shape).parsed_output

    def leave(self, model):
        stream = self.sdk.messages.create(model=model, messages=self.user("Go on."), max_tokens=4000, stream=True)
        for index, _ in enumerate(stream):
            if index == 4:
                break
        stream.close()
