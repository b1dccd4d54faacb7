"""The network by itself: statistics with bounds, queues by hand, order, outages, streams, cost."""

import math
import runpy

import numpy as np
import pytest
import simpy
from scipy.stats import binom
from support.machine import in_time
from support.paths import ROOT

from stackelgrid.controllers.negotiation.commit.messages import Ack, encode
from stackelgrid.simulators.messages.communication import CommunicationNetwork
from stackelgrid.simulators.messages.communication_settings import (
    PERFECT,
    CommunicationError,
    CommunicationSettings,
    LinkQuality,
    Outage,
)
from stackelgrid.simulators.messages.link import TrafficCounts
from stackelgrid.simulators.messages.mailbox import Mailbox

BENCHMARK = ROOT / "benchmarks" / "communication.py"
NAMES = ("mv1", "lv1", "lv2")
# chance that a correct network is outside of a bound: the seeds are fixed, so never by chance
TAIL = 1e-6


def network(quality=PERFECT, links=None, outages=(), seed=7, start=0.0, names=NAMES):
    environment = simpy.Environment(start)
    sequence = np.random.SeedSequence(seed)
    return environment, CommunicationNetwork(
        environment, names, quality, links, outages, seed=sequence
    )


def listen(environment, net, name):
    """List that fills with (time, payload) as they arrive."""
    received = []
    net.receive(name, lambda sender, payload: received.append((environment.now, payload)))
    return received


def speak(environment, net, sender, recipient, times, size=4):
    """Send numbered messages at the given times."""

    def process():
        for number, at in enumerate(times):
            if at > environment.now:
                yield environment.timeout(at - environment.now)
            net.send(sender, recipient, number.to_bytes(4, "big").ljust(size, b"\0"))
        yield environment.timeout(0)

    environment.process(process())


def numbers(received):
    return [int.from_bytes(payload[:4], "big") for _, payload in received]


def one_link(quality, times, outages=(), seed=7, size=4, start=0.0):
    """What lv1 hears of what mv1 says at `times`, and the counts of the link."""
    environment, net = network(quality, outages=outages, seed=seed, start=start)
    received = listen(environment, net, "lv1")
    speak(environment, net, "mv1", "lv1", times, size)
    environment.run()
    return received, net.counts(("mv1", "lv1"))


def assert_binomial(count, n, p):
    low, high = binom.ppf([TAIL, 1.0 - TAIL], n, p)
    assert low <= count <= high, f"{count} outside [{low}, {high}]"


def test_perfect_network_delivers_at_once_in_order_and_everything():
    times = [-30.0] * 50 + [0.1 * k for k in range(100)]
    received, counts = one_link(PERFECT, times, start=-30.0, size=10)
    assert numbers(received) == list(range(150))
    assert [at for at, _ in received][:50] == [-30.0] * 50
    assert [at for at, _ in received] == pytest.approx(times, abs=1e-12)
    assert counts == TrafficCounts(sent=150, delivered=150, bytes_sent=1500, bytes_delivered=1500)
    assert counts.under_way == 0


def test_a_round_trip_on_a_perfect_network_takes_no_simulated_time():
    environment, net = network(start=5.0)
    answers = []

    def ask_again(sender, payload):
        answers.append((environment.now, payload))
        if len(answers) < 10:
            net.send("mv1", sender, b"?")

    net.receive("lv1", lambda sender, payload: net.send("lv1", sender, payload + b"!"))
    net.receive("mv1", ask_again)
    net.send("mv1", "lv1", b"?")
    environment.run()
    assert answers == [(5.0, b"?!")] * 10


@pytest.mark.parametrize("loss", [0.05, 0.3, 0.9])
def test_share_of_lost_messages(loss):
    received, counts = one_link(LinkQuality(loss=loss), range(4000))
    assert_binomial(counts.lost, 4000, loss)
    assert counts.delivered == len(received) == 4000 - counts.lost
    assert numbers(received) == sorted(numbers(received))


def test_certain_loss_loses_everything():
    received, counts = one_link(LinkQuality(loss=1.0), range(100))
    assert received == []
    assert counts == TrafficCounts(sent=100, lost=100, bytes_sent=400)


def test_losses_of_successive_messages_are_independent():
    received, _ = one_link(LinkQuality(loss=0.3), range(8000))
    arrived = set(numbers(received))
    lost = [k not in arrived for k in range(8000)]
    pairs = sum(a and b for a, b in zip(lost[::2], lost[1::2], strict=True))
    assert_binomial(pairs, 4000, 0.09)


@pytest.mark.parametrize(("latency", "jitter"), [(2.0, 0.5), (12.0, 6.0), (1.0, 2.0)])
def test_delays_have_mean_and_standard_deviation_and_are_never_negative(latency, jitter):
    # one message in 1000 s: none waits for the one before
    received, _ = one_link(LinkQuality(latency, jitter), [1000.0 * k for k in range(5000)])
    delays = np.array(
        [at - 1000.0 * k for (at, _), k in zip(received, numbers(received), strict=True)]
    )
    assert len(delays) == 5000
    assert delays.min() >= 0.0  # the shortest are below the resolution of the clock
    # standard errors of the mean, and of the variance of a gamma distribution (kurtosis 3 + 6/k)
    shape = (latency / jitter) ** 2
    assert delays.mean() == pytest.approx(latency, abs=5.0 * jitter / math.sqrt(5000))
    error = jitter**2 * math.sqrt((2.0 + 6.0 / shape) / 5000)
    assert delays.var() == pytest.approx(jitter**2, abs=5.0 * error)


def test_delay_is_constant_without_jitter():
    received, _ = one_link(LinkQuality(latency_s=3.0), [0.0, 1.0, 7.5])
    assert [at for at, _ in received] == [3.0, 4.0, 10.5]


def test_share_of_duplicates_and_both_copies_arrive():
    received, counts = one_link(LinkQuality(duplication=0.2), range(4000))
    assert_binomial(counts.duplicated, 4000, 0.2)
    assert counts.delivered == len(received) == 4000 + counts.duplicated
    heard = numbers(received)
    assert set(heard) == set(range(4000))
    assert max(heard.count(k) for k in heard[:500]) == 2
    assert counts.reordered == 0


def test_a_lost_message_has_no_duplicate():
    _, counts = one_link(LinkQuality(loss=0.5, duplication=1.0), range(1000))
    assert counts.duplicated == 1000 - counts.lost
    assert counts.delivered == 2 * counts.duplicated


def test_order_is_kept_under_jitter_without_reordering():
    """Sent a tenth of the jitter apart, so that most would overtake."""
    quality = LinkQuality(5.0, 5.0, duplication=0.1)
    received, counts = one_link(quality, [0.5 * k for k in range(2000)], start=-1.0)
    assert numbers(received) == sorted(numbers(received))
    assert counts.reordered == 0
    assert len(received) == 2000 + counts.duplicated


def test_order_is_kept_where_seconds_round():
    """Clamped to one moment from send times and clocks of very different size."""
    rng = np.random.default_rng(1)
    for start in (-900.0, 86400.0, 1e9):
        times = start + np.cumsum(rng.exponential(1e-3, 500))
        received, _ = one_link(LinkQuality(0.1, 0.1), times.tolist(), start=start)
        assert numbers(received) == list(range(500))


def test_order_is_kept_where_the_clock_passes_zero():
    """Before it delays are larger than the time at which they end, and so is what they round to."""
    for seed in range(20):
        times = np.linspace(-5.0, -0.1, 50).tolist()
        received, counts = one_link(
            LinkQuality(4.0, 4.0, duplication=1.0), times, seed=seed, start=-5.0
        )
        heard = numbers(received)
        assert heard == sorted([*range(50), *range(50)])
        assert counts.reordered == 0


def test_messages_drawn_for_reordering_overtake_and_are_overtaken():
    times = [0.5 * k for k in range(2000)]
    received, counts = one_link(LinkQuality(5.0, 5.0, reordering=1.0), times)
    heard = numbers(received)
    assert sorted(heard) == list(range(2000))
    newest, late = -1, 0
    for number in heard:
        late += number < newest
        newest = max(newest, number)
    assert counts.reordered == late > 500


def test_those_not_drawn_for_reordering_keep_their_order():
    """Five messages in a hundred leave the row; the rest is one increasing row."""
    times = [0.5 * k for k in range(2000)]
    received, counts = one_link(LinkQuality(5.0, 5.0, reordering=0.05), times)
    heard = numbers(received)
    assert counts.reordered > 0
    # longest increasing subsequence: at least all that were not drawn
    tails = []
    for number in heard:
        place = int(np.searchsorted(tails, number))
        tails[place : place + 1] = [number]
    assert len(tails) >= 2000 - binom.ppf(1.0 - TAIL, 2000, 0.05)


def test_bandwidth_queues_messages():
    """1000 bytes at 1 Mbit/s take 8 ms; the third comes to an idle link."""
    quality = LinkQuality(latency_s=0.5, bandwidth_bit_per_s=1e6)
    received, _ = one_link(quality, [0.0, 0.0, 0.1], size=1000)
    assert [at for at, _ in received] == pytest.approx([0.508, 0.516, 0.608], abs=1e-12)


def test_a_lost_message_has_occupied_its_link():
    """At 80 bit/s 10 bytes take a second; whoever gets through does so in its own turn."""
    quality = LinkQuality(loss=0.5, bandwidth_bit_per_s=80.0)
    received, counts = one_link(quality, [0.0] * 40, size=10)
    assert 0 < counts.lost < 40
    assert [at for at, _ in received] == pytest.approx([1.0 + k for k in numbers(received)])


def test_bandwidth_of_one_link_is_not_that_of_another():
    environment, net = network(LinkQuality(bandwidth_bit_per_s=80.0))
    first, second = listen(environment, net, "lv1"), listen(environment, net, "lv2")
    speak(environment, net, "mv1", "lv1", [0.0, 0.0], size=10)
    speak(environment, net, "mv1", "lv2", [0.0], size=10)
    environment.run()
    assert [at for at, _ in first] == [1.0, 2.0]
    assert [at for at, _ in second] == [1.0]


def test_outage_loses_what_is_sent_and_what_would_arrive_within_it():
    """Latency 2 s, down from 10 to 20 s: sent from 8 (arrives at 10) until before 20."""
    outage = Outage("mv1", "lv1", 10.0, 20.0)
    received, counts = one_link(LinkQuality(latency_s=2.0), range(25), [outage])
    assert numbers(received) == [*range(8), *range(20, 25)]
    assert counts.in_outage == 12
    assert counts.lost == 0


@pytest.mark.parametrize(
    ("outage", "down"),
    [
        (("lv1", "mv1"), {("lv1", "mv1")}),
        (("mv1", "*"), {("mv1", "lv1"), ("mv1", "lv2")}),
        (("*", "mv1"), {("lv1", "mv1"), ("lv2", "mv1")}),
        (("*", "*"), {("lv1", "mv1"), ("lv2", "mv1"), ("mv1", "lv1"), ("mv1", "lv2")}),
    ],
)
def test_outage_concerns_its_links_only(outage, down):
    ends = [("lv1", "mv1"), ("lv2", "mv1"), ("mv1", "lv1"), ("mv1", "lv2")]
    environment, net = network(outages=[Outage(*outage, 0.0, 10.0)])
    for sender, recipient in ends:
        net.send(sender, recipient, b"x")
    environment.run()
    silent = {e for e in ends if net.counts(e).in_outage == 1}
    assert silent == down
    assert net.counts().delivered == 4 - len(down)


def test_outage_leaves_the_fate_of_later_messages_as_it_was():
    quality = LinkQuality(5.0, 2.0, loss=0.3, duplication=0.1, reordering=0.2)
    times = [20.0 * k for k in range(300)]
    plain, _ = one_link(quality, times)
    down, counts = one_link(quality, times, [Outage("*", "*", 1990.0, 2990.0)])
    assert counts.in_outage > 0
    # 200 s after its end nothing of before is under way any more
    after = [entry for entry in plain if entry[0] > 3200.0]
    assert after == [entry for entry in down if entry[0] > 3200.0]
    assert len(after) > 50


ROUGH = LinkQuality(2.0, 1.0, 0.2, 0.1, 0.3, 1e5)


def talk(seed, busy=0, names=NAMES):
    """Deliveries from lv1 to mv1 while lv2 sends `busy` messages and mv1 answers as many."""
    environment, net = network(ROUGH, seed=seed, names=names)
    received = listen(environment, net, "mv1")
    speak(environment, net, "lv2", "mv1", [0.3 * k + 0.1 for k in range(busy)], size=77)
    speak(environment, net, "mv1", "lv1", [0.2 * k for k in range(busy)], size=50)
    speak(environment, net, "lv1", "mv1", [0.5 * k for k in range(400)], size=33)
    environment.run()
    return [entry for entry in received if len(entry[1]) == 33]


def test_equal_seeds_give_equal_deliveries_bit_for_bit():
    assert talk(3) == talk(3)
    assert len(talk(3)) > 300
    assert talk(3) != talk(4)


def test_traffic_on_other_links_changes_no_delivery_of_a_link():
    assert talk(3, busy=500) == talk(3)


def test_order_and_number_of_agents_change_no_delivery():
    assert talk(3, names=("lv9", "lv2", "mv1", "lv8", "lv1")) == talk(3)


def test_links_draw_different_numbers():
    environment, net = network(ROUGH)
    there, back = listen(environment, net, "lv1"), listen(environment, net, "mv1")
    speak(environment, net, "mv1", "lv1", range(100))
    speak(environment, net, "lv1", "mv1", range(100))
    environment.run()
    assert numbers(there) != numbers(back)


def test_children_of_a_seed_give_different_networks():
    first, second = np.random.SeedSequence(5).spawn(2)
    heard = []
    for seed in (first, second, np.random.SeedSequence(5)):
        environment = simpy.Environment()
        net = CommunicationNetwork(environment, NAMES, ROUGH, seed=seed)
        received = listen(environment, net, "lv1")
        speak(environment, net, "mv1", "lv1", range(100))
        environment.run()
        heard.append(numbers(received))
    assert len({tuple(h) for h in heard}) == 3


def test_a_link_may_have_a_quality_of_its_own():
    environment, net = network(LinkQuality(1.0), {("mv1", "lv1"): LinkQuality(4.0)})
    slow, back = listen(environment, net, "lv1"), listen(environment, net, "mv1")
    net.send("mv1", "lv1", b"x")
    net.send("lv1", "mv1", b"x")
    environment.run()
    assert (slow, back) == ([(4.0, b"x")], [(1.0, b"x")])


def test_traffic_is_taken_by_interval_and_in_total():
    environment, net = network(LinkQuality(latency_s=2.0))
    speak(environment, net, "mv1", "lv1", [0.0, 9.0], size=10)
    speak(environment, net, "lv1", "mv1", [1.0], size=30)
    environment.run(until=10.0)
    there, total = net.counts(("mv1", "lv1")), net.counts()
    first = TrafficCounts(sent=2, delivered=1, bytes_sent=20, bytes_delivered=10)
    assert there == first
    assert first.under_way == 1
    assert total == first + TrafficCounts(1, 1, bytes_sent=30, bytes_delivered=30)
    environment.run(until=20.0)
    later = TrafficCounts(delivered=1, bytes_delivered=10)
    assert net.counts(("mv1", "lv1")) - there == net.counts() - total == later
    assert net.counts(("mv1", "lv1"), ("lv1", "mv1")) == net.counts()
    assert net.counts().under_way == 0
    assert tuple(sorted(net.state())) == (("lv1", "mv1"), ("mv1", "lv1"))
    assert net.counts(("lv2", "mv1")) == TrafficCounts()
    assert tuple(sorted(net.state())) == (("lv1", "mv1"), ("mv1", "lv1"))


def test_every_copy_is_accounted_for():
    outages = [Outage("*", "*", 50.0, 100.0)]
    received, counts = one_link(ROUGH, [0.5 * k for k in range(1000)], outages)
    assert counts.under_way == 0
    assert min(counts.lost, counts.in_outage, counts.duplicated, counts.reordered) > 0
    assert counts.delivered == len(received)
    assert counts.bytes_delivered == 4 * len(received)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"latency_s": -1.0}, "latency_s is -1.0; a finite number >= 0 is accepted"),
        ({"latency_s": math.nan}, "latency_s is nan; a finite number >= 0"),
        ({"latency_s": 1.0, "jitter_s": math.inf}, "jitter_s is inf; a finite number >= 0"),
        ({"loss": 1.01}, "loss is 1.01; a probability, 0 to 1, is accepted"),
        ({"loss": math.nan}, "loss is nan; a probability"),
        ({"duplication": -0.1}, "duplication is -0.1; a probability"),
        ({"reordering": 2}, "reordering is 2; a probability"),
        ({"bandwidth_bit_per_s": 0.0}, "bandwidth_bit_per_s is 0.0; a finite number > 0"),
        ({"jitter_s": 0.5}, "jitter_s is 0.5 where latency_s is 0; latency_s > 0"),
        ({"latency_s": 1.0, "reordering": 0.5}, "reordering is 0.5 where jitter_s is 0"),
    ],
)
def test_impossible_links_are_refused(arguments, expected):
    with pytest.raises(CommunicationError) as refusal:
        LinkQuality(**arguments)
    assert expected in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_other_impossible_settings_are_refused():
    with pytest.raises(CommunicationError, match="from_s is 5 and to_s 5; from_s < to_s is acc"):
        Outage("mv1", "lv1", 5.0, 5.0)
    with pytest.raises(CommunicationError, match=r"from_s is 5 and to_s nan"):
        Outage("mv1", "lv1", 5.0, math.nan)
    with pytest.raises(CommunicationError, match=r"gate_s is 0\.0; a finite number > 0"):
        CommunicationSettings(gate_s=0.0)
    with pytest.raises(CommunicationError, match=r"compute_s is -1\.0; a finite number >= 0"):
        CommunicationSettings(gate_s=60.0, compute_s=-1.0)


def test_agents_that_do_not_exist_are_refused():
    _, net = network()
    known = "known: mv1, lv1, lv2"
    with pytest.raises(CommunicationError, match=f"sender 'lv9' is not an agent .*; {known}"):
        net.send("lv9", "mv1", b"x")
    with pytest.raises(CommunicationError, match=f"recipient 'lv9' is not an agent .*; {known}"):
        net.send("mv1", "lv9", b"x")
    with pytest.raises(CommunicationError, match=f"recipient '\\*' is not an agent .*; {known}"):
        net.send("mv1", "*", b"x")
    with pytest.raises(CommunicationError, match=f"recipient 'lv9' is not an agent .*; {known}"):
        net.counts(("mv1", "lv9"))
    with pytest.raises(CommunicationError, match="agent 'mv1' sends to itself"):
        net.send("mv1", "mv1", b"x")
    with pytest.raises(CommunicationError, match=f"sender 'lv9' is not an agent .*; {known}"):
        network(links={("lv9", "mv1"): PERFECT})
    with pytest.raises(CommunicationError, match=f"recipient 'tn' is not an agent .*; {known}"):
        network(outages=[Outage("*", "tn", 0.0, 1.0)])
    with pytest.raises(CommunicationError, match="agent 'lv1' is given twice"):
        network(names=("lv1", "mv1", "lv1"))
    assert net.counts() == TrafficCounts()


def test_a_thousand_messages_of_negotiations_cost_milliseconds():
    """As a run sends them, from mailbox to mailbox; half as much again as is asked for."""
    benchmark = runpy.run_path(str(BENCHMARK))
    quality = LinkQuality(2.0, 1.0, loss=0.05, duplication=0.05, reordering=0.05)
    cost, sent = benchmark["cost_ms"](quality, negotiations=10, repeat=5)
    assert sent > 1000
    assert in_time(cost, 15.0)


def test_a_receiver_takes_what_arrives_with_the_link_it_came_over():
    environment, net = network(names=("lv1", "lv2", "mv1"))
    heard = []
    net.send("lv1", "mv1", b"nobody takes it")
    environment.run()
    net.receive("mv1", lambda sender, payload: heard.append((sender, payload)))
    for sender in ("lv1", "lv2"):
        net.send(sender, "mv1", b"next")
    environment.run()
    assert heard == [("lv1", b"next"), ("lv2", b"next")]
    assert net.counts().delivered == 3
    with pytest.raises(CommunicationError, match="recipient 'tn' is not an agent"):
        net.receive("tn", lambda sender, payload: None)


@pytest.mark.parametrize("start", [-5.0, 0.0, 1e9])
def test_a_mailbox_tells_of_an_arrival_or_of_a_time(start):
    environment, net = network(start=start)
    mailbox = Mailbox(net, "mv1", frozenset({"lv1"}), 1)
    heard = []

    def reader():
        for seconds in (2.0, 2.0, 2.0, 7.0):
            arrival = yield mailbox.get(start + seconds)
            heard.append((environment.now - start, arrival))
        arrival = yield mailbox.get()
        heard.append((environment.now - start, arrival))

    environment.process(reader())
    speak(environment, net, "lv1", "mv1", [start + 1.5, start + 3.0, start + 7.5], size=4)
    environment.run(until=start + 100.0)
    first, *later = (("lv1", number.to_bytes(4, "big")) for number in range(3))
    # the second wait ends with its time, the third one at once
    assert heard == [(1.5, first), (2.0, None), (2.0, None), (3.0, later[0]), (7.5, later[1])]


def test_what_comes_as_a_mailbox_is_left_is_the_next_arrival():
    environment, net = network()
    mailbox = Mailbox(net, "mv1", frozenset({"lv1"}), 1)
    mailbox.cancel(mailbox.get(3.0))
    mailbox.put("lv1", b"first")
    mailbox.cancel(mailbox.get())
    mailbox.put("lv1", b"second")
    environment.run()
    assert mailbox.get().value == ("lv1", b"first")
    assert mailbox.waiting() == [("lv1", b"second")]


def test_waiting_again_for_the_same_time_sets_no_other_timer():
    """A negotiation waits for many answers until one time."""
    environment, net = network()
    mailbox = Mailbox(net, "mv1", frozenset({"lv1"}), 1)
    for _ in range(100):
        waiting = mailbox.get(3.0)
        mailbox.put("lv1", b"x")
        assert waiting.triggered
    waiting = mailbox.get(3.0)
    timers = [event for event in environment._queue if isinstance(event[-1], simpy.Timeout)]
    assert len(timers) == 1
    environment.run()
    assert waiting.value is None
    assert environment.now == 3.0


def test_mailboxes_of_one_party_are_told_apart_by_the_link():
    """A feeder hears its communities as coordinator and the network above as an agent."""
    environment, net = network(names=("tn", "mv1", "lv1", "lv9"))
    above = Mailbox(net, "mv1", frozenset({"tn"}), 1)
    below = Mailbox(net, "mv1", frozenset({"lv1"}), 1)

    def ack(sender):
        return encode(Ack(sender=sender, recipient="mv1", interval=0, attempt=0, held=None))

    for link, name in (("tn", "tn"), ("lv1", "lv1"), ("lv1", "tn"), ("lv9", "lv9")):
        net.send(link, "mv1", ack(name))
    environment.run()
    # a message of no known agent is refused by the first one
    assert [m and m.sender for m in map(above.read, above.waiting())] == ["tn", None]
    assert [m and m.sender for m in map(below.read, below.waiting())] == ["lv1", None]
    assert list(above.refused) == ["message from 'lv9': accepted are tn"]
    assert list(below.refused) == ["message from 'tn': accepted are lv1"]
    assert not above.waiting()
