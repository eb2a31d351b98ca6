"""A Kafka broker for tests: the mock cluster of librdkafka, which speaks the real protocol on loopback, and a consumer of it
that verifies each record's checksum. Usage: broker.py TOPIC

Prints `ready HOST:PORT`, then a line of JSON for each record. Ends when it is killed, or after ten minutes.
"""

import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

PATIENCE_S = 20
LIFE_S = 600


def main():
    topic = sys.argv[1]
    cluster = Producer({"test.mock.num.brokers": 1})
    # Asked for, the topic is made.
    metadata = cluster.list_topics(topic, timeout=PATIENCE_S)
    broker = next(iter(metadata.brokers.values()))
    address = f"{broker.host}:{broker.port}"
    consumer = Consumer({"bootstrap.servers": address, "group.id": "tests", "check.crcs": True,
                         "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50})
    consumer.assign([TopicPartition(topic, number, 0) for number in metadata.topics[topic].partitions])
    print(f"ready {address}", flush=True)
    end = time.monotonic() + LIFE_S
    while time.monotonic() < end:
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            raise SystemExit(str(message.error()))
        headers = {name: value.decode() for name, value in message.headers() or []}
        print(json.dumps({"key": message.key().decode(), "partition": message.partition(), "headers": headers,
                          "at_ms": message.timestamp()[1], "value": json.loads(message.value())}), flush=True)


main()
