"""The site in a real browser: phone, light and dark, maths, search."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="comes with the extra browser")
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PHONE, DESKTOP = (360, 740), (1280, 900)
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
UNSET_MATHS = """
return [...document.querySelectorAll('.arithmatex')].filter((m) => !m.querySelector('.katex')).length
  + document.querySelectorAll('.katex-error').length"""
TOO_WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def addresses(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("index.html"))


@pytest.mark.slow
def test_every_page_fits_a_phone_and_sets_its_maths(
    site: Path, browser: Any, address: str, screen: Callable[..., None]
) -> None:
    screen(browser, PHONE)
    faults = []
    for page in addresses(site):
        browser.get(address + page)
        if browser.execute_script(TOO_WIDE) > 0:
            faults.append(f"{page} is wider than the screen")
        if browser.execute_script(UNSET_MATHS):
            faults.append(f"{page} shows maths as source")
    assert not faults


def test_maths_is_found_where_it_is(browser: Any, address: str) -> None:
    browser.get(address + "explanation/method/")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".arithmatex .katex")) > 20
    assert browser.execute_script("return document.fonts.check('16px KaTeX_Math')")


@pytest.mark.parametrize("dark", [False, True])
def test_the_scheme_follows_the_system_and_the_toggle(
    browser: Any, address: str, screen: Callable[..., None], dark: bool
) -> None:
    screen(browser, DESKTOP, dark=dark)
    browser.get(address)
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    scheme = "return document.body.dataset.mdColorScheme"
    assert browser.execute_script(scheme) == ("slate" if dark else "default")
    before = browser.execute_script(BACKGROUND)
    browser.find_element(By.CSS_SELECTOR, "label[title^='Switch to']:not([hidden])").click()
    assert browser.execute_script(scheme) == ("default" if dark else "slate")
    assert browser.execute_script(BACKGROUND) != before
    browser.execute_script("localStorage.clear()")


def test_search_finds_a_page(browser: Any, address: str) -> None:
    browser.get(address)
    browser.find_element(By.CSS_SELECTOR, "label.md-search__icon[for='__search']")
    browser.execute_script("document.querySelector('#__search').click()")
    browser.find_element(By.CSS_SELECTOR, "input.md-search__input").send_keys("mean shift")
    results = WebDriverWait(browser, 60).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".md-search-result__link"))
    assert any("reference/mean_shift" in link.get_attribute("href") for link in results)
