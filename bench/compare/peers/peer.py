"""What every peer of the comparison is to the rest of it: a pinned process that answers each row's calls on a port."""

import os
import subprocess

import child
import payloads


class Absent(RuntimeError):
    """Why a peer takes no part. The report prints it."""


class Site:
    """Where a comparison takes place: its folder, the providers, and a certificate for the rows with TLS."""

    def __init__(self, folder, providers):
        self.folder, self.providers = folder, providers
        self.certificate, self.key = os.path.join(folder, "server.pem"), os.path.join(folder, "server.key")
        self.both = os.path.join(folder, "both.pem")
        subprocess.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        with open(self.both, "w") as both:
            for part in (self.certificate, self.key):
                with open(part) as file:
                    both.write(file.read())

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """Writes a configuration; returns its path."""
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)


class Peer:
    """A proxy with a plain port for each route and one with TLS. Subclasses write the configuration and start it."""

    name = title = ""
    start_seconds = 20.0
    # A program that speaks either plain HTTP or TLS is started a second time for the rows with TLS.
    has_tls_twin = False
    # How the prompts of its load begin. `payloads.OWN_TEXT`: each in its own way.
    own_text = None
    # Why it takes no part in rows with TLS, if so.
    no_tls = None

    def __init__(self, site):
        self.site = site
        self.ports = {route: child.free_port() for route in payloads.MODELS}
        self.tls_port = child.free_port()
        self.running = self.twin = None

    @property
    def asked_anew(self):
        """Each call asks something else: what it keeps of answers must not answer the next."""
        return self.own_text == payloads.OWN_TEXT

    def start(self):
        """Starts the process, or raises `Absent`; `wait` tells when it answers."""
        self.running = self.launch(tls=False)

    def launch(self, tls):
        raise NotImplementedError

    def wait(self):
        self.running.wait_for_port(self.ports["whole"], self.start_seconds)

    def before_row(self, row):
        """Makes ready for a row; raises `Absent` when this peer cannot take part in it."""
        if row.tls and self.no_tls:
            raise Absent(self.no_tls)
        if row.tls and self.has_tls_twin:
            self.twin = self.launch(tls=True)
            self.twin.wait_for_port(self.tls_port, self.start_seconds)

    def after_row(self, _row):
        if self.twin:
            self.twin.stop()
            self.twin = None

    def port(self, row):
        return self.tls_port if row.tls else self.ports[row.route]

    def url(self, row):
        return f"{'https' if row.tls else 'http'}://127.0.0.1:{self.port(row)}/v1/chat/completions"

    def headers(self, _row):
        """What a client must send beside the usual."""
        return {}

    def version(self):
        """The program's own words about its version."""
        raise NotImplementedError

    def root_pid(self, row):
        """The process to watch while a row runs: its tree is the peer."""
        one = self.twin if row.tls and self.twin else self.running
        return one.process.pid if one else None

    def pids(self):
        return [pid for one in (self.running, self.twin) if one for pid in one.pids()]

    def stop(self):
        for one in (self.twin, self.running):
            if one:
                one.stop()


def first_line(command):
    """The first line that a program prints about itself."""
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, env=child.ENVIRONMENT)
    lines = (told.stdout + told.stderr).strip().splitlines()
    return lines[0] if lines else "unknown version"


def installed(name):
    """The version that install.sh put into .cache/compare for this peer, and its folder; raises `Absent`."""
    folder = os.path.join(child.ROOT, ".cache", "compare")
    try:
        with open(os.path.join(folder, f"{name}.installed")) as file:
            return file.read().strip(), os.path.join(folder, name)
    except FileNotFoundError:
        pass
    raise Absent(why_not_installed(name))


def why_not_installed(name):
    try:
        with open(os.path.join(child.ROOT, ".cache", "compare", f"{name}.absent")) as file:
            return "could not be installed: " + file.read().strip()
    except FileNotFoundError:
        return "is not installed: `make compare` installs it"
