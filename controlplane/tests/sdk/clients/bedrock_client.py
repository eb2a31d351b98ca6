"""The AWS SDK for Python, with a key as bearer token."""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from clients.said import Heard, Said


FINISHES = {"tool_use": "tools", "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


class Bedrock:
    name = "boto3"
    dialect = "bedrock"
    least_argument_pieces = 6
    needs_tls = True

    def __init__(self, url, key):
        # The SDK sends a bearer token over TLS alone; without, it signs.
        if url.startswith("https:"):
            os.environ["AWS_BEARER_TOKEN_BEDROCK"] = key
        keys = {} if url.startswith("https:") else {"aws_access_key_id": key, "aws_secret_access_key": key}
        config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
        self.sdk = boto3.client("bedrock-runtime", endpoint_url=url, region_name="us-east-1", config=config, **keys)
        self.heard = Heard()
        self.sdk.meta.events.register("needs-retry.bedrock-runtime", self._remember)
        exceptions = self.sdk.exceptions
        self.errors = {
            400: exceptions.ValidationException,
            # The SDK has no class for it, as for the real one's.
            401: ClientError,
            404: exceptions.ResourceNotFoundException,
            429: exceptions.ThrottlingException,
            503: exceptions.ServiceUnavailableException,
        }

    def _remember(self, response, **_):
        if response:
            self.heard.headers = dict(response[0].headers)

    def user(self, text):
        return [{"role": "user", "content": [{"text": text}]}]

    def picture(self, text, png):
        return [{"role": "user", "content": [{"text": text}, {"image": {"format": "png", "source": {"bytes": png}}}]}]

    def results(self, answered):
        blocks = [{"toolResult": {"toolUseId": call, "content": [{"text": text}]}} for call, _, text in answered]
        return [{"role": "user", "content": blocks}]

    def document(self, text, pdf):
        document = {"format": "pdf", "name": "paper", "source": {"bytes": pdf}}
        return [{"role": "user", "content": [{"text": text}, {"document": document}]}]

    def ask(self, model, messages, tools=None, thinking=False, stream=False, system=None, choice=None, max_tokens=None, stop=None):
        limits = {"maxTokens": max_tokens, "stopSequences": stop and [stop]}
        options = {"inferenceConfig": {name: value for name, value in limits.items() if value}}
        if system:
            options["system"] = [{"text": system}]
        if tools:
            specs = [
                {"toolSpec": {"name": name, "description": description, "inputSchema": {"json": schema}}}
                for name, description, schema in tools
            ]
            options["toolConfig"] = {"tools": specs, **({"toolChoice": {"tool": {"name": choice}}} if choice else {})}
        if thinking:
            options["additionalModelRequestFields"] = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
            options["inferenceConfig"] = {"maxTokens": 4000}
        pieces = 0
        if stream:
            blocks, reason, usage, pieces = self._streamed(self.sdk.converse_stream(modelId=model, messages=messages, **options)["stream"])
        else:
            answer = self.sdk.converse(modelId=model, messages=messages, **options)
            blocks, reason, usage = answer["output"]["message"]["content"], answer["stopReason"], answer["usage"]
        text = "".join(block["text"] for block in blocks if "text" in block)
        calls = [(block["toolUse"]["toolUseId"], block["toolUse"]["name"], block["toolUse"]["input"]) for block in blocks if "toolUse" in block]
        thought = "".join(block["reasoningContent"].get("reasoningText", {}).get("text", "") for block in blocks if "reasoningContent" in block)
        return Said(text, calls, thought, usage["inputTokens"], usage["outputTokens"], pieces, [{"role": "assistant", "content": blocks}], FINISHES.get(reason, reason))

    def _streamed(self, events):
        """What a program does with the events: the SDK puts nothing together."""
        blocks, inputs, reason, usage, pieces = {}, {}, None, None, 0
        for event in events:
            if "contentBlockStart" in event:
                start = event["contentBlockStart"]
                if "toolUse" in start["start"]:
                    blocks[start["contentBlockIndex"]] = {"toolUse": start["start"]["toolUse"]}
                    inputs[start["contentBlockIndex"]] = ""
            elif "contentBlockDelta" in event:
                index, delta = event["contentBlockDelta"]["contentBlockIndex"], event["contentBlockDelta"]["delta"]
                if "text" in delta:
                    block = blocks.setdefault(index, {"text": ""})
                    block["text"] += delta["text"]
                    pieces += 1
                elif "toolUse" in delta:
                    inputs[index] += delta["toolUse"]["input"]
                    pieces += 1
                elif "redactedContent" in delta.get("reasoningContent", {}):
                    block = blocks.setdefault(index, {"reasoningContent": {"redactedContent": b""}})
                    block["reasoningContent"]["redactedContent"] += delta["reasoningContent"]["redactedContent"]
                elif "reasoningContent" in delta:
                    block = blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
                    for name, value in delta["reasoningContent"].items():
                        told = block["reasoningContent"]["reasoningText"]
                        told[name] = told.get(name, "") + value
            elif "messageStop" in event:
                reason = event["messageStop"]["stopReason"]
            elif "metadata" in event:
                usage = event["metadata"]["usage"]
        for index, text in inputs.items():
            blocks[index]["toolUse"]["input"] = json.loads(text or "{}")
        return [blocks[index] for index in sorted(blocks)], reason, usage, pieces

    def parsed(self, model, messages, shape):
        """The SDK has no parser of its own."""
        schema = {"schema": json.dumps(shape.model_json_schema()), "name": shape.__name__}
        wanted = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
        answer = self.sdk.converse(modelId=model, messages=messages, outputConfig=wanted)
        return shape.model_validate_json(answer["output"]["message"]["content"][0]["text"])

    def leave(self, model):
        stream = self.sdk.converse_stream(modelId=model, messages=self.user("Go on."))["stream"]
        for index, _ in enumerate(stream):
            if index == 4:
                break
        stream.close()
