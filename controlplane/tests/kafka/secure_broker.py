"""A Kafka broker for tests that takes records over TLS alone and from one user alone: the wire protocol of one topic with one
partition, and SASL with PLAIN (RFC 4616) and SCRAM (RFC 5802) by Python's own hashes.
Usage: secure_broker.py CERTIFICATE KEY MECHANISM USER PASSWORD TOPIC

Prints `ready HOST:PORT`, a line `refused WHY` for each connection it lets go, and a line of JSON for each record. Ends when
it is killed, or after ten minutes.
"""

import base64
import hashlib
import hmac
import json
import os
import socketserver
import ssl
import struct
import sys
import threading

LIFE_S = 600
ITERATIONS = 4096
SALT = os.urandom(16)
PRODUCE, METADATA, HANDSHAKE, AUTHENTICATE = 0, 3, 17, 36
UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 33, 58
CERTIFICATE, KEY, MECHANISM, USER, PASSWORD, TOPIC = sys.argv[1:]
says = threading.Lock()


class Refused(Exception):
    """Whoever it is has no business here."""


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        if len(piece) != count:
            raise Refused("a request that ends early")
        self.at += count
        return piece

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def string(self):
        length = self.number("h")
        return None if length < 0 else self.take(length).decode()

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.number("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value >> 1 ^ -(value & 1)

    def var_bytes(self):
        return self.take(self.varint())


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def say(line):
    with says:
        print(line, flush=True)


def crc32c(data):
    word = 0xffffffff
    for byte in data:
        word ^= byte
        for _ in range(8):
            word = word >> 1 ^ (0x82f63b78 if word & 1 else 0)
    return word ^ 0xffffffff


def take_batch(data):
    """Each record of a batch of version 2, whose checksum must be right."""
    reader = Reader(data)
    reader.take(16)
    magic, crc = reader.number("b"), reader.number("I")
    if magic != 2 or crc != crc32c(data[reader.at:]):
        raise Refused("a batch that is none")
    reader.take(2 + 4 + 8 + 8 + 8 + 2 + 4)
    for _ in range(reader.number("i")):
        reader.varint()
        reader.take(1)
        reader.varint(), reader.varint()
        key, value = reader.var_bytes(), reader.var_bytes()
        headers = {reader.var_bytes().decode(): reader.var_bytes().decode() for _ in range(reader.varint())}
        say(json.dumps({"key": key.decode(), "headers": headers, "value": json.loads(value)}))


class Scram:
    """The server's side of one conversation."""

    def __init__(self, algorithm):
        self.algorithm, self.first = algorithm, None
        self.salted = hashlib.pbkdf2_hmac(algorithm, PASSWORD.encode(), SALT, ITERATIONS)

    def sign(self, key, text):
        return hmac.new(key, text, self.algorithm).digest()

    def hear(self, word):
        """The answer, and whether that was the last."""
        if self.first is None:
            if not word.startswith("n,,"):
                raise Refused("a channel is bound that was not offered")
            self.first = word[3:]
            named = dict(part.split("=", 1) for part in self.first.split(","))
            if named["n"] != USER.replace("=", "=3D").replace(",", "=2C"):
                raise Refused("another user")
            self.nonce = named["r"] + base64.b64encode(os.urandom(12)).decode()
            self.told = f"r={self.nonce},s={base64.b64encode(SALT).decode()},i={ITERATIONS}"
            return self.told, False
        without_proof, proof = word.rsplit(",p=", 1)
        if without_proof != f"c=biws,r={self.nonce}":
            raise Refused("another conversation")
        everything = f"{self.first},{self.told},{without_proof}".encode()
        stored = hashlib.new(self.algorithm, self.sign(self.salted, b"Client Key")).digest()
        signature = self.sign(stored, everything)
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        if hashlib.new(self.algorithm, key).digest() != stored:
            raise Refused("another password")
        return "v=" + base64.b64encode(self.sign(self.sign(self.salted, b"Server Key"), everything)).decode(), True


class Plain:
    def hear(self, word):
        if word != f"\0{USER}\0{PASSWORD}":
            raise Refused("another user or password")
        return "", True


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.conversation, self.known = None, False
        try:
            with CONTEXT.wrap_socket(self.request, server_side=True) as self.stream:
                while head := self.read(4):
                    self.answer(Reader(self.read(struct.unpack(">i", head)[0])))
        except (Refused, OSError) as why:
            say(f"refused {why}")

    def read(self, count):
        data = b""
        while len(data) < count:
            piece = self.stream.recv(count - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def answer(self, reader):
        api, _, correlation = reader.number("h"), reader.number("h"), reader.number("i")
        reader.string()
        if api in (PRODUCE, METADATA) and not self.known:
            raise Refused("a request before its user is known")
        answers = {PRODUCE: self.produce, METADATA: self.metadata, HANDSHAKE: self.handshake,
                   AUTHENTICATE: self.authenticate}
        body, error = answers[api](reader)
        self.stream.sendall(struct.pack(">ii", 4 + len(body), correlation) + body)
        if error:
            raise Refused(error)

    def handshake(self, reader):
        asked = reader.string()
        if asked != MECHANISM:
            return struct.pack(">hi", UNSUPPORTED_MECHANISM, 1) + string(MECHANISM), f"mechanism {asked}"
        self.conversation = Plain() if MECHANISM == "PLAIN" else Scram(MECHANISM[6:].replace("-", "").lower())
        return struct.pack(">hi", 0, 1) + string(MECHANISM), None

    def authenticate(self, reader):
        try:
            word, self.known = self.conversation.hear(reader.take(reader.number("i")).decode())
        except Refused as why:
            return struct.pack(">h", AUTHENTICATION_FAILED) + string("Authentication failed") + struct.pack(">i", 0), why
        return struct.pack(">hhi", 0, -1, len(word)) + word.encode(), None

    def metadata(self, _reader):
        broker = struct.pack(">iii", 0, 1, 1) + string("localhost") + struct.pack(">ih", PORT, -1)
        partition = struct.pack(">hiiiiii", 0, 0, 1, 1, 1, 1, 1)
        topic = struct.pack(">hiih", -1, 1, 1, 0) + string(TOPIC) + struct.pack(">bi", 0, 1)
        return broker + topic + partition, None

    def produce(self, reader):
        reader.string()
        reader.take(2 + 4 + 4)
        if reader.string() != TOPIC:
            raise Refused("another topic")
        reader.take(4 + 4)
        take_batch(reader.take(reader.number("i")))
        return struct.pack(">i", 1) + string(TOPIC) + struct.pack(">iihqqqi", 1, 0, 0, 0, -1, 0, 0), None


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(CERTIFICATE, KEY)
socketserver.ThreadingTCPServer.daemon_threads = True
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
    PORT = server.server_address[1]
    threading.Timer(LIFE_S, server.shutdown).start()
    say(f"ready localhost:{PORT}")
    server.serve_forever()
