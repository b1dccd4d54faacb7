"""Terms of users: what a program cannot have is refused in one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import objectives
from support.paths import SUPPORT

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import ObjectiveTermError
from stackelgrid.controllers.models.mv_dispatch import mv_dispatch_data, mv_dispatch_model
from stackelgrid.controllers.models.objective_term import (
    ObjectiveTerm,
    compile_with_term,
    term_eur,
)
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import Horizon, TimeAxis

AXIS = TimeAxis(pd.Timestamp("2025-06-21 10:00", tz="Europe/Berlin"), pd.Timedelta("15min"), 12)
HORIZON = Horizon((15, 30), 15)
WHERE = "grids.mv1.objective: support.objectives:"


def term_of(name, module="support.objectives"):
    return ObjectiveTerm("mv1", f"{module}:{name}", Path(SUPPORT), AXIS)


@pytest.fixture
def compiled(radial_net):
    """`compiled(term, role)`: the dispatch of three buses with a term."""
    net = radial_net([0, 1], [0.0, 2.0, 1.0], [0.0, 0.0, 0.0])
    network, devices = radial_network(net, "mv1"), read_devices(net, "mv1", slack_is_unit=False)

    def compile_(term, role="follower"):
        m = mv_dispatch_model(network, devices, HORIZON.dt_h)
        return compile_with_term(m, mv_dispatch_data(m), term, role, network, devices, HORIZON.dt_h)

    return compile_


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "concave",
            "the term in p_import[0] * p_import[0] is not convex; a convex one is accepted",
        ),
        ("product", "the term in p_import[0] * v[1,0] is not convex; a convex one is accepted"),
        ("cubic", "the term in p_import[0] is neither linear nor quadratic; such terms, and "),
        ("nothing", "returned NoneType; an expression of the model in EUR, or a number, is acc"),
        ("relation", "returned InequalityExpression; an expression of the model in EUR, or "),
        ("array", "returned ndarray; an expression of the model in EUR, or a number, is accepted"),
        ("flag", "returned bool; an expression of the model in EUR, or a number, is accepted"),
        ("infinite", "has a coefficient that is not finite"),
        ("raises", "raised AttributeError: 'ConcreteModel' object has no attribute 'no_such_var"),
        ("divides", "raised ZeroDivisionError: division by zero"),
        ("leaves", "raised SystemExit: no tariff"),
        ("foreign", "uses x, which is not part of the model "),
        ("whole", "adds on[0], an integer; continuous variables are accepted"),
        ("second_objective", "adds the objective mine; a function that returns its term is "),
        ("NUMBER", "'NUMBER' is a float; a function of (model, grid) is accepted"),
        ("missing", "module 'support.objectives' has no 'missing'"),
    ],
)
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_refused(name, expected, role, compiled):
    with pytest.raises(ObjectiveTermError) as refused:
        compiled(term_of(name), role)
    assert str(refused.value).startswith(WHERE + f"{name}: {expected}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cone", "adds norm, which is not linear; a follower takes linear constraints"),
        ("load_of_children", "the term in load_p[0,0] holds what the grids below decide; terms in"),
        ("price_of_children", "the term in "),
        ("hyperbola", "adds w, which is not linear; a follower takes linear constraints"),
    ],
)
def test_refused_of_a_follower(name, expected, compiled):
    with pytest.raises(ObjectiveTermError) as refused:
        compiled(term_of(name))
    assert str(refused.value).startswith(WHERE + f"{name}: {expected}")


def test_a_leader_may_add_a_cone_but_no_hyperbola(compiled):
    found = compiled(term_of("cone"), "leader")
    assert len(found.program.cones) == 1
    with pytest.raises(ObjectiveTermError, match=r"hyperbola: w: "):
        compiled(term_of("hyperbola"), "leader")


def test_a_module_that_cannot_be_imported(compiled, tmp_path):
    with pytest.raises(ObjectiveTermError, match="'no_such_module' cannot be imported "):
        compiled(term_of("f", "no_such_module"))
    (tmp_path / "broken_module.py").write_text("1 / 0\n", encoding="utf-8")
    term = ObjectiveTerm("mv1", "broken_module:f", tmp_path, AXIS)
    with pytest.raises(ObjectiveTermError, match=r"imported \(ZeroDivisionError: division by"):
        compiled(term)


def forecast_of(price=50.0):
    return GridForecast(np.full(2, price), np.full(2, price), {})


def test_parameters_hold_the_times_and_the_forecast_of_an_interval(compiled):
    term = term_of("dearer_import")
    known = compiled(term).parameters
    assert len(known["term.surcharge"]) == 2
    # at 11:30 the horizon has the steps 11:30 and 11:45
    values = term.values(6, HORIZON, forecast_of(50.0), None)
    assert values["term.surcharge"].tolist() == [16.0, 16.0]
    # at 11:45 the steps 11:45 and 12:00
    assert term.values(7, HORIZON, forecast_of(0.0), None)["term.surcharge"].tolist() == [
        11.0,
        12.0,
    ]
    later = term.at(7)
    compiled(later)
    assert later.values(100, HORIZON, forecast_of(0.0), None)["term.surcharge"][1] == 12.0


@pytest.mark.parametrize(
    ("minutes", "expected"),
    # hours 10, 11, ... until the next; quarters 0, 1, 2 ...; ten minutes, of which one began at
    # 11:40: (5 * 10 + 10 * 11) / 15; five minutes 0, 1, ..., 8
    [(60, [11.0, 12.0]), (15, [7.0, 8.5]), (10, [32.0 / 3.0, 13.0]), (5, [22.0, 26.5])],
)
def test_mean_of_a_series_over_the_steps(minutes, expected, compiled, monkeypatch):
    """At 11:45 the steps are 11:45 to 12:00 and 12:00 to 12:30."""
    count = 3 * 60 // minutes
    times = pd.date_range(AXIS.start, periods=count, freq=f"{minutes}min")
    first = 10.0 if minutes == 60 else 0.0
    series = pd.Series(first + np.arange(count), index=times)
    monkeypatch.setitem(objectives.SERIES, "price", series)
    term = term_of("indexed")
    compiled(term)
    assert term.values(7, HORIZON, forecast_of(), None)["term.spot"].tolist() == pytest.approx(
        expected, rel=1e-13
    )
    monkeypatch.setitem(objectives.SERIES, "price", series.iloc[:2])
    with pytest.raises(ObjectiveTermError, match=r"series covers 2025-06-21 10:00:00.* is needed"):
        term.values(7, HORIZON, forecast_of(), None)


def test_value_of_a_term_at_a_point(compiled):
    """x = 2 p.u. of 1 MVA in all columns: 2 * 0.25 h * 3 EUR/MWh + 2 * 0.5 h * 4 EUR/MWh."""
    found = compiled(term_of("dearer_import"))
    base = 0.1
    p = parameter_vector(
        found.parameters,
        dict.fromkeys(found.parameters, 0.0) | {"term.surcharge": np.array([3.0, 4.0])},
    )
    x = np.full(found.program.variables, 2.0)
    assert term_eur(found, x, p) == pytest.approx(base * 2.0 * (0.25 * 3.0 + 0.5 * 4.0), rel=1e-14)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("not_a_number", "parameter tax: has a value that is not finite"),
        ("wrong_length", "parameter tax: has 3 values; 2, or one for all, are accepted"),
        ("breaks", "parameter tax: raised AttributeError: GridForecast has no no_such_series"),
    ],
)
def test_refused_values_of_parameters(name, expected, compiled):
    term = term_of(name)
    compiled(term)
    with pytest.raises(ObjectiveTermError) as refused:
        term.values(0, HORIZON, forecast_of(), None)
    assert str(refused.value).startswith(WHERE + f"{name}: {expected}")
