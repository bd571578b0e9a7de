"""confluent-kafka's part: fills the topic, or is a member of a group that writes down what it reads before it commits.

member.py produce PORT TOPIC KEYS EACH [name=value…]
member.py consume PORT TOPIC FILE [name=value…]
"""

import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer

POLL_RECORDS = 500


def produce(config, topic, keys, each):
    failures = []
    producer = Producer({**config, "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})

    def delivered(error, _message):
        if error is not None:
            failures.append(error)

    for number in range(each):
        for key in range(keys):
            producer.produce(topic, key=f"k{key}", value=str(number), on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(60)
    if failures or left:
        raise SystemExit(f"{left} not delivered, {len(failures)} failed: {failures[:3]}")


def consume(config, topic, path):
    consumer = Consumer({**config, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    with open(path, "w", encoding="utf-8") as out:
        while True:
            messages = consumer.consume(POLL_RECORDS, timeout=0.1)
            if not messages:
                continue
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                key, value = message.key().decode(), message.value().decode()
                out.write(f"{message.partition()} {message.offset()} {key} {value}\n")
            out.flush()
            # Slow enough to be killed half-way.
            time.sleep(0.02)
            consumer.commit(asynchronous=False)


def main():
    role, port, topic = sys.argv[1:4]
    first = 6 if role == "produce" else 5
    config = {"bootstrap.servers": f"127.0.0.1:{port}", **dict(pair.split("=", 1) for pair in sys.argv[first:])}
    if role == "produce":
        produce(config, topic, int(sys.argv[4]), int(sys.argv[5]))
    else:
        consume(config, topic, sys.argv[4])


if __name__ == "__main__":
    main()
