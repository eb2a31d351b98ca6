"""Turns measurements into the written part of docs/performance.md and its plots. Reads and writes nothing else."""

import statistics

import measure
import plot
import tables

BEGIN, END = "<!-- compare:begin (written by `make compare`) -->", "<!-- compare:end -->"
OURS = ("tollgate", "tollgate-all", "tollgate-hit", "tollgate-like")
PLOTS = {
    "cpu": "CPU per request beside the bare proxies, as a multiple of nginx's",
    "cpu-gateways": "CPU per request beside the AI gateways, as a multiple of nginx's",
    "highest": "Highest rate with a p99 under 1 ms and no failure",
    "added": "Latency added at one connection, p50 to p99",
    "memory": "Resident memory under load",
}


def disturbed(rows):
    """Says so when other processes took their part of the cores all the while."""
    rounds = [one for row in rows for ones in row["peers"].values() for one in ones]
    noisy = [one["others"] for one in rounds if one["others"] > measure.MOST_OTHERS]
    words = ""
    if noisy:
        words = (f" In {len(noisy)} of {len(rounds)} rounds other processes, or other machines on the same host, took "
                 f"more than {measure.MOST_OTHERS:.0%} of a core, {max(noisy):.0%} at most: latencies suffer, ratios less.")
    late = [one for one in rounds if not one.get("valid", True) or not one.get("calm_valid", True)]
    if late:
        words += (f" In {len(late)} of {len(rounds)} rounds the generator says that it was late itself (it shares core 1 "
                  "with the provider): their latencies are too high for every peer alike.")
    return words


def colours(result):
    """By title, always the same for the same peer."""
    order = ["direct", "nginx", "haproxy", "envoy", "litellm", "portkey", "tollgate", "tollgate-all", "dataplane",
             "tollgate-hit", "tollgate-like"]
    return {peer["title"]: plot.COLOURS[order.index(name)] for name, peer in result["peers"].items()}


def plots(result):
    """SVG texts by name; a plot without figures is left out."""
    titles = {name: peer["title"] for name, peer in result["peers"].items()}
    of, lines = colours(result), []
    for row in result["rows"]:
        base = tables.median(row["peers"].get("nginx", []), "cpu_us")
        by_title = {titles[name]: tables.median(rounds, "cpu_us") for name, rounds in row["peers"].items()
                    if name != "direct"}
        if base:
            lines.append((row["name"], {title: cpu / base for title, cpu in by_title.items() if cpu}))
    highest = [(titles[name], one["rate"], "none: p99 was over 1 ms at every rate that was tried")
               for name, one in result.get("highest", {}).items()]
    first = next((row for row in result["rows"] if row["connections"] == 1), None)
    spans = [(titles[name], tables.added(first, name, "p50_us"), tables.added(first, name, "p99_us"))
             for name in (first["peers"] if first else ()) if name != "direct"]
    memory = [(titles[name], one["loaded"], "") for name, one in result["memory"].items()]
    note = "logarithmic; left of 1 is less CPU than nginx"
    drawn = {
        "cpu": plot.dots(PLOTS["cpu"], note, without(lines, "litellm", "portkey"), of),
        "cpu-gateways": plot.dots(PLOTS["cpu-gateways"], note, without(lines, "haproxy", "envoy"), of),
        "highest": plot.bars(PLOTS["highest"], "requests a second on one core, logarithmic", highest, of),
        "added": plot.ranges(PLOTS["added"], "µs over the direct call, logarithmic; dot: p50, mark: p99", spans, of),
        "memory": plot.bars(PLOTS["memory"], "MiB, the process tree at its peak, logarithmic", memory, of),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def without(lines, *titles):
    """The same lines with some peers left out."""
    return [(label, {title: number for title, number in by_title.items() if title not in titles})
            for label, by_title in lines]


# Better is less, except for rates.
JUDGED = [("cpu_us", "CPU"), ("calm_p50_us", "p50"), ("calm_p99_us", "p99"), ("p50_us", "p50"), ("p99_us", "p99"),
          ("first_p50_us", "first token p50"), ("first_p99_us", "first token p99"), ("gap_p99_us", "gap p99")]
CLEAR = 1.03  # a smaller lead than this is noise


def where_others_lead(result):
    """Each figure in which another proxy is clearly ahead of bare Tollgate, by how much."""
    lines = []
    for row in result["rows"]:
        ours, leads = row["peers"].get("tollgate", []), []
        is_calm = any("calm_p50_us" in one for one in ours)
        for field, words in JUDGED:
            if field in ("p50_us", "p99_us") and (is_calm or row["stream"]):
                continue  # of a closed loop at its limit, or of whole streams: not a latency a client asks for
            own = tables.median(ours, field)
            others = {name: tables.median(rounds, field) for name, rounds in row["peers"].items()
                      if name not in OURS + ("direct",)}
            ahead = sorted((value, name) for name, value in others.items() if value and own and own / value > CLEAR)
            if ahead:
                leads.append(f"{words}: " + ", ".join(
                    f"{result['peers'][name]['title']} ({own / value:.2f}×)" for value, name in ahead))
        if leads:
            lines.append(f"- {row['title']}: " + "; ".join(leads) + ".")
    highest = result.get("highest", {})
    own = highest.get("tollgate", {}).get("rate")
    ahead = [(one["rate"], name) for name, one in highest.items()
             if name not in OURS + ("direct",) and own and one["rate"] / own > CLEAR]
    if ahead:
        lines.append("- highest rate at p99 < 1 ms: " + ", ".join(
            f"{result['peers'][name]['title']} ({rate / own:.2f}×)"
            for rate, name in sorted(ahead, reverse=True)) + ".")
    if "tollgate" not in result["peers"]:
        return []
    if not lines:
        return ["No other proxy is ahead of bare Tollgate by more than 3 % in any figure of this run.", ""]
    return ["Figures in which another proxy is ahead of bare Tollgate by more than 3 %, and how many times larger ours "
            "is (for the rate: theirs):", ""] + lines + [""]


def cross_check_line(result):
    """Our generator beside wrk on the same target, as the claim that it is not the bottleneck needs."""
    rates = {name: statistics.median(rates) for name, rates in result.get("cross_check", {}).items() if rates}
    if len(rates) < 2:
        return []
    (ours, own), (other, its) = rates.items()
    return [f"Cross-check on the provider alone, closed loop of 64 connections, generator and provider on one core: "
            f"{ours} {own:,.0f} requests/s (every answer's checksum verified), {other} {its:,.0f} (statuses only): "
            f"{own / its:.2f}×.", ""]


def render(result):
    """The part of the document between the markers."""
    machine = result["machine"]
    lines = [BEGIN, "",
             f"`{result['command']}` on {result['date']}: {machine['cpu']}, {machine['cores']} cores, Linux "
             f"{machine['kernel']}; load by {', '.join(result['tools'])}. Proxy on core 0, load and providers on core 1; "
             f"{result['rounds']} interleaved rounds of {result['seconds']:g} s, medians; a peer too slow to answer each "
             f"connection a few times in that has one longer round.{disturbed(result['rows'])}", ""]
    lines += tables.peers_table(result)
    lines += ["`tollgate, everything on` has, beside bare: " + "; ".join(result["features"]) + ".", ""]
    lines += cross_check_line(result)
    if "tollgate-hit" in result["peers"]:
        lines += ["`tollgate, exact hit` is bare with an exact cache: the same call again, answered from memory; streams "
                  "come at once.", ""]
    if "tollgate-like" in result["peers"]:
        lines += ["`tollgate, semantic hit` is the same with `semantic`: the kept question in other words, embedded, "
                  "found and verified in each call.", ""]
    lines += ["### At a glance", ""] + tables.glance_table(result)
    drawn = plots(result)
    for name in drawn:
        lines += [f"![{PLOTS[name]}](performance/{name}.svg)", ""]
    lines += ["### Where others are ahead", ""] + where_others_lead(result)
    lines += tables.own_costs(result)
    lines += ["### Row by row", ""]
    for row in result["rows"]:
        lines += tables.row_table(row, result)
    lines += ["### Memory", ""] + tables.memory_table(result)
    if result.get("push"):
        lines += ["### Configuration push", ""] + tables.push_line(result["push"])
    for one in result.get("profiles", []):
        lines += tables.profile_lines(one, result["rows"], result)
    return "\n".join(lines + [END])


def replace_in(document, block):
    """`document` with the part between the markers replaced by `block`, or appended."""
    before, found, rest = document.partition(BEGIN)
    if not found:
        return document.rstrip("\n") + "\n\n" + block + "\n"
    return before + block + rest.partition(END)[2]
