"""Three streets below a feeder that negotiate by messages, without mosaik around them."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pandapower as pp
from support.pandapower_nets import empty_net
from support.scenario_texts import write_extending

from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.decision import Decision, Negotiation
from stackelgrid.controllers.negotiation.commit.messages import Commit, Message, Version
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.scenarios.build.system import build_controller, build_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.messages.agent_process import AgentProcess
from stackelgrid.simulators.messages.negotiation import NegotiatedLddAdmm

AGENTS = ("lv1", "lv2", "lv3")
GATE_S, INTERVAL_S, COMPUTE_S = 600.0, 3600.0, 1.0
HEAD_VM_PU = 1.013

SCENARIO = """
name = "streets"
seed = 8
controller = "ldd_admm"
coordination = "ldd_admm"
[communication]
gate_s = {gate_s}
compute_s = {compute_s}
[time]
start = 2025-06-21T10:00:00
intervals = 8
interval_min = 60
[horizon]
steps = [{{ count = 3, minutes = 60 }}]
[costs]
curtailment_eur_per_mwh = 1.0
[tariffs.lv]
kind = "time_of_use"
periods = [
    {{ from = "00:00", import = 200.0, export = 70.0 }},
    {{ from = "12:00", import = 310.0, export = 90.0 }},
]
[templates.street]
case = "street.json"
level = "lv"
parent = "mv1"
tariff = "lv"
boundary = {{ kind = "fixed_tap" }}
loads = {{ assign = {{ household = 1.0 }} }}
trade = {{ retail_margin_eur_per_mwh = 40.0, fee_inside_eur_per_mwh = 15.0, \
fee_across_eur_per_mwh = 30.0 }}
batteries = [{{ count = 1, among = "pv", p_mw = 0.0043, e_mwh = 0.0087, e_min_mwh = 0.0007, \
efficiency_charge = 0.93, efficiency_discharge = 0.91, wear_eur_per_mwh = 11.0 }}]
[[grids]]
template = "street"
name = "lv1"
bus = 24
multiplicity = 7
pv = [{{ share = 1.0, p_mw = 0.006 }}]
[[grids]]
template = "street"
name = "lv2"
bus = 30
multiplicity = 5
pv = [{{ count = 2, p_mw = 0.003 }}]
[[grids]]
template = "street"
name = "lv3"
bus = 6
multiplicity = 4
pv = [{{ count = 1, p_mw = 0.002 }}]
"""


def street_net():
    """One transformer and four customers of 3 kW on a line."""
    net = empty_net(sn_mva=0.1)
    high, bus = pp.create_bus(net, vn_kv=12.66), pp.create_bus(net, vn_kv=0.4)
    pp.create_ext_grid(net, high)
    pp.create_transformer_from_parameters(
        net, high, bus, sn_mva=0.1, vn_hv_kv=12.66, vn_lv_kv=0.4, vk_percent=4.0,
        vkr_percent=1.5, pfe_kw=0.2, i0_percent=0.3, tap_side="hv", tap_neutral=0, tap_min=-2,
        tap_max=2, tap_step_percent=2.5, tap_step_degree=0.0, tap_pos=0,
        tap_changer_type="Ratio",
    )  # fmt: skip
    for length_km in (0.051, 0.043, 0.067, 0.038):
        following = pp.create_bus(net, vn_kv=0.4)
        pp.create_line_from_parameters(
            net, bus, following, length_km=length_km, r_ohm_per_km=0.31, x_ohm_per_km=0.079,
            c_nf_per_km=0.0, max_i_ka=0.2,
        )  # fmt: skip
        pp.create_load(net, following, p_mw=0.003, q_mvar=0.001)
        bus = following
    return net


@dataclass
class Streets:
    """A controller of its own, its negotiation, and what is measured of the batteries."""

    cascade: Cascade
    scheme: NegotiatedLddAdmm
    energy_mwh: dict[str, np.ndarray]
    lost_mwh: dict[str, float] = field(default_factory=dict)
    payloads: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def network(self):
        return self.scheme.host.network

    @property
    def environment(self):
        return self.scheme.host.environment

    def process(self, name) -> AgentProcess:
        return self.scheme.processes[name]

    def hear(self, name, receiver):
        """Let a function of sender and payload receive the messages to an agent."""
        self.network.receive(name, receiver, frozenset({"mv1"}))

    def decide(self, interval) -> tuple[Decision, Negotiation]:
        """Decide for an interval and carry its first step out."""
        measured = {
            n: Measurement(HEAD_VM_PU, 0, battery_e_mwh=e) for n, e in self.energy_mwh.items()
        }
        decision = self.cascade.decide(interval, measured)
        for name, plan in decision.plans.items():
            self.energy_mwh[name] = plan.schedule.battery_e_mwh[:, 0].copy()
            self.lost_mwh[name] = float(plan.certificate.loss_mw @ plan.schedule.dt_h)
        found = next(o.negotiation for o in decision.outcomes if o.follower == "mv1")
        return decision, found

    def start(self):
        """Enrol the agents, so that a test can change how they behave; nothing is negotiated."""
        real = self.scheme.decide
        scheme = self.scheme

        def stop(instance):
            public = scheme.prepare(instance)
            scheme.coordinator = scheme.start(public, scheme.enrolled(), instance.interval)
            raise _StartedError

        scheme.decide = stop
        try:
            self.decide(0)
        except _StartedError:
            scheme.decide = real
        return self


class _StartedError(Exception):
    pass


@cache
def built_streets():
    """Streets as built, once a process; their system has no state, their controller is not used."""
    with TemporaryDirectory() as folder:
        pp.to_json(street_net(), str(Path(folder) / "street.json"))
        return build_scenario(load(Path(folder), GATE_S, COMPUTE_S))


def load(folder, gate_s, compute_s, extra=""):
    text = SCENARIO.format(gate_s=gate_s, compute_s=compute_s) + extra
    return load_scenario(str(write_extending(folder, "mv1", text)))


def build(folder, gate_s=GATE_S, compute_s=COMPUTE_S, extra="") -> Streets:
    """Streets with a controller of their own; messages are recorded as they are sent.

    `extra` are further lines of `[communication]`; the system is the same for all.
    """
    built = built_streets()
    scenario = load(folder, gate_s, compute_s, extra).scenario
    cascade = build_controller(scenario, built.system, folder, built.solvers, built.axis)
    scheme = next(x.scheme for x in cascade.stages if x.name == "mv1")
    energy = {f.name: f.devices.batteries.e_initial_mwh for f in cascade.system.feeders}
    streets = Streets(cascade, scheme, energy)
    send = scheme.host.network.send

    def recorded(sender, recipient, payload):
        streets.payloads.append((sender, payload))
        send(sender, recipient, payload)

    scheme.host.network.send = recorded
    return streets


def decoded(payload):
    return msgspec.msgpack.decode(payload, type=Message)


def is_commit(payload, version: Version | None = None):
    try:
        message = decoded(payload)
    except msgspec.DecodeError:
        return False
    return isinstance(message, Commit) and version in (None, message.version)
