"""Cohere's Python SDK, version 2 of its chat."""

import base64
import json

import cohere

from clients.said import Heard, Said


FINISHES = {"TOOL_CALL": "tools", "COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length"}


class Cohere:
    name = "cohere"
    dialect = "cohere"
    least_argument_pieces = 6
    errors = {
        400: cohere.BadRequestError,
        401: cohere.UnauthorizedError,
        404: cohere.NotFoundError,
        429: cohere.TooManyRequestsError,
        503: cohere.ServiceUnavailableError,
    }
    once = {"max_retries": 0}

    def __init__(self, url, key):
        self.heard = Heard()
        self.sdk = cohere.ClientV2(api_key=key, base_url=url, httpx_client=self.heard.client())

    def user(self, text):
        return [{"role": "user", "content": text}]

    def picture(self, text, png):
        url = "data:image/png;base64," + base64.b64encode(png).decode()
        return [{"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]}]

    def results(self, answered):
        return [{"role": "tool", "tool_call_id": call, "content": text} for call, _, text in answered]

    def ask(self, model, messages, tools=None, thinking=False, stream=False, system=None, choice=None, max_tokens=None, stop=None):
        options = {"request_options": self.once}
        messages = ([{"role": "system", "content": system}] if system else []) + messages
        if choice:
            options["tool_choice"] = "REQUIRED"
            tools = [tool for tool in tools if tool[0] == choice]
        if max_tokens:
            options["max_tokens"] = max_tokens
        if stop:
            options["stop_sequences"] = [stop]
        if tools:
            options["tools"] = [
                {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
                for name, description, schema in tools
            ]
        if thinking:
            options["thinking"] = cohere.Thinking(type="enabled", token_budget=2048)
        if stream:
            return self._streamed(self.sdk.chat_stream(model=model, messages=messages, **options))
        answer = self.sdk.chat(model=model, messages=messages, **options)
        message = answer.message
        text = "".join(item.text for item in message.content or [] if item.type == "text")
        thought = "".join(item.thinking for item in message.content or [] if item.type == "thinking")
        calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
        finish = FINISHES.get(answer.finish_reason, answer.finish_reason)
        usage = answer.usage.tokens
        turn = [json.loads(message.json(exclude_none=True))]
        return Said(text, calls, thought, int(usage.input_tokens), int(usage.output_tokens), 0, turn, finish)

    def _streamed(self, events):
        said = Said()
        calls, contents, usage = {}, {}, None
        for event in events:
            if event.type == "content-start":
                contents[event.index] = {"type": event.delta.message.content.type, "text": ""}
            elif event.type == "content-delta":
                content = event.delta.message.content
                contents[event.index]["text"] += content.text or content.thinking or ""
                said.pieces += 1
            elif event.type == "tool-call-start":
                call = event.delta.message.tool_calls
                calls[event.index] = [call.id, call.function.name, call.function.arguments or ""]
            elif event.type == "tool-call-delta":
                calls[event.index][2] += event.delta.message.tool_calls.function.arguments
                said.pieces += 1
            elif event.type == "message-end":
                usage = event.delta.usage.tokens
                said.finish = FINISHES.get(event.delta.finish_reason, event.delta.finish_reason)
        said.calls = [(call, name, json.loads(arguments)) for call, name, arguments in calls.values()]
        said.text = "".join(content["text"] for content in contents.values() if content["type"] == "text")
        said.thought = "".join(content["text"] for content in contents.values() if content["type"] == "thinking")
        said.input_tokens, said.output_tokens = int(usage.input_tokens), int(usage.output_tokens)
        turn = {"role": "assistant"}
        if contents:
            turn["content"] = [{"type": content["type"], content["type"]: content["text"]} for content in contents.values()]
        if calls:
            turn["tool_calls"] = [
                {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
                for call, name, arguments in calls.values()
            ]
        said.turn = [turn]
        return said

    def parsed(self, model, messages, shape):
        """The SDK has no parser of its own."""
        wanted = {"type": "json_object", "json_schema": shape.model_json_schema()}
        answer = self.sdk.chat(model=model, messages=messages, response_format=wanted, request_options=self.once)
        return shape.model_validate_json(answer.message.content[0].text)

    def leave(self, model):
        stream = self.sdk.chat_stream(model=model, messages=self.user("Go on."), request_options=self.once)
        for index, _ in enumerate(stream):
            if index == 4:
                break
        stream.close()
