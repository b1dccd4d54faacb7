"""Key `objective`: terms of a leader and of a follower, against cases worked out by hand."""

import tomllib

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from support import objectives
from support.pandapower_nets import empty_net

import stackelgrid as sg
from stackelgrid.controllers.networks.sources.cases import load_case


@pytest.fixture
def run(tmp_path):
    """`run(content, **set)`: results of a scenario without report."""

    def begin(content, **changes):
        out = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return sg.run(dict(content), out=out, set=changes, quiet=True, report=False)

    return begin


@pytest.fixture
def one_load(texts):
    """One load and one lossless battery at a bus next to the source; two hours, flat tariff."""
    net = empty_net()
    pp.create_buses(net, 2, vn_kv=20.0)
    pp.create_ext_grid(net, 0)
    pp.create_line_from_parameters(net, 0, 1, 1.0, 1e-4, 1e-4, 0.0, 1.0)
    pp.create_load(net, 1, p_mw=1.0, name="town")
    times = pd.date_range("2025-06-21 10:00", periods=4, freq="60min", tz="Europe/Berlin")
    content = tomllib.loads(texts["mv1"])
    content["time"] |= {"intervals": 1, "interval_min": 60}
    content["time"]["start"] = content["time"]["start"].replace(hour=10)
    content["horizon"]["steps"] = [{"count": 2, "minutes": 60}]
    content["grids"][0] |= {
        "case": net,
        "loads": {"file": pd.DataFrame({"town_mw": [1.0, 2.0, 1.0, 2.0]}, index=times)},
        "batteries": [
            {
                "buses": [1], "p_mw": 1.0, "e_mwh": 4.0,
                "efficiency_charge": 1.0, "efficiency_discharge": 1.0,
            }
        ],
    }  # fmt: skip
    return content


def test_a_square_of_the_exchange_levels_it(one_load, run):
    """75 EUR/MWh for 3 MWh, and 10 EUR/MW^2h: 1.5 MW in both hours cost 45, 1 and 2 MW 50 EUR."""
    found = run(one_load, **{"grids.mv1.objective": objectives.flat_import})
    assert found.scenario["grids"][0]["objective"] == "support.objectives:flat_import"
    (row,) = found.interval.itertuples()
    assert row.p_import_mw == pytest.approx(1.5, abs=1e-4)
    assert row.objective_term_eur == pytest.approx(45.0, abs=1e-3)
    assert row.objective_eur == pytest.approx(225.0 + 45.0, abs=1e-2)
    assert row.boundary_eur == pytest.approx(75.0 * row.p_import_mw, rel=1e-12)  # realised
    assert row.verdict == "exact"
    without = run(one_load)
    assert np.isnan(without.interval.objective_term_eur).all()


def test_an_own_price_of_the_peak_is_that_of_the_package(one_load, run):
    own = run(one_load, **{"grids.mv1.objective": objectives.peak}).interval
    known = run(one_load, **{"grids.mv1.capacity_eur_per_mw": 900.0}).interval
    assert own.objective_term_eur[0] == pytest.approx(900.0 * 1.5, abs=1e-1)
    for column in ("objective_eur", "p_import_mw"):
        assert own[column].to_numpy() == pytest.approx(known[column].to_numpy(), rel=1e-6)


def test_an_own_price_of_the_exchange_is_a_dearer_tariff(texts, run):
    """Import and export both cost the surcharge of the hour and a tenth of the import price."""
    content = tomllib.loads(texts["feeder"])
    content["time"]["interval_min"] = 60
    content["horizon"]["steps"] = [{"count": 3, "minutes": 60}]
    objectives.BUILT.clear()
    own = run(content, **{"grids.mv1.objective": objectives.dearer_import})
    assert objectives.BUILT == [("mv1", "leader")]  # compiled once for both intervals
    times = pd.date_range("2025-06-21 11:00", periods=4, freq="60min", tz="Europe/Berlin")
    added = times.hour + 7.5
    tariff = {"import_eur_per_mwh": 75.0 + added, "export_eur_per_mwh": 55.0 + added}
    content["tariffs"]["mv"] = {"kind": "series", "file": pd.DataFrame(tariff, index=times)}
    dearer = run(content)
    for column in ("objective_eur", "p_import_mw"):
        np.testing.assert_allclose(own.interval[column], dearer.interval[column], rtol=1e-6)
    # one MWh costs 82.5 EUR and the hour, of which the own term is 7.5 EUR and the hour
    share = own.interval.objective_term_eur / own.interval.objective_eur
    assert (share > 18.5 / 93.5).all()
    assert (share < 21.5 / 96.5).all()


def test_a_run_stopped_with_a_term_goes_on_to_the_same_bits(texts, run, tmp_path, monkeypatch):
    content = tomllib.loads(texts["feeder"])
    term = {"grids.mv1.objective": objectives.dearer_import}
    whole = run(content, **term)

    def stop(self, progress):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stackelgrid.scenarios.api.run_panel.Listener.interval_ended", stop)
        with pytest.raises(KeyboardInterrupt):
            sg.run(content, set=term, out=tmp_path / "cut", quiet=True, report=False)
    assert sg.Run(tmp_path / "cut").summary["status"] == "interrupted"
    again = sg.run(resume=tmp_path / "cut", quiet=True, report=False)
    for table in ("interval", "bus", "device"):
        one, other = getattr(whole, table), getattr(again, table)
        same = [c for c in one.columns if not c.endswith("_s")]
        pd.testing.assert_frame_equal(one[same], other[same], check_exact=True)
    assert len(again.interval) == 2


@pytest.fixture
def below_transmission(texts):
    """A feeder with PV and a battery below case30, nodal prices, one interval."""
    content = tomllib.loads(texts["market"])
    del content["grids"][2]
    content["templates"]["feeder"].pop("trade")
    content["time"]["intervals"] = 1
    content["horizon"]["steps"] = [{"count": 2, "minutes": 60}]
    content["pricing"] = "lmp"
    return content


@pytest.mark.parametrize(
    "scheme", ["bottom_up", pytest.param("integrated", marks=pytest.mark.slow)]
)
def test_a_price_of_carbon_is_a_change_of_the_units_costs(scheme, below_transmission, run):
    """Dispatch, nodal prices, payments, costs of both levels and bound of the bilevel program."""
    content = below_transmission | {"controller": scheme}
    own = run(content, **{"grids.tn.objective": objectives.carbon})
    net = load_case("case30", "case30")
    order = [("ext_grid", 0), *(("gen", i) for i in range(5))]
    for u, (table, index) in enumerate(order):
        at = (net.poly_cost.et == table) & (net.poly_cost.element == index)
        net.poly_cost.loc[at, "cp1_eur_per_mw"] += 60.0 * 0.1 * (u + 1) / 20.0  # factor 20
    known = run(content, **{"grids.tn.case": net})
    for table in ("stage", "schedule", "bus", "device"):
        one, other = getattr(own, table), getattr(known, table)
        numbers = [c for c in one.select_dtypes("number").columns if not c.endswith("_s")]
        np.testing.assert_allclose(one[numbers], other[numbers], rtol=1e-6, atol=1e-6)
    assert (own.stage.gap < 1e-3).all()
    # the reported term is that of the planned dispatch
    planned = own.schedule[(own.schedule.grid == "tn") & (own.schedule.element != "load")]
    t_per_mwh = {key: 0.1 * (u + 1) for u, key in enumerate(order)}
    factor = [
        t_per_mwh.get(key, 0.0) for key in zip(planned.element, planned["index"], strict=True)
    ]
    tn = own.interval.set_index("grid").loc["tn"]
    emitted = (planned.p_mw.abs() * planned.dt_h * factor).sum()
    assert tn.objective_term_eur == pytest.approx(60.0 * emitted, rel=1e-6)
    assert tn.objective_eur == pytest.approx(own.stage.follower_eur[0], rel=1e-9)


def test_a_curved_cost_of_a_follower_is_in_its_prices(texts, village_json, tmp_path, monkeypatch):
    """Without losses and limits every bus costs the tariff and the slope of 5 P^2."""
    content = tomllib.loads(texts["streets"])
    monkeypatch.chdir(village_json.parent)
    del content["grids"][2:]
    content["templates"]["street"].pop("trade")
    content |= {"pricing": "lmp", "controller": "bottom_up"}
    content["horizon"]["steps"] = [{"count": 1, "minutes": 60}]
    study = sg.compare(
        content, schemes=["bottom_up", "integrated"], pricing="lmp",
        set={"grids.mv1.objective": objectives.curved_import, "time.intervals": 1},
        out=tmp_path / "study", report=False, quiet=True,
    )  # fmt: skip
    table = pd.read_parquet(study.directory / "compare.parquet")
    value = table.set_index(["scheme", "grid", "indicator"]).value
    exchange = pd.read_parquet(study.directory / "compare_exchange.parquet").p_mw
    for scheme, x in zip(("bottom_up", "integrated"), exchange, strict=True):
        cost = value[scheme, "mv1", "follower_cost"]
        p = (np.sqrt(75.0**2 + 20.0 * cost) - 75.0) / 10.0  # 75 P + 5 P^2 = cost
        assert p > 1.0
        assert value[scheme, "lv1", "boundary_payment"] == pytest.approx(
            (75.0 + 10.0 * p) * x, rel=1e-6
        )
        assert value[scheme, "mv1", "gap"] < 1e-3


@pytest.mark.slow
def test_terms_of_agents_in_another_process_give_the_same_bits(texts, run):
    content = tomllib.loads(texts["feeder"])
    content["grids"][0]["objective"] = "support.objectives:dearer_import"
    own = run(content)
    other = run(content, remote={"simulators": [{"name": "minds", "agents": True}]})
    for table in ("interval", "bus", "device"):
        one, two = getattr(own, table), getattr(other, table)
        same = [c for c in one.columns if not c.endswith("_s")]
        pd.testing.assert_frame_equal(one[same], two[same], check_exact=True)


@pytest.mark.slow
def test_schemes_of_a_market_with_terms_of_both_levels(below_transmission, tmp_path):
    """No scheme is cheaper than both levels together; a peak of units counts in the follower."""
    content = dict(below_transmission)
    content["grids"][1]["objective"] = "support.objectives:flat_import"
    content["grids"][0]["objective"] = "support.objectives:highest_output"
    schemes = ["bottom_up", "feasibility_only", "top_down", "integrated", "ldd_admm"]
    study = sg.compare(
        content, schemes=schemes, pricing="tariff", out=tmp_path / "study",
        report=False, quiet=True,
    )  # fmt: skip
    table = pd.read_parquet(study.directory / "compare.parquet")
    value = table.set_index(["scheme", "grid", "indicator"]).value
    least = value["integrated", "total", "total_cost"]
    assert value["integrated", "tn", "gap"] < 1e-3
    for scheme in schemes:
        assert value[scheme, "total", "total_cost"] >= least * (1.0 - 1e-3)
    assert np.isnan(value["feasibility_only", "tn", "follower_max"])
    assert value["feasibility_only", "tn", "follower_min"] > 0.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("breaks", "parameter tax: raised AttributeError: GridForecast has no no_such_series; "),
        (
            "concave",
            "the term in p_import[0] * p_import[0] is not convex; a convex one is accepted",
        ),
        ("missing", "module 'support.objectives' has no 'missing'"),
    ],
)
def test_bad_terms_are_one_line_with_status_2(name, expected, write_scenario, command, tmp_path):
    def change(data):
        data["grids"][0]["objective"] = f"support.objectives:{name}"

    path = write_scenario("village", change)
    for verb in (["validate", path], ["run", path, "--out", tmp_path / "out"]):
        outcome = command(*verb)
        line = f"stackelgrid: {path}: grids.lv1.objective: support.objectives:{name}: {expected}"
        assert outcome.status == 2
        assert outcome.stderr.startswith(line)
        assert outcome.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
