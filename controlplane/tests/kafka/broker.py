"""A Kafka broker for tests: the mock cluster of librdkafka, which speaks the real protocol on loopback, and a consumer of it
that verifies each record's checksum. Usage: broker.py TOPIC

Prints `ready HOST:PORT`, then a line of JSON for each record. SIGUSR1 takes the leader of partition 0 away, SIGUSR2 gives it
back; a line says that it is so. Ends when it is killed, or after ten minutes.
"""

import ctypes
import glob
import json
import os
import signal
import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, TopicPartition

LIFE_S = 600
PARTITIONS = 4
BROKER = 1
NOBODY = -1
PRODUCER = 0  # rd_kafka_type_t


def mock(topic):
    """A cluster of one broker, by librdkafka's own functions (rdkafka_mock.h): Python's module has none for leaders."""
    beside = os.path.join(os.path.dirname(confluent_kafka.__file__), "..", "confluent_kafka.libs", "librdkafka-*.so*")
    library = ctypes.CDLL(glob.glob(beside)[0])
    for name, kind in [("rd_kafka_conf_new", ctypes.c_void_p), ("rd_kafka_new", ctypes.c_void_p),
                       ("rd_kafka_mock_cluster_new", ctypes.c_void_p),
                       ("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p)]:
        getattr(library, name).restype = kind
    why = ctypes.create_string_buffer(512)
    handle = library.rd_kafka_new(PRODUCER, ctypes.c_void_p(library.rd_kafka_conf_new()), why, len(why))
    if not handle:
        raise SystemExit(why.value.decode())
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(handle), 1))
    library.rd_kafka_mock_topic_create(cluster, topic.encode(), PARTITIONS, 1)

    def lead(broker):
        if library.rd_kafka_mock_partition_set_leader(cluster, topic.encode(), 0, broker):
            raise SystemExit("the leader stays as it was")

    return library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), lead


class Watched:
    """Partitions as a consumer of their own sees them."""

    def __init__(self, address, topic, numbers):
        self.settings = {"bootstrap.servers": address, "group.id": "tests", "check.crcs": True,
                         "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50,
                         "topic.metadata.refresh.interval.ms": 200}
        self.topic, self.offsets, self.consumer = topic, dict.fromkeys(numbers, 0), None

    def begin(self):
        self.consumer = Consumer(self.settings)
        self.consumer.assign([TopicPartition(self.topic, number, offset) for number, offset in self.offsets.items()])

    def end(self):
        self.consumer.close()
        self.consumer = None

    def say_next(self):
        message = self.consumer.poll(0.05) if self.consumer else None
        if message is None:
            return
        if message.error():
            raise SystemExit(str(message.error()))
        self.offsets[message.partition()] = message.offset() + 1
        headers = {name: value.decode() for name, value in message.headers() or []}
        print(json.dumps({"key": message.key().decode(), "partition": message.partition(), "headers": headers,
                          "at_ms": message.timestamp()[1], "value": json.loads(message.value())}), flush=True)


def main():
    topic = sys.argv[1]
    address, lead = mock(topic)
    signals = []
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _frame: signals.append(number))
    first, others = Watched(address, topic, [0]), Watched(address, topic, range(1, PARTITIONS))
    first.begin()
    others.begin()
    print(f"ready {address}", flush=True)
    end = time.monotonic() + LIFE_S
    while time.monotonic() < end:
        # Whoever fetches from a partition without a leader ends the mock cluster: it would say who leads now.
        match signals.pop(0) if signals else None:
            case signal.SIGUSR1:
                first.end()
                lead(NOBODY)
                print("leaderless", flush=True)
            case signal.SIGUSR2:
                lead(BROKER)
                first.begin()
                print("led", flush=True)
        first.say_next()
        others.say_next()


main()
