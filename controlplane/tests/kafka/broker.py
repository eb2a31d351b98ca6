"""A Kafka broker for tests: the mock cluster of librdkafka, which speaks the real protocol on loopback, and a consumer of it
that verifies each record's checksum. Usage: broker.py TOPIC

Prints `ready HOST:PORT`, then a line of JSON for each record. Ends when its standard input does.
"""

import json
import os
import sys
import threading

from confluent_kafka import Consumer, Producer, TopicPartition

PATIENCE_S = 20


def end_with_input():
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main():
    topic = sys.argv[1]
    threading.Thread(target=end_with_input, daemon=True).start()
    cluster = Producer({"test.mock.num.brokers": 1})
    # Asked for, the topic is made.
    metadata = cluster.list_topics(topic, timeout=PATIENCE_S)
    broker = next(iter(metadata.brokers.values()))
    address = f"{broker.host}:{broker.port}"
    consumer = Consumer({"bootstrap.servers": address, "group.id": "tests", "check.crcs": True,
                         "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50})
    consumer.assign([TopicPartition(topic, number, 0) for number in metadata.topics[topic].partitions])
    print(f"ready {address}", flush=True)
    while True:
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            raise SystemExit(str(message.error()))
        headers = {name: value.decode() for name, value in message.headers() or []}
        print(json.dumps({"key": message.key().decode(), "partition": message.partition(), "headers": headers,
                          "at_ms": message.timestamp()[1], "value": json.loads(message.value())}), flush=True)


main()
