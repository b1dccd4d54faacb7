"""The page of `stackelgrid view` in a real browser."""

import time

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from support.machine import in_time
from support.run_cases import HORIZON, SMALL, RecordedRun

from stackelgrid.analysis import style
from stackelgrid.analysis.view.data import LiveRun

pytestmark = pytest.mark.browser

# milliseconds from an action until the page has been painted with what it changes
_ACT = """
const [done, act, changed] = [arguments[2], new Function(arguments[0]), new Function(arguments[1])];
const before = changed(), began = performance.now();
act();
(function look() {
  if (changed() !== before) {
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0));
  } else if (performance.now() - began > 10000) done(null);
  else setTimeout(look, 1);
})();
"""
_COLORS = (
    "return [...document.querySelectorAll('.buses circle')].map(c => c.getAttribute('fill')).join()"
)
# share of the strip's width that is coloured
_CELL_WIDTH = """
const cells = document.querySelector('#strip .hm image');
const strip = document.querySelector('#strip .nsewdrag');
return cells && strip && cells.getBBox().width / strip.getBBox().width;
"""
_SERIES = """
const graph = document.querySelector('#series .js-plotly-plot');
return document.getElementById('series-title').textContent
  + JSON.stringify((graph.data || []).map(t => t.y));
"""


# press on the map, move, and let go outside of it
_DRAG_OUT = """
const map = document.querySelector('.map-drawing');
const pointer = (type, x) =>
  new PointerEvent(type, {clientX: x, clientY: 300, bubbles: true, pointerType: 'mouse'});
map.dispatchEvent(pointer('pointerdown', 300));
for (const [type, x] of [['pointermove', 320], ['pointermove', 300], ['pointerup', 300]])
  document.body.dispatchEvent(pointer(type, x));
"""


def until(browser, condition, seconds=20.0):
    # the page may load itself again between finding an element and reading it
    ignored = (StaleElementReferenceException,)
    return WebDriverWait(browser, seconds, 0.05, ignored).until(condition)


def opened(browser, address):
    """Open a page and wait until a map is coloured and series are drawn."""
    browser.get(address)
    until(browser, lambda b: "(interval" in clock(b))
    until(browser, lambda b: "null" not in b.execute_script(_COLORS))
    until(browser, lambda b: series(b, "return graph.data.length"))
    until(browser, lambda b: b.find_element(By.ID, "why").text)


def clock(browser):
    found = browser.find_elements(By.ID, "clock")
    return found[0].text if found else ""


def series(browser, script):
    return browser.execute_script(
        "const graph = document.querySelector('#series .js-plotly-plot');"
        f"if (!graph || !graph.data) return null; {script}"
    )


def act(browser, action, changed):
    return browser.execute_async_script(_ACT, action, changed)


def key(name):
    return (
        "const thumb = document.querySelector('#interval [role=slider]'); thumb.focus();"
        f"thumb.dispatchEvent(new KeyboardEvent('keydown', {{key: '{name}', bubbles: true}}));"
    )


def click_on(element):
    return (
        f"const at = window.stackelgridMap.find('{element}');"
        "document.querySelector('.map-drawing').dispatchEvent("
        "new MouseEvent('click', {clientX: at.x, clientY: at.y, bubbles: true}));"
    )


def press_on(element):
    return (
        f"const to = window.stackelgridMap.find('{element}');"
        "for (const [Kind, type] of [[PointerEvent, 'pointerdown'], [PointerEvent, 'pointerup'],"
        "  [MouseEvent, 'click']])"
        "  document.querySelector('.map-drawing').dispatchEvent(new Kind(type,"
        "    {clientX: to.x, clientY: to.y, bubbles: true, pointerType: 'mouse'}));"
    )


def choose_grid(browser, name):
    browser.find_element(By.CSS_SELECTOR, f".tree-row[data-grid={name}]").click()
    until(browser, lambda b: not b.find_elements(By.CSS_SELECTOR, ".names text"))
    assert browser.execute_script(f"return window.stackelgridMap.find('bus|{name}|0|')")


def row(browser, name):
    """Texts of a row of the hierarchy, and its colour."""
    found = browser.find_element(By.CSS_SELECTOR, f".tree-row[data-grid='{name}']")
    swatch = found.find_element(By.CLASS_NAME, "tree-state")
    return found.text.split("\n"), swatch.value_of_css_property("background-color")


def trail(browser):
    return browser.find_element(By.ID, "trail").text.split("\n")


def assert_quick(interactions):
    """Every interaction after the first takes less than 200 ms, in one of three tries.

    The first loads what the others use; where the machine was busy it is tried again.
    """
    tried = []
    for _ in range(3):
        tried.append(max(interactions()[1:]))
        if tried[-1] < 200.0:
            return
    assert in_time(min(tried), 200.0), tried


def no_errors(browser):
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_page_of_a_day_loads_offline_and_interactions_take_less_than_200_ms(browser, serve, day):
    opened(browser, serve(day.directory))
    assert len(browser.find_elements(By.CSS_SELECTOR, ".buses circle")) == 1442
    assert "96 of 96 intervals" in browser.find_element(By.ID, "progress").text
    # all grids at once: 1,442 buses
    assert_quick(lambda: [act(browser, key("ArrowLeft"), _COLORS) for _ in range(7)])
    buses = (30, 60, 90, 120, 150)
    assert_quick(lambda: [act(browser, click_on(f"bus|lv4|{b}|"), _SERIES) for b in buses])
    choose_grid(browser, "lv2")
    assert_quick(lambda: [act(browser, key("ArrowLeft"), _COLORS) for _ in range(7)])
    no_errors(browser)


def test_slider_by_keyboard_changes_time_and_colours(browser, serve, small):
    opened(browser, serve(small.directory))
    thumb = browser.find_element(By.CSS_SELECTOR, "#interval [role=slider]")
    thumb.send_keys(Keys.HOME)
    until(browser, lambda b: "(interval 0)" in clock(b))
    assert clock(browser).startswith("Fri 20 Jun 2025, 00:00")
    assert thumb.get_attribute("aria-valuetext") == "Fri 20 Jun 2025, 00:00"
    find = "return window.stackelgridMap.find('bus|lv1|10|')"
    first = browser.execute_script(find)
    assert first["text"] == f"{small.vm_pu(0, 'lv1', 10):.4f} p.u."
    thumb.send_keys(Keys.END)
    until(browser, lambda b: "(interval 11)" in clock(b))
    last = browser.execute_script(find)
    assert last["text"] == f"{small.vm_pu(11, 'lv1', 10):.4f} p.u."
    assert last["color"] != first["color"]
    line = "return window.stackelgridMap.find('line|tn|{}|line').text"
    assert browser.execute_script(line.format(4)) == "no rating"
    loading = f"{small.loading_percent(11, 'tn', 5):.1f} % loaded"
    assert browser.execute_script(line.format(5)) == f"{loading}, beyond its limit of 20 %"
    loading = f"{small.loading_percent(11, 'tn', 3):.1f} % loaded"
    assert browser.execute_script(line.format(3)) == loading


def test_hierarchy_shows_the_state_of_every_grid_at_the_interval(browser, serve, nested):
    opened(browser, serve(nested.directory))
    names = "return [...document.querySelectorAll('.tree-row')].map(r => r.dataset.grid).join()"
    assert browser.execute_script(names) == "*,tn,mv1,lv1,lv2,mv2"
    thumb = browser.find_element(By.CSS_SELECTOR, "#interval [role=slider]")
    thumb.send_keys(Keys.HOME)
    until(browser, lambda b: "(interval 0)" in clock(b))
    texts, color = row(browser, "lv1")
    assert texts[0] == "lv1"
    assert texts[1][1:] == "3"  # copies
    assert texts[2] == "↓ 100 kW"
    assert color == "rgba(0, 158, 115, 1)"  # exact, style.VERDICTS
    assert row(browser, "mv2")[0][:2] == ["mv2", "↑ 2.00 MW"]
    assert row(browser, "tn")[0][:2] == ["tn", "↓ 7.00 MW"]
    thumb.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    until(browser, lambda b: "(interval 2)" in clock(b))
    texts, color = row(browser, "mv2")
    # bus 11 is nearest to its limit of 0.95
    assert texts == ["✕", "mv2", "↓ 300 kW", f"{nested.vm_pu(2, 'mv2', 11):.3f}"]
    assert color == "rgba(213, 94, 0, 1)"  # infeasible
    assert row(browser, "*")[1] == color  # the worst of all
    no_errors(browser)


def test_grids_are_chosen_in_the_hierarchy_by_mouse_and_keyboard(browser, serve, nested):
    opened(browser, serve(nested.directory))
    assert trail(browser) == ["all 5 grids"]
    choose_grid(browser, "mv1")
    assert trail(browser) == ["all 5 grids", "tn", "mv1 (medium voltage, bus 3 of tn)"]
    browser.find_element(By.CSS_SELECTOR, ".tree-row[data-grid=mv1]").send_keys(
        Keys.ARROW_RIGHT,
        Keys.ARROW_DOWN,
        Keys.ENTER,  # lv1, lv2
    )
    until(browser, lambda b: "lv2 (" in b.find_element(By.ID, "trail").text)
    until(browser, lambda b: "Agent of lv2" in b.find_element(By.ID, "series-title").text)
    assert browser.execute_script("return window.stackelgridMap.find('bus|lv2|5|')")
    assert not browser.execute_script("return window.stackelgridMap.find('bus|mv1|5|')")
    chosen = browser.find_element(By.CSS_SELECTOR, ".tree-row[aria-selected=true]")
    assert chosen.get_attribute("data-grid") == "lv2"
    assert chosen.get_attribute("aria-level") == "4"
    # up again, by the grids above
    browser.find_elements(By.CSS_SELECTOR, "#trail button")[2].click()
    until(browser, lambda b: trail(b)[-1].startswith("mv1 ("))
    browser.find_element(By.CSS_SELECTOR, "#trail button").click()
    until(browser, lambda b: trail(b) == ["all 5 grids"])
    assert len(browser.find_elements(By.CSS_SELECTOR, ".names text")) == 5
    # the name of a grid on the map of all
    browser.execute_script(click_on("mv2"))
    until(browser, lambda b: trail(b)[-1].startswith("mv2 ("))
    no_errors(browser)


_NUMBERS = "return [...document.querySelectorAll('.numbers text')].map(t => t.textContent)"


def test_buses_are_numbered_where_numbers_fit(browser, serve, nested, day):
    opened(browser, serve(nested.directory))
    choose_grid(browser, "mv1")
    assert sorted(browser.execute_script(_NUMBERS), key=int) == [str(b) for b in range(12)]
    opened(browser, serve(day.directory))
    assert browser.execute_script(_NUMBERS) == []  # twelve grids at once
    choose_grid(browser, "lv1")  # 207 buses
    few = browser.execute_script(_NUMBERS)
    browser.execute_script(click_on("bus|lv1|77|"))
    until(browser, lambda b: "77" in b.execute_script(_NUMBERS))  # the chosen one in any case
    chosen = browser.find_elements(By.CSS_SELECTOR, ".numbers .chosen")
    assert [c.text for c in chosen] == ["77"]
    for _ in range(9):
        browser.find_element(By.CSS_SELECTOR, ".map-zoom [aria-label=larger]").click()
    assert len(browser.execute_script(_NUMBERS)) > len(few)
    no_errors(browser)


def test_plan_and_run_without_control_are_drawn_beside_reality(browser, serve, tmp_path):
    recorded = RecordedRun(tmp_path / "run", SMALL, 6, horizon=HORIZON).record(4)
    rest = recorded.baseline(6)
    browser.get(serve(recorded.directory))
    until(browser, lambda b: "(interval 3)" in clock(b))
    browser.execute_script(click_on("bus|lv1|7|"))
    names = "return graph.data.map(t => t.name)"
    until(browser, lambda b: (series(b, names) or [""])[:3] == ["baseline", "reality", "plan"])
    values = series(browser, "return graph.data[0].y")
    assert values[:4] == pytest.approx([rest.vm_pu(k, "lv1", 7) for k in range(4)], abs=1e-12)
    assert "without control" in browser.find_element(By.ID, "series-note").text
    # the plan of the coming hours moves with the slider
    browser.execute_script(click_on("agent|lv1|-1|"))
    ahead = "const t = graph.data.find(t => t.name === 'plan ahead'); return t && t.x[0]"
    until(browser, lambda b: series(b, ahead) == "2025-06-20T00:45:00")
    browser.find_element(By.ID, "previous").click()
    until(browser, lambda b: series(b, ahead) == "2025-06-20T00:30:00")
    no_errors(browser)


def test_page_is_dark_where_the_system_is(browser, serve, small):
    ground = "return getComputedStyle(document.querySelector('section')).backgroundColor"
    axis = "return graph.layout.font.color"
    opened(browser, serve(small.directory))
    bus = "return window.stackelgridMap.find('bus|lv1|9|').color"
    light = browser.execute_script(bus)
    assert browser.execute_script(ground) == "rgb(255, 255, 255)"
    feature = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    try:  # also while the page is open
        until(browser, lambda b: series(b, axis) == style.DARK[style.INK])
        assert browser.execute_script(ground) == "rgb(22, 25, 29)"  # style.DARK of white
        assert browser.execute_script(bus) != light
        no_errors(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_play_advances_until_it_is_paused(browser, serve, small):
    opened(browser, serve(small.directory))
    browser.find_element(By.CSS_SELECTOR, "#interval [role=slider]").send_keys(Keys.HOME)
    until(browser, lambda b: "(interval 0)" in clock(b))
    button = browser.find_element(By.ID, "play")
    button.click()
    until(browser, lambda b: "(interval 3)" in clock(b))
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    until(browser, lambda b: button.get_attribute("aria-pressed") == "false")
    time.sleep(0.3)
    stopped = clock(browser)
    time.sleep(0.6)
    assert clock(browser) == stopped


def test_click_shows_the_series_of_the_table(browser, serve, small):
    opened(browser, serve(small.directory))
    choose_grid(browser, "lv1")
    browser.execute_script(click_on("bus|lv1|7|"))
    until(browser, lambda b: b.find_element(By.ID, "series-title").text == "Bus 7 of lv1")
    until(browser, lambda b: "reality" in series(b, "return graph.data.map(t => t.name)"))
    values = series(browser, "return graph.data.find(t => t.name === 'reality').y")
    expected = [small.vm_pu(k, "lv1", 7) for k in range(12)]
    assert values[:12] == pytest.approx(expected, abs=1e-12)

    browser.execute_script(click_on("line|lv1|11|line"))
    until(browser, lambda b: b.find_element(By.ID, "series-title").text == "Line 11 of lv1")
    until(browser, lambda b: series(b, "return graph.layout.yaxis.title.text") == "%")
    values = series(browser, "return graph.data[0].y")
    assert values[11] == pytest.approx(small.loading_percent(11, "lv1", 11), abs=1e-9)

    index = small.index_of("lv1", 10)
    browser.execute_script(click_on(f"battery|lv1|{index}|storage"))
    title = "battery 10 at bus 10 of lv1"
    until(browser, lambda b: b.find_element(By.ID, "series-title").text == title)
    charge = "graph.data.find(t => t.name === 'reality' && t.yaxis === 'y2')"
    until(
        browser, lambda b: series(b, f"return graph.layout.yaxis2.title.text === '%' && {charge}")
    )
    values = series(browser, f"return {charge}.y")
    assert values[4] == pytest.approx(small.soc_percent(4, 10), abs=1e-9)

    browser.execute_script(click_on("agent|lv1|-1|"))
    until(browser, lambda b: "Agent of lv1" in b.find_element(By.ID, "series-title").text)

    # a drag that ends outside the map has no click of its own to swallow
    browser.execute_script(_DRAG_OUT + press_on("bus|lv1|9|"))
    until(browser, lambda b: b.find_element(By.ID, "series-title").text == "Bus 9 of lv1")


def test_click_on_the_certificate_jumps_to_the_interval_and_says_why(browser, serve, small):
    opened(browser, serve(small.directory))
    cells = browser.find_element(By.CSS_SELECTOR, "#strip .nsewdrag")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cells)
    width, height = cells.size["width"], cells.size["height"]
    row = len(small.grids) - 0.5  # the last grid, interval 2
    ActionChains(browser).move_to_element_with_offset(
        cells, width * (2.5 / 12 - 0.5), height * (row / len(small.grids) - 0.5)
    ).click().perform()
    until(browser, lambda b: "(interval 2)" in clock(b))
    why = until(browser, lambda b: "line 3" in b.find_element(By.ID, "why").text
                and b.find_element(By.ID, "why").text)  # fmt: skip
    assert "infeasible" in why
    assert "line 3: 1.2% above its rating" in why


def test_page_follows_a_growing_run_within_two_seconds(browser, serve, tmp_path):
    recorded = RecordedRun(tmp_path / "run", SMALL, 6)
    browser.get(serve(recorded.directory))
    until(browser, lambda b: "0 of 6 intervals" in b.find_element(By.TAG_NAME, "body").text)
    recorded.record()
    until(browser, lambda b: "(interval 0)" in clock(b))  # the page has loaded itself again
    # the certificate of one interval alone is as wide as it is among others
    width = until(browser, lambda b: b.execute_script(_CELL_WIDTH))
    assert width == pytest.approx(1 / 6, abs=0.02)
    for interval in (1, 2, 3):
        recorded.record()
        began = time.monotonic()
        until(browser, lambda b, k=interval: f"(interval {k})" in clock(b), 20.0)
        took = time.monotonic() - began
        assert in_time(took, 2.0)
    find = "return window.stackelgridMap.find('bus|lv1|7|').text"
    assert browser.execute_script(find) == f"{recorded.vm_pu(3, 'lv1', 7):.4f} p.u."
    # who looks at an earlier interval stays there
    browser.find_element(By.ID, "previous").click()
    until(browser, lambda b: "(interval 2)" in clock(b))
    recorded.record(2, summary=False)
    recorded.finish()
    until(browser, lambda b: "done" in b.find_element(By.ID, "progress").text)
    until(browser, lambda b: b.find_element(By.CSS_SELECTOR, "#interval [role=slider]")
          .get_attribute("aria-valuemax") == "5")  # fmt: skip
    assert "(interval 2)" in clock(browser)
    no_errors(browser)


def test_page_fills_where_an_answer_takes_longer_than_the_time_between_two_looks(
    browser, serve, small, monkeypatch
):
    original = LiveRun.chunk

    def slow(self, first):
        time.sleep(1.5)
        return original(self, first)

    monkeypatch.setattr(LiveRun, "chunk", slow)
    browser.get(serve(small.directory))
    until(browser, lambda b: "(interval" in clock(b))
    until(browser, lambda b: "done" in b.find_element(By.ID, "progress").text)


def test_click_on_the_certificate_is_not_moved_by_a_change_of_clocks(browser, serve, tmp_path):
    case = RecordedRun(tmp_path / "run", SMALL, 16, start="2025-03-30").record(16).finish()
    zone = "Emulation.setTimezoneOverride"
    browser.execute_cdp_cmd(zone, {"timezoneId": "Europe/Berlin"})
    try:
        opened(browser, serve(case.directory))
        # 02:37 does not exist in the browser's zone, and is not 03:37
        for x, interval in (("2025-03-30 02:37:30", 10), ("2025-03-30 03:37:30", 14)):
            cell = f"{{points: [{{x: '{x}', y: 'lv1'}}]}}"
            browser.execute_script(
                f"window.dash_clientside.set_props('strip', {{clickData: {cell}}})"
            )
            until(browser, lambda b, k=interval: f"(interval {k})" in clock(b))
    finally:
        browser.execute_cdp_cmd(zone, {"timezoneId": ""})


def test_page_fits_a_phone(browser, serve, small):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        opened(browser, serve(small.directory))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
        # the hierarchy stands above the map, and chooses a grid by touch
        tops = [browser.find_element(By.ID, part).location["y"] for part in ("hierarchy", "map")]
        assert tops[0] < tops[1]
        choose_grid(browser, "lv1")
        assert trail(browser)[-1].startswith("lv1 (")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_run_without_a_network_says_why_there_are_no_maps(browser, serve, tmp_path):
    recorded = RecordedRun(tmp_path / "run", SMALL, 3, network=False).record(3).finish()
    browser.get(serve(recorded.directory))
    until(browser, lambda b: "(interval" in clock(b))
    assert "No maps" in browser.find_element(By.ID, "map-note").text
    until(browser, lambda b: "Agent of tn" in b.find_element(By.ID, "series-title").text)
    no_errors(browser)
