"""Report and page of a run of the project itself in a real browser, without a network."""

import plotly.graph_objects as go
import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from stackelgrid.analysis import Run, style
from stackelgrid.analysis.report import (
    Chart,
    Choice,
    Page,
    ReportTable,
    Section,
    Verdict,
    write_report,
)
from stackelgrid.analysis.report.run import write_run_report
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def quick_run(chromium, tmp_path_factory):
    directory = tmp_path_factory.mktemp("quick") / "run"
    run_scenario(load_scenario("quick", ["time.intervals=2"]), directory)
    return directory


def test_page_of_a_quick_run_shows_what_the_run_has_recorded(browser, serve, quick_run):
    run = Run(quick_run)
    browser.get(serve(quick_run))
    wait = WebDriverWait(browser, 30, 0.05, (StaleElementReferenceException,))
    wait.until(lambda b: "(interval" in b.find_element(By.ID, "clock").text)
    wait.until(lambda b: b.find_element(By.ID, "why").text)
    wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "#strip .hm image"))
    interval = int(browser.find_element(By.ID, "clock").text.split("(interval ")[1].rstrip(")"))
    find = "return window.stackelgridMap.find(arguments[0]).text"
    buses = run.bus[run.bus["interval"] == interval]
    for row in buses.iloc[:: max(1, len(buses) // 20)].itertuples():
        told = browser.execute_script(find, f"bus|{row.grid}|{row.bus}|")
        assert told.startswith(f"{row.vm_pu:.4f} p.u.")
    rated = run.network.set_index(["grid", "element", "index"])["max_loading_percent"].notna()
    branches = run.branch[run.branch["interval"] == interval]
    for row in branches.itertuples():
        told = browser.execute_script(find, f"{row.element}|{row.grid}|{row.index}|{row.element}")
        known = rated[row.grid, row.element, row.index]
        assert told.startswith(f"{row.loading_percent:.1f} % loaded" if known else "no rating")
    assert "2 of 2 intervals" in browser.find_element(By.ID, "progress").text
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_report_of_a_quick_run_opens_offline_without_errors(browser, quick_run):
    browser.get(write_run_report(quick_run).as_uri())
    figures = browser.find_elements(By.CSS_SELECTOR, ".js-plotly-plot, [id^=chart], [id^=figure]")
    assert figures
    WebDriverWait(browser, 30, 0.1).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, ".js-plotly-plot .main-svg")
    )
    assert browser.find_element(By.TAG_NAME, "h1").text
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    asked = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert [n for n in browser.execute_script(asked) if not n.startswith(("data:", "blob:"))] == []


@pytest.fixture(scope="module")
def made_page(tmp_path_factory):
    """A report with a choice, a slider, a folded part, a wide table and figures far below."""

    def figure(height=300, top=1.0, **own):
        bars = go.Bar(x=["a", "b", "c"], y=[0.0, top, 0.5], marker={"color": style.BLUE})
        return go.Figure(bars, style.layout(height=height), **own)

    def chart(title, height=300, top=1.0, **own):
        return Chart(title, figure(height, top, **own), f"figure {title}", f"note {title}")

    frames = [{"name": f"{k}:00", "data": [{"type": "bar", "y": [k, k, k]}]} for k in range(3)]
    timed = chart("timed", frames=frames)
    timed.figure.update_layout(sliders=[{"active": 1, "currentvalue": {"prefix": "Time"}}])
    shades = go.Heatmap(z=[[0.9, 1.1]], colorscale=style.VOLTAGE_SCALE)
    heat = Chart("heat", go.Figure(shades, style.layout(height=300)), "heat map")
    table = ReportTable(
        "Wide", tuple(f"column {k}" for k in range(40)), ((*("1.000",) * 40,),) * 60
    )
    choice = Choice("Choice", "Grid", (chart("one"), chart("two", 420, 7)))
    sections = (
        Section("First", figures=(choice, timed)),
        Section("Table", tables=(table,), folded=(Section("More", figures=(chart("folded"),)),)),
        *(Section(f"Part {k}", figures=(chart(f"part {k}", 700),)) for k in range(4)),
        Section("Last", figures=(heat,)),
    )
    directory = tmp_path_factory.mktemp("page")
    page = Page(title="Made", subtitle="", verdict=Verdict("good", "Good."), sections=sections)
    return write_report(directory, page).as_uri()


DRAWN = "return [...document.querySelectorAll('.plot.js-plotly-plot')].map(p => p.id)"
PLOT = "const p = document.querySelector(`figure .plot[aria-label='figure ${arguments[0]}']`);"


def shows(browser, name, script):
    return browser.execute_script(f"{PLOT} return {script}", name)


def wait_for(browser, condition):
    WebDriverWait(browser, 30, 0.05).until(condition)


def severe(browser):
    return [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]


@pytest.fixture
def scheme(browser):
    """Set the preferred colour scheme; the light one is back afterwards."""

    def prefer(value):
        feature = {"name": "prefers-color-scheme", "value": value}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    yield prefer
    prefer("light")


def test_figures_are_drawn_when_they_come_near_the_window(browser, made_page):
    browser.get(made_page)
    wait_for(browser, lambda b: "figure-1-0" in b.execute_script(DRAWN))
    assert "figure-7-0" not in browser.execute_script(DRAWN)
    browser.execute_script("document.getElementById('figure-7-0').scrollIntoView()")
    wait_for(browser, lambda b: "figure-7-0" in b.execute_script(DRAWN))
    assert severe(browser) == []


def test_a_choice_shows_another_figure_its_height_note_and_description(browser, made_page):
    browser.get(made_page)
    wait_for(browser, lambda b: "figure-1-0" in b.execute_script(DRAWN))
    select = browser.find_element(By.CSS_SELECTOR, "select[data-choice='figure-1-0']")
    select.send_keys(Keys.ARROW_DOWN)  # works without a mouse
    wait_for(browser, lambda b: shows(b, "two", "p && p.data[0].y[1] === 7"))
    plot = browser.find_element(By.ID, "figure-1-0")
    assert plot.size["height"] == 420
    assert plot.find_element(By.XPATH, "..").find_element(By.CLASS_NAME, "note").text == "note two"
    assert severe(browser) == []


def test_a_slider_moves_through_the_frames_by_keys(browser, made_page):
    browser.get(made_page)
    wait_for(browser, lambda b: "figure-1-1" in b.execute_script(DRAWN))
    slider = browser.find_element(By.CSS_SELECTOR, "input[data-frames='figure-1-1']")
    output = slider.find_element(By.XPATH, "following-sibling::output")
    assert (slider.get_attribute("max"), output.text) == ("2", "1:00")
    assert shows(browser, "timed", "p.data[0].y[0]") == 1
    slider.send_keys(Keys.ARROW_RIGHT)
    wait_for(browser, lambda b: output.text == "2:00")
    assert shows(browser, "timed", "p.data[0].y[0]") == 2
    assert slider.get_attribute("aria-valuetext") == "2:00"
    assert severe(browser) == []


def test_a_folded_part_draws_its_figure_once_it_is_open(browser, made_page):
    browser.get(made_page)
    wait_for(browser, lambda b: "figure-1-0" in b.execute_script(DRAWN))
    summary = browser.find_element(By.TAG_NAME, "summary")
    browser.execute_script("arguments[0].scrollIntoView()", summary)
    assert "figure-2-folded0-0" not in browser.execute_script(DRAWN)
    summary.send_keys(Keys.ENTER)
    wait_for(browser, lambda b: "figure-2-folded0-0" in b.execute_script(DRAWN))
    assert severe(browser) == []


def test_dark_mode_recolours_page_and_figures_and_light_mode_again(browser, made_page, scheme):
    scheme("dark")
    browser.get(made_page)
    wait_for(browser, lambda b: "figure-1-0" in b.execute_script(DRAWN))
    page = "return getComputedStyle(document.body).backgroundColor"
    red, green, blue = (int(style.DARK[style.PAPER][i : i + 2], 16) for i in (1, 3, 5))
    assert browser.execute_script(page) == f"rgb({red}, {green}, {blue})"
    assert shows(browser, "one", "p.layout.paper_bgcolor") == style.DARK[style.PAPER]
    assert shows(browser, "one", "p.layout.font.color") == style.DARK[style.INK]
    assert shows(browser, "one", "p.data[0].marker.color") == style.DARK[style.BLUE]
    browser.execute_script("document.getElementById('figure-7-0').scrollIntoView()")
    wait_for(browser, lambda b: "figure-7-0" in b.execute_script(DRAWN))
    scale = browser.execute_script(
        "return document.getElementById('figure-7-0').data[0].colorscale"
    )
    assert scale[2] == [0.5, dict(style.DARK_SCALES[style.VOLTAGE_SCALE])[0.5]]
    scheme("light")
    browser.execute_script("window.scrollTo({top: 0, behavior: 'instant'})")
    wait_for(browser, lambda b: shows(b, "one", "p.layout.paper_bgcolor") == style.PAPER)
    assert severe(browser) == []


def test_a_wide_table_scrolls_and_says_so(browser, made_page):
    browser.get(made_page)
    table = browser.find_element(By.CLASS_NAME, "table")
    wait_for(browser, lambda b: "scrolls" in table.get_attribute("class"))
    assert table.get_attribute("tabindex") == "0"
    assert table.get_attribute("aria-label").endswith("scroll sideways to see all columns")


def test_print_is_light_and_draws_all_figures_but_folded_ones_within_a_page(
    browser, made_page, scheme
):
    scheme("dark")
    browser.get(made_page)
    wait_for(browser, lambda b: "figure-1-0" in b.execute_script(DRAWN))
    browser.execute_script(
        "window.addEventListener('beforeprint', () => { window.printed = "
        "[...document.querySelectorAll('.plot.js-plotly-plot')].map(p => [p.id,"
        " p._fullLayout.width, p._fullLayout.height, p.layout.paper_bgcolor]);"
        "window.zoom = Number(document.querySelector('table').style.zoom); })"
    )
    result = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert result["data"]
    printed = browser.execute_script("return window.printed")
    assert [p[0] for p in printed] == [
        "figure-1-0", "figure-1-1", *(f"figure-{k}-0" for k in range(3, 8)),
    ]  # fmt: skip
    width, height = 703, 1017  # px of an A4 page within its margins
    assert all(p[1] <= width and p[2] <= height and p[3] == style.PAPER for p in printed)
    assert 0.0 < browser.execute_script("return window.zoom") < 1.0  # the wide table fits
    wait_for(browser, lambda b: shows(b, "one", "p.layout.paper_bgcolor") != style.PAPER)
    assert severe(browser) == []
