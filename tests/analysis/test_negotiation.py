"""Negotiations chosen for pictures, and the pictures, from tables written by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from stackelgrid.analysis.kpis.negotiation import cold_and_warm
from stackelgrid.analysis.pictures.studies import write_negotiations

# rounds of the negotiations of two followers, interval by interval
ROUNDS = {"mv": (12, 4, 6, 6), "tn": (3, 5)}
NAN = float("nan")


def round_table():
    rows = [
        {"interval": k, "grid": grid, "round": r + 1, "fixed": r + 1 == count,
         "open_share": 0.0 if r > 8 else 2.0**-r, "price_apart": 0.3 * 0.5**r,
         "price_moved": 0.2 * 0.5**r}
        for grid, counts in ROUNDS.items()
        for k, count in enumerate(counts)
        for r in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def tables():
    told = [
        {"interval": k, "grid": grid, "rounds": count,
         "agreement_after_sec": NAN if (grid, k) == ("mv", 2) else 10.0 + k}
        for grid, all_rounds in ROUNDS.items()
        for k, count in enumerate(all_rounds)
    ]  # fmt: skip
    held = [
        {"interval": k, "grid": agent, "follower": grid, "on_new": k != 2 and agent != "c",
         "in_doubt": agent == "b" and k == 1, "silent": agent == "c"}
        for grid, agents in (("mv", "abc"), ("tn", ["mv"]))
        for k in range(len(ROUNDS[grid]))
        for agent in agents
    ]  # fmt: skip
    return SimpleNamespace(
        round=round_table(), negotiation=pd.DataFrame(told), commitment=pd.DataFrame(held)
    )


@pytest.fixture
def in_process(tables):
    """Rounds without messages."""
    empty = {name: getattr(tables, name).iloc[:0] for name in ("negotiation", "commitment")}
    return SimpleNamespace(round=tables.round, **empty)


@pytest.mark.parametrize(("grid", "expected"), [("mv", (0, 2)), ("tn", (0, 1))])
def test_first_and_typical_later_negotiation(tables, grid, expected):
    assert cold_and_warm(tables, grid) == expected


def test_a_single_negotiation_has_no_later_one(tables):
    one = SimpleNamespace(round=tables.round[tables.round["interval"] == 0])
    assert cold_and_warm(one, "mv") == (0, None)


@pytest.fixture
def drawn(monkeypatch):
    """Figures by file name, as they are written."""
    figures = {}
    real = Figure.savefig

    def savefig(figure, path, **options):
        figures[path.name.removesuffix(".tmp")] = figure  # written beside, and renamed
        real(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def test_pictures_of_a_run(tables, tmp_path, drawn):
    written = write_negotiations(tables, tmp_path, "day")
    assert {p.name for p in written} == {
        "negotiation_rounds_mv.png", "negotiation_rounds_tn.png", "negotiation_timeline.png",
    }  # fmt: skip
    assert all(p.stat().st_size > 10_000 for p in written)
    history = drawn["negotiation_rounds_mv.png"]
    titles = [axes.get_title() for axes in history.axes]
    assert titles == [
        "first negotiation (interval 0, 12 rounds)", "typical later one (interval 2, 6 rounds)",
    ]  # fmt: skip
    cold = history.axes[0]
    assert cold.get_yscale() == "log"
    open_share = cold.lines[0].get_ydata()
    assert len(open_share) == 12
    assert (np.asarray(open_share) > 0.0).all()  # zeros are drawn at the lower end
    agents = [t.get_text() for t in drawn["negotiation_timeline.png"].axes[0].get_yticklabels()]
    assert agents == ["a", "b", "c", "mv"]


def test_pictures_without_messages(in_process, tmp_path):
    written = write_negotiations(in_process, tmp_path, "day")
    assert {p.name for p in written} == {"negotiation_rounds_mv.png", "negotiation_rounds_tn.png"}
