"""Portkey's open-source gateway, from the npm package `@portkey-ai/gateway`, on Node.

Settings and where they are documented (its README and docs/installation-deployments.md):
- `--headless`: without its web console and the log stream that feeds it; one process for one core;
- `NODE_ENV=production`, as for any server on Node;
- the provider and its address come as headers with each call. It checks no key of its own.
"""

import os

import child
from peers.peer import Absent, Peer, first_line, installed


class Portkey(Peer):
    name = title = "portkey"
    start_seconds = 60.0
    no_tls = "it serves plain HTTP only"

    def __init__(self, site):
        super().__init__(site)
        self.ports = dict.fromkeys(self.ports, self.ports["whole"])

    def launch(self, tls):
        self.found, folder = installed(self.name)
        script = os.path.join(folder, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js")
        self.node = child.program("node")
        if not self.node or not os.path.exists(script):
            raise Absent("node, or the program in the package `@portkey-ai/gateway`, is missing")
        command = [self.node, script, f"--port={self.ports['whole']}", "--headless"]
        return child.Child(self.name, child.PROXY_CORE, command, self.site.folder, {"NODE_ENV": "production"})

    def headers(self, row):
        return {"x-portkey-provider": "openai",
                "x-portkey-custom-host": f"http://127.0.0.1:{self.site.providers.ports[row.route]}/v1"}

    def version(self):
        return f"Portkey {self.found} (Node {first_line([self.node, '--version'])})"
