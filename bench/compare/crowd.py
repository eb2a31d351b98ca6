"""Idle clients: connections that had one call answered and then stay open, doing nothing."""

import resource
import select
import socket
import time

import payloads

AT_ONCE = 64
MOST_SECONDS = 10


class Crowd:
    """Up to `count` idle connections to one peer. `fill` opens what is missing, within bounds of time."""

    def __init__(self, peer, row, count):
        self.peer, self.row, self.count = peer, row, count
        body = payloads.chat_request(1200)
        self.request = payloads.request_head(peer.headers(row), len(body)) + body
        self.idle = []
        self.why_fewer = None

    def fill(self):
        """Drops what the peer has closed, opens what is missing; returns how many stand."""
        self.drop_closed()
        until = time.monotonic() + MOST_SECONDS
        epoll, waiting = select.epoll(), {}
        try:
            while len(self.idle) < self.count and time.monotonic() < until and not self.why_fewer:
                while len(waiting) < AT_ONCE and len(waiting) + len(self.idle) < self.count:
                    one = socket.create_connection(("127.0.0.1", self.peer.port(self.row)), timeout=10)
                    one.sendall(self.request)
                    waiting[one.fileno()] = one
                    epoll.register(one.fileno(), select.EPOLLIN)
                for descriptor, _ in epoll.poll(1):
                    epoll.unregister(descriptor)
                    self.take(waiting.pop(descriptor))
        except OSError as refused:
            self.why_fewer = str(refused)
        for one in waiting.values():
            one.close()
        epoll.close()
        if len(self.idle) < self.count and not self.why_fewer:
            self.why_fewer = f"only so many had a call answered within {MOST_SECONDS} s"
        return len(self.idle)

    def take(self, one):
        """Keeps a connection that was answered; what follows its first bytes is read when it is looked at again."""
        if b" 200 " in one.recv(65536)[:16]:
            one.setblocking(False)
            self.idle.append(one)
        else:
            one.close()
            self.why_fewer = "a call was not answered with 200"

    def drop_closed(self):
        standing = []
        for one in self.idle:
            try:
                while one.recv(65536):
                    pass
                one.close()  # the peer closed it
            except BlockingIOError:
                standing.append(one)
            except OSError:
                one.close()
        self.idle, self.why_fewer = standing, None
        return len(standing)

    def close(self):
        for one in self.idle:
            one.close()
        self.idle = []


def raise_descriptor_limit(wanted=65536):
    """For this process and what it starts, as far as it may; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    for limit in ((wanted, max(hard, wanted)), (min(wanted, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break
        except (ValueError, OSError):
            continue  # only root may raise the hard limit
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
