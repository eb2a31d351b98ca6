"""Writes what a comparison found: docs/performance.md, its plots, and the raw figures, one line for each round."""

import json
import os

import child
import report

DOCUMENT = os.path.join(child.ROOT, "docs", "performance.md")
FOLDER = os.path.join(child.ROOT, "docs", "performance")


def publish(result):
    os.makedirs(FOLDER, exist_ok=True)
    write_raw(result, os.path.join(FOLDER, "compare.json"))
    for name, svg in report.plots(result).items():
        with open(os.path.join(FOLDER, f"{name}.svg"), "w") as file:
            file.write(svg)
    with open(DOCUMENT) as file:
        document = file.read()
    with open(DOCUMENT, "w") as file:
        file.write(report.replace_in(document, report.render(result)))


def write_raw(result, path):
    with open(path, "w") as file:
        file.write(raw(result) + "\n")


def raw(value, depth=0):
    """JSON in which a map or list without maps below it takes one line, figures rounded to what they can tell."""
    if isinstance(value, float):
        return repr(round(value, 3))
    if not isinstance(value, (dict, list)) or not value:
        return json.dumps(value)
    pairs = isinstance(value, dict)
    inner = [(f"{json.dumps(key)}: " if pairs else "") + raw(below, depth + 1)
             for key, below in (value.items() if pairs else ((None, one) for one in value))]
    opening, closing = "{}" if pairs else "[]"
    if not any(isinstance(below, (dict, list)) for below in (value.values() if pairs else value)):
        return opening + ", ".join(inner) + closing
    pad = " " * (depth + 1)
    return opening + "\n" + pad + (",\n" + pad).join(inner) + "\n" + " " * depth + closing
