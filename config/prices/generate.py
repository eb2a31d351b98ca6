#!/usr/bin/env python3
"""Writes models.json from a table of model facts: what the gateway must know of a model beside its price.

usage: generate.py TABLE.json > models.json

TABLE is {"about", "date", "models": [{"provider", "model", "mode", "context_window", "max_output_tokens",
"abilities"}]}. Kept are the models one can chat with, embed with or rank with, of the providers that the catalogue
has rows for; a model that costs differently in one region or on commitment is the same model.
"""
import json
import re
import sys

SECTIONS = ["openai", "azure-openai", "anthropic", "gemini", "vertex", "bedrock", "cohere", "mistral", "groq",
            "deepseek", "xai", "together", "fireworks", "perplexity", "cerebras", "sambanova", "nvidia"]
MODES = {"chat": "c", "responses": "r", "completion": "p", "embedding": "e", "rerank": "k"}
ABILITIES = {"function_calling": "t", "vision": "v", "pdf_input": "d", "audio_input": "a", "reasoning": "r",
             "prompt_caching": "c", "response_schema": "s", "native_structured_output": "n", "assistant_prefill": "p"}
REGIONAL = re.compile(r"^(\*|[a-z]{2}(-[a-z]+)+-\d|global|global-standard|eu|us|apac|au|jp)/")


def letters(model):
    return "".join(letter for name, letter in ABILITIES.items() if name in model.get("abilities", []))


def main():
    table = json.load(open(sys.argv[1]))
    sections = {section: {} for section in SECTIONS}
    for model in table["models"]:
        section, name, mode = model["provider"], model["model"], MODES.get(model["mode"])
        if section not in sections or mode is None or REGIONAL.match(name):
            continue
        sections[section][name] = [mode, model.get("context_window") or 0, model.get("max_output_tokens") or 0,
                                   letters(model)]
    print("{")
    print(f' "about": {json.dumps("Written by generate.py. " + table["about"].split("; ")[-1])},')
    print(f' "date": {json.dumps(table["date"])},')
    print(f' "columns": ["mode", "context window", "most output tokens", "abilities"], "modes": {json.dumps(MODES)},')
    print(f' "abilities": {json.dumps(ABILITIES)},')
    print(' "models": {')
    for last, (section, models) in enumerate(sections.items(), 1 - len(sections)):
        print(f"  {json.dumps(section)}: {{")
        lines = [f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in sorted(models.items())]
        print(",\n".join(lines))
        print("  }" if last == 0 else "  },")
    print(" }")
    print("}")


main()
