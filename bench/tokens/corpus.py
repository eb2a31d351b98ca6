#!/usr/bin/env python3
"""Collects the texts that token estimates are calibrated and tested on, from what lies on a Debian machine.

    bench/tokens/corpus.py OUT.jsonl [--deb DIR] [--data DIR]

Writes one JSON object a line: {"class", "part": "calibrate" | "test", "from", "text"}. A source (a package, a document, a
language's catalogue) is in one part only, by the hash of its name, so that a test text is never a neighbour of a
calibration text. DIR of --deb holds unpacked packages (`dpkg-deb -x`): debian-reference-*, maint-guide-*, debian-faq-*,
developers-reference-ru, fortunes*. DIR of --data holds pairs/pairs.jsonl and routing/graded.jsonl. Nothing is committed.
"""

import argparse
import base64
import csv
import gettext
import glob
import gzip
import hashlib
import html
import io
import json
import os
import pathlib
import random
import re
import sys

CLASSES = {
    # class: (documents at most, bytes of a document at least, at most)
    "prose-en": (900, 300, 12_000),
    "prose-latin": (900, 300, 12_000),
    "prose-cyrillic": (500, 300, 12_000),
    "cjk": (900, 300, 12_000),
    "other-scripts": (700, 300, 12_000),
    "code": (1_600, 300, 16_000),
    "json": (700, 300, 16_000),
    "markup": (800, 300, 16_000),
    "data": (500, 300, 8_000),
    "prompts": (1_600, 20, 4_000),
}
HOME = pathlib.Path.home()
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def part_of(source: str) -> str:
    return "test" if hash_of("part " + source) % 2 else "calibrate"


def read(path: str) -> str:
    try:
        raw = gzip.open(path).read() if path.endswith(".gz") else pathlib.Path(path).read_bytes()
        return raw[:4_000_000].decode()
    except (OSError, UnicodeDecodeError):
        return ""


class Corpus:
    def __init__(self) -> None:
        self.documents: dict[str, list[dict]] = {name: [] for name in CLASSES}

    def add(self, kind: str, source: str, text: str, windows: int = 1, whole: bool = False) -> None:
        _, least, most = CLASSES[kind]
        chance = random.Random(hash_of(source + text[:200]))
        if whole:
            self.keep(kind, source, text[:most])
            return
        for _ in range(windows):
            # Sizes are spread evenly over their logarithm: prompts are short and long.
            size = int(least * (most / least) ** chance.random())
            begin = chance.randrange(max(1, len(text) - size))
            if begin:
                begin = text.find("\n", begin) + 1
            piece = text[begin : begin + size]
            self.keep(kind, source, piece[: piece.rfind("\n") + 1] or piece)

    def keep(self, kind: str, source: str, text: str) -> None:
        if len(text.encode()) >= CLASSES[kind][1]:
            self.documents[kind].append({"class": kind, "part": part_of(source), "from": source, "text": text})

    def chosen(self):
        for kind, documents in self.documents.items():
            seen, count, taken = set(), {}, 0
            for document in sorted(documents, key=lambda d: hash_of(d["from"] + d["text"])):
                # No source may be more than a twelfth of its class, but for the classes of few sources.
                share = CLASSES[kind][0] // (12 if kind in ("code", "json", "markup", "prose-en") else 3)
                if document["text"] in seen or taken >= CLASSES[kind][0] or count.get(document["from"], 0) >= share:
                    continue
                seen.add(document["text"])
                count[document["from"]] = count.get(document["from"], 0) + 1
                taken += 1
                yield document


def package(path: str) -> str:
    """The package or crate that a file belongs to."""
    found = re.search(r"(?:site-packages|registry/src/[^/]+|share/doc|include|node_modules|python3[^/]*)/([^/]+)", path)
    return found.group(1) if found else os.path.dirname(path)


LATIN = "de fr es it pt pt_BR nl pl cs sv tr vi hu ro fi id hr da ca".split()
CYRILLIC = "ru uk bg sr".split()
CJK = "zh_CN zh_TW ja ko".split()
OTHER = "ar fa he hi bn ta th el mr te ka hy ml gu kn pa".split()


def catalogues(corpus: Corpus) -> None:
    kinds = [("prose-latin", LATIN), ("prose-cyrillic", CYRILLIC), ("cjk", CJK), ("other-scripts", OTHER)]
    for kind, languages in kinds:
        for language in languages:
            for path in sorted(glob.glob(f"/usr/share/locale/{language}/LC_MESSAGES/*.mo")):
                try:
                    catalogue = gettext.GNUTranslations(open(path, "rb"))
                except (OSError, UnicodeDecodeError, ValueError):
                    continue
                # Without what was left in English.
                texts = [text for key, text in catalogue._catalog.items() if key and text != key and len(text) > 20]
                windows = 6 if kind == "other-scripts" else 1
                corpus.add(kind, f"mo {language} {os.path.basename(path)}", "\n".join(texts), windows)


def debian(corpus: Corpus, folder: str) -> None:
    kinds = {"en": "prose-en", "ja": "cjk", "zh-cn": "cjk", "zh-tw": "cjk", "ko": "cjk", "ru": "prose-cyrillic"}
    for path in sorted(glob.glob(f"{folder}/**/*.txt.gz", recursive=True)):
        language = re.search(r"\.([a-z-]+)\.txt\.gz$", path)
        language = language.group(1) if language else "ru"
        text = read(path)
        # A chapter's worth each is a source of its own.
        for at in range(0, len(text), 40_000):
            source = f"{os.path.basename(path)} {at // 40_000}"
            corpus.add(kinds.get(language, "prose-latin"), source, text[at : at + 40_000], 4)
    for path in sorted(glob.glob(f"{folder}/usr/share/games/fortunes/**/*", recursive=True)):
        if not os.path.isfile(path) or path.endswith((".dat", ".u8")):
            continue
        language = re.search(r"fortunes/(?:off/)?([a-z]{2})(?:/|$)", path)
        name = os.path.basename(path)
        language = language.group(1) if language else {"chinese": "zh", "tang300": "zh", "song100": "zh"}.get(name, "en")
        kind = {"ru": "prose-cyrillic", "bg": "prose-cyrillic", "zh": "cjk", "en": "prose-en"}.get(language, "prose-latin")
        corpus.add(kind, f"fortunes {language} {name}", read(path), 8)
    for path in sorted(glob.glob(f"{folder}/**/*.html", recursive=True)):
        corpus.add("markup", f"html {path.split('/')[-2]}", read(path), 1)


def prose(corpus: Corpus) -> None:
    for path in sorted(glob.glob("/usr/share/common-licenses/*") + glob.glob("/usr/share/doc/*/README*")):
        corpus.add("prose-en", package(path), read(path), 2)
    for path in sorted(glob.glob("/usr/share/doc/*/NEWS*") + glob.glob("/usr/share/doc/*/*.txt*")):
        corpus.add("prose-en", package(path), read(path), 1)
    for path in sorted(glob.glob(f"{HOME}/.cargo/registry/src/*/*/README.md") + glob.glob("/usr/share/doc/**/*.md", recursive=True)):
        corpus.add("markup", package(path), read(path), 1)
    for path in sorted(glob.glob("/usr/share/doc/**/*.html", recursive=True))[:400]:
        corpus.add("markup", package(path), read(path), 1)
    for path in sorted(glob.glob("/usr/share/man/man[1578]/*.gz"))[::8]:
        corpus.add("markup", os.path.basename(path), read(path), 1)
    for suffix in ("xml", "svg", "toml", "yml", "yaml", "css"):
        paths = glob.glob(f"/usr/share/**/*.{suffix}", recursive=True) + glob.glob(f"{HOME}/.cargo/registry/src/*/*/*.{suffix}")
        for path in sorted(paths)[:150]:
            corpus.add("markup", package(path), read(path), 1)


def code(corpus: Corpus, packages: list[str]) -> None:
    globs = [f"{folder}/**/*.py" for folder in packages] + [
        "/usr/lib/python3*/**/*.py",
        f"{HOME}/.cargo/registry/src/*/*/src/**/*.rs",
        "/usr/include/**/*.h",
        f"{HOME}/.cargo/registry/src/*/*/**/*.c",
        "/usr/lib/node_modules/**/*.js",
        "/usr/lib/node_modules/**/*.ts",
        "/usr/share/**/*.js",
        "/usr/share/**/*.pl",
        "/usr/share/perl/**/*.pm",
        "/usr/share/**/*.sh",
        "/usr/share/doc/**/*.go",
        "/usr/share/vim/**/*.vim",
        "/usr/share/**/*.sql",
    ]
    for pattern in globs:
        paths = sorted(glob.glob(pattern, recursive=True), key=hash_of)[:350]
        for path in paths:
            corpus.add("code", package(path), read(path), 1)


def objects(corpus: Corpus, packages: list[str], data: str | None) -> None:
    paths = []
    for folder in [*packages, "/usr/share", "/usr/lib/node_modules"]:
        paths += sorted(glob.glob(f"{folder}/**/*.json", recursive=True), key=hash_of)[:250]
        paths += sorted(glob.glob(f"{folder}/**/*.json.gz", recursive=True), key=hash_of)[:250]
    for path in paths:
        text = read(path)
        # Large packages of many services: each folder is a source.
        source = "/".join(path.split("/")[-3:-1])
        corpus.add("json", source, text, 1)
        try:
            value = json.loads(text)
        except ValueError:
            continue
        # The same values as APIs and tools write them: on one line, and spread.
        compact = json.dumps(value, ensure_ascii=False)[:400_000]
        corpus.add("json", source, compact.replace('}, {"', '},\n{"'), 1)
        corpus.add("json", source, json.dumps(value, indent=2)[:400_000], 1)
    if data:
        text = read(f"{data}/model_prices.json")
        corpus.add("json", "model_prices", text, 12)


def rows(corpus: Corpus) -> None:
    """Logs, tables, numbers, hexadecimal and base64."""
    for path in sorted(glob.glob("/var/log/*.log") + glob.glob("/var/log/apt/*.log")):
        corpus.add("data", path, read(path), 25)
    for path in sorted(glob.glob("/etc/ssl/certs/*.pem"))[:120]:
        corpus.add("data", f"certificate {path}", read(path), 1)
    for path in sorted(glob.glob(f"{HOME}/.cargo/registry/src/*/*/Cargo.lock"))[:120]:
        corpus.add("data", package(path), read(path), 1)
    for path in sorted(glob.glob("/var/lib/dpkg/info/*.md5sums"))[:60] + sorted(glob.glob("/var/lib/dpkg/info/*.list"))[:60]:
        corpus.add("data", path, read(path), 1)
    for path in sorted(glob.glob("/usr/share/**/*.csv", recursive=True) + glob.glob("/usr/share/**/*.tab", recursive=True))[:80]:
        corpus.add("data", path, read(path), 1)
    for seed in range(80):
        chance = random.Random(seed)
        if seed % 4 == 0:
            corpus.add("data", f"base64 {seed}", base64.b64encode(chance.randbytes(6_000)).decode())
        elif seed % 4 == 1:
            corpus.add("data", f"hex {seed}", chance.randbytes(4_000).hex())
        else:
            out = io.StringIO()
            table = csv.writer(out)
            table.writerow(["time", "host", "status", "bytes", "latency_ms", "share"])
            for row in range(200):
                host = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"
                stamp = f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T{chance.randrange(24):02}:{row % 60:02}:00Z"
                table.writerow([stamp, host, chance.choice([200, 200, 404, 503]), chance.randrange(10**6),
                                round(chance.expovariate(0.02), chance.randrange(4)), round(chance.random(), 4)])
            corpus.add("data", f"table {seed}", out.getvalue())


def prompts(corpus: Corpus, data: str | None) -> None:
    if not data:
        return
    for line in open(f"{data}/routing/graded.jsonl", encoding="utf-8"):
        prompt = json.loads(line)
        corpus.add("prompts", f"graded {prompt['prompt'][:60]}", prompt["prompt"], whole=True)
    for line in open(f"{data}/pairs/pairs.jsonl", encoding="utf-8"):
        pair = json.loads(line)
        if pair["kind"] in ("paws", "stsb"):
            corpus.add("prompts", f"pair {pair['a'][:40]}", pair["a"], whole=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("out")
    arguments.add_argument("--deb")
    arguments.add_argument("--data")
    arguments.add_argument("--packages", nargs="*", default=sys.path[-1:])
    arguments = arguments.parse_args()
    corpus = Corpus()
    catalogues(corpus)
    prose(corpus)
    if arguments.deb:
        debian(corpus, arguments.deb)
    code(corpus, arguments.packages)
    objects(corpus, arguments.packages, arguments.data)
    rows(corpus)
    prompts(corpus, arguments.data)
    with open(arguments.out, "w", encoding="utf-8") as out:
        for document in corpus.chosen():
            out.write(json.dumps(document, ensure_ascii=False) + "\n")
