"""The official SDKs, unchanged, each behind the same few words: what a conversation needs, and nothing of who answers.

A client is made with the address and key of a gateway or a provider. `ask` sends a conversation in the SDK's own terms
and gives a `Said`; `user`, `picture` and `results` make the SDK's own messages; `parsed` uses the SDK's own parser.
"""

from clients.anthropic_client import Anthropic
from clients.bedrock_client import Bedrock
from clients.cohere_client import Cohere
from clients.gemini_client import Gemini
from clients.npm_clients import NpmAi, NpmAiAnthropic, NpmAnthropic, NpmOpenAI
from clients.openai_clients import Azure, OpenAIChat, OpenAIResponses

PYTHON = [OpenAIChat, Azure, OpenAIResponses, Anthropic, Gemini, Cohere, Bedrock]
NPM = [NpmOpenAI, NpmAnthropic, NpmAi, NpmAiAnthropic]
ALL = PYTHON + NPM
