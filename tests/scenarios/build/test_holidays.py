"""Public holidays of a site in the series of a scenario."""

import numpy as np
import pytest

from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

SHOPS = {
    "mix": {"commercial": 1.0},
    "diversity": {"level_sigma": 0.0, "shift_min_sigma": 0.0, "noise_sigma": 0.0},
}


@pytest.mark.parametrize(
    ("holidays", "like_sunday"),
    [(None, False), ("DE", False), ("DE-BY", True), (["2025-06-19"], True), ([], False)],
)
def test_shops_rest_on_the_holidays_of_the_site(write_scenario, holidays, like_sunday):
    """Corpus Christi, Thursday 2025-06-19, is a holiday of Bavaria, not of all Germany."""

    def loads_of(day, given=None):
        def change(data):
            data["time"]["start"] = f"{day}T11:00:00"
            data["grids"][0]["loads"] = SHOPS
            if given is not None:
                data["site"]["holidays"] = given

        loaded = load_scenario(str(write_scenario(change=change)))
        return build_scenario(loaded).series["mv1"].load_p_mw

    found = loads_of("2025-06-19", holidays)
    np.testing.assert_array_equal(found, loads_of("2025-06-22" if like_sunday else "2025-06-18"))


@pytest.mark.parametrize(
    ("holidays", "message"),
    [
        ("Bavaria", "site.holidays: 'Bavaria' is no known region; a country such as 'DE', a part"),
        ("DE-BX", "site.holidays: 'DE-BX' is no known region; DE, DE-BB"),
        ([20251225], "site.holidays: [20251225]: a region such as 'DE-BY' or a list of dates"),
        (["Easter"], "site.holidays: ['Easter']: a region such as 'DE-BY' or a list of dates"),
        (7, "site.holidays: 7: a region such as"),
    ],
)
def test_other_holidays_are_refused(write_scenario, command, holidays, message):
    def change(data):
        data["site"]["holidays"] = holidays

    outcome = command("validate", str(write_scenario(change=change)))
    assert outcome.status == 2
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
