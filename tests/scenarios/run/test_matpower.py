"""Runs of MATPOWER's radial cases: plans are exact, losses those of pandapower."""

import tomllib

import numpy as np
import pandapower as pp
import pytest
import tomli_w
from support.matpower_cases import CASES, SEVERAL_SLACKS, matpower_net

QUICK = ("case16am", "case141")
LONGER = [c for c in CASES if c not in (*QUICK, *SEVERAL_SLACKS)]


@pytest.fixture
def run_case(tmp_path, texts, run_of):
    """`run_case(case)`: one interval of a case without devices, wide voltage band."""

    def run(case):
        pp.to_json(matpower_net(case), str(tmp_path / "case.json"))
        data = tomllib.loads(texts["feeder"])
        data["time"]["intervals"] = 1
        data["horizon"]["steps"] = [{"count": 2, "minutes": 15}]
        data["grids"] = [
            {"name": "feeder", "case": "case.json", "level": "mv", "tariff": "mv", "vm_pu": 1.0,
             "vm_min_pu": 0.5, "vm_max_pu": 1.5, "loads": {"mix": {"household": 1.0}}}
        ]  # fmt: skip
        path = tmp_path / "scenario.toml"
        path.write_text(tomli_w.dumps(data), encoding="utf-8")
        return run_of(path)

    return run


def assert_loss_and_verdict(run, case):
    assert run.tables["certificate"].verdict.tolist() == ["exact", "exact"]
    loads = run.tables["device"].set_index("index")
    net = matpower_net(case)
    net.load["p_mw"], net.load["q_mvar"] = loads.p_mw, loads.q_mvar
    if case == "case16am":  # 1e-8 ohm: pandapower does not converge
        net.line.loc[0, "in_service"] = False
        pp.create_switch(net, 1, 2, et="b", closed=True)
    pp.runpp(net, numba=False, tolerance_mva=1e-8 if case == "case141" else 1e-9)
    found = 1e3 * float(np.sum(run.tables["branch"].pl_mw))
    assert found > 0.0
    assert found == pytest.approx(1e3 * net.res_line.pl_mw.sum(), abs=1e-6)


@pytest.mark.parametrize("case", QUICK)
def test_a_run_of_a_case(run_case, case):
    assert_loss_and_verdict(run_case(case), case)


@pytest.mark.slow
@pytest.mark.parametrize("case", LONGER)
def test_a_run_of_every_other_case(run_case, case):
    assert_loss_and_verdict(run_case(case), case)
