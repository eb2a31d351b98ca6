"""What the gateway sent upstream, held against the request types of the upstream's own SDK."""

import json
import re

import boto3
import botocore.validate
from anthropic.types import message_create_params
from google.genai import types as gemini_types
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

import shapes

# Members that servers know beyond the SDK's types: thoughts and their signatures (DeepSeek, OpenRouter, Google).
BEYOND = re.compile(r"\.(reasoning_content|reasoning_details|extra_content)(:|\[|\.)")

GEMINI = {
    "contents": list[gemini_types.Content],
    "systemInstruction": gemini_types.Content,
    "tools": list[gemini_types.Tool],
    "toolConfig": gemini_types.ToolConfig,
    "generationConfig": gemini_types.GenerationConfig,
    "safetySettings": list[gemini_types.SafetySetting],
    "cachedContent": str,
    "labels": dict,
}


def typed(non_streaming, streaming):
    return lambda body: shapes.faults(body, streaming if body.get("stream") else non_streaming, "body")


def gemini(body):
    return shapes.members(body, {name: (hint, name == "contents") for name, hint in GEMINI.items()}, "body", dict)


class Bedrock:
    def __init__(self):
        sdk = boto3.client("bedrock-runtime", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        self.model = sdk.meta.service_model

    def __call__(self, body):
        shape = self.model.operation_model("Converse").input_shape
        report = botocore.validate.ParamValidator().validate({"modelId": "m", **body}, shape)
        return report.generate_report().split("\n") if report.has_errors() else []


KNOWN = [
    (re.compile("/chat/completions$"), typed(completion_create_params.CompletionCreateParamsNonStreaming, completion_create_params.CompletionCreateParamsStreaming)),
    (re.compile("/responses$"), typed(response_create_params.ResponseCreateParamsNonStreaming, response_create_params.ResponseCreateParamsStreaming)),
    (re.compile("/messages$"), typed(message_create_params.MessageCreateParamsNonStreaming, message_create_params.MessageCreateParamsStreaming)),
    (re.compile(":(g|streamG)enerateContent"), gemini),
    (re.compile("/converse(-stream)?$"), Bedrock()),
]


def faults(arrivals):
    """What is wrong with the requests that arrived, each line once."""
    found = {}
    for arrival in arrivals:
        for path, check in KNOWN:
            if path.search(arrival["target"]) and arrival["body"]:
                for fault in check(json.loads(arrival["body"])):
                    if not BEYOND.search(fault):
                        found[f"{arrival['target']}: {fault}"] = None
    return list(found)
