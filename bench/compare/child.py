"""Children of a comparison: pinned to a core, logged, waited for, ended by pid. Knows no peer."""

import os
import shutil
import socket
import subprocess

import proc

PROXY_CORE, LOAD_CORE = 0, 1
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# What a child is told of this machine's environment. Other people's gateways get nothing more.
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    """The full path of an installed program, or None. Debian keeps servers where users have no PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Child:
    """A pinned process with its own log file."""

    def __init__(self, name, core, command, folder, environment=None):
        self.name = name
        self.log = os.path.join(folder, f"{name}.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core)] + command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                env={**ENVIRONMENT, **(environment or {})})

    def wait_until(self, ready, what, seconds):
        """Polls `ready`; an end of the process before that is told with the end of its log."""
        def looked_at():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.last_words()}")
            return ready()
        proc.wait_until(looked_at, f"{self.name}: {what}", seconds)

    def wait_for_port(self, port, seconds=20.0):
        self.wait_until(lambda: accepts(port), f"port {port} accepts", seconds)

    def last_words(self):
        """The last line of its log that says something."""
        with open(self.log, errors="replace") as log:
            lines = [line.strip() for line in log if line.strip()]
        return lines[-1][:300] if lines else "it said nothing"

    def pids(self):
        return proc.tree(self.process.pid) if self.process.poll() is None else []

    def stop(self):
        """Asks the process to end; what is left of its tree after 10 s is killed."""
        tree = self.pids()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in tree:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue  # ended meanwhile
            self.process.wait()


def accepts(port):
    """Whether something listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
