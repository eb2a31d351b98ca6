"""Tables of the report, in Markdown: one function each, numbers in, lines out."""

import statistics


def median(rounds, field):
    values = [one[field] for one in rounds if one.get(field) is not None]
    return statistics.median(values) if values else None


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def ratio(value, base):
    return number(value / base, 2) if value and base else "–"


def added(row, peer, field):
    """What a peer adds to the direct call's median of a field."""
    of_peer, of_direct = (median(row["peers"].get(name, []), field) for name in (peer, "direct"))
    return None if of_peer is None or of_direct is None else of_peer - of_direct


def failed(rounds):
    return sum(one["failed"] + one.get("calm_failed", 0) for one in rounds)


def latency_fields(row):
    """The fields that tell a row's latency: of the first token, at a calm rate, or of the closed loop."""
    rounds = [one for rounds in row["peers"].values() for one in rounds]
    for fields in (("first_p50_us", "first_p99_us"), ("calm_p50_us", "calm_p99_us")):
        if any(fields[0] in one for one in rounds):
            return fields
    return "p50_us", "p99_us"


def between_fields(row):
    """What tells how evenly a stream's chunks come: the generator's gaps, or the mock's delays; and its name."""
    has_gaps = any("gap_p99_us" in one for rounds in row["peers"].values() for one in rounds)
    return ("gap_p99_us", "gap between tokens") if has_gaps else ("p99_us", "chunk delay")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows] + [""]


def peers_table(result):
    """Who took part, in which version, and who is absent and why."""
    lines = [[one["title"], one["version"] or "–"] for one in result["peers"].values()]
    lines += [[one["title"], f"ABSENT: {one['reason']}"] for one in result["absent"].values()]
    return [line.replace("--:", "---") for line in table(["peer", "version"], lines)]


def row_table(row, result):
    """One row of the comparison: a line per peer, medians over its rounds."""
    first, tail = latency_fields(row)
    unit = "stream" if row["stream"] else "request"
    head = ["peer", f"CPU µs/{unit}", "× nginx"]
    gap, delay = between_fields(row)
    head += ["added to first token p50 µs", "added p99 µs", f"added {delay} p99 µs"] if row["stream"] \
        else ["added p50 µs", "added p99 µs", "requests/s", "p99 then, ms"]
    head += [f"{unit}s", "RSS MiB", "failed"]
    base, lines = median(row["peers"].get("nginx", []), "cpu_us"), []
    for name, rounds in row["peers"].items():
        cpu = median(rounds, "cpu_us")
        cells = [result["peers"][name]["title"], number(cpu), ratio(cpu, base)]
        if name == "direct":
            cells += [f"({number(median(rounds, field), 0)} in all)" for field in (first, tail)]
        else:
            cells += [number(added(row, name, field), 0) for field in (first, tail)]
        if row["stream"]:
            cells.append(f"({number(median(rounds, gap), 0)} in all)" if name == "direct"
                         else number(added(row, name, gap), 0))
        else:
            cells += [number(median(rounds, "rate"), 0), number((median(rounds, "p99_us") or 0) / 1000, 2)]
        cells += [number(sum(one["requests"] for one in rounds), 0), number(median(rounds, "rss_mib"), 0)]
        cells.append(str(failed(rounds)))
        lines.append(cells)
    out = [f"**{row['title'][0].upper()}{row['title'][1:]}**", ""] + table(head, lines)
    out += calm_note(row, result)
    for name, reason in row["left_out"].items():
        out += [f"{result['peers'][name]['title']} is left out of this row: {reason}.", ""]
    return out + idle_note(row, result)


def calm_note(row, result):
    """Says at which rate latency was measured, and for whom at another."""
    rates = {name: median(rounds, "calm_rate") for name, rounds in row["peers"].items()}
    rates = {name: rate for name, rate in rates.items() if rate}
    if not rates:
        return ["Latencies of a closed loop.", ""] if not row["stream"] else []
    usual = max(rates.values())
    others = [f"{result['peers'][name]['title']} at {number(rate, 0)}/s" for name, rate in rates.items()
              if rate < usual]
    slower = f" ({', '.join(others)}, as it cannot hold that)" if others else ""
    return [f"Added latency at {number(usual, 0)} requests/s in open loop{slower}; requests/s and the p99 beside it, in "
            "a closed loop.", ""]


def idle_note(row, result):
    """Says who did not keep the idle connections of this row."""
    notes = []
    for name, rounds in row["peers"].items():
        kept = [one["idle_standing"] for one in rounds if "idle_standing" in one]
        opened = [one["idle_opened"] for one in rounds if "idle_opened" in one]
        if kept and (min(kept) < 2048 or min(opened) < 2048):
            notes.append(f"{result['peers'][name]['title']} had {min(opened):,} of 2,048 idle connections when a round "
                         f"began, and {min(kept):,} at its end.")
    return [" ".join(notes), ""] if notes else []


def glance_table(result):
    """All rows at once: CPU per request, the highest rate, failures."""
    columns = [row for row in result["rows"] if not row["stream"]] + [row for row in result["rows"] if row["stream"]]
    head = ["CPU µs/request"] + [row["name"] for row in columns] + ["highest rate at p99 < 1 ms", "failed in all"]
    lines = []
    for name, peer in result["peers"].items():
        rounds = [one for row in result["rows"] for one in row["peers"].get(name, [])]
        highest = result.get("highest", {}).get(name)
        lines.append([peer["title"]] + [number(median(row["peers"].get(name, []), "cpu_us")) for row in columns]
                     + [highest_words(highest), str(failed(rounds))])
    lines += [[one["title"]] + ["absent"] * (len(head) - 1) for one in result["absent"].values()]
    return table(head, lines)


# CPU of a request beside the same row's of bare Tollgate: by peer, and at most what is aimed at, if anything.
GOALS = {"tollgate-all": 1.3, "tollgate-hit": 0.6, "tollgate-like": None}


def own_costs(result):
    """What Tollgate's own features cost and save: each row's CPU as a multiple of bare Tollgate's, and whether that is
    what was aimed at."""
    peers = [name for name in GOALS if name in result["peers"]]
    if "tollgate" not in result["peers"] or not peers:
        return []
    cpu = {row["name"]: {name: median(row["peers"].get(name, []), "cpu_us") for name in ["tollgate"] + peers}
           for row in result["rows"]}
    times = {name: {row: of[name] / of["tollgate"] for row, of in cpu.items() if of[name] and of["tollgate"]}
             for name in peers}
    head = ["CPU, × bare Tollgate"] + list(cpu)
    lines = [[result["peers"][name]["title"]] + [number(times[name].get(row), 2) for row in cpu] for name in peers]
    said = [goal_words(result["peers"][name]["title"], GOALS[name], times[name]) for name in peers
            if times[name] and GOALS[name]]
    return ["### Beside bare Tollgate", ""] + table(head, lines) + [line for one in said for line in (one, "")]


def goal_words(title, goal, times):
    """Where a goal is met and where it is missed, in the figures as they are told."""
    missed = {row: ratio for row, ratio in times.items() if round(ratio, 2) > goal}
    words = f"Aimed at for `{title}`: at most {goal:.2f}× bare. "
    if not missed:
        return words + f"Met in every row; at most {max(times.values()):.2f}×."
    told = ", ".join(f"{row} ({ratio:.2f}×)" for row, ratio in missed.items())
    met = [row for row in times if row not in missed]
    return words + f"Missed in {told}; " + (f"met in {', '.join(met)}." if met else "met in no row.")


def highest_words(one):
    if one is None:
        return "–"
    return f"{one['rate']:,.0f}/s" if one["rate"] else "none"


def memory_table(result):
    """Resident memory of each tree, and what each idle connection costs."""
    lines = []
    for name, one in result["memory"].items():
        idle = result.get("idle", {}).get(name)
        cells = [result["peers"][name]["title"]] + [number(one[moment]) for moment in ("cold", "idle", "loaded")]
        if idle:
            kept = "" if idle["standing"] == idle["connections"] else f" ({idle['standing']:,} kept)"
            cells += [f"{idle['connections']:,}{kept}", number(idle["bytes_each"], 0), number(idle["cpu_ms_per_s"])]
        lines.append(cells + ["–"] * (7 - len(cells)))
    trees = [f"{result['peers'][name]['title']}: " + ", ".join(f"`{one}` {number(mib)}" for one, mib in parts.items())
             for name, parts in result.get("processes", {}).items() if len(parts) > 1]
    fewer = [f"{result['peers'][name]['title']} has fewer idle connections: {one['why_fewer']}."
             for name, one in result.get("idle", {}).items() if one["why_fewer"]]
    told = [" ".join(fewer), ""] if fewer else []
    told += [f"By process, idle after load, in MiB. {'; '.join(trees)}.", ""] if trees else []
    return table(["peer", "RSS cold MiB", "idle after load MiB", "loaded (peak) MiB", "idle connections", "bytes each",
                  "CPU ms per idle second"], lines) + told


def push_line(push):
    return [
        f"A document with {push['keys']:,} keys ({push['document_bytes'] / 1e6:.1f} MB) was in force on every shard "
        f"{number(push['first_ms'], 0)} ms after `PUT /v1/config` began, a second one that differs in one key "
        f"{number(push['one_key_ms'], 0)} ms after. Under load all the while: {push['failed']} failed requests, p99 "
        f"{number(push['p99_us_during'], 0)} µs with the pushes, {number(push['p99_us_quiet'], 0)} µs without.", ""]


def profile_lines(profile, rows, result):
    """Where each µs of a peer's request goes: by layer, then the ten dearest symbols."""
    row = next(row for row in rows if row["name"] == profile["row"])
    cpu = median(row["peers"].get(profile["peer"], []), "cpu_us")
    lines = [f"**Profile: {result['peers'][profile['peer']]['title']}, {row['title']}**", ""]
    if profile.get("why_none"):
        return lines + [f"No profile: {profile['why_none']}", ""]
    lines += table(["layer", "share", "µs/request"], [
        [layer, f"{share:.1f} %", number(cpu and cpu * share / 100, 2)] for layer, share in profile["layers"].items()])
    dearest = ", ".join(f"`{symbol}` {share:.1f} %" for symbol, share in profile["symbols"][:10])
    return lines + [f"Dearest symbols: {dearest}.", ""]
