"""The official AWS SDK, unchanged, against the sandbox: Converse, its binary event stream, CountTokens."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import provider

MESSAGES = [{"role": "user", "content": [{"text": provider.PROMPT}]}]


def client():
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=provider.URL,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


BEDROCK = client()


def ask(model="sandbox-tokens-30", **options):
    return BEDROCK.converse(modelId=model, messages=MESSAGES, **options)


def check_converse():
    answer = ask()
    message = answer["output"]["message"]
    provider.check_text(message["content"][0]["text"])
    assert message["role"] == "assistant" and answer["stopReason"] == "end_turn" and answer["metrics"]["latencyMs"] > 0
    usage = answer["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (provider.PROMPT_TOKENS, 30, 35)
    assert answer["ResponseMetadata"]["RequestId"]
    cut = ask(inferenceConfig={"maxTokens": 16}, system=[{"text": "Be brief."}])
    assert cut["stopReason"] == "max_tokens" and cut["usage"]["inputTokens"] == provider.PROMPT_TOKENS + 3


def check_a_model_by_its_arn():
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/anthropic.claude-sonnet-5-v1:0"
    with provider.scenario(rules=[{"model": arn, "tokens": 7}]):
        assert ask(arn)["usage"]["outputTokens"] == 7


def check_streamed():
    events = list(BEDROCK.converse_stream(modelId="sandbox-tokens-30", messages=MESSAGES)["stream"])
    kinds = [next(iter(event)) for event in events]
    assert kinds == ["messageStart"] + ["contentBlockDelta"] * 30 + ["contentBlockStop", "messageStop", "metadata"], kinds
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
    whole = ask()
    assert text == whole["output"]["message"]["content"][0]["text"]
    assert events[-1]["metadata"]["usage"] == whole["usage"] and events[-2]["messageStop"]["stopReason"] == "end_turn"


def check_token_counts():
    counted = BEDROCK.count_tokens(modelId="m", input={"converse": {"messages": MESSAGES}})
    assert counted["inputTokens"] == provider.PROMPT_TOKENS


def check_error_classes():
    wanted = {
        400: "ValidationException",
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
        408: "ModelTimeoutException",
        424: "ModelErrorException",
        429: "ThrottlingException",
        500: "InternalServerException",
        503: "ServiceUnavailableException",
    }
    for status, name in wanted.items():
        for call in (BEDROCK.converse, BEDROCK.converse_stream):
            error = provider.raises(getattr(BEDROCK.exceptions, name), lambda: call(modelId=f"sandbox-status-{status}", messages=MESSAGES))
            assert error.response["Error"]["Code"] == name and error.response["Error"]["Message"]


def check_limits():
    with provider.scenario(limits=[{"requests-per-minute": 1}]):
        ask("limited")
        error = provider.raises(BEDROCK.exceptions.ThrottlingException, lambda: ask("limited"))
        assert isinstance(error, ClientError)
        assert error.response["Error"]["Message"] == "Too many requests, please wait before trying again."
        assert error.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"].startswith("ThrottlingException:")


provider.run(sys.modules[__name__])
