#!/usr/bin/env python3
"""Measures the estimates on the test half of the corpus, and prints the tables of docs/src/tokens.md.

    bench/tokens/measure.py CORPUS.jsonl TRUTH.json PATH-OF-THE-EXAMPLE

The example is target/release/examples/tokens. An error is that of one document: |estimated - counted| / counted.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

NAMES = ["o200k", "cl100k", "claude-3", "claude-4.7", "gemini", "llama", "qwen", "deepseek", "mistral", "unknown"]
# Counted by a vocabulary: its own, or a sibling's.
COUNTED = ["o200k", "cl100k", "gemini", "llama", "qwen", "deepseek", "mistral"]
# No model of these has a name that says nothing.
CLAUDE = ("claude-3", "claude-4.7")
WHOLE = 1 << 30


def counted(example: str, corpus: str, name: str, exact_bytes: int) -> list[int]:
    with open(corpus, "rb") as texts:
        out = subprocess.run([example, "count", name, str(exact_bytes)], stdin=texts, capture_output=True, check=True)
    return [int(line) for line in out.stdout.split()]


def best(counts: list[int]) -> int:
    """The one number that is nearest to all these counts of one text: no estimate without knowing the tokenizer errs less."""
    return min(counts, key=lambda said: sum(abs(said - count) / count for count in counts))


def long_prompts(documents: list[dict], truth: list[dict]) -> tuple[list[dict], list[dict]]:
    """Documents of one class of the test half, one behind the other, until they are 64 KiB."""
    prompts, counts = [], []
    under_way: dict[str, tuple[str, dict]] = {}
    for document, count in zip(documents, truth):
        if document["part"] != "test":
            continue
        text, so_far = under_way.pop(document["class"], ("", dict.fromkeys(count, 0)))
        text += document["text"] + "\n\n"
        # A token for the empty line.
        so_far = {name: so_far[name] + count[name] + 1 for name in count}
        if len(text.encode()) < 64 * 1024:
            under_way[document["class"]] = text, so_far
        else:
            prompts.append({**document, "text": text})
            counts.append(so_far)
    return prompts, counts


class Table:
    def __init__(self, documents: list[dict], truth: list[dict]) -> None:
        self.documents, self.truth = documents, truth
        self.kinds = list(dict.fromkeys(document["class"] for document in documents))
        head = ["tokenizer", *self.kinds, "all", "p95", "sum"]
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))

    def row(self, label: str, name: str, counts: list[int], at_least: int = 0, apart: tuple[str, ...] = ()) -> None:
        off: dict[str, list[float]] = {kind: [] for kind in self.kinds}
        every, said, was = [], 0, 0
        for document, truth, count in zip(self.documents, self.truth, counts):
            if document["part"] != "test" or len(document["text"].encode()) < at_least:
                continue
            # Nothing is known of an unknown tokenizer: each of the others is what it might be.
            might_be = [name] if name in truth else [other for other in truth if other not in apart]
            for right in (truth[each] for each in might_be):
                off[document["class"]].append(abs(count - right) / right)
                every.append(off[document["class"]][-1])
                said, was = said + count, was + right
        means = [sum(errors) / len(errors) if errors else None for errors in off.values()]
        known = [mean for mean in means if mean is not None]
        worst = sorted(every)[int(len(every) * 0.95)]
        cells = ["–" if mean is None else f"{mean:.1%}" for mean in means]
        # Classes weigh alike: the corpus has no mixture that would be anybody's traffic.
        print(f"| {label} | " + " | ".join(cells) + f" | **{sum(known) / len(known):.1%}** | {worst:.1%} | {said / was - 1:+.1%} |")


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    corpus, truth, example = sys.argv[1:]
    documents = [json.loads(line) for line in open(corpus, encoding="utf-8")]
    truth = json.loads(pathlib.Path(truth).read_text())

    print("\nCounted by the vocabulary:\n")
    table = Table(documents, truth)
    for name in ("o200k", "cl100k"):
        table.row(name, name, counted(example, corpus, name, WHOLE))
    print("\nWith the default budget, 16 KiB:\n")
    table = Table(documents, truth)
    for name in COUNTED:
        table.row(name, name, counted(example, corpus, name, 16 * 1024))
    print("\nThe first 2 KiB counted, the rest estimated and corrected by them (documents of 8 KiB and more):\n")
    table = Table(documents, truth)
    for name in COUNTED:
        table.row(name, name, counted(example, corpus, name, 2_048), at_least=8_192)
    print("\nPrompts of 64 KiB with the default budget, made of documents one behind the other:\n")
    prompts, counts = long_prompts(documents, truth)
    table = Table(prompts, counts)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as file:
        file.writelines(json.dumps(prompt) + "\n" for prompt in prompts)
        file.flush()
        for name in COUNTED:
            table.row(name, name, counted(example, file.name, name, 16 * 1024))
    print("\nEstimated only:\n")
    table = Table(documents, truth)
    for name in NAMES:
        table.row(name, name, counted(example, corpus, name, 0))
    table.row("unknown, but for Claude", "unknown", counted(example, corpus, "unknown", 0), apart=CLAUDE)
    table.row("unknown, the best there could be", "unknown", [best(list(counts.values())) for counts in truth])
    print("\nBytes by four, for comparison:\n")
    table = Table(documents, truth)
    for name in NAMES[:-1]:
        table.row(name, name, [len(document["text"].encode()) / 4 for document in documents])


if __name__ == "__main__":
    main()
