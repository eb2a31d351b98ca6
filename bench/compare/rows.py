"""What is measured: the rows of the comparison. One list; knows no peer and no generator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One kind of load. `route` names the provider's answer: `whole` (about 0.9 KB), `large` (16 KB) or `events`."""

    name: str
    title: str
    prompt_bytes: int = 1200
    connections: int = 64
    route: str = "whole"
    tls: bool = False
    # Connections that have had one call answered, and stay open beside the active ones.
    idle: int = 0
    # Requests a second, in open loop, at which added latency is measured: what every compiled peer holds with ease.
    # None: it is measured in the closed loop, as for a single connection.
    calm_rate: int | None = 2000

    @property
    def stream(self):
        return self.route == "events"


ROWS = [
    Row("c1", "1 connection", connections=1, calm_rate=None),
    Row("c64", "64 connections"),
    Row("c512", "512 connections", connections=512),
    Row("idle2048", "64 active connections beside 2,048 idle ones", idle=2048),
    Row("stream64", "64 streams at once, 100 chunks each, one every 20 ms", route="events", calm_rate=None),
    Row("prompt128k", "128 KB prompt, 16 connections", prompt_bytes=131072, connections=16, calm_rate=500),
    Row("tls64", "TLS from the client, 64 connections", tls=True),
    Row("payload1k", "payload of 1 KB, 64 connections", prompt_bytes=1024),
    Row("payload16k", "payload of 16 KB both ways, 64 connections", prompt_bytes=16384, route="large"),
]
