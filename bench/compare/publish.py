"""Writes what a comparison found: docs/performance.md, its plots, and the raw figures, one line for each round."""

import json
import os

import child
import measurements
import report

DOCUMENT = os.path.join(child.ROOT, "docs", "performance.md")
FOLDER = os.path.join(child.ROOT, "docs", "performance")


def publish(result):
    os.makedirs(FOLDER, exist_ok=True)
    write_raw(result, os.path.join(FOLDER, "compare.json"))
    planned = measurements.documents(result)
    if planned:
        with open(os.path.join(FOLDER, "measurements.json"), "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(rounded(one)) for one in planned) + "\n]\n")
    for name, svg in report.plots(result).items():
        with open(os.path.join(FOLDER, f"{name}.svg"), "w") as file:
            file.write(svg)
    with open(DOCUMENT) as file:
        document = file.read()
    with open(DOCUMENT, "w") as file:
        file.write(report.replace_in(document, report.render(result)))


def write_raw(result, path):
    with open(path, "w") as file:
        file.write(raw(without_reports(result)) + "\n")


def without_reports(result):
    """The generator's own reports of each round are the planner's, and too long for a line."""
    rows = [{**row, "peers": {name: [{key: value for key, value in one.items() if key != "report"} for one in rounds]
                              for name, rounds in row["peers"].items()}} for row in result["rows"]]
    return {**result, "rows": rows}


def rounded(value):
    """Figures cut to what they can tell."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(below) for key, below in value.items()}
    return [rounded(below) for below in value] if isinstance(value, list) else value


def raw(value, depth=0):
    """JSON in which a map or list without maps below it takes one line."""
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
