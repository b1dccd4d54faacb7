"""Builders shared by the tests of the decision layers."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest
from pandapower_nets import empty_net

from stackelgrid.controllers.devices.devices import Devices, read_devices
from stackelgrid.controllers.leaders.feeder_schedule import middle_price
from stackelgrid.controllers.leaders.leader_group import LeaderGroup
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkOptions,
    active_network_data,
    active_network_model,
)
from stackelgrid.controllers.models.p2p import prosumers_of
from stackelgrid.controllers.networks.boundary import tap_changer
from stackelgrid.controllers.networks.cases import load_case as read_case
from stackelgrid.controllers.networks.power_flow import AcPowerFlow
from stackelgrid.controllers.networks.radial import RadialNetwork, radial_network
from stackelgrid.controllers.networks.reduction import FlowState, Reduction, reduce_network
from stackelgrid.controllers.solvers import ClarabelSolver, CompiledModel, Solution, compile_model
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.controllers.solvers.misocp import MixedIntegerConicSolver
from stackelgrid.controllers.solvers.mixed_search import MixedOptions, MixedSolution
from stackelgrid.controllers.system import Boundary, Feeder
from stackelgrid.profiles.forecast import GridSeries, PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

REFERENCE = Path(__file__).parents[1] / "reference_cases" / "grids.json"


@pytest.fixture(scope="session")
def reference():
    """Outside values, each with its source."""
    return json.loads(REFERENCE.read_text())


@pytest.fixture(scope="session")
def _cases():
    return {}


@pytest.fixture
def load_case(_cases):
    """`load_case(case)`: a fresh copy of a built-in grid; the grid itself is read once."""

    def load(case):
        if case not in _cases:
            _cases[case] = read_case(case, case)
        return copy.deepcopy(_cases[case])

    return load


def build_radial_net(parents, p_kw, q_kvar, ohm_per_km=(0.3, 0.1), length_km=0.1, sn_mva=0.1):
    """400 V tree: bus k + 1 hangs on `parents[k]`; loads (buses,) in kW and kVAr, 0 for none."""
    net = empty_net(sn_mva=sn_mva)
    pp.create_buses(net, len(parents) + 1, vn_kv=0.4, min_vm_pu=0.5, max_vm_pu=1.5)
    pp.create_ext_grid(net, 0, vm_pu=1.0)
    pp.create_lines_from_parameters(
        net, parents, np.arange(1, len(parents) + 1), length_km=length_km,
        r_ohm_per_km=ohm_per_km[0], x_ohm_per_km=ohm_per_km[1], c_nf_per_km=0.0, max_i_ka=np.nan,
    )  # fmt: skip
    p, q = np.array(p_kw, dtype=float), np.array(q_kvar, dtype=float)
    loaded = np.flatnonzero((p != 0.0) | (q != 0.0))
    if len(loaded):
        pp.create_loads(net, loaded, p_mw=p[loaded] / 1e3, q_mvar=q[loaded] / 1e3)
    return net


@pytest.fixture(scope="session")
def radial_net():
    """`radial_net(parents, p_kw, q_kvar, ...)`: a 400 V tree as a pandapower net."""
    return build_radial_net


def bus_demand(net):
    """Net consumption of loads, sgens and storages at every bus of a net, MW and MVAr."""
    at = {bus: i for i, bus in enumerate(net.bus.index)}
    p, q = np.zeros((2, len(net.bus)))
    for table, sign in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0)):
        for _, row in net[table].iterrows():
            p[at[row.bus]] += sign * row.p_mw * row.scaling
            q[at[row.bus]] += sign * row.q_mvar * row.scaling
    return p, q


@pytest.fixture(scope="session")
def solve_ac():
    """`solve_ac(net)`: AcState of a net at the powers it holds."""

    def solve(net, scale=1.0, slack_vm_pu=None):
        flow = AcPowerFlow(net, "tested")
        p, q = bus_demand(net)
        gens = net.gen.p_mw.to_numpy(dtype=float) if len(net.gen) else None
        return flow.solve(scale * p, scale * q, slack_vm_pu or flow.slack_vm_pu, gens)

    return solve


@pytest.fixture(scope="session")
def run_pandapower():
    """`run_pandapower(net)`: a solved copy, by pandapower's own Newton method."""

    def run(net):
        net = copy.deepcopy(net)
        pp.runpp(
            net, numba=False, calculate_voltage_angles=True, init="dc", tolerance_mva=1e-10
        )  # fmt: skip
        return net

    return run


@dataclass(frozen=True)
class Optimum:
    """A solved Pyomo model: values by variable and duals by constraint component."""

    model: Any
    compiled: CompiledModel
    solution: Solution | MixedSolution

    def value(self, name):
        assert self.solution.status == "optimal", self.solution.message
        return self.solution.x[self.compiled.columns[name]]

    def dual(self, name):
        return self.solution.dual[self.compiled.rows[name]]

    @property
    def objective(self):
        """As the model writes it."""
        return (-1.0 if self.compiled.maximise else 1.0) * self.solution.objective


def optimise(model, data=None, gap=None):
    """Compile and solve a Pyomo model whose variables named in `data` are parameters.

    Integers are relaxed, or with a `gap` they are integers and this is what is proven.
    """
    data = data or {}
    compiled = compile_model(model, [getattr(model, name) for name in data])
    vector = parameter_vector(compiled.parameters, data)
    instance = compiled.program.data(vector)
    if gap is None:
        solution = ClarabelSolver(compiled.program).solve(instance)
    else:
        solution = MixedIntegerConicSolver(compiled.program).solve(instance, MixedOptions(gap))
    return Optimum(model, compiled, solution)


@pytest.fixture(scope="session", name="optimise")
def optimise_fixture():
    """`optimise(model, data)`: compile, solve, and read by component name."""
    return optimise


@dataclass(frozen=True)
class ActiveOptimum:
    """Optimum of an active network in MW; arrays (devices, steps)."""

    network: RadialNetwork
    devices: Devices
    reduction: Reduction
    optimum: Optimum
    steps: int

    @property
    def objective(self):
        return self.optimum.objective

    @property
    def status(self):
        return self.optimum.solution.status

    def pu(self, name):
        return self.optimum.value(name).reshape(-1, self.steps)

    def mw(self, name):
        return self.network.base_mva * self.pu(name)

    @property
    def flows(self) -> FlowState:
        """All branches and buses of the full network."""
        return self.reduction.expand(
            self.pu("p_branch"), self.pu("q_branch"), self.pu("current2"), self.pu("v")
        )

    @property
    def loss_mw(self):
        """Losses of every step."""
        return self.network.base_mva * self.network.r @ self.flows.current2

    @property
    def vm_pu(self):
        """Voltages (buses, steps) in the order of the net's buses."""
        order = np.argsort(self.network.bus_index)
        return np.sqrt(self.flows.v[order])


def solve_active(
    net,
    dt_h=(1.0,),
    load=1.0,
    pv_mw=0.0,
    v_head=None,
    import_price=100.0,
    export_price=50.0,
    e_start_mwh=None,
    e_end_mwh=None,
    options=None,
    reduce=False,
    gap=None,
):
    """Optimum of the model of an active network; `load` and `pv_mw` are (steps,) or scalars.

    `load` is a factor on the loads of the net, `pv_mw` the power available to every PV system.
    Binaries are relaxed unless a `gap` is given.
    """
    dt_h = np.asarray(dt_h, dtype=float)
    steps = len(dt_h)
    full = radial_network(net, "tested")
    devices = read_devices(net, "tested", slack_is_unit=False)
    occupied = devices.occupied_buses if reduce else set(full.bus_index)
    reduction = reduce_network(full, full.positions(sorted(occupied)))
    network, base = reduction.network, full.base_mva
    loads, batteries = devices.loads, devices.batteries
    rows = network.positions(loads.bus)
    factor = np.broadcast_to(load, steps)
    prosumers = prosumers_of(devices, np.abs(loads.p_mw) * np.abs(factor).max())
    options = options or ActiveNetworkOptions()
    model = active_network_model(network, devices, rows, prosumers, dt_h, options)
    available = np.broadcast_to(pv_mw, (len(devices.photovoltaics.index), steps))
    start = batteries.e_initial_mwh if e_start_mwh is None else np.asarray(e_start_mwh, float)
    end = start if e_end_mwh is None else np.asarray(e_end_mwh, float)
    head = net.ext_grid.vm_pu.iloc[0] if v_head is None else v_head
    data = {
        "v_head": np.broadcast_to((np.asarray(head) / full.head_ratio) ** 2, steps),
        "load_p": np.outer(loads.p_mw, factor) / base,
        "load_q": np.outer(loads.q_mvar, factor) / base,
        "pv_available": available / base,
        "energy_initial": start / base,
        "energy_terminal": end / base,
        "import_price": np.broadcast_to(import_price, steps),
        "export_price": np.broadcast_to(export_price, steps),
    }
    if options.trade is not None:
        own = np.zeros((len(prosumers.bus), steps))
        for bus, p_mw in zip(loads.bus, loads.p_mw, strict=True):
            if int(bus) in prosumers.bus:
                own[prosumers.bus.index(int(bus))] += p_mw * factor
        data["prosumer_load"] = own / base
    optimum = optimise(model, data, gap)
    assert {c.name for c in active_network_data(model)} == set(optimum.compiled.parameters)
    return ActiveOptimum(full, devices, reduction, optimum, steps)


@pytest.fixture(scope="session", name="solve_active")
def solve_active_fixture():
    """`solve_active(net, ...)`: optimum of an active network in MW."""
    return solve_active


def add_pv(net, bus, p_mw, sn_mva=None, min_power_factor=0.0):
    """Add a PV system to a net."""
    pp.create_sgen(
        net,
        bus,
        p_mw=p_mw,
        sn_mva=sn_mva or p_mw,
        type="PV",
        min_power_factor=min_power_factor,
        controllable=True,
    )


def add_battery(net, bus, p_mw, e_mwh, soc_percent=50.0, efficiency=1.0, wear=0.0):
    """Add a battery to a net; the efficiency holds one way."""
    pp.create_storage(
        net, bus, p_mw=0.0, max_e_mwh=e_mwh, min_e_mwh=0.0, soc_percent=soc_percent,
        max_p_mw=p_mw, min_p_mw=-p_mw, efficiency_charge=efficiency,
        efficiency_discharge=efficiency, wear_eur_per_mwh=wear,
    )  # fmt: skip


@pytest.fixture(scope="session")
def with_devices():
    """`with_devices(net, pv=[(bus, ...)], batteries=[(bus, ...)])`: the net with devices added."""

    def add(net, pv=(), batteries=()):
        for arguments in pv:
            add_pv(net, *arguments)
        for arguments in batteries:
            add_battery(net, *arguments)
        return net

    return add


def build_feeder(
    net,
    name="feeder",
    horizon=None,
    load=1.0,
    pv=0.0,
    import_price=100.0,
    export_price=50.0,
    kind="ideal",
    parent=None,
    bus=-1,
    multiplicity=1,
    options=None,
    intervals=24,
):
    """Feeder of a system; `load` and `pv` are factors (intervals,) on nominal and rated power."""
    horizon = horizon or Horizon((60,), 60)
    devices = read_devices(net, name, slack_is_unit=False)
    n = intervals + horizon.intervals_covered
    trafo, taps = (None, None) if kind == "ideal" else tap_changer(net, name)

    def spread(factor, nominal):
        return np.outer(np.resize(factor, n), nominal)

    series = GridSeries(
        load_p_mw=spread(load, devices.loads.p_mw),
        load_q_mvar=spread(load, devices.loads.q_mvar),
        pv_available_mw=spread(pv, devices.photovoltaics.p_rated_mw),
        import_eur_per_mwh=np.resize(import_price, n).astype(float),
        export_eur_per_mwh=np.resize(export_price, n).astype(float),
    )
    return Feeder(
        name=name,
        level="lv",
        net=net,
        network=radial_network(net, name),
        devices=devices,
        boundary=Boundary(kind, parent, bus, multiplicity, trafo, taps),
        options=options or ActiveNetworkOptions(),
        forecast=PerfectForecast(series, horizon),
        load_peak_mw=np.abs(series.load_p_mw).max(axis=0),
    )


@pytest.fixture(scope="session", name="build_feeder")
def build_feeder_fixture():
    """`build_feeder(net, ...)`: a Feeder with foresight of constant or cyclic series."""
    return build_feeder


@dataclass(frozen=True)
class LoneFeeder:
    """A feeder's operator that decides for itself: a group of one."""

    agent: Any
    group: LeaderGroup

    @property
    def feeder(self):
        return self.agent.feeder

    def decide(self, interval, measured, lower, vm_head_pu=None):
        instance = self.agent.prepare(interval, measured, lower, vm_head_pu)
        point = self.group.decide({self.feeder.name: instance}).points[self.feeder.name]
        plan = self.agent.plan(instance, point, middle_price(instance.forecast))
        self.agent.adopt(plan)
        return plan

    def head_voltage_of(self, schedule, bus):
        return self.agent.head_voltage_of(schedule, bus)


@pytest.fixture(scope="session")
def lone_feeder():
    """`lone_feeder(agent)`: the agent with a `decide` of its own, to a gap of 1e-6."""

    def make(agent, gap=1e-6):
        return LoneFeeder(agent, LeaderGroup({agent.feeder.name: agent}, MixedOptions(gap=gap)))

    return make
