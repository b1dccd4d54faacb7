"""Tables of studies on the console: rows of schemes, six columns, 80 characters, no lost digits."""

from dataclasses import replace

import pytest

from stackelgrid.analysis.comparison import CLOSED_LOOP, PLAN, Comparison
from stackelgrid.analysis.kpis.indicators import TOTAL, Row, frame_of
from stackelgrid.analysis.studies import (
    ComparisonStudy,
    read_comparison,
    read_ensemble,
    read_sweep,
)
from stackelgrid.controllers.words import words
from stackelgrid.scenarios.cli.terminal import Terminal
from stackelgrid.scenarios.schema.scheme_names import SCHEMES

FIRST = {
    "total_cost": 82940.37, "total_cost_corrected": 82940.37, "leader_cost": 58840.17,
    "leader_cost_corrected": 58840.17, "follower_cost": 79605.47, "pv_curtailed": 2345.678,
    "gap": 3.3e-7, "intervals_beyond_limits": 96.0, "solve_s": 1234.56,
}  # fmt: skip
LESS = {"total_cost": -493.03, "total_cost_corrected": 0.02, "follower_cost": 3000.0}


def rows_of(scheme, amounts):
    return frame_of([Row(TOTAL, k, v) for k, v in amounts.items()], scheme, "lmp")


def exchange():
    return Comparison("lmp").exchange


@pytest.fixture
def study(tmp_path):
    """Every shipped scheme on both bases; each but the first differs a little, one failed."""
    made = Comparison("lmp")
    for basis in (PLAN, CLOSED_LOOP):
        made.add(basis, SCHEMES[0], rows_of(SCHEMES[0], FIRST), exchange())
        for scheme in SCHEMES[1:-1]:
            own = {name: value + LESS.get(name, 0.0) for name, value in FIRST.items()}
            made.add(basis, scheme, rows_of(scheme, own), exchange())
        made.fail(basis, SCHEMES[-1], "no luck")
    return ComparisonStudy(tmp_path, {"scenario": "stressed_day"}, "schemes", made)


def lines_of(capsys, found):
    Terminal().tell(found)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    return lines


def table_from(lines, title):
    """Rows of a table by their first cell."""
    start = next(k for k, line in enumerate(lines) if line.startswith(title))
    rule = next(k for k in range(start, len(lines)) if set(lines[k]) == {"─"})
    return lines[start + 1 : rule], lines[rule + 1 :]


def test_schemes_are_rows_of_six_columns(study, capsys):
    lines = lines_of(capsys, study)
    heads, rows = table_from(lines, "stressed_day: plan, nodal prices at the boundary")
    assert heads[0].split() == ["system", "leaders", "follower", "curtailed", "proven", "solve"]
    assert heads[1].split() == ["EUR", "EUR", "EUR", "MWh", "gap", "s"]
    names = [words(scheme) for scheme in SCHEMES]
    assert [row[: len(name)] for row, name in zip(rows, names, strict=False)] == names
    assert rows[0].removeprefix("bottom-up").split() == [
        "82,940.37", "58,840.17", "79,605.47", "2,345.68", "3.3e-07", "1,234.6"
    ]  # fmt: skip
    # nearly equal costs are differences to the first row, others are not
    assert rows[1].removeprefix("feasibility only").split()[:3] == [
        "-493.03", "same", "82,605.47"
    ]  # fmt: skip
    assert rows[6].removeprefix("LDD-ADMM").split() == ["-"] * 6
    assert rows[7:9] == ["With a sign: difference to bottom-up.", "LDD-ADMM failed: no luck"]


def test_a_closed_loop_counts_intervals_beyond_limits(study, capsys):
    heads, rows = table_from(lines_of(capsys, study), "stressed_day: closed loop")
    assert [head.split()[at] for head, at in zip(heads, (0, -2, -2), strict=True)] == [
        "intervals", "beyond", "limits"
    ]  # fmt: skip
    assert rows[1].removeprefix("feasibility only").split() == [
        "+0.02", "same", "82,605.47", "2,345.68", "96", "1,234.6"
    ]  # fmt: skip


def test_costs_of_a_million_have_no_cents(capsys, tmp_path):
    made = Comparison("tariff")
    for k, scheme in enumerate(SCHEMES[:2]):
        made.add(PLAN, scheme, rows_of(scheme, {"total_cost": 1234567.8 * (1 + k)}), exchange())
    found = ComparisonStudy(tmp_path, {"scenario": "day"}, "schemes", made)
    _, rows = table_from(lines_of(capsys, found), "day: plan")
    assert [row.split()[-6] for row in rows[:2]] == ["1,234,568", "2,469,136"]


def test_qualities(compared_qualities, capsys):
    lines = lines_of(capsys, read_comparison(compared_qualities))
    heads, rows = table_from(lines, "village: closed loop, tariff at the boundary")
    assert " ".join(" ".join(heads).split()).startswith("intervals system extra cost rounds")
    assert rows[1].split() == ["lossy", "1,020.00", "20.00", "-", "-", "6", "-"]
    assert rows[3] == "deaf failed: nobody answers"


def test_an_ensemble_has_a_row_for_each_level_and_horizon(ensembled, capsys):
    lines = lines_of(capsys, read_ensemble(ensembled))
    heads, rows = table_from(lines, "village, bottom-up: mean of 3 members, 95 % confidence")
    assert heads[-1].split()[:2] == ["level", "horizon"]
    assert rows[0].split()[:3] == ["1", "perfect", "foresight"]
    assert rows[1].split()[:9] == ["1", "own", "horizon", "1,020", "±", "25", "20", "±", "25"]


def test_a_sweep_states_conditions_and_limits_in_words(swept, capsys):
    study = read_sweep(swept)
    counts = {"predicted_exact": 2, "exact": 3, "feasible": 1, "infeasible": 2, "unsolved": 0}
    times = dict.fromkeys(("build_s", "solve_s", "certify_s"), 0.5)
    lines = lines_of(capsys, replace(study, summary={**study.summary, **counts, "timings": times}))
    _, rows = table_from(lines, "village: a priori conditions against the certificate")
    assert rows[0].split()[:3] == ["points", "all", "three"]
    heads, rows = table_from(lines, "village: PV scale up to which points are exact")
    assert [head.split()[0] for head in heads] == ["voltage", "ceiling,", "p.u."]
    assert "_" not in "".join(lines)
    assert rows[0].split()[0] == "1.05"
