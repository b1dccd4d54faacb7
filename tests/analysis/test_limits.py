import numpy as np
import pandas as pd
import pytest
from support.run_rows import limits, run_of, voltages

from stackelgrid.analysis.figures import maps
from stackelgrid.analysis.results.limits import band_of, with_limits

NAN = float("nan")
GRIDS = {"mv": ("mv", None, 1)}


@pytest.fixture
def one_sided(tmp_path):
    """Bus 1 has both limits, 2 and 3 an upper one only, 4 a lower one, 5 none."""
    network = [
        *limits("mv", 0.9, 1.05, [1]), *limits("mv", NAN, 1.05, [2, 3]),
        *limits("mv", 0.95, NAN, [4]), *limits("mv", NAN, NAN, [5]),
    ]  # fmt: skip
    bus = voltages(0, "mv", {1: 1.0, 2: 1.06, 3: 1.0, 4: 0.94, 5: 2.0})
    return run_of(GRIDS, directory=tmp_path, network=network, bus=bus)


def test_a_bus_with_one_limit_has_the_margin_to_it(one_sided):
    margin = with_limits(one_sided, ["mv"]).set_index("bus")["margin_pu"]
    np.testing.assert_allclose(margin, [0.05, -0.01, 0.05, -0.01, NAN])


def test_the_worst_interval_of_a_map_knows_one_sided_limits(one_sided):
    later = one_sided.bus.assign(interval=1, vm_pu=1.02)
    one_sided.bus = pd.concat([later, one_sided.bus], ignore_index=True)
    assert maps.worst_interval(one_sided, "mv") == 0  # buses 2 and 4 are beyond their one limit


def test_each_side_of_a_band_is_the_most_common_limit(one_sided):
    band = band_of(one_sided, ["mv"])
    assert (band.max_pu, band.alike) == (1.05, False)
    assert np.isnan(band.min_pu)  # two of four state none
    assert band_of(one_sided, ["other"]) is None


def test_limits_that_all_buses_share_are_alike(tmp_path):
    network = limits("mv", NAN, 1.1, [1, 2])
    band = band_of(run_of(GRIDS, directory=tmp_path, network=network), ["mv"])
    assert (band.max_pu, band.alike) == (1.1, True)
    assert np.isnan(band.min_pu)
