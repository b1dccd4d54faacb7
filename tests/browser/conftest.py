"""A real Chromium, and servers of the page of a run. Skipped where there is none."""

import shutil
import threading

import pytest
from run_cases import DAY, SMALL, RecordedRun
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.server import address, application, bind

# nothing but this machine can be reached: a page that fetches something shows an error
_OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", _OFFLINE,
    "--disable-dev-shm-usage", "--window-size=1200,1500",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for all tests of a worker."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_script_timeout(20)
    browser.set_page_load_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):
    """The browser on an empty page, at the width of a desk, with an empty console."""
    chromium.set_window_size(1200, 1500)
    chromium.get("about:blank")
    chromium.get_log("browser")
    return chromium


@pytest.fixture(scope="session")
def serve():
    """Serve the page of a directory for as long as the tests last; returns its address."""
    servers = []

    def start(directory):
        server = bind(application(LiveRun(directory)), "127.0.0.1", 0)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return address("127.0.0.1", server.port)

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def day(tmp_path_factory):
    """A finished run as large as the shipped day: 96 intervals, 1,442 buses."""
    recorded = RecordedRun(tmp_path_factory.mktemp("day") / "run", DAY, 96)
    return recorded.record(96).finish()


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A finished run of two grids over three hours; one line has no rating, one is overloaded."""
    ratings = {("tn", 4): float("nan"), ("tn", 5): 20.0}
    recorded = RecordedRun(tmp_path_factory.mktemp("small") / "run", SMALL, 12, ratings=ratings)
    return recorded.record(12).finish()
