"""Every problem from the literature through every method; never a wrong optimum."""

import pytest
from support.bilevel_cases import CASES, case_model

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel import solve_bilevel
from stackelgrid.controllers.errors import ModelError

# refused by name: no finite big-M exists for these
NO_BIG_M = {
    "mersha_dempe_ex1_coupling_up",
    "dempe_3_3_a0p1",
    "floudas_9_3_5_QP",
    "floudas_9_3_7b_QP",
    "gams_jointc1_part2",
    "pineda_morales_2018_bigM_trap",
    "besancon_2_7",
    "chi_2014_ex3_1_SOCP_lower",
}
# solved by strong duality: no product of the leader's variables with a free multiplier
STRONG_DUALITY = {
    "bard_8_1_2a",
    "bard_8_1_2b",
    "floudas_9_2_6",
    "conejo_DTMP_7_2",
    "besancon_2_7",
    "mitsos_barton_2007_01",
    "mitsos_barton_2007_02",
    "sahin_ciric_1998_01_QP",
}


def confirm(case, result, model):
    optimum = case["optimum"]
    if optimum == "infeasible":
        assert result.status == "infeasible"
        return
    assert result.status == "optimal", result.message
    assert result.objective == pytest.approx(optimum, rel=1e-5, abs=1e-5)
    assert result.bound == pytest.approx(optimum, rel=1e-5, abs=1e-5)
    assert result.follower_gap <= tolerances.FOLLOWER_GAP
    assert result.kkt_residual <= 1e-6
    assert model.cost() == pytest.approx(optimum, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", ["auto", "branch", "kkt_disjunctive"])
def test_every_case_by_the_methods_that_take_all(method, name):
    model = case_model(CASES[name])
    confirm(CASES[name], solve_bilevel(model, model.follower, method), model)


@pytest.mark.parametrize("name", CASES)
def test_big_m_solves_or_names_the_constraint(name):
    model = case_model(CASES[name])
    if name in NO_BIG_M:
        with pytest.raises(ModelError, match=r"follower\.rows\[\d+\]: no finite big-M"):
            solve_bilevel(model, model.follower, "kkt_big_m")
    else:
        confirm(CASES[name], solve_bilevel(model, model.follower, "kkt_big_m"), model)


@pytest.mark.parametrize("name", CASES)
def test_strong_duality_solves_or_names_the_product(name):
    model = case_model(CASES[name])
    if name in STRONG_DUALITY:
        confirm(CASES[name], solve_bilevel(model, model.follower, "strong_duality"), model)
    else:
        with pytest.raises(ModelError, match="cannot be linearised exactly"):
            solve_bilevel(model, model.follower, "strong_duality")


def test_gams_jointc1_part_1_is_infeasible():
    # the same case without y >= x in the follower (its note in the file)
    case = CASES["gams_jointc1_part2"]
    model = case_model(case | {"follower_constraints": ["y>=-x"]})
    for method in ("auto", "branch", "kkt_disjunctive"):
        assert solve_bilevel(model, model.follower, method).status == "infeasible"


def test_an_active_big_m_is_told():
    model = case_model(CASES["mitsos_barton_2007_01"])
    assert solve_bilevel(model, model.follower, "kkt_big_m").big_m_active
