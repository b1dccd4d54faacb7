"""Pictures of a run, from tables written by hand: what is drawn has the numbers of the tables."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w
from matplotlib.colors import to_hex

from stackelgrid.analysis import Run
from stackelgrid.analysis.pictures import run as pictures
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.controllers.devices.registry import kind_named
from stackelgrid.simulators.results.grid_tables import NETWORK
from stackelgrid.simulators.results.tables import SCHEMAS, TableWriter

START = datetime(2025, 6, 20, 2, tzinfo=UTC)
HOURS = 3
SCENARIO = {
    "name": "hand",
    "time": {"interval_min": 60, "intervals": HOURS, "timezone": "Europe/Berlin"},
    "grids": [
        {"name": "tn", "level": "transmission"},
        {"name": "mv", "level": "mv", "parent": "tn", "bus": 7, "multiplicity": 5},
    ],
}
# powers of mv by hour: at night the battery feeds the load; at noon PV charges and is exported
POWERS = {
    "p_import_mw": (1.0, 0.0, -2.0), "load_p_mw": (2.0, 1.0, 1.0), "pv_p_mw": (0.0, 1.0, 4.0),
    "battery_p_mw": (-1.5, -0.5, 0.9), "loss_mw": (0.5, 0.5, 0.1),
}  # fmt: skip
VERDICTS = {"tn": ("feasible", "feasible", ""), "mv": ("exact", "feasible", "infeasible")}
VOLTAGES = {1: (1.00, 0.99, 1.04), 2: (0.98, 0.97, 1.06), 3: (0.96, 0.95, 1.08)}
BLANK = {pa.int32(): 0, pa.float64(): 0.0, pa.string(): "", pa.bool_(): False}


def table(schema, rows):
    """Columns of a table; what a row does not say is zero or empty."""
    return {f.name: [row.get(f.name, BLANK.get(f.type)) for row in rows] for f in schema}


def hour(k):
    """Rows of all tables of one interval."""
    key = {"interval": k, "time": START + timedelta(hours=k)}
    mv = {**key, "grid": "mv"}
    return {
        "interval": [
            {**key, "grid": "tn", "level": "transmission", "verdict": VERDICTS["tn"][k]},
            {**mv, "level": "mv", "verdict": VERDICTS["mv"][k]}
            | {column: values[k] for column, values in POWERS.items()},
        ],
        "bus": [{**mv, "bus": b, "vm_pu": v[k]} for b, v in VOLTAGES.items()],
        "device": [
            {**mv, "element": "storage", "index": i, "kind": "battery", "soc_percent": soc}
            for i, soc in enumerate((20.0 + 30.0 * k, 10.0, 90.0))
        ],
        "boundary": [
            {**mv, "parent": "tn", "parent_bus": 7, "import_eur_per_mwh": 70.0 + 10.0 * k,
             "export_eur_per_mwh": 40.0, "nodal_price_eur_per_mwh": 55.0},
        ],
    }  # fmt: skip


@pytest.fixture
def write_run(tmp_path):
    def write(hours):
        (tmp_path / "scenario.toml").write_text(tomli_w.dumps(SCENARIO), encoding="utf-8")
        summary = {"scenario": "hand", "status": "done", "intervals_planned": HOURS}
        summary["intervals_done"] = hours
        (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        writer = TableWriter(tmp_path)
        for k in range(hours):
            for name, rows in hour(k).items():
                writer.write_part(name, k, table(SCHEMAS[name], rows))
        writer.merge()
        limits = {"grid": "mv", "element": "bus", "min_vm_pu": 0.9, "max_vm_pu": 1.05}
        rows = [{**limits, "index": b, "bus": b} for b in VOLTAGES]
        rows.append({"grid": "mv", "element": "ext_grid", "bus": 99})
        network = pa.table(table(NETWORK.schema, rows)).cast(NETWORK.schema)
        pq.write_table(network, tmp_path / "network.parquet")
        return Run(tmp_path)

    return write


@pytest.fixture
def run(write_run):
    return write_run(HOURS)


def texts(figure):
    axes = figure.axes[0]
    return axes.get_title(), axes.get_ylabel(), axes.get_xlabel()


def labels(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_a_dispatch_stacks_supply_and_use_to_equal_heights(run):
    figure = pictures.dispatch(run, "mv")
    assert texts(figure) == (
        "hand: power of mv (one of 5 copies)", "use | supply in MW", "time (Europe/Berlin)",
    )  # fmt: skip
    assert labels(figure) == ["loads", "losses", "import, export", "PV", "batteries"]
    y = np.concatenate([a.get_paths()[0].vertices[:, 1] for a in figure.axes[0].collections])
    assert (y.min(), y.max()) == pytest.approx((-4.0, 4.0))
    supply = np.array(POWERS["pv_p_mw"]) + np.maximum(POWERS["p_import_mw"], 0.0)
    supply += np.maximum(-np.array(POWERS["battery_p_mw"]), 0.0)
    use = np.array(POWERS["load_p_mw"]) + POWERS["loss_mw"]
    use += np.maximum(-np.array(POWERS["p_import_mw"]), 0.0)
    use += np.maximum(POWERS["battery_p_mw"], 0.0)
    np.testing.assert_allclose(supply, use)  # the tables balance, and so must the picture
    xs = figure.axes[0].get_xlim()
    assert (xs[1] - xs[0]) * 24.0 == pytest.approx(HOURS)


def test_photovoltaics_have_no_height_at_night(run):
    figure = pictures.dispatch(run, "mv")
    colour = kind_named("pv").colour
    (area,) = [a for a in figure.axes[0].collections if to_hex(a.get_facecolor()[0]) == colour]
    x, y = area.get_paths()[0].vertices.T
    night = x < x.min() + 0.9 / 24.0
    # from the import below to the same height
    assert set(np.round(y[night], 9)) == {1.0}
    assert y.max() == pytest.approx(4.0)


def test_voltages_are_drawn_between_their_limits(run):
    figure = pictures.voltages(run, "mv")
    assert texts(figure)[:2] == (
        "hand: voltages of mv (one of 5 copies)", "voltage in p.u.",
    )  # fmt: skip
    assert labels(figure) == ["all buses", "90 % of buses", "50 % of buses", "median"]
    y = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == pytest.approx((0.95, 1.08))
    *limits, median = sorted(figure.axes[0].lines, key=lambda line: len(line.get_ydata()))
    assert sorted(line.get_ydata()[0] for line in limits) == [0.9, 1.05]
    assert list(median.get_ydata()) == [0.98, 0.97, 1.06, 1.06]
    low, high = figure.axes[0].get_ylim()
    assert low < 0.9
    assert high > 1.08
    named = {t.get_text() for t in figure.axes[0].texts}
    assert named == {"limit 0.9 p.u.", "limit 1.05 p.u."}


def test_states_of_charge_are_those_of_all_batteries(run):
    figure = pictures.state_of_charge(run)
    assert texts(figure)[:2] == ("hand: 3 batteries of all grids", "state of charge in %")
    (median,) = figure.axes[0].lines
    assert list(median.get_ydata()) == [20.0, 50.0, 80.0, 80.0]
    y = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == (10.0, 90.0)
    with pytest.raises(ResultsError, match="no batteries or electric vehicles or heat pumps in tn"):
        pictures.state_of_charge(run, ["tn"])


def test_verdicts_are_strips_and_a_dc_dispatch_is_not_blamed(run):
    figure = pictures.certificate(run)
    assert labels(figure) == [
        "no certificate: 1", "exact: 1",
        "within limits (DC, phases: exactness is not asked): 2", "feasible, not exact: 1",
        "infeasible: 1",
    ]  # fmt: skip
    (mesh,) = figure.axes[0].collections
    assert np.asarray(mesh.get_array()).reshape(2, HOURS).tolist() == [[1, 3, 4], [2, 2, 0]]
    from_below = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert from_below == ["mv", "tn"]


def test_prices_are_those_at_the_boundary(run):
    figure = pictures.prices(run, "mv")
    assert texts(figure)[1] == "price in EUR/MWh"
    assert labels(figure) == ["import, mv", "export, mv", "nodal prices in tn"]
    drawn = [line.get_ydata()[0] for line in figure.axes[0].lines]
    assert drawn == [70.0, 40.0, 55.0]
    with pytest.raises(ResultsError, match="'tn' has no grid above"):
        pictures.prices(run, "tn")


def test_unknown_grids_are_refused(run):
    for picture in (pictures.dispatch, pictures.voltages, pictures.prices):
        with pytest.raises(ResultsError, match="grid 'lv' is unknown; accepted: tn, mv"):
            picture(run, "lv")


@pytest.mark.parametrize("name", ["dispatch", "voltages", "prices", "certificate"])
def test_a_run_without_an_interval_has_no_picture(write_run, name):
    run = write_run(0)
    arguments = () if name == "certificate" else ("mv",)
    with pytest.raises(ResultsError, match="no interval is done yet"):
        getattr(pictures, name)(run, *arguments)


def test_pictures_can_be_written(run, tmp_path):
    pictures.dispatch(run, "mv").savefig(tmp_path / "dispatch.pdf")
    assert (tmp_path / "dispatch.pdf").read_bytes()[:4] == b"%PDF"
