"""OpenAI's Python SDK: chat completions, the same through its client for Azure, and responses."""

import base64
import json

import openai

from clients.said import Heard, Said


FINISHES = {"tool_calls": "tools"}


class OpenAIChat:
    name = "openai (chat)"
    dialect = "openai"
    least_argument_pieces = 6
    raises_when_cut = True
    errors = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        503: openai.InternalServerError,
    }

    def __init__(self, url, key):
        self.heard = Heard()
        self.sdk = self.connect(url, key)

    def connect(self, url, key):
        return openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, http_client=self.heard.client())

    def user(self, text):
        return [{"role": "user", "content": text}]

    def picture(self, text, png):
        url = "data:image/png;base64," + base64.b64encode(png).decode()
        return [{"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]}]

    def results(self, answered):
        return [{"role": "tool", "tool_call_id": call, "content": text} for call, _, text in answered]

    def document(self, text, pdf):
        file = {"filename": "paper.pdf", "file_data": "data:application/pdf;base64," + base64.b64encode(pdf).decode()}
        return [{"role": "user", "content": [{"type": "text", "text": text}, {"type": "file", "file": file}]}]

    def _options(self, tools, thinking, choice=None, max_tokens=None, stop=None):
        options = {}
        if choice:
            options["tool_choice"] = {"type": "function", "function": {"name": choice}}
        if max_tokens:
            options["max_completion_tokens"] = max_tokens
        if stop:
            options["stop"] = [stop]
        if tools:
            options["tools"] = [
                {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
                for name, description, schema in tools
            ]
        if thinking:
            options["reasoning_effort"] = "medium"
        return options

    def ask(self, model, messages, tools=None, thinking=False, stream=False, system=None, **more):
        options = self._options(tools, thinking, **more)
        messages = ([{"role": "system", "content": system}] if system else []) + messages
        if not stream:
            answer = self.sdk.chat.completions.create(model=model, messages=messages, **options)
            return self._said(answer.choices[0].message, answer.usage, answer.choices[0].finish_reason, 0)
        pieces = 0
        with self.sdk.chat.completions.stream(model=model, messages=messages, stream_options={"include_usage": True}, **options) as events:
            thought, details = "", []
            for event in events:
                pieces += event.type in ("content.delta", "tool_calls.function.arguments.delta")
                if event.type == "chunk" and event.chunk.choices:
                    delta = event.chunk.choices[0].delta
                    thought += getattr(delta, "reasoning_content", None) or ""
                    details += getattr(delta, "reasoning_details", None) or []
            final = events.get_final_completion()
        said = self._said(final.choices[0].message, final.usage, final.choices[0].finish_reason, pieces)
        said.thought = thought
        if details:
            said.turn[0]["reasoning_content"] = thought
            said.turn[0]["reasoning_details"] = merged(details)
        return said

    def _said(self, message, usage, finish, pieces):
        calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
        turn = message.model_dump(exclude_none=True, exclude={"parsed"})
        for call in turn.get("tool_calls") or []:
            call["function"].pop("parsed_arguments", None)
        thought = getattr(message, "reasoning_content", None) or ""
        return Said(message.content or "", calls, thought, usage.prompt_tokens, usage.completion_tokens, pieces, [turn], FINISHES.get(finish, finish))

    def parsed(self, model, messages, shape):
        return self.sdk.chat.completions.parse(model=model, messages=messages, response_format=shape).choices[0].message.parsed

    def leave(self, model):
        stream = self.sdk.chat.completions.create(model=model, messages=self.user("Go on."), stream=True)
        for index, _ in enumerate(stream):
            if index == 2:
                break
        stream.close()


def merged(details):
    """Deltas of one detail carry the same index: what a client of OpenRouter's shape puts together."""
    whole = {}
    for detail in details:
        into = whole.setdefault(detail.get("index", len(whole)), {})
        for name, value in detail.items():
            into[name] = into.get(name, "") + value if name in ("text", "summary", "data") else value
    return [whole[index] for index in sorted(whole)]


class Azure(OpenAIChat):
    name = "openai (Azure)"

    def connect(self, url, key):
        client = self.heard.client()
        return openai.AzureOpenAI(azure_endpoint=url, api_key=key, api_version="2024-10-21", max_retries=0, http_client=client)


class OpenAIResponses:
    name = "openai (responses)"
    dialect = "openai-responses"
    least_argument_pieces = 6
    raises_when_cut = True
    errors = OpenAIChat.errors

    def __init__(self, url, key):
        self.heard = Heard()
        self.sdk = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, http_client=self.heard.client())

    def user(self, text):
        return [{"role": "user", "content": text}]

    def picture(self, text, png):
        url = "data:image/png;base64," + base64.b64encode(png).decode()
        image = {"type": "input_image", "image_url": url, "detail": "auto"}
        return [{"role": "user", "content": [{"type": "input_text", "text": text}, image]}]

    def results(self, answered):
        return [{"type": "function_call_output", "call_id": call, "output": text} for call, _, text in answered]

    def document(self, text, pdf):
        data = "data:application/pdf;base64," + base64.b64encode(pdf).decode()
        file = {"type": "input_file", "filename": "paper.pdf", "file_data": data}
        return [{"role": "user", "content": [{"type": "input_text", "text": text}, file]}]

    def _options(self, tools, thinking, choice=None, max_tokens=None, stop=None):
        options = {"store": False}
        if choice:
            options["tool_choice"] = {"type": "function", "name": choice}
        if max_tokens:
            options["max_output_tokens"] = max_tokens
        if tools:
            options["tools"] = [
                {"type": "function", "name": name, "description": description, "parameters": schema, "strict": False}
                for name, description, schema in tools
            ]
        if thinking:
            options["reasoning"] = {"effort": "medium", "summary": "auto"}
            options["include"] = ["reasoning.encrypted_content"]
        return options

    def ask(self, model, messages, tools=None, thinking=False, stream=False, system=None, **more):
        options = self._options(tools, thinking, **more)
        if system:
            options["instructions"] = system
        pieces = 0
        if stream:
            with self.sdk.responses.stream(model=model, input=messages, **options) as events:
                for event in events:
                    pieces += event.type in ("response.output_text.delta", "response.function_call_arguments.delta")
                answer = events.get_final_response()
        else:
            answer = self.sdk.responses.create(model=model, input=messages, **options)
        finish = answer.incomplete_details.reason if answer.incomplete_details else answer.status
        calls = [(item.call_id, item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
        finish = {"max_output_tokens": "length", "completed": "tools" if calls else "stop"}.get(finish, finish)
        thoughts = [part.text for item in answer.output if item.type == "reasoning" for part in item.summary]
        turn = [item.model_dump(exclude_none=True, exclude={"parsed_arguments": True, "content": {"__all__": {"parsed"}}}) for item in answer.output]
        return Said(answer.output_text, calls, "".join(thoughts), answer.usage.input_tokens, answer.usage.output_tokens, pieces, turn, finish)

    def parsed(self, model, messages, shape):
        return self.sdk.responses.parse(model=model, input=messages, text_format=shape).output_parsed

    def leave(self, model):
        stream = self.sdk.responses.create(model=model, input="Go on.", stream=True)
        for index, _ in enumerate(stream):
            if index == 6:
                break
        stream.close()
