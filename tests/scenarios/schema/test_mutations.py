"""Damaged scenarios and grid files: each is valid, or refused in one line, soon, in little memory.

3,000 scenarios, of which 400 come from a small one and are built whole where they are valid, and
500 grid files, each built as the only grid of a small scenario; a fast part by default.
`STACKELGRID_MUTATIONS=first:last pytest -m slow` tries other seeds.
"""

import copy
import json
import os
import resource
import signal
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandapower as pp
import pytest
import tomli_w
from support.mutations import (
    GENTLE,
    SECTIONS,
    damaged_text,
    generator,
    mutated,
    mutated_net,
    scenario_bases,
)

from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.cli import main as cli
from stackelgrid.scenarios.schema.load import load_scenario, scenario_of

MOST_S, MOST_KB = 10.0, 1_000_000
LOADED, BUILT, NETS = 2_600, 400, 500
CHUNKS = 10

SMALL = {
    "name": "small",
    "seed": 1,
    "time": {"start": "2025-06-21T11:00:00", "timezone": "Europe/Berlin", "intervals": 2},
    "horizon": {"steps": [{"count": 2, "minutes": 15}, {"count": 1, "minutes": 60}]},
    "site": {"latitude": 51.3, "longitude": 9.5},
    "tariffs": {
        "flat": {"kind": "flat", "import": 75.0, "export": 55.0},
        "day": {
            "kind": "time_of_use",
            "periods": [{"from": "00:00", "import": 75.0, "export": 55.0}],
        },
    },
    "grids": [
        {
            "name": "root", "case": "street.json", "level": "mv", "vm_pu": 1.0, "tariff": "flat",
            "vm_min_pu": 0.9, "vm_max_pu": 1.1, "line_max_i_ka": 0.4,
            "loads": {"mix": {"household": 1.0}},
            "pv": [{"buses": [3], "p_mw": 0.003, "sn_mva": 0.0033, "min_power_factor": 0.9}],
            "batteries": [{"count": 1, "p_mw": 0.002, "e_mwh": 0.004}],
            "units": [{"bus": 4, "p_max_mw": 0.01, "c1_eur_per_mwh": 80.0}],
            "ratings": [{"lines": [0], "max_i_ka": 0.3}],
        },
        {
            "name": "lv", "case": "street.json", "level": "lv", "parent": "root", "bus": 3,
            "tariff": "day", "boundary": {"kind": "fixed_tap", "tap_pos": 1},
            "loads": {"assign": {"household": 0.5, "commercial": 0.5}, "scale": 0.2},
            "trade": {"retail_margin_eur_per_mwh": 20.0, "fee_inside_eur_per_mwh": 5.0},
            "pv": [{"share": 0.5, "p_mw": 0.003}],
            "vehicles": [{"buses": [3], "p_mw": 0.004, "e_mwh": 0.05, "p_back_mw": 0.002}],
            "heat_pumps": [{"count": 1, "source": "ground", "store_kwh": 8.0, "water_kwh": 6.0}],
            "tasks": [{"buses": [3], "p_mw": 0.001, "e_mwh": 0.002, "window": ["22:00", "06:00"]}],
            "sheddable": [{"share": 1.0, "percent": 50.0, "price_eur_per_mwh": 2000.0}],
            "caps": [{"buses": [3], "hours": ["17:00", "20:00"]}],
            "emission_eur_per_t": 80.0,
        },
    ],
    "weather": {"temperature": {"mean_c": -1.0, "sigma_k": 3.0}},
    "emissions": {"kg_per_mwh": 350.0},
}  # fmt: skip


def street():
    """Three houses behind a transformer, with an element of every kind that a feeder takes."""
    net = pp.create_empty_network(sn_mva=0.1)
    up, bus = pp.create_bus(net, 20.0), pp.create_bus(net, 0.4, geodata=(9.5, 51.3))
    pp.create_ext_grid(net, up, vm_pu=1.02)
    pp.create_transformer(net, up, bus, "0.25 MVA 20/0.4 kV")
    for house in range(3):
        end = pp.create_bus(net, 0.4)
        pp.create_line_from_parameters(net, bus, end, 0.05, 0.25, 0.08, 0.0, 0.2)
        pp.create_load(net, end, 0.004, 0.001, name=f"house {house}")
        bus = end
    pp.create_sgen(net, 2, 0.001, name="mill")
    pp.create_storage(
        net, 4, 0.0, max_e_mwh=0.01, min_e_mwh=0.0, soc_percent=50.0, max_p_mw=0.002,
        min_p_mw=-0.002, name="cell",
    )  # fmt: skip
    pp.create_storage(net, 3, 0.0, max_e_mwh=0.05, type="vehicle", max_p_mw=0.011, name="car")
    pp.create_load(
        net, 3, 0.0, heat_pump_mw=0.003, loss_mw_per_k=1.6e-4, capacity_mwh_per_k=0.01,
        heat_source="air", set_c=20.0,
    )  # fmt: skip
    pp.create_load(net, 4, 0.0, task_mw=0.001, task_mwh=0.002, task_from_h=22.0, task_to_h=6.0)
    pp.create_load(net, 4, 0.0, shed_percent=40.0, shed_eur_per_mwh=900.0)
    pp.create_load(net, 3, 0.0, cap_mw=0.0042, cap_from_h=17.0, cap_to_h=20.0)
    pp.create_switch(net, 3, 1, et="l", closed=True)
    pp.create_shunt(net, 1, 0.0001)
    return net


def triangle():
    """A small transmission grid with two priced sources."""
    net = pp.create_empty_network(sn_mva=100)
    a, b, c = (pp.create_bus(net, 220.0) for _ in range(3))
    pp.create_ext_grid(net, a, min_p_mw=0.0, max_p_mw=500.0)
    pp.create_poly_cost(net, 0, "ext_grid", 10.0)
    pp.create_gen(net, c, 0.0, vm_pu=1.0, min_p_mw=0.0, max_p_mw=300.0)
    pp.create_poly_cost(net, 0, "gen", 30.0)
    for ends in ((a, b), (b, c), (a, c)):
        pp.create_line_from_parameters(net, *ends, 50.0, 0.05, 0.4, 0.0, 2.0)
    pp.create_load(net, b, 200.0, 20.0)
    pp.create_load(net, c, 50.0, 5.0)
    return net


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a grid file, of which scenarios are written."""
    monkeypatch.chdir(tmp_path)
    pp.to_json(street(), "street.json")
    pp.to_json(triangle(), "triangle.json")
    return tmp_path


@contextmanager
def watched(label):
    """Stop what takes too long or too much memory, and tell which case it was."""

    def stop(number, frame):
        raise TimeoutError(f"{label}: more than {3 * MOST_S:g} s")

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before, limit = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_AS)
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    held = int(pages) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 2 * 1024 * MOST_KB, limit[1]))
    signal.alarm(int(3 * MOST_S))
    started, spent = time.perf_counter(), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except cli.BAD_INPUT as error:
        line = " ".join(str(error).split())
        assert 5 < len(line) < 1500, f"{label}: {line[:2000]}"
    except BaseException as error:
        raise AssertionError(f"{label}: {type(error).__name__}: {error}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limit)
    # time of the processor: other programs of the machine do not count
    taken = min(time.perf_counter() - started, time.process_time() - spent)
    assert taken < MOST_S, f"{label}: {taken:.1f} s"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used
    assert grown < MOST_KB, f"{label}: {grown:,} kB"


def written(content, path):
    """Write a content as TOML where it can be."""
    try:
        path.write_text(tomli_w.dumps(content), encoding="utf-8")
    except (TypeError, ValueError, AttributeError, RecursionError):
        return False
    return True


def try_to_load(seed, bases, path):
    rng = generator(seed)
    base = rng.choice(bases)
    with watched(f"scenario {seed}"):
        if rng.random() < 0.3:
            text = damaged_text(tomli_w.dumps(base), rng)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            load_scenario(str(path))
        else:
            content = mutated(base, rng)
            if written(content, path):
                load_scenario(str(path))
            else:
                scenario_of(content, "content")


def try_to_build(seed, path):
    rng = generator(seed)
    base = SMALL
    if rng.random() < 0.5:
        extra = {k: v for k, v in SECTIONS.items() if k in ("forecast", "deviations") and v}
        base = SMALL | copy.deepcopy(extra)
    content = mutated(base, rng, GENTLE if rng.random() < 0.7 else None)
    with watched(f"built scenario {seed}"):
        if written(content, path):
            build_scenario(load_scenario(str(path)))
        else:
            scenario_of(content, "content")


def try_a_net(seed, documents, folder):
    rng = generator(seed)
    level = rng.choice(("mv", "mv", "transmission"))
    text = mutated_net(documents["triangle" if level == "transmission" else "street"], rng)
    (folder / "net.json").write_text(text, encoding="utf-8")
    grid = {"name": "root", "case": "net.json", "level": level, "loads": {"mix": {"household": 1}}}
    if level == "mv":
        grid["tariff"] = "flat"
    with watched(f"net {seed}"):
        assert written(SMALL | {"grids": [grid]}, folder / "s.toml")
        build_scenario(load_scenario(str(folder / "s.toml")))


def documents():
    return {name: json.loads(pp.to_json(make())) for name, make in
            (("street", street), ("triangle", triangle))}  # fmt: skip


def test_the_undamaged_are_valid(folder):
    assert written(SMALL, folder / "s.toml")
    built = build_scenario(load_scenario("s.toml"))
    assert list(built.grids) == ["root", "lv"]
    for base in scenario_bases():
        assert written(base, folder / "s.toml")
        load_scenario("s.toml")


def test_some_damaged_scenarios(folder):
    bases = scenario_bases()
    for seed in range(150):
        try_to_load(seed, bases, folder / "s.toml")
    for seed in range(5):
        try_to_build(10_000 + seed, folder / "s.toml")


def test_some_damaged_grid_files(folder):
    found = documents()
    for seed in range(15):
        try_a_net(20_000 + seed, found, folder)


def test_the_command_ends_with_status_2_and_one_line(folder, command):
    bases = scenario_bases()
    statuses = set()
    for seed in range(40):
        rng = generator(30_000 + seed)
        content = mutated(rng.choice(bases[:1]), rng)
        content["grids"] = [7]  # nothing is built
        if not written(content, folder / "s.toml"):
            continue
        outcome = command("validate", "s.toml")
        assert outcome.status == 2, outcome.stderr
        assert outcome.stderr.count("\n") == 1
        assert "Traceback" not in outcome.stderr
        statuses.add(outcome.status)
    assert statuses == {2}


def seeds(first, count, chunk):
    own = os.environ.get("STACKELGRID_MUTATIONS")
    if own:
        low, high = (int(part) for part in own.split(":"))
        first, count = first + 100_000 + low, high - low
    return [int(s) for s in np.array_split(np.arange(first, first + count), CHUNKS)[chunk]]


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_scenarios(chunk, folder):
    bases = scenario_bases()
    for seed in seeds(0, LOADED, chunk):
        try_to_load(seed, bases, folder / "s.toml")


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_scenarios_that_are_built(chunk, folder):
    for seed in seeds(10_000, BUILT, chunk):
        try_to_build(seed, folder / "s.toml")


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_grid_files(chunk, folder):
    found = documents()
    for seed in seeds(20_000, NETS, chunk):
        try_a_net(seed, found, folder)
