"""The highest rate that a peer holds with a p99 under 1 ms and no failed request."""

from rows import Row

P99_BOUND_US = 1000
ROW = Row("highest", "highest rate")
SENT_SHARE = 0.97
TRIES = 3  # a probe that fails is tried again: one stall of the machine is not the peer's
FIRST_SHARE = 0.8  # of what the closed loop reached: no peer holds all of that with short waits
DOWN_SHARE = 0.6
LEAST_RATE = 50
HALVINGS = 4
# Of fewer requests the two slowest would be the p99: a low rate would ask more of a machine than a high one.
LEAST_REQUESTS = 1000
LONGEST_PROBE_S = 5


def highest_rate(generator, peer, seconds):
    """{"rate", "p99_us"}, and `by`: in open loop from above, else from a closed loop of ever more connections."""
    if generator.has_open_loop:
        return from_above(generator, peer, seconds)
    return by_connections(generator, peer, seconds)


def from_above(generator, peer, seconds):
    """Goes down from what the closed loop reached to the first rate that is held, then halves the span above it."""
    missed = generator.closed(peer, ROW, seconds)["rate"]
    probe, best = FIRST_SHARE * missed, None
    while not best and probe >= LEAST_RATE:
        best = holds(generator, peer, seconds, probe)
        if not best:
            missed, probe = probe, DOWN_SHARE * probe
    if not best:
        return {"rate": 0.0, "p99_us": None, "by": "open loop"}
    held = probe
    for _ in range(HALVINGS):
        probe = (held + missed) / 2
        one = holds(generator, peer, seconds, probe)
        if one:
            held, best = probe, one
        else:
            missed = probe
    return {"rate": best["rate"], "p99_us": best["p99_us"], "by": "open loop"}


def holds(generator, peer, seconds, rate):
    """The run that held a rate, if one of the tries did."""
    seconds = max(seconds, min(LONGEST_PROBE_S, LEAST_REQUESTS / rate))
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
