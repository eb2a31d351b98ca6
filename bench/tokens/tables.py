#!/usr/bin/env python3
"""Makes the tables of dataplane/dialect/src/tokens/tables from the published vocabularies and from Unicode.

    bench/tokens/tables.py o200k_base.tiktoken cl100k_base.tiktoken

The vocabularies are those that OpenAI publishes with tiktoken (MIT); each is held to the SHA-256 that tiktoken itself
demands. Needs `regex` from PyPI for the general categories.
"""

import base64
import hashlib
import pathlib
import struct
import sys

import regex

TABLES = pathlib.Path(__file__).resolve().parents[2] / "dataplane/dialect/src/tokens/tables"
SHA256 = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
MASK = (1 << 64) - 1
# The same as in ranks.rs.
KEYS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0x8CB92BA72F3D8DD7)
RANK_BITS = 18
LOAD = 0.85
# Behind the last home slot, so that a probe needs no wrap-around.
SLACK = 64


def fold(one: int, two: int) -> int:
    product = one * two
    return (product & MASK) ^ (product >> 64)


def word(piece: bytes) -> int:
    return int.from_bytes(piece, "little")


def hash_of(piece: bytes) -> int:
    size = len(piece)
    if size >= 8:
        first, last = word(piece[:8]), word(piece[-8:])
    elif size >= 4:
        first, last = word(piece[:4]), word(piece[-4:])
    else:
        first, last = piece[0] | piece[size // 2] << 8 | piece[-1] << 16, 0
    mixed = fold(first ^ KEYS[0], last ^ KEYS[1])
    at = 8
    while at + 8 < size:
        mixed = fold(mixed ^ word(piece[at : at + 8]), KEYS[2])
        at += 8
    return fold(mixed ^ size, KEYS[2])


def ranks(path: pathlib.Path) -> bytes:
    text = path.read_bytes()
    found = hashlib.sha256(text).hexdigest()
    assert found == SHA256[path.stem], f"{path}: SHA-256 {found}, wanted {SHA256[path.stem]}"
    low = (1 << RANK_BITS) - 1
    lines = (line.split() for line in text.splitlines())
    tokens = {base64.b64decode(token): int(rank) for token, rank in lines}
    # Merging begins with pairs of bytes: they have a table of their own, three bytes a rank.
    pairs = bytearray(b"\xff" * (3 << 16))
    for token, rank in tokens.items():
        if len(token) == 2:
            at = 3 * (token[0] << 8 | token[1])
            pairs[at : at + 3] = rank.to_bytes(3, "little")
    entries = sorted((hash_of(token) & ~low) | rank for token, rank in tokens.items())
    assert len({entry >> RANK_BITS for entry in entries}) == len(entries), "two tokens have one fingerprint"
    assert entries[0] > 0
    slots = round(len(entries) / LOAD)
    table = [0] * (slots + SLACK)
    at = -1
    for entry in entries:
        at = max(at + 1, ((entry >> RANK_BITS << RANK_BITS) * slots) >> 64)
        table[at] = entry
    assert table[-1] == 0, "more slack is needed"
    return bytes(pairs) + struct.pack(f"<{len(table)}Q", *table)


SPACES = {9, 11, 12, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
CLASSES = [(3, r"\p{N}"), (4, r"[\p{Lu}\p{Lt}]"), (5, r"\p{Ll}"), (6, r"[\p{Lm}\p{Lo}]"), (7, r"\p{M}")]


def class_of(code: int) -> int:
    if 0xD800 <= code <= 0xDFFF:
        return 0
    if code in (10, 13):
        return 2
    if code in SPACES:
        return 1
    return next((number for number, pattern in CLASSES if regex.match(pattern, chr(code))), 0)


def classes() -> bytes:
    block = 128
    every = bytes(class_of(code) for code in range(0x110000))
    blocks: dict[bytes, int] = {}
    index = [blocks.setdefault(every[at : at + block], len(blocks)) for at in range(0, len(every), block)]
    assert len(blocks) <= 256
    return bytes(index) + b"".join(blocks)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    TABLES.mkdir(exist_ok=True)
    (TABLES / "classes.bin").write_bytes(classes())
    for path in map(pathlib.Path, sys.argv[1:]):
        (TABLES / f"{path.stem}.bin").write_bytes(ranks(path))
