"""Cost of messages as a run sends them: made, encoded, sent, delivered, read, decoded and checked.

Six communities negotiate with their coordinator over mailboxes, with profiles of 24 steps: rounds
of `Offer` and `Response`, then `Prepare`, `Vote`, `Commit` and `Ack`; nobody computes anything. The
coordinator waits for an answer or a time, and repeats what stays unanswered. Times are those of the
processor, of one machine, the best of several runs; a message that is lost is made and sent all the
same.

    python benchmarks/communication.py [--negotiations N] [--repeat N]
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import simpy

from stackelgrid.controllers.negotiation.commit.messages import (
    Ack,
    Commit,
    Message,
    Offer,
    PowerLimits,
    Prepare,
    Response,
    Version,
    Vote,
    check_range,
)
from stackelgrid.simulators.messages.communication import CommunicationNetwork
from stackelgrid.simulators.messages.communication_settings import PERFECT, LinkQuality
from stackelgrid.simulators.messages.mailbox import Mailbox

QUALITIES = {
    "perfect": PERFECT,
    "delayed": LinkQuality(latency_s=2.0, jitter_s=1.0),
    "lossy": LinkQuality(2.0, 1.0, loss=0.3, duplication=0.05, reordering=0.1),
    "everything": LinkQuality(2.0, 1.0, 0.01, 0.05, 0.1, bandwidth_bit_per_s=1e6),
}
STEPS, ROUNDS, WAIT_S = 24, 8, 10.0
AGENTS = tuple(f"lv{i}" for i in range(1, 7))
COORDINATOR = "mv1"
LIMITS = PowerLimits(100.0, 100.0)

RNG = np.random.default_rng(1)
PROFILES = [tuple(RNG.normal(size=STEPS).tolist()) for _ in range(6)]
POWERS = ("exchange_mw", "exchange_mvar", "trade_mw", "held_mw", "held_mvar")
TERMS = dict(
    zip(
        ("trade_price", "trade_target", "trade_penalty",
         "exchange_price", "exchange_target", "exchange_penalty"),
        PROFILES, strict=True,
    )
)  # fmt: skip


def question(agent: str, interval: int, number: int) -> Message:
    """Return the coordinator's message in a step of a negotiation: rounds, then the commit."""
    head = {"sender": COORDINATOR, "recipient": agent, "interval": interval, "attempt": 0}
    if number > ROUNDS:
        return Commit(**head, committed=Version(interval, 0), trade_mw=PROFILES[0])
    kind = Offer if number < ROUNDS else Prepare
    return kind(**head, round=number, fixed=number > 3, committed=None, **TERMS)


def answer(message: Message) -> Message:
    """Return an agent's answer to a message."""
    head = {
        "sender": message.recipient,
        "recipient": COORDINATOR,
        "interval": message.interval,
        "attempt": 0,
    }
    if isinstance(message, Offer):
        exchange, trade, *_ = PROFILES
        return Response(**head, round=message.round, exchange_mw=exchange, trade_mw=trade)
    if isinstance(message, Prepare):
        powers = dict(zip(POWERS, PROFILES, strict=False))
        return Vote(**head, round=message.round, yes=True, held=None, **powers)
    return Ack(**head, held=message.version)


def agent_process(mailbox: Mailbox) -> Iterator[simpy.Event]:
    while True:
        first = yield mailbox.get()
        for arrival in (first, *mailbox.waiting()):
            message = mailbox.read(arrival)
            assert message is not None
            mailbox.send(answer(message))


def coordinator_process(
    environment: simpy.Environment, mailbox: Mailbox, negotiations: int
) -> Iterator[simpy.Event]:
    for interval in range(negotiations):
        for number in range(ROUNDS + 2):
            heard: set[str] = set()
            while len(heard) < len(AGENTS):
                for agent in AGENTS:
                    if agent not in heard:
                        mailbox.send(question(agent, interval, number))
                end = environment.now + WAIT_S
                while len(heard) < len(AGENTS) and environment.now < end:
                    arrival = yield mailbox.get(end)
                    if arrival is None:
                        continue
                    message = mailbox.read(arrival)
                    assert message is not None
                    check_range(message, LIMITS)
                    if (message.interval, number_of(message)) == (interval, number):
                        heard.add(message.sender)


def number_of(message: Message) -> int:
    """Step of a negotiation that an answer belongs to."""
    return message.round if isinstance(message, Response | Vote) else ROUNDS + 1


def seconds(quality: LinkQuality, negotiations: int) -> tuple[float, int]:
    """Seconds that some negotiations take, and messages sent."""
    environment = simpy.Environment()
    network = CommunicationNetwork(
        environment, (COORDINATOR, *AGENTS), quality, seed=np.random.SeedSequence(1)
    )
    for agent in AGENTS:
        mailbox = Mailbox(network, agent, frozenset({COORDINATOR}), STEPS)
        environment.process(agent_process(mailbox))
    mailbox = Mailbox(network, COORDINATOR, frozenset(AGENTS), STEPS)
    done = environment.process(coordinator_process(environment, mailbox, negotiations))
    started = time.process_time()
    environment.run(done)
    return time.process_time() - started, network.counts().sent


def cost_ms(quality: LinkQuality, negotiations: int, repeat: int) -> tuple[float, int]:
    """Least ms per 1,000 messages, and messages sent."""
    runs = [seconds(quality, negotiations) for _ in range(repeat)]
    return min(1e6 * taken / sent for taken, sent in runs), runs[0][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--negotiations", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'quality':10} {'messages':>8} {'ms per 1,000':>12}")
    worst = 0.0
    for name, quality in QUALITIES.items():
        cost, sent = cost_ms(quality, arguments.negotiations, arguments.repeat)
        worst = max(worst, cost)
        print(f"{name:10} {sent:8} {cost:12.2f}")
    print(f"worst {worst:.2f} ms per 1,000 messages; at most 10 are asked")


if __name__ == "__main__":
    main()
