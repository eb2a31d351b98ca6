"""Paced event streams: a mock provider and a client that times every chunk. Python's epoll, one thread each.

Every chunk carries the provider's monotonic clock, so the client knows how long each was on its way. Streams are
spread over the milliseconds of a period; a proxy gets no help from all chunks arriving at once.
Run as `streams.py provider PORT` or `streams.py client PORT CONNECTIONS SECONDS HEADERS` (JSON on stdout).
"""

import json
import re
import select
import socket
import sys
import time

import payloads

PERIOD_MS = 1000 // payloads.CHUNKS_PER_SECOND
MARK = re.compile(rb"t=(\d{10,})")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Provider:
    """Answers any POST with `CHUNKS` events, one per period, and keeps the connection."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.setblocking(False)
        self.epoll = select.epoll()
        self.epoll.register(self.listener.fileno(), select.EPOLLIN)
        self.peers, self.unread = {}, {}
        self.slots = [{} for _ in range(PERIOD_MS)]  # by millisecond: descriptor → chunks still to send
        before, after = payloads.stream_event("t=@").split(b"@")
        self.event = (before, after)
        self.end = chunked(payloads.stream_end()) + b"0\r\n\r\n"

    def serve(self):
        tick = time.monotonic_ns() // 1_000_000
        while True:
            busy = any(self.slots)
            for descriptor, _ in self.epoll.poll(0.001 if busy else None):
                if descriptor == self.listener.fileno():
                    self.accept()
                else:
                    self.read(descriptor)
            now = time.monotonic_ns() // 1_000_000
            for passed in range(max(tick + 1, now - PERIOD_MS + 1), now + 1):
                self.send_slot(self.slots[passed % PERIOD_MS])
            tick = now

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except BlockingIOError:
                return
            peer.setblocking(False)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[peer.fileno()] = peer
            self.unread[peer.fileno()] = b""
            self.epoll.register(peer.fileno(), select.EPOLLIN)

    def read(self, descriptor):
        try:
            data = self.peers[descriptor].recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            return self.drop(descriptor)
        data = self.unread[descriptor] + data
        head, separator, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not separator or (length and len(body) < int(length.group(1))):
            self.unread[descriptor] = data
            return
        self.unread[descriptor] = b""
        self.peers[descriptor].send(HEAD)
        self.slots[(time.monotonic_ns() // 1_000_000) % PERIOD_MS][descriptor] = payloads.CHUNKS

    def send_slot(self, slot):
        before, after = self.event
        for descriptor, left in list(slot.items()):
            data = before + str(time.monotonic_ns()).encode() + after
            try:
                self.peers[descriptor].send(chunked(data) if left > 1 else chunked(data) + self.end)
            except OSError:
                self.drop(descriptor)
                continue
            if left > 1:
                slot[descriptor] = left - 1
            else:
                del slot[descriptor]

    def drop(self, descriptor):
        self.epoll.unregister(descriptor)
        self.peers.pop(descriptor).close()
        self.unread.pop(descriptor)
        for slot in self.slots:
            slot.pop(descriptor, None)


class Client:
    """Keeps `connections` streams open for `seconds`; a stream that is not exactly right is a failure."""

    def __init__(self, port, connections, seconds, headers):
        self.port, self.connections, self.seconds = port, connections, seconds
        body = payloads.chat_request(1200, "events")
        self.request = payloads.request_head(headers, len(body)) + body
        self.delays_us, self.first_us, self.done, self.failed = [], [], 0, 0
        self.epoll, self.open = select.epoll(), {}

    def run(self):
        for _ in range(self.connections):
            self.connect()
        began = time.monotonic()
        stop = began + self.seconds
        while self.open:
            now = time.monotonic()
            if now > stop + 10:
                self.failed += len(self.open)
                break
            for descriptor, _ in self.epoll.poll(0.5):
                self.read(descriptor, time.monotonic() < stop)
        return self.result(time.monotonic() - began)

    def connect(self):
        peer = socket.create_connection(("127.0.0.1", self.port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.epoll.register(peer.fileno(), select.EPOLLIN)
        self.open[peer.fileno()] = state = {"peer": peer}
        self.ask(state)

    def ask(self, state):
        state.update(seen=0, tail=b"", sent_ns=time.monotonic_ns(), first=False)
        state["peer"].sendall(self.request)

    def read(self, descriptor, again):
        state = self.open[descriptor]
        try:
            data = state["peer"].recv(65536)
        except OSError:
            data = b""
        now = time.monotonic_ns()
        if not data:
            self.failed += 1
            return self.close(descriptor)
        if not state["first"]:
            if b" 200 " not in data[:16]:
                self.failed += 1
                return self.close(descriptor)
            state["first"] = True
            self.first_us.append((now - state["sent_ns"]) / 1000)
        data = state["tail"] + data
        end = 0
        for mark in MARK.finditer(data):
            if mark.end() == len(data):
                break  # the number may go on in the next read
            self.delays_us.append((now - int(mark.group(1))) / 1000)
            state["seen"] += 1
            end = mark.end()
        state["tail"] = data[max(end, len(data) - 64):]
        if data.endswith(b"\r\n0\r\n\r\n"):
            if state["seen"] == payloads.CHUNKS:
                self.done += 1
            else:
                self.failed += 1
            if again:
                self.ask(state)
            else:
                self.close(descriptor)

    def close(self, descriptor):
        self.epoll.unregister(descriptor)
        self.open.pop(descriptor)["peer"].close()

    def result(self, took):
        def at(values, share):
            ordered = sorted(values)
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else None
        return {
            "requests": self.done, "failed": self.failed, "seconds": took,
            "p50_us": at(self.delays_us, 0.50), "p99_us": at(self.delays_us, 0.99),
            "first_p50_us": at(self.first_us, 0.50), "first_p99_us": at(self.first_us, 0.99),
            "chunks": len(self.delays_us), "chunks_each": payloads.CHUNKS,
        }


def main():
    if sys.argv[1] == "provider":
        Provider(int(sys.argv[2])).serve()
    else:
        client = Client(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), json.loads(sys.argv[5]))
        print(json.dumps(client.run()))


if __name__ == "__main__":
    main()
