"""Claude at Bedrock's InvokeModel: by Anthropic's own SDK, unchanged, and by one of another dialect."""

import json
import sys

import anthropic

import gate
from clients import Anthropic, OpenAIChat, tasks

MODEL = "via-invoke"
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


def perform(make):
    for task in TASKS:
        print(f"        {task.__name__}", flush=True)
        task(make(gate.URL, gate.KEY), MODEL)
        sent = gate.arrivals()[-1]
        assert "/invoke" in sent["target"], sent["target"]
        signed = dict(sent["headers"])["authorization"]
        assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), signed


def check_anthropics_sdk():
    perform(Anthropic)


def check_openais_sdk():
    perform(OpenAIChat)


def sdk():
    return anthropic.Anthropic(base_url=gate.URL, api_key=gate.KEY, max_retries=0)


def check_what_only_anthropic_knows():
    """It reaches the model, betas in the body as Bedrock wants them."""
    asked = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hello."}], "betas": ["one-2025-01-01"]}
    with sdk().beta.messages.stream(model=MODEL, extra_body={"unheard": "of"}, **asked) as stream:
        answer = stream.get_final_message()
    assert answer.usage.output_tokens > 0 and answer.stop_reason in ("end_turn", "max_tokens"), answer
    sent = json.loads(gate.arrivals()[-1]["body"])
    assert (sent["anthropic_beta"], sent["unheard"]) == (["one-2025-01-01"], "of"), sent


def check_errors():
    for status, error in [(400, anthropic.BadRequestError), (429, anthropic.RateLimitError)]:
        for stream in (False, True):
            asked = {"model": f"{MODEL}.sandbox-status-{status}", "max_tokens": 9, "stream": stream}
            gate.raises(error, lambda: sdk().messages.create(messages=[{"role": "user", "content": "Hello."}], **asked))


gate.run(sys.modules[__name__])
