"""Where the CPU of a proxy goes under one row of load: `perf record`, folded into layers a reader can act on."""

import os
import re
import subprocess
import threading
import time

import proc

# First match wins. Kernel symbols by what they serve, ours by crate.
KERNEL_LAYERS = [
    ("kernel: io_uring", r"^_*io_|^__x64_sys_io_uring|^iou"),
    ("kernel: copying", r"copy_(to|from)_(iter|user)|^_copy_|memcpy|rep_movs|check_object_size|virt_addr_valid"),
    ("kernel: epoll", r"epoll|^ep_|eventpoll"),
    ("kernel: scheduling and waking", r"sched|wake|enqueue|dequeue|pick_next|update_(curr|load|rq)|switch_|idle|"
                                      r"task_|wait|hrtimer|clock|tsc|ktime"),
    ("kernel: TCP/IP", r"tcp|skb|^_*ip_|inet|sock|^_*sk_|^_*net|loopback|dev_queue|xmit|bbr|dst_|validate_|qdisc|nf_"),
    ("kernel: entry and exit", r"syscall|entry_|exit_|fdget|fput|vfs_|ksys|import_iovec"),
    ("kernel: memory", r"slab|kmalloc|kfree|alloc|page|folio|memset|obj_cgroup"),
    ("kernel: locks, wake-ups of the other core", r"lock|rcu|preempt"),
]
PROGRAM_LAYERS = [
    ("engine", r"tollgate_engine"), ("wire", r"tollgate_wire|httparse|memchr|simdutf8"),
    ("dialect", r"tollgate_dialect"), ("shard", r"tollgate_dataplane"), ("executor", r"glommio|io_uring"),
    ("allocator", r"^_?mi_|mimalloc|malloc|free|realloc"), ("standard library", r"^(core|alloc|std|hashbrown)::|<"),
]
LINE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[([k.])\]\s+(.*?)(\s+-\s+-)?\s*$")


def layer_of(dso, space, symbol):
    if space == "k":
        for layer, pattern in KERNEL_LAYERS:
            if re.search(pattern, symbol):
                return layer
        return "kernel: other"
    for layer, pattern in PROGRAM_LAYERS:
        if re.search(pattern, symbol):
            return layer
    return dso


def parse(text):
    """(layers, symbols) of a `perf report`, both by falling share."""
    layers, symbols = {}, []
    for line in text.splitlines():
        found = LINE.match(line)
        if not found:
            continue
        share, dso, space, symbol = float(found.group(1)), found.group(2), found.group(3), found.group(4)
        layer = layer_of(dso, space, symbol)
        layers[layer] = layers.get(layer, 0.0) + share
        symbols.append([symbol, share])
    ordered = dict(sorted(layers.items(), key=lambda item: -item[1]))
    return {layer: round(share, 2) for layer, share in ordered.items() if share >= 0.05}, symbols[:40]


def busiest_of(pids):
    before = {pid: proc.cpu_seconds([pid]) for pid in pids}
    time.sleep(0.5)
    return max(pids, key=lambda pid: proc.cpu_seconds([pid]) - before[pid])


def profile(generator, peer, row, folder, seconds=6):
    """One peer's busiest process under one row: {"peer", "row", "layers", "symbols"} or {"why_none"}."""
    result = {"peer": peer.name, "row": row.name}
    load = threading.Thread(target=lambda: generator.closed(peer, row, seconds))
    load.start()
    try:
        time.sleep(1)
        data = os.path.join(folder, f"{peer.name}-{row.name}.perf")
        subprocess.run(["perf", "record", "-q", "-F", "1999", "-o", data, "-p", str(busiest_of(peer.pids())), "--",
                        "sleep", str(seconds - 3)], check=True, capture_output=True, timeout=seconds + 30)
        text = subprocess.run(["perf", "report", "-i", data, "--stdio", "--sort", "dso,symbol"], check=True,
                              capture_output=True, text=True, timeout=120).stdout
        result["layers"], result["symbols"] = parse(text)
    except (OSError, subprocess.SubprocessError) as failed:
        result["why_none"] = str(failed)
    finally:
        load.join()
    return result
