"""One measurement each: a round of load, memory, idle connections."""

import resource
import time

import child
import crowd
import proc

# A round in which others took more of either core is run again, as long as there is patience.
MOST_OTHERS = 0.08
DISTURBED_TRIES = 3
DISTURBED_WAIT_S = 2
WARM_S = 0.3
CALM_S = 0.7


# A slow peer gets as long as it takes to answer each connection a few times, up to this.
LONGEST_ROUND_S = 6
ANSWERS_EACH = 3
# After a round a peer may still work on what nobody waits for any more; the next one must not pay for that.
SETTLED_SHARE = 0.05
SETTLE_MOST_S = 12
# A peer that cannot hold a row's calm rate gets this share of what it can.
CALM_SHARE = 0.4


def seconds_for(row, seconds, rough_rate):
    """How long a round of this row lasts for a peer that answers about so many calls a second."""
    return max(seconds, min(LONGEST_ROUND_S, ANSWERS_EACH * row.connections / max(rough_rate, 0.1)))


def settle(peer):
    """Waits until a peer's processes do next to nothing, within bounds."""
    until = time.monotonic() + SETTLE_MOST_S
    pids = peer.pids()
    while pids and time.monotonic() < until:
        before = proc.cpu_seconds(pids)
        time.sleep(0.2)
        if proc.cpu_seconds(pids) - before <= SETTLED_SHARE * 0.2:
            return


class Patience:
    """Seconds left, over a whole comparison, for waiting and measuring again."""

    def __init__(self, seconds):
        self.left = seconds

    def take(self, seconds):
        self.left -= seconds
        return self.left > 0


def round_of(generator, peer, providers, row, seconds, rough_rate):
    """Loads one peer with one row, first gently, then as much as it takes. Adds `cpu_us` of its process tree for each
    completed request, `cpu_us_by` its programs, `rss_mib`, and `others`: the larger share of a core that strangers took
    meanwhile."""
    calm = calm_round_of(generator, peer, row, rough_rate)
    if not calm and not row.stream:
        generator.closed(peer, row, WARM_S)  # connections, caches and pools as in steady state
    pids = peer.pids()
    spent = Spent(pids, providers)
    result = {**generator.closed(peer, row, seconds), **calm}
    by_pid, result["others"] = spent.since()
    if pids and result["requests"]:
        # A stream's cost is counted by its chunks, where rounds cut streams at both ends.
        done = result["chunks"] / result["chunks_each"] if "chunks" in result else result["requests"]
        result["cpu_us"] = sum(by_pid.values()) * 1e6 / done
        result["cpu_us_by"] = {proc.name_of(pid): seconds * 1e6 / done for pid, seconds in by_pid.items()}
        result["rss_mib"] = rss_mib(pids)
    return result


def calm_round_of(generator, peer, row, rough_rate):
    """Latency at a rate that leaves the peer at ease: `calm_…` fields, or none where the closed loop tells it."""
    if not generator.has_open_loop or row.calm_rate is None:
        return {}
    rate = min(row.calm_rate, CALM_SHARE * rough_rate)
    calm = generator.open(peer, row, CALM_S, rate)
    return {"calm_rate": rate, "calm_p50_us": calm["p50_us"], "calm_p99_us": calm["p99_us"],
            "calm_failed": calm["failed"], "calm_valid": calm["valid"]}


class Spent:
    """CPU time of a peer's processes since a moment, and what others than us took of both cores meanwhile."""

    def __init__(self, pids, providers):
        self.providers, self.began = providers, time.monotonic()
        self.before = {pid: proc.cpu_seconds([pid]) for pid in pids}
        self.cores = self.cores_now()
        self.loaders = self.loaders_now()

    @staticmethod
    def cores_now():
        return {core: proc.core_seconds(core) for core in (child.PROXY_CORE, child.LOAD_CORE)}

    def loaders_now(self):
        """The providers, this program, and children that have ended: the load generators."""
        ours = resource.getrusage(resource.RUSAGE_SELF)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (proc.cpu_seconds(self.providers.pids()) + ours.ru_utime + ours.ru_stime + ended.ru_utime
                + ended.ru_stime)

    def since(self):
        by_pid = {pid: proc.cpu_seconds([pid]) - before for pid, before in self.before.items()}
        cores = {core: now - self.cores[core] for core, now in self.cores_now().items()}
        others = max(cores[child.PROXY_CORE] - sum(by_pid.values()),
                     cores[child.LOAD_CORE] - (self.loaders_now() - self.loaders))
        return by_pid, max(0.0, others / (time.monotonic() - self.began))


def quiet_round_of(generator, peer, providers, row, seconds, rough_rate, patience):
    """A round that nobody else disturbed; after `DISTURBED_TRIES`, the least disturbed one."""
    tries = []
    for _ in range(DISTURBED_TRIES):
        tries.append(round_of(generator, peer, providers, row, seconds, rough_rate))
        if tries[-1]["others"] <= MOST_OTHERS or not patience.take(seconds + WARM_S + DISTURBED_WAIT_S):
            break
        time.sleep(DISTURBED_WAIT_S)
    return min(tries, key=lambda one: one["others"])


def rss_mib(pids):
    """Resident memory of a tree now."""
    return sum(memory_kib(pid).get("now", 0) for pid in pids) / 1024


def steady_rss_mib(pids):
    """Resident memory once it has stopped falling from what a start took, within bounds."""
    last, now = None, rss_mib(pids)
    until = time.monotonic() + 6
    while time.monotonic() < until and (last is None or abs(now - last) > 0.003 * now):
        time.sleep(0.7)
        last, now = now, rss_mib(pids)
    return now


def peak_mib(pids):
    """The highest resident memory that each process of a tree has had, added up."""
    return sum(memory_kib(pid).get("peak", 0) for pid in pids) / 1024


def by_process(pids):
    """Resident MiB now of each process of a tree, by its name."""
    found = {}
    for pid in pids:
        name = proc.name_of(pid)
        found[name] = found.get(name, 0) + memory_kib(pid).get("now", 0) / 1024
    return found


def memory_kib(pid):
    try:
        return proc.memory_kib(pid)
    except OSError:
        return {}  # it ended meanwhile


def idle_connections(peer, count, row):
    """Bytes of RSS that each of `count` kept connections costs after one answered call, and the CPU of idle seconds."""
    # Tollgate keeps half of its descriptors for providers.
    count = min(count, crowd.raise_descriptor_limit() // 2 - 500)
    before = steady_rss_mib(peer.pids())
    idle = crowd.Crowd(peer, row, count)
    try:
        opened, why_fewer = idle.fill(), idle.why_fewer
        time.sleep(1)
        after, cpu = rss_mib(peer.pids()), proc.cpu_seconds(peer.pids())
        time.sleep(2)
        cpu = proc.cpu_seconds(peer.pids()) - cpu
        return {"connections": opened, "standing": idle.drop_closed(), "why_fewer": why_fewer,
                "bytes_each": (after - before) * 1024 * 1024 / max(opened, 1), "cpu_ms_per_s": cpu * 1000 / 2}
    finally:
        idle.close()
