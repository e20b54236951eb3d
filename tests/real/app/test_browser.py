"""The page in a real browser: a photo is dropped, restored, compared; a hole is painted; a run is stopped."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="comes with the extra app")
webdriver = pytest.importorskip("selenium.webdriver", reason="comes with the extra browser")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",  # the editor draws with WebGL, in software here
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,1500",
)
PATIENCE = 240  # seconds
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(page_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    started.set_page_load_timeout(PATIENCE)
    yield started
    started.quit()


@pytest.fixture
def page(browser: Any, page_address: str, photo: np.ndarray, tmp_path: Path) -> Any:
    """The page, fresh, with a photo in it."""
    Image.fromarray(photo).save(tmp_path / "photo.png")
    browser.get(page_address)
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#photo input[type=file]"))
    # The editor hangs up its canvas once it can take a photo; one that comes earlier is lost in an error.
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#photo canvas"))
    wait(browser, lambda: "Upload" in browser.find_element(By.ID, "photo").text)
    browser.find_element(By.CSS_SELECTOR, "#photo input[type=file]").send_keys(str(tmp_path / "photo.png"))
    wait(browser, lambda: "Upload" not in browser.find_element(By.ID, "photo").text)
    return browser


def wait(browser: Any, condition: Callable[[], Any]) -> Any:
    return WebDriverWait(browser, PATIENCE, poll_frequency=0.3).until(lambda _: condition())


def said(browser: Any) -> str:
    text: str = browser.find_element(By.ID, "status").text
    return text


def press(browser: Any, label: str) -> None:
    (button,) = (b for b in browser.find_elements(By.TAG_NAME, "button") if b.text.strip() == label)
    browser.execute_script("arguments[0].click()", button)


def restore(browser: Any) -> None:
    """Press the button, and again while the editor still hands the photo over, and wait for the end."""
    for _ in range(10):
        press(browser, "Restore")
        wait(browser, lambda: said(browser).startswith(("Done", "This does not work")))
        if "there is no photo" not in said(browser):
            return
        time.sleep(3)


def pictures(browser: Any, place: str) -> list[Any]:
    return [
        image
        for image in browser.find_elements(By.CSS_SELECTOR, f"#{place} img")
        if browser.execute_script("return arguments[0].naturalWidth", image) > 0
    ]


def choose(browser: Any, label: str) -> None:
    (found,) = (one for one in browser.find_elements(By.TAG_NAME, "label") if one.text.strip() == label)
    browser.execute_script("arguments[0].click()", found)


def look(browser: Any, name: str) -> None:
    """Keep a picture of the page where KDS_PICTURES names a folder: somebody has to look at it."""
    if "KDS_PICTURES" in os.environ:
        browser.save_screenshot(str(Path(os.environ["KDS_PICTURES"]) / f"{name}.png"))


def test_a_dropped_photo_is_spoiled_restored_and_compared(page: Any) -> None:
    choose(page, "The photo is the truth: spoil it first, then compare")
    restore(page)
    look(page, "restored")
    assert said(page) == "Done: 20 x 16 pixels, N = 5."
    for place, number in (("compare", 2), ("plain", 1), ("average", 1), ("spread", 1), ("moved", 1)):
        assert len(wait(page, lambda place=place: pictures(page, place))) >= number, place
    assert len(wait(page, lambda: pictures(page, "particles"))) == 5
    assert "bicubic" in page.find_element(By.ID, "numbers").text


def test_a_painted_hole_is_filled(page: Any) -> None:
    canvas = page.find_element(By.CSS_SELECTOR, "#photo canvas")
    time.sleep(2)  # the editor fits the photo into its canvas
    stroke = ActionChains(page).move_to_element(canvas).click_and_hold()
    for x, y in ((12, 0), (12, 8), (-12, 8), (-12, -8)):
        stroke = stroke.move_by_offset(x, y)
    stroke.release().perform()
    look(page, "painted")
    choose(page, "fill what is painted over")
    restore(page)
    look(page, "filled")
    assert said(page) == "Done: 80 x 64 pixels, N = 5."


def test_a_run_is_stopped(page: Any) -> None:
    field = page.find_element(By.CSS_SELECTOR, "input[aria-label*='steps']")
    page.execute_script(
        "arguments[0].value = 100; for (const e of ['input', 'change']) arguments[0].dispatchEvent(new Event(e))", field
    )
    press(page, "Restore")
    wait(page, lambda: " of 205" in said(page))
    press(page, "Stop")
    wait(page, lambda: said(page) == "Stopped.")


def test_nothing_was_loaded_from_elsewhere(browser: Any, page_address: str) -> None:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(asked) > 10
    own = (page_address, "data:", "blob:", "chrome:")
    assert not [url for url in asked if not url.startswith(own)]
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors
