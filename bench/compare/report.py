"""Turns measurements into the tables of docs/performance.md. Reads and writes nothing else."""

import statistics

import measure

BEGIN, END = "<!-- compare:begin (written by `make compare`) -->", "<!-- compare:end -->"


def median(rounds, field):
    values = [one[field] for one in rounds if one.get(field) is not None]
    return statistics.median(values) if values else None


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def row_table(row, by_peer):
    """One row of the comparison: a line per peer, medians over its rounds, ratio to nginx."""
    streamed = any("first_p50_us" in one for rounds in by_peer.values() for one in rounds)
    head = ["peer", "CPU µs/request", "× nginx"]
    head += ["chunk delay p50 µs", "p99 µs", "first byte p50 µs", "p99 µs"] if streamed else ["p50 µs", "p99 µs"]
    head += ["requests/s", "requests", "failed"]
    lines = [f"**{row['title']}**", "", "| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    base = median(by_peer.get("nginx", []), "cpu_us")
    for peer, rounds in by_peer.items():
        cpu = median(rounds, "cpu_us")
        cells = [peer, number(cpu), number(cpu / base, 2) if cpu and base else "–"]
        fields = ["p50_us", "p99_us"] + (["first_p50_us", "first_p99_us"] if streamed else [])
        cells += [number(median(rounds, field), 0) for field in fields]
        cells += [number(median(rounds, "rate"), 0), number(sum(one["requests"] for one in rounds), 0),
                  str(sum(one["failed"] for one in rounds))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines + [""]


def memory_table(memory):
    """Resident memory by peer, process and moment, in MiB."""
    lines = ["| process | cold MiB | loaded (peak) MiB | idle after load MiB | own pages MiB |", "|---|--:|--:|--:|--:|"]
    for peer, moments in memory.items():
        for name, cold in moments["cold"].items():
            idle = moments.get("idle", {}).get(name, cold)
            cells = [cold["now"], idle["peak"], idle["now"], idle["own"]]
            lines.append(f"| {peer}: {name} | " + " | ".join(number(kib / 1024) for kib in cells) + " |")
    return lines + [""]


def idle_lines(idle):
    lines = ["| peer | idle connections | bytes each | CPU ms per idle second |", "|---|--:|--:|--:|"]
    for peer, one in idle.items():
        lines.append(f"| {peer} | {one['connections']:,} | {number(one['bytes_each'], 0)} | "
                     f"{number(one['idle_cpu_ms_per_s'])} |")
    return lines + [""]


def push_line(push):
    return [
        f"A document with {push['keys']:,} keys ({push['document_bytes'] / 1e6:.1f} MB) was in force on every shard "
        f"{number(push['first_ms'], 0)} ms after `PUT /v1/config` began, a second one that differs in one key "
        f"{number(push['one_key_ms'], 0)} ms after. Under load all the while: {push['failed']} failed requests, p99 "
        f"{number(push['p99_us_during'], 0)} µs with the pushes, {number(push['p99_us_quiet'], 0)} µs without.", ""]


def profile_lines(profile, rows):
    """Where each µs of a peer's request goes: by layer, then the ten dearest symbols."""
    row = next(row for row in rows if row["name"] == profile["row"])
    cpu = median(row["peers"][profile["peer"]], "cpu_us")
    lines = [f"**Profile: {profile['peer']}, {row['title']}**", ""]
    if profile.get("why_none"):
        return lines + [f"No profile: {profile['why_none']}", ""]
    lines += ["| layer | share | µs/request |", "|---|--:|--:|"]
    for layer, share in profile["layers"].items():
        lines.append(f"| {layer} | {share:.1f} % | {number(cpu and cpu * share / 100, 2)} |")
    dearest = ", ".join(f"`{symbol}` {share:.1f} %" for symbol, share in profile["symbols"][:10])
    return lines + ["", f"Dearest symbols: {dearest}.", ""]


def disturbed(rows):
    """Says so when other processes took their part of the cores all the while."""
    rounds = [one for row in rows for ones in row["peers"].values() for one in ones]
    noisy = [one["others"] for one in rounds if one["others"] > measure.MOST_OTHERS]
    if not noisy:
        return ""
    return (f" In {len(noisy)} of {len(rounds)} rounds other processes took more than "
            f"{measure.MOST_OTHERS:.0%} of a core, {max(noisy):.0%} at most: latencies suffer, ratios less.")


def render(result):
    """The part of the document between the markers."""
    machine = result["machine"]
    lines = [BEGIN, "",
             f"`{result['command']}` on {result['date']}: {machine['cpu']}, {machine['cores']} cores, Linux "
             f"{machine['kernel']}. {', '.join(result['versions'])}. Proxy on core 0; load and providers on core 1; "
             f"{result['rounds']} interleaved rounds of {result['seconds']} s, medians."
             f"{disturbed(result['rows'])}", ""]
    for row in result["rows"]:
        lines += row_table(row, row["peers"])
    if result.get("memory"):
        lines += ["**Memory**", ""] + memory_table(result["memory"])
    if result.get("idle"):
        lines += ["**Idle connections** (each had one call answered)", ""] + idle_lines(result["idle"])
    if result.get("push"):
        lines += ["**Configuration push**", ""] + push_line(result["push"])
    for one in result.get("profiles", []):
        lines += profile_lines(one, result["rows"])
    return "\n".join(lines + [END])


def replace_in(document, block):
    """`document` with the part between the markers replaced by `block`, or appended."""
    before, found, rest = document.partition(BEGIN)
    if not found:
        return document.rstrip("\n") + "\n\n" + block + "\n"
    return before + block + rest.partition(END)[2]
