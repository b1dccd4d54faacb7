"""Cost of messages: encoded, sent, delivered, received by a waiting process and decoded.

A message is an answer of a community: two profiles of 24 steps. Times are of one machine in one
run, the best of several; a message that is lost is encoded and sent all the same. Six communities
answer every second, so that with a delay of two seconds about a dozen are on their way.

    python benchmarks/communication.py [--messages N] [--repeat N]
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import simpy

from stackelgrid.controllers.agents.messages import Response, decode, encode
from stackelgrid.simulators.communication import PERFECT, CommunicationNetwork, LinkQuality

QUALITIES = {
    "perfect": PERFECT,
    "delayed": LinkQuality(latency_s=2.0, jitter_s=1.0),
    "lossy": LinkQuality(2.0, 1.0, loss=0.3, duplication=0.05, reordering=0.1),
    "everything": LinkQuality(2.0, 1.0, 0.01, 0.05, 0.1, bandwidth_bit_per_s=1e6),
}
STEPS = 24
AGENTS = tuple(f"lv{i}" for i in range(1, 7))
COORDINATOR = "mv1"


def seconds(quality: LinkQuality, messages: int) -> tuple[float, int]:
    """Seconds of six communities that answer a coordinator in turn, and answers decoded."""
    rng = np.random.default_rng(1)
    exchange, trade = (tuple(rng.normal(size=STEPS).tolist()) for _ in range(2))
    environment = simpy.Environment()
    network = CommunicationNetwork(
        environment, (COORDINATOR, *AGENTS), quality, seed=np.random.SeedSequence(1)
    )
    known, decoded = frozenset(AGENTS), 0

    def receive() -> Iterator[simpy.Event]:
        nonlocal decoded
        inbox = network.inbox(COORDINATOR)
        while True:
            payload = yield inbox.get()
            decode(payload, recipient=COORDINATOR, known=known, steps=STEPS)
            decoded += 1

    environment.process(receive())
    started = time.perf_counter()
    for number in range(messages):
        agent = AGENTS[number % len(AGENTS)]
        answer = Response(
            sender=agent,
            recipient=COORDINATOR,
            interval=0,
            attempt=0,
            round=number,
            exchange_mw=exchange,
            trade_mw=trade,
        )
        network.send(agent, COORDINATOR, encode(answer))
        if agent == AGENTS[-1]:
            environment.run(until=environment.now + 1.0)
    environment.run()
    taken = time.perf_counter() - started
    assert decoded == network.total.counts.delivered
    return taken, decoded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'quality':10} {'messages':>8} {'delivered':>9} {'ms per 1,000':>12}")
    worst = 0.0
    for name, quality in QUALITIES.items():
        best, delivered = min(seconds(quality, arguments.messages) for _ in range(arguments.repeat))
        cost = 1e6 * best / arguments.messages
        worst = max(worst, cost)
        print(f"{name:10} {arguments.messages:8} {delivered:9} {cost:12.2f}")
    print(f"worst {worst:.2f} ms per 1,000 messages; at most 10 are asked")


if __name__ == "__main__":
    main()
