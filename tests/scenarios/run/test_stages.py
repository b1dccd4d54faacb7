"""Records of the stages of a run: costs, audit, the follower's dispatch, nodal payments."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario


@pytest.fixture(scope="module", params=["tariff", "lmp"])
def result(request, tmp_path_factory):
    loaded = load_scenario("quick", (f"pricing={request.param}",))
    out = tmp_path_factory.mktemp("runs") / request.param
    return run_scenario(loaded, out), request.param


def table(result, name):
    return pd.read_parquet(result[0].directory / f"{name}.parquet")


def test_every_interval_has_its_stage_proven_and_audited(result):
    stage = table(result, "stage")
    assert stage["interval"].tolist() == [0, 1, 2, 3]
    assert set(stage["grid"]) == {"mv1"}
    assert set(stage["pricing"]) == {result[1]}
    assert (stage["gap"] <= 1e-3).all()
    assert (stage["follower_gap"] <= 1e-6).all()
    np.testing.assert_allclose(
        stage["total_eur"], stage["follower_eur"] + stage["leader_eur"] - stage["payment_eur"]
    )
    summary = result[0].summary["bilevel"]
    assert summary["scheme"] == "bottom_up"
    assert summary["pricing"] == result[1]
    assert summary["max_follower_gap"] == pytest.approx(stage["follower_gap"].max())
    assert summary["big_m_active"] is False


def test_the_leaders_objective_is_what_they_pay_in_all(result):
    stage = table(result, "stage")
    np.testing.assert_allclose(stage["leader_eur"], stage["objective_eur"], rtol=1e-4, atol=1e-3)


def test_the_dispatch_serves_the_loads_of_the_follower(result):
    """Lossless: what units, PV and the import bring is what the loads and the community take."""
    dispatch = table(result, "dispatch")
    first = dispatch[(dispatch["interval"] == 0) & (dispatch["step"] == 0)]
    interval = table(result, "interval")
    row = interval[(interval["interval"] == 0) & (interval["grid"] == "mv1")].iloc[0]
    served = row["load_p_mw"] + row["lower_p_mw"]
    assert first["p_mw"].sum() == pytest.approx(served, rel=1e-3)


def test_the_exchange_is_paid_at_the_price_that_holds(result):
    boundary = table(result, "boundary").set_index("interval")
    interval = table(result, "interval")
    lower = interval[interval["grid"] == "lv1"].set_index("interval")
    p = boundary["p_mw"]
    tariff = np.where(p < 0.0, boundary["export_eur_per_mwh"], boundary["import_eur_per_mwh"])
    price = boundary["nodal_price_eur_per_mwh"] if result[1] == "lmp" else tariff
    assert np.isfinite(boundary["nodal_price_eur_per_mwh"]).all()
    np.testing.assert_allclose(lower["boundary_eur"], 0.25 * price * p)
