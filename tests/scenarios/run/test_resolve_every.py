"""Schedules that are decided anew only every few intervals."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def halves(run_of, tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("halves") / "feeder.toml"
    path.write_text(texts["feeder"], encoding="utf-8")
    return run_of(path, "time.intervals=4", "horizon.resolve_every=2")


def test_between_two_decisions_the_next_step_is_applied(halves):
    schedule = halves.tables["schedule"]
    assert sorted(schedule["interval"].unique()) == [0, 2]
    device = halves.tables["device"]
    for element, column in (("storage", "asked_mw"), ("sgen", "asked_mw")):
        asked = device[device["element"] == element].sort_values(["interval", "index"])
        plans = schedule[(schedule["element"] == element) & (schedule["step"] < 2)]
        planned = plans.sort_values(["interval", "step", "index"])["p_mw"].to_numpy()
        assert len(planned) == 4 * (1 if element == "storage" else 2)
        assert (asked[column].to_numpy() == planned).all()
    interval = halves.tables["interval"]
    # foresight is perfect: the second step of a plan is as good as its first
    assert np.abs(interval["p_import_mw"] - interval["p_import_planned_mw"]).max() < 1e-4
    assert (interval["verdict"] != "").all()


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (["horizon.resolve_every=3"], "resolve_every = 3 needs 3 steps of one interval"),
        (["horizon.resolve_every=0"], "horizon.resolve_every: 0 is not accepted"),
        (
            ["horizon.resolve_every=2", "coordination=ldd_admm", "controller=ldd_admm"],
            "resolve_every = 2: agents that negotiate do so in every interval",
        ),
    ],
)
def test_what_cannot_be_held_is_refused(command, write_scenario, overrides, found):
    settings = [f"--set={o}" for o in overrides]
    outcome = command("validate", write_scenario(), *settings)
    assert outcome.status == 2
    assert found in outcome.stderr
    assert outcome.stderr.count("\n") == 1
