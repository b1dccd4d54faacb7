"""The page of a run: what its callbacks answer, and that it reads only."""

import hashlib
import json

import pytest
from dash import no_update
from run_cases import SMALL, RecordedRun

from stackelgrid.analysis import style
from stackelgrid.analysis.view import callbacks, panels
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.layout import browser_geometry, first_interval, page
from stackelgrid.analysis.view.series import Element, series
from stackelgrid.analysis.view.series_figure import series_figure
from stackelgrid.analysis.view.server import address, application, bind
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
    assert "left" in text_of(line)
    assert (problem, over) == ("", False)
    assert callbacks.followed(live, 4)[0] is no_update
    recorded.record(2)
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
    assert cells["customdata"][1][2] == [2, "infeasible", "0.0123 p.u. beyond a limit at line 3"]
    assert cells["text"][1] == ["", "", "✕", ""]
    low, high = cells["zmin"], cells["zmax"]
    share = (cells["z"][1][2] - low) / (high - low)
    color = next(c for at, c in reversed(cells["colorscale"]) if at <= share)
    assert color == style.VERDICTS["infeasible"]


def test_an_interval_says_why_it_is_infeasible(live):
    text = text_of(panels.why(live, 2, ["lv1"]))
    assert "infeasible" in text
    assert "0.0123 p.u. beyond a limit at line 3" in text
    text = text_of(panels.why(live, 2, ["tn", "lv1"]))
    assert "lv1" in text
    assert "line 3" in text
    assert "no limit is exceeded" in text_of(panels.why(live, 1, ["lv1"]))


def test_trades_of_an_interval_are_those_of_the_table(live):
    text = text_of(panels.trades(live, 3, ["lv1"]))
    assert "4.00 135.00 4.00 135.00" in text  # kW bought at, sold at EUR/MWh
    assert "bus 5 buys inside the feeder 4.000" in text
    assert "Nobody in tn trades" in text_of(panels.trades(live, 3, ["tn"]))


def test_a_run_that_negotiates_nothing_says_so(live):
    text = text_of(panels.decision(live, 3, ["lv1"]))
    assert "bottom_up" in text
    assert "Nothing is negotiated in this run (coordination central)" in text


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
    assert ("No maps" in text) == (not network and done > 0)


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


def test_address_is_one_that_a_browser_takes():
    assert address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert address("::1", 80) == "http://[::1]:80/"
    assert address("0.0.0.0", 80) == "http://localhost:80/"
