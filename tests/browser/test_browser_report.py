"""The report of a run in a real browser, without a network."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from stackelgrid.analysis.report.run import write_run_report
from stackelgrid.scenarios.load import load_scenario
from stackelgrid.scenarios.run import run_scenario

pytestmark = pytest.mark.browser


@pytest.fixture
def report(browser, tmp_path):
    directory = tmp_path / "run"
    run_scenario(load_scenario("quick", ["time.intervals=2"]), directory)
    return write_run_report(directory)


def test_report_of_a_quick_run_opens_offline_without_errors(browser, report):
    browser.get(report.as_uri())
    figures = browser.find_elements(By.CSS_SELECTOR, ".js-plotly-plot, [id^=chart], [id^=figure]")
    assert figures
    WebDriverWait(browser, 30, 0.1).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, ".js-plotly-plot .main-svg")
    )
    assert browser.find_element(By.TAG_NAME, "h1").text
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    asked = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert [n for n in browser.execute_script(asked) if not n.startswith(("data:", "blob:"))] == []
