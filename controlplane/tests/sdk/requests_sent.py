"""What the gateway sent upstream, held against the request types of the upstream's own SDK."""

import json
import re
import typing

import boto3
import botocore.validate
import cohere
from anthropic.types import message_create_params
from google.genai import types as gemini_types
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

import shapes

# Members that servers know beyond the SDK's types: thoughts and their signatures (DeepSeek, OpenRouter, Google). Sealed
# thoughts that went through a dialect without a place for their id have none; OpenAI takes them so (Codex sends none).
BEYOND = re.compile(r"\.(reasoning_content|reasoning_details|extra_content)(:|\[|\.)|\.id: ResponseReasoningItemParam requires it")

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


COHERE = {
    "model": str,
    "messages": list[cohere.ChatMessageV2],
    "tools": list[cohere.ToolV2],
    "strict_tools": bool,
    "documents": list[typing.Union[str, cohere.Document]],
    "citation_options": cohere.CitationOptions,
    "response_format": cohere.ResponseFormatV2,
    "safety_mode": str,
    "max_tokens": int,
    "stop_sequences": list[str],
    "temperature": float,
    "seed": int,
    "frequency_penalty": float,
    "presence_penalty": float,
    "k": int,
    "p": float,
    "logprobs": bool,
    "tool_choice": typing.Literal["REQUIRED", "NONE"],
    "thinking": cohere.Thinking,
    "priority": int,
    "stream": bool,
}


def of_cohere(body):
    return shapes.members(body, {name: (hint, name in ("model", "messages")) for name, hint in COHERE.items()}, "body", dict)


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


CHAT = (completion_create_params.CompletionCreateParamsNonStreaming, completion_create_params.CompletionCreateParamsStreaming)
RESPONSES = (response_create_params.ResponseCreateParamsNonStreaming, response_create_params.ResponseCreateParamsStreaming)
MESSAGES = (message_create_params.MessageCreateParamsNonStreaming, message_create_params.MessageCreateParamsStreaming)
KNOWN = [
    ("openai", re.compile("/chat/completions$"), typed(*CHAT)),
    ("openai-responses", re.compile("/responses$"), typed(*RESPONSES)),
    ("anthropic", re.compile("/messages$"), typed(*MESSAGES)),
    ("gemini", re.compile(":(g|streamG)enerateContent"), gemini),
    ("bedrock", re.compile("/converse(-stream)?$"), Bedrock()),
    ("cohere", re.compile("/v2/chat$"), of_cohere),
]


def faults(arrivals, client_dialect):
    """What is wrong with the requests that arrived, each line once. Within a dialect they are the client's own."""
    found = {}
    for arrival in arrivals:
        for dialect, path, check in KNOWN:
            if dialect != client_dialect and path.search(arrival["target"]) and arrival["body"]:
                for fault in check(json.loads(arrival["body"])):
                    if not BEYOND.search(fault):
                        found[f"{arrival['target']}: {fault}"] = None
    return list(found)
