"""No proxy at all: what the load generator and the provider reach alone. What others add is counted from here."""

from peers.peer import Peer


class Direct(Peer):
    name = title = "direct"

    def __init__(self, site):
        super().__init__(site)
        self.ports = site.providers.ports

    def start(self):
        pass

    def wait(self):
        pass

    def url(self, row):
        return f"http://127.0.0.1:{self.ports[row.route]}/v1/chat/completions"

    def version(self):
        return None
