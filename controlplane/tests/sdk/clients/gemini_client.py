"""Google's Gen AI SDK for Python."""

from google import genai
from google.genai import errors, types

from clients.said import Heard, Said


class Gemini:
    name = "google-genai"
    dialect = "gemini"
    # A call comes whole.
    least_argument_pieces = 2
    errors = {
        400: errors.ClientError,
        401: errors.ClientError,
        404: errors.ClientError,
        429: errors.ClientError,
        503: errors.ServerError,
    }

    def __init__(self, url, key):
        self.heard = Heard()
        options = types.HttpOptions(base_url=url, httpx_client=self.heard.client())
        self.sdk = genai.Client(api_key=key, http_options=options)

    def user(self, text):
        return [types.Content(role="user", parts=[types.Part(text=text)])]

    def picture(self, text, png):
        return [types.Content(role="user", parts=[types.Part(text=text), types.Part.from_bytes(data=png, mime_type="image/png")])]

    def results(self, answered):
        parts = [
            types.Part(function_response=types.FunctionResponse(id=call, name=name, response={"result": text}))
            for call, name, text in answered
        ]
        return [types.Content(role="user", parts=parts)]

    def document(self, text, pdf):
        return [types.Content(role="user", parts=[types.Part(text=text), types.Part.from_bytes(data=pdf, mime_type="application/pdf")])]

    def ask(self, model, messages, tools=None, thinking=False, stream=False, system=None, choice=None, max_tokens=None, stop=None):
        config = types.GenerateContentConfig(system_instruction=system, max_output_tokens=max_tokens, stop_sequences=stop and [stop])
        if choice:
            forced = types.FunctionCallingConfig(mode="ANY", allowed_function_names=[choice])
            config.tool_config = types.ToolConfig(function_calling_config=forced)
        if tools:
            declared = [
                types.FunctionDeclaration(name=name, description=description, parameters_json_schema=schema)
                for name, description, schema in tools
            ]
            config.tools = [types.Tool(function_declarations=declared)]
            config.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
        if thinking:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        if stream:
            chunks = list(self.sdk.models.generate_content_stream(model=model, contents=messages, config=config))
        else:
            chunks = [self.sdk.models.generate_content(model=model, contents=messages, config=config)]
        parts = [part for chunk in chunks for candidate in chunk.candidates or [] for part in (candidate.content and candidate.content.parts) or []]
        text = "".join(part.text for part in parts if part.text and not part.thought)
        thought = "".join(part.text for part in parts if part.text and part.thought)
        # Without ids a call is known by its name.
        calls = [(part.function_call.id or part.function_call.name, part.function_call.name, part.function_call.args) for part in parts if part.function_call]
        finish = chunks[-1].candidates[0].finish_reason.name
        finish = {"STOP": "tools" if calls else "stop", "MAX_TOKENS": "length"}.get(finish, finish)
        usage = chunks[-1].usage_metadata
        output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        turn = [types.Content(role="model", parts=parts)]
        return Said(text, calls, thought, usage.prompt_token_count, output, len(parts), turn, finish)

    def parsed(self, model, messages, shape):
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=shape)
        return self.sdk.models.generate_content(model=model, contents=messages, config=config).parsed

    def leave(self, model):
        stream = self.sdk.models.generate_content_stream(model=model, contents="Go on.")
        for index, _ in enumerate(stream):
            if index == 2:
                break
        stream.close()
