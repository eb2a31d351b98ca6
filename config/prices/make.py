#!/usr/bin/env python3
"""Writes models.json: what the gateway knows of models and what they cost, all money in whole pico-dollars.

usage: make.py TABLE.json [--litellm PRICES.json] > models.json

TABLE is {"about", "date", "models": [{"provider", "model", "mode", "price_per_million", "context_window",
"max_output_tokens", "abilities", "source"}]}, its prices USD for a million tokens as decimal text. PRICES is the table in
the litellm package of the version that TABLE names (MIT): it says more of the same models (service tiers, tiers of long
prompts, prices for a request), and is believed where both agree on what a plain token costs. It is
`litellm/model_prices_and_context_window_backup.json` in the wheel: `pip download --no-deps litellm==VERSION`.

Kept are the models one can chat with, embed with or rank with; a model that costs differently in one region or on
commitment is the same model. A model whose price is not said, or is said to be nothing because it is not counted in
tokens, has none here: nothing is not a price. What cannot be written in whole pico-dollars is told on stderr, and the
exit status is 1.
"""
import json
import re
import sys
from decimal import Decimal

MODES = {"chat": "c", "responses": "r", "completion": "p", "embedding": "e", "rerank": "k"}
ABILITIES = {"function_calling": "t", "vision": "v", "pdf_input": "d", "audio_input": "a", "reasoning": "r",
             "prompt_caching": "c", "response_schema": "s", "native_structured_output": "n", "assistant_prefill": "p",
             "parallel_function_calling": "l", "parallel_tool_use_config": "l", "audio_output": "u"}
REGIONAL = re.compile(r"^(\*|[a-z]{2}(-[a-z]+)+-\d|global|global-standard|eu|us|apac|au|jp)/")

# Classes of usage, by the letter they have in models.json.
CLASSES = {"input": "i", "cache_read": "r", "cache_write_5m": "w", "cache_write_1h": "x", "output": "o",
           "reasoning": "t", "audio_input": "a", "audio_output": "u", "image_input": "g", "request": "q"}
# Those that go along with another where nothing else is said.
PARTS = {"t": "o", "u": "o", "a": "i", "g": "i", "r": "i", "w": "i", "x": "w"}
# What litellm calls them.
FIELDS = {"input_cost_per_token": "i", "cache_read_input_token_cost": "r", "cache_creation_input_token_cost": "w",
          "cache_creation_input_token_cost_above_1hr": "x", "output_cost_per_token": "o",
          "output_cost_per_reasoning_token": "t", "input_cost_per_audio_token": "a",
          "output_cost_per_audio_token": "u", "input_cost_per_image_token": "g",
          "input_cost_per_query": "q", "input_cost_per_request": "q"}
FIELD = re.compile(r"^(?P<name>.*?)(_above_(?P<above>\d+)k_tokens)?(_(?P<tier>batches|flex|priority))?$")
TIERS = {"batches": "b", "flex": "f", "priority": "p"}
SECTIONS = {"azure": "azure-openai", "azure_ai": "azure-ai", "azure_text": "azure-openai", "bedrock_converse": "bedrock",
            "bedrock_mantle": "bedrock", "together_ai": "together", "fireworks_ai": "fireworks",
            "fireworks_ai-embedding-models": "fireworks", "cohere_chat": "cohere", "nvidia_nim": "nvidia",
            "text-completion-openai": "openai", "jina_ai": "jina"}

faults = []


def picos(dollars, unit, at):
    """Dollars for `unit` tokens -> whole pico-dollars for one; what is no whole number is a fault."""
    exact = Decimal(dollars) * 10**12 / unit
    if exact != exact.to_integral_value() or not 0 <= exact < 2**63:
        faults.append(f"{at}: {dollars} USD for {unit} is no whole number of pico-dollars")
        return None
    return int(exact)


def of_table(model):
    """The price lists of a model, {(above, tier): {class: picos}}."""
    lists = {}
    for name, dollars in model["price_per_million"].items():
        at = f'{model["provider"]}/{model["model"]}: {name}'
        above, tier = 0, ""
        if name.startswith("batch_"):
            name, tier = name.removeprefix("batch_"), "b"
        if name.endswith("_above_200k"):
            name, above = name.removesuffix("_above_200k"), 200_000
        price = picos(dollars, 10**6, at)
        if name in CLASSES and price is not None:
            lists.setdefault((above, tier), {})[CLASSES[name]] = price
        elif price is not None and name != "image_output":  # Usage does not count images drawn apart.
            faults.append(f"{at}: no such class")
    return lists


def of_litellm(name, entry):
    lists = {}
    for field, dollars in entry.items():
        found = FIELD.match(field)
        letter = FIELDS.get(found["name"])
        if letter is None or not isinstance(dollars, (int, Decimal)):
            continue
        above = int(found["above"] or 0) * 1000
        price = picos(dollars, 1, f"{name}: {field}")
        if price is not None:
            lists.setdefault((above, TIERS.get(found["tier"], "")), {})[letter] = price
    for step in entry.get("tiered_pricing", []):
        prices = {FIELDS[field]: picos(dollars, 1, f"{name}: tiered_pricing")
                  for field, dollars in step.items() if field in FIELDS}
        lists.setdefault((int(step.get("range", [0])[0]), ""), {}).update(prices)
    return lists


def litellm_lists(path, known):
    """More of what the table knows: {(section, model): [lists]}, for a model may be there twice."""
    more = {}
    for name, entry in json.load(open(path), parse_float=Decimal).items():
        provider = entry.get("litellm_provider", "")
        section = "vertex" if provider.startswith("vertex_ai") else SECTIONS.get(provider, provider)
        parts = name.split("/")
        keys = ((section, "/".join(parts[at:])) for at in range(len(parts)))
        key = next((key for key in keys if key in known), None)
        if key is not None:
            more.setdefault(key, []).append(of_litellm(name, entry))
    return more


def merged(own, more):
    plain = (0, "")
    base = own.get(plain, {})

    def agrees(other):
        return all(base[letter] == other.get(plain, {}).get(letter, base[letter]) for letter in "io" if letter in base)

    lists = next((dict(other) for other in more if agrees(other)), {})
    for key, prices in own.items():
        lists.setdefault(key, {}).update(prices)
    return lists


def text(lists, mode):
    """One line of prices: lists divided by `;`, each `>ABOVE` and a tier's letter where it has them, then its prices."""
    base = lists.get((0, ""), {})
    counted = any(base.get(letter) for letter in "ioq")
    if not counted or ("o" not in base and mode not in "ek" and "q" not in base):
        return ""
    base.setdefault("o", 0)
    # What goes without saying: the class it is a part of costs the same.
    goes_along = {letter: whole for letter, whole in PARTS.items() if base.get(letter) == base.get(whole)}
    written = []
    for (above, tier), prices in sorted(lists.items()):
        said = {letter: price for letter, price in prices.items()
                if not (letter in goes_along and price == prices.get(goes_along[letter]))
                and not (letter == "q" and price == 0)}
        if above or tier:
            said = {letter: price for letter, price in said.items() if price or base.get(letter) == 0}
        head = [f">{above}"] * (above > 0) + [tier] * (tier != "")
        if said:
            written.append(" ".join(head + [f"{letter}{said[letter]}" for letter in CLASSES.values() if letter in said]))
    return ";".join(written)


def main():
    arguments = sys.argv[1:]
    litellm = arguments[2] if arguments[1:2] == ["--litellm"] else None
    table = json.load(open(arguments[0]))
    known = {(model["provider"], model["model"]) for model in table["models"]}
    more = litellm_lists(litellm, known) if litellm else {}
    sections, sources = {}, {}
    for model in table["models"]:
        own = of_table(model)
        section, name, mode = model["provider"], model["model"], MODES.get(model["mode"])
        if mode is None or REGIONAL.match(name) or name == "container":
            continue
        abilities = sorted({ABILITIES[word] for word in model.get("abilities", []) if word in ABILITIES})
        row = [mode, model.get("context_window") or 0, model.get("max_output_tokens") or 0, "".join(abilities),
               text(merged(own, more.get((section, name), [])), mode)]
        if source := model.get("source"):
            row.append(sources.setdefault(source, len(sources)))
        sections.setdefault(section, {})[name] = row
    write(table, sections, sources)
    sys.exit(report())


def write(table, sections, sources):
    dense = {"separators": (",", ":")}
    print("{")
    print(f' "about": {json.dumps("Written by make.py. " + table["about"].split("; ")[-1])},')
    print(f' "date": {json.dumps(table["date"])},')
    print(f' "modes": {json.dumps(MODES)},\n "abilities": {json.dumps(ABILITIES)},\n "classes": {json.dumps(CLASSES)},')
    columns = ["mode", "context window", "most output tokens", "abilities", "pico-dollars by class", "source"]
    print(f' "columns": {json.dumps(columns)},')
    print(' "sources": [\n' + ",\n".join(json.dumps(source) for source in sources) + "\n ],")
    print(' "models": {')
    for left, (section, models) in enumerate(sorted(sections.items()), 1 - len(sections)):
        print(f"  {json.dumps(section)}: {{")
        print(",\n".join(f"{json.dumps(name)}:{json.dumps(row, **dense)}" for name, row in sorted(models.items())))
        print("  }" if left == 0 else "  },")
    print(" }\n}")


def report():
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


main()
