"""nginx as a bare reverse proxy: the reference that is always there.

Settings and where they are documented (nginx.org/en/docs):
- one worker for one core, access log off, `keepalive` upstreams with `proxy_http_version 1.1` and an empty `Connection`
  header (ngx_http_upstream_module: what keeps connections to the provider);
- body buffers larger than any body here, so that none goes through a file (ngx_http_core_module);
- `proxy_buffering off` for streams, so that each chunk goes on at once (ngx_http_proxy_module).
It checks no key, reads no JSON and records nothing.
"""

import child
import providers
from peers.peer import Absent, Peer, first_line

SERVER = """
  upstream {route} {{ server 127.0.0.1:{to}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  server {{
    listen 127.0.0.1:{port} backlog=16384;
    {more}
    location / {{
      proxy_pass http://{route}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffers 8 32k; proxy_buffering {buffering};
    }}
  }}"""


class Nginx(Peer):
    name = title = "nginx"

    def launch(self, tls):
        self.program = child.program("nginx")
        if not self.program:
            raise Absent("is not installed: `make compare` installs it from Debian (nginx-light)")
        site, servers = self.site, []
        for route, port in self.ports.items():
            more = ""
            if route == "whole":
                more = (f"listen 127.0.0.1:{self.tls_port} ssl backlog=16384; ssl_protocols TLSv1.3; "
                        f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key};")
            servers.append(SERVER.format(route=route, to=site.providers.ports[route], port=port, more=more,
                                         buffering="off" if route == "events" else "on"))
        return providers.start_nginx(self.program, self.name, child.PROXY_CORE, site.folder, "".join(servers))

    def version(self):
        return "nginx " + first_line([self.program, "-v"]).rpartition("/")[2]
