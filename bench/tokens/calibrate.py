#!/usr/bin/env python3
"""Fits the weights of the fast estimate to what the tokenizers count, and writes them to tables/fast.bin.

    bench/tokens/calibrate.py CORPUS.jsonl TRUTH.json FEATURES.txt

FEATURES.txt is what `cargo run --release -p tollgate-bench --example tokens features < CORPUS.jsonl` prints: for each
document, its transitions and their numbers. Only the calibration half is looked at. Needs numpy and scipy from PyPI.

With --left-out behind, writes nothing, and says how far `unknown` is off from each of its tokenizers on the test half where
it is fitted to the others alone.
"""

import json
import pathlib
import struct
import sys

import numpy
import scipy.optimize
import scipy.sparse

WEIGHTS = pathlib.Path(__file__).resolve().parents[2] / "dataplane/dialect/src/tokens/tables/fast.bin"
# In the order of `Tokenizer`; `unknown` comes last.
NAMES = ["o200k", "cl100k", "claude-3", "claude-4.7", "gemini", "llama", "qwen", "deepseek", "mistral"]
# What `unknown` is fitted to, all at once: the public vocabularies of today. A model whose name says nothing is no
# Claude and none of OpenAI's older ones.
MODERN = ["o200k", "gemini", "llama", "qwen", "deepseek", "mistral"]
CLASSES, STATES = 72, 189
FRACTIONS = 4096
# How strongly a rare transition is held to what its class is worth elsewhere.
RIDGE = 1e-5


def features(path: str):
    rows, columns, counts = [], [], []
    for row, line in enumerate(open(path)):
        for entry in line.split():
            column, count = entry.split(":")
            rows.append(row)
            columns.append(int(column))
            counts.append(int(count))
    shape = (row + 1, CLASSES * STATES)
    return scipy.sparse.csr_matrix((numpy.array(counts, float), (rows, columns)), shape=shape)


def fit(matrix, prior, importance, ridge):
    """No weight is negative: more text is never fewer tokens. Least absolute relative error, by reweighting."""
    weights = prior.copy()
    emphasis = importance.copy()
    held = ridge * len(importance)
    for iterations in (150, 60, 60):
        scaled = (scipy.sparse.diags(emphasis) @ matrix).tocsr()
        # In units in which all transitions matter alike, the search is much shorter.
        unit = 1 / numpy.sqrt(numpy.asarray(scaled.power(2).sum(axis=0)).ravel() + held)
        scaled = (scaled @ scipy.sparse.diags(unit)).tocsr()
        turned = scaled.T.tocsr()

        def loss(found):
            off = scaled @ found - emphasis
            drift = unit * found - prior
            return off @ off + held * (drift @ drift), 2 * (turned @ off) + 2 * held * unit * drift

        weights = unit * scipy.optimize.minimize(
            loss, weights / unit, jac=True, method="L-BFGS-B", bounds=scipy.optimize.Bounds(0, 15.9 / unit),
            options={"maxiter": iterations, "maxcor": 8},
        ).x
        emphasis = importance / numpy.sqrt(numpy.maximum(numpy.abs(matrix @ weights - 1), 0.01))
    return weights


def weights_of(matrix, counts, importance, ridge=RIDGE):
    relative = (scipy.sparse.diags(1 / counts) @ matrix).tocsr()
    classes = numpy.arange(CLASSES * STATES) % CLASSES
    # What a byte's class alone says is where a transition starts, and stays if it is rare.
    fold = scipy.sparse.csr_matrix((numpy.ones(len(classes)), (numpy.arange(len(classes)), classes)))
    alone = fit((relative @ fold).tocsr(), numpy.full(CLASSES, 0.25), importance, 1e-6)
    weights = alone[classes]
    seen = numpy.flatnonzero(numpy.asarray(relative.sum(axis=0)).ravel())
    weights[seen] = fit(relative[:, seen], weights[seen], importance, ridge)
    return weights


def main() -> None:
    left_out = sys.argv[4:] == ["--left-out"]
    if len(sys.argv) != 4 and not left_out:
        sys.exit(__doc__)
    documents = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
    truth = json.loads(pathlib.Path(sys.argv[2]).read_text())
    matrix = features(sys.argv[3])
    chosen = numpy.array([document["part"] == "calibrate" for document in documents])
    kinds = numpy.array([document["class"] for document in documents])[chosen]
    # Every class counts alike, whatever the number of its documents.
    importance = numpy.array([1 / numpy.sqrt((kinds == kind).sum()) for kind in kinds])
    importance /= numpy.sqrt((importance**2).mean())

    def fit_to(like):
        counts = numpy.array([count[name] for name in like for count in truth], float)
        counts = counts[numpy.tile(chosen, len(like))]
        rows = scipy.sparse.vstack([matrix[chosen]] * len(like)).tocsr()
        weights = weights_of(rows, counts, numpy.tile(importance, len(like)))
        return weights, numpy.abs(rows @ weights / counts - 1)

    if left_out:
        test = numpy.array([document["class"] for document in documents])[~chosen]
        for name in MODERN:
            weights, _ = fit_to([other for other in MODERN if other != name])
            counts = numpy.array([count[name] for count in truth], float)[~chosen]
            off = numpy.abs(matrix[~chosen] @ weights / counts - 1)
            of_kind = {kind: off[test == kind].mean() for kind in dict.fromkeys(test)}
            print(name, *(f"{kind} {mean:.1%}" for kind, mean in of_kind.items()), end=" ")
            print(f"all {numpy.mean(list(of_kind.values())):.1%}", flush=True)
        return
    fitted = []
    for name, like in [*((name, [name]) for name in NAMES), ("unknown", MODERN)]:
        weights, off = fit_to(like)
        print(f"{name}: {off.mean():.2%} on its own half", flush=True)
        fitted.append(weights)
    table = [round(weight * FRACTIONS) for weights in fitted for weight in weights]
    WEIGHTS.write_bytes(struct.pack(f"<{len(table)}H", *table))


if __name__ == "__main__":
    main()
