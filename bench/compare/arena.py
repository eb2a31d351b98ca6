"""The comparison itself: starts every peer, tries it by hand, lets them take turns row by row, ends what it started."""

import ssl
import subprocess
import time
import urllib.error
import urllib.request

import crowd
import highest
import measure
import payloads
import profile_cpu
import push
from peers import PEERS
from peers.peer import Absent, Site
from rows import Row

# What a peer or a generator may do to one measurement: it is told, and the comparison goes on.
FAILURES = (OSError, RuntimeError, ValueError, LookupError, subprocess.SubprocessError)
PLAIN = Row("plain", "a call by hand", connections=8)


def say(text):
    print(text, flush=True)


class Arena:
    """The peers that stand, and why the others do not. Use as a context: leaving it ends all processes."""

    def __init__(self, names, folder, make_providers, generator):
        self.generator = generator
        self.standing, self.absent = [], {}
        self.rough_rates = {}
        self.patience = measure.Patience(0)
        self.providers = make_providers(folder)
        try:
            self.site = Site(folder, self.providers)
            self.start([PEERS[name] for name in names])
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for one in self.standing + [self.providers]:
            one.stop()

    def start(self, kinds):
        """Starts all at once, then waits for each: the slow ones load their libraries meanwhile."""
        for kind in kinds:
            peer = kind(self.site)
            try:
                peer.start()
                self.standing.append(peer)
            except Absent as reason:
                self.leave(peer, str(reason))
        for peer in list(self.standing):
            began = time.monotonic()
            try:
                peer.wait()
                self.check_until_right(peer)
                self.rough_rates[peer.name] = self.generator.closed(peer, PLAIN, 1)["rate"]
                measure.settle(peer)
                say(f"{peer.name:12} stands after {time.monotonic() - began:.1f} s: {peer.version() or '–'}")
            except FAILURES as failed:
                words = f"; its last words: {peer.running.last_words()}" if peer.running else ""
                self.leave(peer, f"does not start: {failed}{words}"[:400])

    def leave(self, peer, reason):
        """Takes a peer out, and keeps the reason for the report."""
        say(f"{peer.name:12} ABSENT: {reason}")
        self.absent[peer.name] = {"title": peer.title, "reason": reason}
        if peer in self.standing:
            self.standing.remove(peer)
            peer.stop()

    def check_until_right(self, peer, seconds=20):
        """Some accept before they can answer."""
        until = time.monotonic() + seconds
        while True:
            try:
                return check(peer, PLAIN, self.providers)
            except WrongAnswer:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def proxies(self):
        return [peer for peer in self.standing if peer.pids()]

    def memory(self, measured):
        """One figure for each proxy's whole tree."""
        return {peer.name: measured(peer.pids()) for peer in self.proxies()}

    def row(self, row, rounds, seconds):
        """All rounds of one row, peers taking turns inside each round."""
        by_peer, left_out, crowds = {}, {}, {}
        for peer in self.standing:
            try:
                peer.before_row(row)
                check(peer, row, self.providers)
                by_peer[peer.name] = []
                if row.idle and peer.pids():
                    crowds[peer.name] = crowd.Crowd(peer, row, row.idle)
            except FAILURES as failed:
                left_out[peer.name] = str(failed)[:300]
                say(f"{row.name:11} {peer.name:12} left out: {failed}")
        try:
            for number in range(rounds):
                for peer in self.standing:
                    if peer.name in by_peer and (number == 0 or not self.is_slow(peer, row, seconds)):
                        self.round(row, number, seconds, peer, by_peer, left_out, crowds)
        finally:
            for idle in crowds.values():
                idle.close()
            for peer in self.standing:
                peer.after_row(row)
        return {"name": row.name, "title": row.title, "stream": row.stream, "tls": row.tls,
                "connections": row.connections, "peers": by_peer, "left_out": left_out}

    def is_slow(self, peer, row, seconds):
        """Whether a peer's rounds of this row must be stretched: then one has to do, or it would take all the time."""
        return measure.seconds_for(row, seconds, self.rough_rates[peer.name]) > seconds

    def round(self, row, number, seconds, peer, by_peer, left_out, crowds):
        """One round of one peer. One that cannot be measured is left out of this row, and the others go on."""
        idle = crowds.get(peer.name)
        try:
            opened = idle.fill() if idle else 0
            rough_rate = self.rough_rates[peer.name]
            seconds = measure.seconds_for(row, seconds, rough_rate)
            one = measure.quiet_round_of(self.generator, peer, self.providers, row, seconds, rough_rate, self.patience)
            measure.settle(peer)
            if idle:
                one.update(idle_opened=opened, idle_standing=idle.drop_closed())
            by_peer[peer.name].append(one)
            say(told(row, number, peer, one))
        except FAILURES as failed:
            del by_peer[peer.name]
            left_out[peer.name] = f"round {number + 1} failed: {failed}"[:300]
            say(f"{row.name:11} {peer.name:12} left out: {failed}")

    def cross_check(self, other, rounds, seconds):
        """Rates of two generators on the provider alone, in turns: ours must not be what limits the peers."""
        direct = next((peer for peer in self.standing if peer.name == "direct"), None)
        row, rates = Row("check64", "cross-check"), {self.generator.name: [], other.name: []}
        for _ in range(max(rounds, 2) if direct else 0):
            for generator in (self.generator, other):
                rates[generator.name].append(round(generator.closed(direct, row, seconds)["rate"]))
        return rates

    def idle(self, count):
        return self.of_each(self.proxies(), "idle", lambda peer: measure.idle_connections(peer, count, PLAIN))

    def highest_rates(self, seconds):
        """The highest rate under the bound, by peer."""
        return self.of_each(self.standing, "highest", lambda peer: highest.highest_rate(self.generator, peer, seconds))

    @staticmethod
    def of_each(peers, what, measured):
        """One figure or more of each peer, by name; who fails has none."""
        found = {}
        for peer in peers:
            try:
                found[peer.name] = measured(peer)
                say(f"{what:11} {peer.name:12} {found[peer.name]}")
            except FAILURES as failed:
                say(f"{what:11} {peer.name:12} not measured: {failed}")
            measure.settle(peer)
        return found

    def profiles(self, rows):
        return [profile_cpu.profile(self.generator, peer, row, self.site.folder)
                for row in rows for peer in self.proxies()]

    def push(self, keys):
        """A large push to bare Tollgate, if it stands."""
        bare = [peer for peer in self.standing if peer.name == "tollgate"]
        measured = self.of_each(bare, "push", lambda peer: push.push(self.generator, peer, keys, PLAIN))
        return measured.get("tollgate")


def told(row, number, peer, one):
    cpu = f"{one['cpu_us']:8.1f}" if "cpu_us" in one else "       –"
    return (f"{row.name:11} {number + 1} {peer.name:12} cpu {cpu} µs  p50 {one['p50_us'] or 0:.0f}  "
            f"p99 {one['p99_us'] or 0:.0f}  {one['rate']:.0f}/s  failed {one['failed']}  others {one['others']:.0%}")


class WrongAnswer(RuntimeError):
    """A peer that cannot be measured with a row: its answer is not the provider's."""


def check(peer, row, providers):
    """One call by hand before any measurement: a wrong answer is not worth timing."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(peer.url(row), payloads.chat_request(row.prompt_bytes, row.route), {
        "Authorization": f"Bearer {payloads.KEY}", "Content-Type": "application/json", **peer.headers(row)})
    try:
        with urllib.request.urlopen(request, timeout=20, context=trusting) as answer:
            got = answer.read()
        content = payloads.content_of(row.route, got)
    except urllib.error.HTTPError as refused:
        raise WrongAnswer(f"answered {refused.code}: {refused.read()[:200]!r}") from None
    except (OSError, ValueError, LookupError) as failed:
        raise WrongAnswer(f"no answer of its dialect: {failed}") from None
    if not providers.is_right(row.route, content):
        raise WrongAnswer(f"the answer is not the provider's: {got[:200]!r}")
