"""The highest rate that a peer holds with a p99 under 1 ms and no failed request."""

from rows import Row

P99_BOUND_US = 1000
ROW = Row("highest", "highest rate")
HALVINGS = 6
TRIES = 2  # a probe that fails is tried again: one stall of the machine is not the peer's
SENT_SHARE = 0.97


def highest_rate(generator, peer, seconds):
    """{"rate", "p99_us"}, and `by`: in open loop by halving, else from a closed loop of ever more connections."""
    if generator.has_open_loop:
        return by_halving(generator, peer, seconds)
    return by_connections(generator, peer, seconds)


def by_halving(generator, peer, seconds):
    """Halves the span between what was held and what was not, below what the closed loop reached."""
    most = generator.closed(peer, ROW, seconds)["rate"]
    held, missed, best = 0.0, most, {"rate": 0.0, "p99_us": None, "by": "open loop"}
    probe = min(most / 2, 200.0)  # who misses this, misses all
    for _ in range(HALVINGS + 1):
        one = holds(generator, peer, seconds, probe)
        if one:
            held, best = probe, {"rate": one["rate"], "p99_us": one["p99_us"], "by": "open loop"}
        else:
            missed = probe
        if missed <= 25:
            break
        probe = (held + missed) / 2
    return best


def holds(generator, peer, seconds, rate):
    """The run that held a rate, if one of the tries did."""
    for _ in range(TRIES):
        one = generator.open(peer, ROW, seconds, rate)
        if not one["failed"] and one["p99_us"] < P99_BOUND_US and one["rate"] >= SENT_SHARE * rate:
            return one
    return None


def by_connections(generator, peer, seconds):
    best = {"rate": 0.0, "p99_us": None, "by": "closed loop"}
    connections = 1
    while connections <= 64:
        one = generator.closed(peer, ROW, seconds, connections)
        if not one["failed"] and one["p99_us"] < P99_BOUND_US and one["rate"] > best["rate"]:
            best = {"rate": one["rate"], "p99_us": one["p99_us"], "by": f"closed loop of {connections}"}
        connections *= 2
    return best
