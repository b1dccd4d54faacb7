"""Figures of a run from tables made by hand: cases that runs of the scenarios do not have."""

import pytest
from support.run_rows import NAN, judged, run_of

from stackelgrid.analysis.figures import costs, power
from stackelgrid.analysis.report.run_tables import cost_table

NAMES = ("mv1", "mv2", "mv3")
GRIDS = {"tn": ("transmission", None, 1), **dict.fromkeys(NAMES, ("mv", "tn", 2))}


def unit(grid, element, index, p_mw, name):
    own = {"interval": 0, "grid": grid, "kind": "unit", "element": element, "index": index}
    return {**own, "p_mw": p_mw, "name": name}


def test_units_of_one_name_are_drawn_apart():
    device = [
        unit("mv1", "sgen", 3, 1.0, "unit 7"), unit("mv1", "sgen", 4, 2.5, "unit 7"),
        unit("mv1", "sgen", 5, 4.0, "unit 9"), unit("mv2", "sgen", 3, 8.0, "unit 7"),
        unit("mv2", "gen", 0, 16.0, ""),
    ]  # fmt: skip
    run = run_of(GRIDS, interval=[judged(0, name) for name in GRIDS], device=device)
    drawn = {trace.name: trace.y[0] for trace in power.one_by_one(run, "unit", "mv").data}
    assert drawn == {
        "mv1 unit 7 (sgen 3)": 2.0, "mv1 unit 7 (sgen 4)": 5.0, "mv1 unit 9": 8.0,
        "mv2 unit 7": 16.0, "mv2 gen 0": 32.0,
    }  # fmt: skip


def test_tolerances_of_solvers_are_no_difference_between_plan_and_reality():
    real = {"mv1": 2.0 + 4e-7, "mv2": 2.5, "mv3": 2.0}
    rows = [judged(0, "tn", level="transmission")]
    rows += [
        judged(0, name, level="mv", p_import_mw=mw, p_import_planned_mw=2.0)
        for name, mw in real.items()
    ]
    figure = power.imports(run_of(GRIDS, interval=rows), "mv")
    off = {trace.name: trace.y[0] for trace in figure.data if trace.yaxis == "y2"}
    assert off == pytest.approx({"mv1": 0.0, "mv2": 1000.0, "mv3": 0.0}, abs=1e-9)


def boundary(prices, nodal=50.0):
    own = {"interval": 0, "parent": "tn", "parent_bus": 1, "export_eur_per_mwh": 10.0}
    return [
        {**own, "grid": grid, "import_eur_per_mwh": price, "nodal_price_eur_per_mwh": nodal}
        for grid, price in prices.items()
    ]


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ({"mv1": 70.0, "mv2": 70.0, "mv3": 70.0}, ["mv1 to mv3"]),
        ({"mv1": 70.0, "mv2": 80.0, "mv3": 70.0}, ["mv1, mv3", "mv2"]),
        ({"mv3": 70.0, "mv2": 70.0, "mv1": 80.0}, ["mv2 to mv3", "mv1"]),
    ],
)
def test_only_grids_in_a_row_are_called_first_to_last(prices, told):
    run = run_of(GRIDS, interval=[judged(0, name) for name in GRIDS], boundary=boundary(prices))
    names = [trace.name for trace in costs.prices(run).data]
    assert [n.removeprefix("import, ") for n in names if n.startswith("import")] == told


def test_no_price_has_the_colour_of_another():
    grids = {"tn": ("transmission", None, 1)}
    grids |= {f"mv{k}": ("mv", "tn", 1) for k in range(4)} | {"lv1": ("lv", "mv0", 1)}
    rows = boundary({f"mv{k}": 70.0 + k for k in range(4)})
    rows += [row | {"parent": "mv0"} for row in boundary({"lv1": 90.0})]
    run = run_of(grids, interval=[judged(0, name) for name in grids], boundary=rows)
    colors = {trace.name: trace.line.color for trace in costs.prices(run).data}
    shown = [color for name, color in colors.items() if not name.startswith("export")]
    assert len(shown) == len(set(shown)) == 5 + 2


@pytest.mark.parametrize("known", [True, False])
def test_leaders_have_no_cost_where_a_payment_is_not_known(known):
    rows = [
        judged(0, "tn", level="transmission", copies=1, generation_eur=100.0),
        judged(0, "mv1", copies=2, wear_eur=3.0, boundary_eur=5.0 if known else NAN),
    ]
    run = run_of(dict(list(GRIDS.items())[:2]), interval=rows)
    sides = costs.cost_sides(run).loc[0]
    assert sides["leaders"] == pytest.approx(2 * (5.0 + 3.0) if known else NAN, nan_ok=True)
    assert (sides["follower"], sides["system"]) == (100.0, 106.0)
    names = [trace.name for trace in costs.cumulative_costs(run).data]
    assert names == ["system", "follower"] + ["leaders"] * known
    told = dict(cost_table(run).rows)["leaders, with their payments at the boundary"]
    assert told == ("16.00" if known else "not known: a nodal price is missing")
