"""The built site, a server for it, and a browser; each missing one skips the tests that need it.

`python -m mkdocs build --strict --site-dir site && KDS_SITE=site python -m pytest tests/site` runs them all.
"""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# The docs' own scripts, which are of no package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "scripts"))

DESKTOP = (1280, 900)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@pytest.fixture(scope="session")
def site() -> Path:
    if "KDS_SITE" not in os.environ:
        pytest.skip("KDS_SITE does not name the folder of a built site")
    folder = Path(os.environ["KDS_SITE"]).resolve()
    assert (folder / "index.html").is_file(), f"{folder} holds no index.html"
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The site served on this machine; ends with a slash."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def start_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """A function that starts Chromium with further flags; all are closed at the end."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="comes with the extra browser")
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    started = []

    def start(*flags: str) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, *flags, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
        browser.set_page_load_timeout(120)
        started.append(browser)
        return browser

    yield start
    for browser in started:
        browser.quit()


@pytest.fixture(scope="session")
def shared_browser(start_browser: Callable[..., Any]) -> Any:
    return start_browser()


@pytest.fixture
def browser(shared_browser: Any, address: str) -> Iterator[Any]:
    """The browser, without size or scheme of an earlier test; fails if a page complained or asked elsewhere."""
    shared_browser.get("data:text/html,")  # leaves the page before, which would answer a change of scheme by storing it
    set_screen(shared_browser, DESKTOP)
    shared_browser.get_log("browser")
    shared_browser.get_log("performance")
    yield shared_browser
    assert not [entry for entry in shared_browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    own = (address, "data:", "blob:", "chrome:")  # chrome: is the browser's own first page
    outside = [url for url in requests_of(shared_browser) if not url.startswith(own)]
    assert not outside, f"the site asked for {outside}"


def set_screen(browser: Any, size: tuple[int, int], *, dark: bool = False) -> None:
    """Emulate a screen of exactly this size (a window cannot be narrower than 500 pixels), and a scheme."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 2, "mobile": size[0] < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


@pytest.fixture(scope="session")
def screen() -> Callable[..., None]:
    """(browser, size, dark=False): see `set_screen`."""
    return set_screen


def requests_of(browser: Any) -> list[str]:
    """Addresses that pages asked for since the log was last read."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
