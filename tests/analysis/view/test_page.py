"""The page of a run: what its callbacks answer, and that it reads only."""

import hashlib
import json
import re
import socket
import threading

import numpy as np
import pytest
from dash import no_update
from support.run_cases import SMALL, RecordedRun

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.certificates import certificate_strip
from stackelgrid.analysis.figures.power import has_trade
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.view import callbacks, panels
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.layout import browser_geometry, first_interval, page
from stackelgrid.analysis.view.series import series
from stackelgrid.analysis.view.series_figure import series_figure
from stackelgrid.analysis.view.server import address, application, bind
from stackelgrid.analysis.view.source import Element
from stackelgrid.analysis.view.strip import strip_figure


@pytest.fixture
def recorded(tmp_path):
    return RecordedRun(tmp_path / "run", SMALL, 6).record(4)


@pytest.fixture
def live(recorded):
    return LiveRun(recorded.directory)


def text_of(component):
    """All text of a component."""
    if component is None:
        return ""
    if isinstance(component, (str, int, float)):
        return str(component)
    if isinstance(component, (list, tuple)):
        return " ".join(text_of(c) for c in component)
    return text_of(getattr(component, "children", None))


def test_follow_sends_only_what_the_page_does_not_have(recorded, live):
    chunk, line, problem, over = callbacks.followed(live, 0)
    assert (chunk["first"], chunk["done"], chunk["running"]) == (0, 4, True)
    assert "4 of 6 intervals" in text_of(line)
    assert "left" not in text_of(line)  # no interval has been seen to end
    assert (problem, over) == ("", False)
    assert callbacks.followed(live, 4)[0] is no_update
    recorded.record()
    assert "left" in text_of(callbacks.followed(live, 4)[1])
    recorded.record()
    recorded.finish()
    chunk, line, _, over = callbacks.followed(live, 4)
    assert (chunk["first"], chunk["done"]) == (4, 6)
    assert "done" in text_of(line)
    assert over


def test_geometry_for_the_browser_is_json_without_nan(live):
    told = json.loads(json.dumps(browser_geometry(live), allow_nan=False))
    assert [len(g["bus"]) for g in told["grids"]] == [12, 20]
    assert (told["buses"], told["branches"]) == (32, 30)
    lv1 = told["grids"][1]
    assert (lv1["bus0"], lv1["branch0"]) == (12, 11)
    assert lv1["ends"][3] == [3, 4]
    assert lv1["full"] == [100.0] * 19
    assert told["tolerance"] == 1e-4
    assert told["grids"][0]["children"] == [["lv1", 3]]
    # the bus that the grid hangs on has no limits of its own
    assert (lv1["low"][0], lv1["low"][1], lv1["high"][1]) == (None, 0.95, 1.05)
    # local time of the scenario
    assert told["labels"][0] == "Fri 20 Jun 2025, 00:00"
    assert told["middles"][1] == "2025-06-20T00:22:30"


def test_page_opens_where_something_is_to_be_seen(recorded, live):
    assert first_interval(live) == 3  # the newest
    recorded.record(2)
    recorded.finish()
    # voltages fall with the interval below 1 p.u.: the last one is furthest away
    assert first_interval(LiveRun(recorded.directory)) == 5


def test_strip_shows_the_verdict_of_every_grid_and_interval(live):
    figure = strip_figure(live)
    (cells,) = figure["data"]
    assert cells["y"] == ["tn", "lv1"]
    assert [c[1] for c in cells["customdata"][1]] == ["exact", "exact", "infeasible", "exact"]
    assert cells["customdata"][1][2] == [2, "infeasible", "planned line 3: 1.2% above its rating"]
    assert cells["text"][1] == ["", "", "✕", ""]
    low, high = cells["zmin"], cells["zmax"]
    share = (cells["z"][1][2] - low) / (high - low)
    color = next(c for at, c in reversed(cells["colorscale"]) if at <= share)
    assert color == style.VERDICTS["infeasible"]
    # the middle of the first cell and the length of all, in ms: one cell alone is as wide
    assert (cells["x0"], cells["dx"]) == ("2025-06-20T00:07:30", 15 * 60 * 1000)
    assert "x" not in cells
    report = json.loads(certificate_strip(live.run).to_json())["data"][0]
    assert (report["x0"], report["dx"]) == (cells["x0"], cells["dx"])
    assert "x" not in report


NOTABLE = {
    ("interval", "lv1", 0): {"realised_worst": "bus 4", "realised_violation_pu": 3e-8},
    ("interval", "lv1", 1): {"realised_worst": "bus 4", "realised_violation_pu": 2e-4},
    ("interval", "lv1", 2): {
        "violation_pu": np.nan, "worst": "grid lv1: AC power flow diverged",
        "recovery": "last_good_schedule", "verdict_before": "infeasible",
        "violation_before_pu": np.inf,
    },
    ("interval", "lv1", 3): {
        "verdict": "feasible", "voltage_error_pu": np.nan, "fallback": True,
        "fallback_reason": "no solution",
    },
    ("interval", "lv1", 4): {
        "verdict": "exact", "verdict_three_phase": "infeasible", "violation_three_phase_pu": 0.02,
        "worst_three_phase": "bus 7, phase b", "recovery": "curtailed PV",
        "verdict_before": "infeasible", "violation_before_pu": 0.0123,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def notable(tmp_path_factory):
    """A run in which every interval of lv1 has something to say."""
    directory = tmp_path_factory.mktemp("notable") / "run"
    return LiveRun(RecordedRun(directory, SMALL, 5, changes=NOTABLE).record(5).directory)


def test_limits_count_as_exceeded_in_reality_beyond_the_tolerance_of_a_power_flow(notable):
    both, marks = ["tn", "lv1"], strip_figure(notable)["data"][0]["text"][1]
    assert marks[:2] == ["", "!"]
    assert "reality" not in text_of(panels.why(notable, 0, ["lv1"]))
    assert "lv1" not in text_of(panels.why(notable, 0, both))
    text = text_of(panels.why(notable, 1, ["lv1"]))
    assert "In reality bus 4: 0.0002 p.u. beyond the limit" in text
    assert "lv1" in text_of(panels.why(notable, 1, both))


def test_a_plan_that_diverged_is_said_to_have_diverged(notable):
    text = text_of(panels.why(notable, 2, ["lv1"]))
    assert (
        "Planned AC power flow diverged; recovered by last good schedule (at first infeasible, "
        "its AC power flow diverged)."
    ) in text
    cells = strip_figure(notable)["data"][0]
    assert cells["customdata"][1][2] == [2, "infeasible", "planned AC power flow diverged"]


def test_a_kept_schedule_has_no_flows_to_be_exact(notable):
    text = text_of(panels.why(notable, 3, ["lv1"]))
    assert (
        "The last schedule is kept: no solution; a schedule without flows: nothing to be exact."
    ) in text
    assert strip_figure(notable)["data"][0]["text"][1][3] == "F"


def test_a_recovered_plan_and_a_violated_phase_are_told(notable):
    text = text_of(panels.why(notable, 4, ["lv1"]))
    assert "Planned, by phase bus 7, phase b: 0.02 p.u. beyond the limit; " in text
    assert "recovered by curtailed PV (at first infeasible, 0.012 beyond a limit, " in text
    cells = strip_figure(notable)["data"][0]
    assert cells["customdata"][1][4][2] == (
        "planned, by phase bus 7, phase b: 0.02 p.u. beyond the limit"
    )
    assert cells["text"][1][4] == "R"


def test_no_text_on_an_interval_holds_a_number_that_is_none(notable):
    rows = notable.table("interval").to_dict("records")
    assert len(rows) == 10
    assert any(np.isinf(row["violation_before_pu"]) for row in rows)
    for row in rows:
        assert not re.search(r"\b(nan|inf)\b", panels.why_text(row))


def test_an_interval_says_why_it_is_infeasible(live):
    text = text_of(panels.why(live, 2, ["lv1"]))
    assert "infeasible" in text
    assert "Planned line 3: 1.2% above its rating." in text
    text = text_of(panels.why(live, 2, ["tn", "lv1"]))
    assert "lv1" in text
    assert "line 3" in text
    assert "no limit is exceeded" in text_of(panels.why(live, 1, ["lv1"]))


def test_trades_of_an_interval_are_those_of_the_table(live):
    text = text_of(panels.trades(live, 3, ["lv1"]))
    assert "4.00 135.00 4.00 135.00" in text  # kW bought at, sold at EUR/MWh
    assert "bus 5 buys inside the feeder 4.000" in text
    assert "No prosumer in tn trades" in text_of(panels.trades(live, 3, ["tn"]))
    assert "copies" not in text


def test_what_a_solver_leaves_of_no_trade_is_none(tmp_path):
    changes = {("trade", "lv1", k): {"p_mw": 9e-7} for k in (0, 1)}
    directory = tmp_path / "run"
    live = LiveRun(RecordedRun(directory, SMALL, 3, changes=changes).record(2).directory)
    assert "No prosumer in the system trades" in text_of(panels.trades(live, 1, ["tn", "lv1"]))
    assert not has_trade(live.run)
    RecordedRun(tmp_path / "more", SMALL, 3, changes={}).record(1)
    assert has_trade(Run(tmp_path / "more"))


def test_trades_of_several_grids_are_those_of_all_copies(tmp_path):
    case = RecordedRun(tmp_path / "run", SMALL, 3, copies={"tn": 2, "lv1": 4}).record(2)
    live = LiveRun(case.directory)
    text = text_of(panels.trades(live, 1, ["tn", "lv1"]))
    assert "16.00 135.00 16.00 135.00" in text  # 2 kW of 2 * 4 copies
    assert "All copies." in text
    text = text_of(panels.trades(live, 1, ["lv1"]))
    assert "2.00 135.00 2.00 135.00" in text
    assert "One of 8 copies." in text


def test_a_run_that_negotiates_nothing_says_so(live):
    text = text_of(panels.decision(live, 3, ["lv1"]))
    assert "bottom-up" in text
    assert "There are no negotiations in this run (coordination central)" in text


def test_nothing_is_said_of_a_run_before_its_first_interval(tmp_path):
    live = LiveRun(RecordedRun(tmp_path / "run", SMALL, 3, negotiated=True).directory)
    for part in callbacks.interval_panels(live, None, "*"):
        assert text_of(part) == "No interval is on record yet."


def test_a_decision_of_one_grid_is_that_of_the_stages_it_leads_or_follows_in(tmp_path):
    grids = {**SMALL, "mv1": ("mv", None, None, 5), "lv2": ("lv", "mv1", 3, 6)}
    live = LiveRun(RecordedRun(tmp_path / "run", grids, 3, negotiated=True).record(2).directory)
    for grid in ("tn", "lv1"):  # the only stage is that of tn
        text = text_of(panels.decision(live, 1, [grid]))
        assert "Scheme bottom-up" in text
        assert "tn: committed version 1" in text
    text = text_of(panels.decision(live, 1, ["lv2"]))
    assert "Scheme" not in text
    assert "committed" not in text
    assert "On an old schedule: lv2." in text


def test_a_negotiation_is_told_with_its_messages_and_who_holds_what(tmp_path):
    recorded = RecordedRun(tmp_path / "run", SMALL, 3, negotiated=True).record(2)
    text = text_of(panels.decision(LiveRun(recorded.directory), 1, ["lv1"]))
    assert "tn: committed version 1; 1 of 1 agents confirmed" in text
    assert "40 messages sent, 3 lost" in text
    assert "On an old schedule: lv1." in text
    assert "2 rounds" in text


def test_series_figure_names_units_on_every_axis(live):
    figure = series_figure(live, series(live, Element("agent", "lv1")))
    axes = [v for k, v in figure["layout"].items() if k.startswith("yaxis")]
    assert [a["title"]["text"] for a in axes] == ["kW", "kW", "EUR/MWh", "p.u."]
    assert figure["layout"]["xaxis"]["title"]["text"] == "time (Europe/Berlin)"
    json.dumps(figure, allow_nan=False)


@pytest.mark.parametrize("network", [True, False])
@pytest.mark.parametrize("done", [0, 1])
def test_every_panel_answers_for_a_run_at_any_moment(tmp_path, network, done):
    recorded = RecordedRun(tmp_path / "run", SMALL, 3, network=network).record(done)
    live = LiveRun(recorded.directory)
    assert page(live) is not None
    assert len(callbacks.interval_panels(live, None, "*")) == 3
    strip_figure(live)
    text = text_of(page(live))
    assert ("No maps" in text) == (not network)


def test_one_grid_alone_has_a_page(tmp_path):
    recorded = RecordedRun(tmp_path / "run", {"mv1": ("mv", None, None, 9)}, 3).record(2)
    live = LiveRun(recorded.directory)
    assert callbacks.grids_of(live, "*") == ["mv1"]
    assert "exact" in text_of(callbacks.interval_panels(live, 1, "mv1")[0])


@pytest.fixture
def client(live):
    return application(live).server.test_client()


def test_page_answers_only_to_the_names_of_this_machine(client):
    for host in ("localhost:8050", "127.0.0.1:8050", "[::1]:8050", "LOCALHOST"):
        assert client.get("/", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example:8050", "127.0.0.1.evil.example", "10.0.0.7:8050"):
        refused = client.get("/", headers={"Host": host})
        assert refused.status_code == 403, host
        assert client.post("/_dash-update-component", headers={"Host": host}).status_code == 403


def test_page_that_is_open_to_others_answers_to_its_own_name(live):
    client = application(live, "10.0.0.7").server.test_client()
    assert client.get("/", headers={"Host": "10.0.0.7:8050"}).status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_nothing_is_fetched_from_elsewhere(client):
    answer = client.get("/")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "https://" not in answer.get_data(as_text=True).replace("https://dash.plotly.com", "")


def test_callbacks_write_nothing(recorded, live, client):
    def digests():
        return {
            str(p): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(recorded.directory.rglob("*"))
            if p.is_file()
        }

    before = digests()
    assert len(before) > 20
    client.get("/_dash-layout")
    asked = {
        "output": "..chunk.data...progress.children...problem.children...follow.disabled..",
        "outputs": [
            {"id": "chunk", "property": "data"}, {"id": "progress", "property": "children"},
            {"id": "problem", "property": "children"}, {"id": "follow", "property": "disabled"},
        ],
        "inputs": [{"id": "follow", "property": "n_intervals", "value": 1}],
        "changedPropIds": ["follow.n_intervals"],
        "state": [{"id": "done", "property": "data", "value": 0}],
    }  # fmt: skip
    answer = client.post("/_dash-update-component", json=asked)
    assert answer.json["response"]["chunk"]["data"]["done"] == 4
    callbacks.interval_panels(live, 2, "lv1")
    assert digests() == before


def test_server_listens_at_loopback_and_takes_a_free_port_where_none_is_asked_for(live):
    app = application(live)
    first = bind(app, "127.0.0.1", None)
    second = bind(app, "127.0.0.1", None)
    try:
        assert first.socket.getsockname()[0] == "127.0.0.1"
        assert first.port != second.port
        with pytest.raises(OSError, match="in use"):
            bind(app, "127.0.0.1", first.port)
    finally:
        first.server_close()
        second.server_close()


def test_connection_that_was_accepted_when_the_server_closes_is_ended(live):
    server = bind(application(live), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.closing = True
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as late:
            assert late.recv(1) == b""
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_address_is_one_that_a_browser_takes():
    assert address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert address("::1", 80) == "http://[::1]:80/"
    assert address("0.0.0.0", 80) == "http://localhost:80/"
