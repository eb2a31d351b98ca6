"""What the kernel says about a process tree: CPU time, memory, children. Reads /proc, starts nothing."""

import os
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tree(root_pid):
    """The pids of `root_pid` and all its living descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue  # ended between listing and reading
        children.setdefault(int(fields[1]), []).append(int(name))
    found, queue = [], [root_pid]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, []))
    return found


def cpu_seconds(pids):
    """User and system time of `pids` so far, their reaped children left out."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def core_seconds(core):
    """Time that `core` spent so far in processes (user, nice, system), whoever's they were, or that the host of this
    virtual machine gave to others (steal)."""
    with open("/proc/stat") as stat:
        for line in stat:
            if line.startswith(f"cpu{core} "):
                times = [int(ticks) for ticks in line.split()[1:]]
                stolen = times[7] if len(times) > 7 else 0
                return (sum(times[:3]) + stolen) / TICKS_PER_SECOND
    raise ValueError(f"no core {core}")


def memory_kib(pid):
    """Resident set of one process: `now` (VmRSS), `peak` (VmHWM), `own` (anonymous pages, RssAnon), in KiB."""
    wanted = {"VmRSS": "now", "VmHWM": "peak", "RssAnon": "own"}
    found = {}
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            name, _, rest = line.partition(":")
            if name in wanted:
                found[wanted[name]] = int(rest.split()[0])
    return found


def name_of(pid):
    """What a process calls itself: the file name of its program, or its title when it sets one (`nginx: worker…`)."""
    with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
        first = cmdline.read().partition(b"\0")[0].decode(errors="replace").strip()
    return first.partition(" /")[0] if ": " in first else os.path.basename(first)


def wait_until(ready, what, seconds=20.0):
    """Polls `ready` until it is true; raises after `seconds`."""
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not after {seconds:.0f} s")
        time.sleep(0.02)
