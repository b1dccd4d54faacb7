"""Report and page of a run of the project itself in a real browser, without a network."""

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from stackelgrid.analysis import Run
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
