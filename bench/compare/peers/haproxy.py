"""HAProxy as a bare reverse proxy.

Settings and where they are documented (docs.haproxy.org, configuration manual):
- `nbthread 1` for one core, no log;
- `http-reuse always`: any idle connection to the provider may carry the next request (section 4.2);
- `option http-no-delay`: chunks of streams are passed on at once (section 4.2).
`busy-polling` is left out: it buys latency with a core that never sleeps, and would make CPU per request meaningless.
It checks no key, reads no JSON and records nothing.
"""

import resource

import child
from peers.peer import Absent, Peer, first_line, why_not_installed

HEAD = """
global
  nbthread 1
  maxconn {most}
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  http-reuse always
  option http-no-delay
  maxconn {most}
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
"""
ROUTE = """
frontend {route}-in
  bind 127.0.0.1:{port} backlog 16384
  {more}
  default_backend {route}
backend {route}
  server provider 127.0.0.1:{to} pool-purge-delay 600s
"""


class Haproxy(Peer):
    name = title = "haproxy"

    def launch(self, tls):
        self.program = child.program("haproxy")
        if not self.program:
            raise Absent(why_not_installed(self.name))
        # It refuses to start when the limit of descriptors does not cover two for each connection.
        most = min(24000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 500)
        text = HEAD.format(most=most)
        for route, port in self.ports.items():
            more = f"bind 127.0.0.1:{self.tls_port} ssl crt {self.site.both}" if route == "whole" else ""
            text += ROUTE.format(route=route, port=port, to=self.site.providers.ports[route], more=more)
        config = self.site.write("haproxy.cfg", text)
        return child.Child(self.name, child.PROXY_CORE, [self.program, "-db", "-f", config], self.site.folder)

    def version(self):
        return " ".join(first_line([self.program, "-v"]).split()[:3]).replace(" version", "")
