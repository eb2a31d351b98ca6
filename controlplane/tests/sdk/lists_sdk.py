"""Lists of files and batches through the official SDKs, unchanged: two teams that share one account each page through their
own, all of it, and so they do after restarts (`TOLLGATE_PHASE`: make, or look again at what `TOLLGATE_MADE` says was made)."""

import functools
import json
import os
import sys

import anthropic
import openai

import gate

RIVAL = os.environ["TOLLGATE_RIVAL_KEY"]
MADE = os.environ["TOLLGATE_MADE"]
MAKES = os.environ["TOLLGATE_PHASE"] == "make"
KEYS = {"mine": gate.KEY, "rival": RIVAL}
#: Of each family, by the team that has the most of them in a row.
MANY = 24
REQUEST = {"model": "sandbox-small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


@functools.cache
def gpt(who):
    return openai.OpenAI(base_url=gate.URL + "/v1", api_key=KEYS[who], max_retries=0)


@functools.cache
def claude(who):
    return anthropic.Anthropic(base_url=gate.URL, api_key=KEYS[who], max_retries=0)


#: How an object of each family is made, how all are paged through with so many to a page, and how one is asked for.
FAMILIES = {
    "files": (
        lambda who, name: gpt(who).files.create(file=(name, name.encode() * 9), purpose="batch"),
        lambda who, limit: gpt(who).files.list(limit=limit),
        lambda who, it: gpt(who).files.retrieve(it),
    ),
    "batches": (
        lambda who, name: gpt(who).batches.create(
            input_file_id=INPUTS[who], endpoint="/v1/chat/completions", completion_window="24h", metadata={"name": name}),
        lambda who, limit: gpt(who).batches.list(limit=limit),
        lambda who, it: gpt(who).batches.retrieve(it),
    ),
    "message_batches": (
        lambda who, name: claude(who).messages.batches.create(requests=[{"custom_id": name, "params": REQUEST}]),
        lambda who, limit: claude(who).messages.batches.list(limit=limit),
        lambda who, it: claude(who).messages.batches.retrieve(it),
    ),
    "anthropic_files": (
        lambda who, name: claude(who).beta.files.upload(file=(name, name.encode() * 9, "text/plain")),
        lambda who, limit: claude(who).beta.files.list(limit=limit),
        lambda who, it: claude(who).beta.files.retrieve_metadata(it),
    ),
}
INPUTS = {}


def make():
    """Objects of both teams, those of one among those of the other: by family and team the ids, the newest first."""
    made = {family: {"mine": [], "rival": []} for family in FAMILIES}
    for who in KEYS:
        INPUTS[who] = gpt(who).files.create(file=("lines.jsonl", b"{}\n"), purpose="batch").id
        made["files"][who].insert(0, INPUTS[who])
    for family, (create, _, _) in FAMILIES.items():
        # Alone at the far end, and then many in turns.
        for number in range(MANY):
            made[family]["mine"].insert(0, create("mine", f"mine-{number}").id) if number in (0, 7, 8) else None
            made[family]["rival"].insert(0, create("rival", f"rival-{number}").id)
        for number in range(MANY, MANY + 9):
            for who in ("mine", "rival", "mine"):
                made[family][who].insert(0, create(who, f"{who}-{number}-{len(made[family][who])}").id)
    gone = made["files"]["mine"].pop(4)
    assert gpt("mine").files.delete(gone).deleted
    return made


def listed(family, who, limit):
    pages = FAMILIES[family][1](who, limit)
    return [item.id for item in pages]


def check_lists():
    if MAKES:
        made = make()
        with open(MADE, "w") as file:
            json.dump(made, file)
    with open(MADE) as file:
        made = json.load(file)
    # Once a batch was listed, its output is a file of its team's.
    outputs = {who: {batch.output_file_id for batch in gpt(who).batches.list()} for who in KEYS}
    for family, by_team in made.items():
        not_found = openai.NotFoundError if family in ("files", "batches") else anthropic.NotFoundError
        for who, ids in by_team.items():
            assert len(set(ids)) == len(ids)
            more = outputs[who] if family == "files" else set()
            for limit in (3, 100) if MAKES else (7,):
                got = listed(family, who, limit)
                assert [it for it in got if it not in more] == ids, (family, who, limit, len(got), set(got) ^ set(ids))
                assert len(got) == len(ids) + len(more) and set(got) == set(ids) | more, (family, who, limit)
            other = "rival" if who == "mine" else "mine"
            gate.raises(not_found, lambda: FAMILIES[family][2](other, ids[0]))
            assert FAMILIES[family][2](who, ids[0]).id == ids[0]


def check_backwards():
    with open(MADE) as file:
        ids = json.load(file)["message_batches"]["mine"]
    pages = claude("mine").messages.batches.list(before_id=ids[-1], limit=4)
    got = []
    for page in pages.iter_pages():
        got = [item.id for item in page.data] + got
    assert got == ids[:-1], (len(got), len(ids))


gate.run(sys.modules[__name__])
