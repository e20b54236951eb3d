"""The site in a real browser: phone, light and dark, maths, search."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="comes with the extra browser")
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PHONE, DESKTOP = (360, 740), (1280, 900)
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
UNSET_MATHS = """
return [...document.querySelectorAll('.arithmatex')].filter((m) => !m.querySelector('.katex')).length
  + document.querySelectorAll('.katex-error').length"""
READABLE = """
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = colour.slice(0, 3).map((v) => {
    const c = v / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const over = (front, back) => {
  const alpha = front[3] ?? 1;
  return [0, 1, 2].map((i) => alpha * front[i] + (1 - alpha) * back[i]);
};
return [...document.querySelectorAll(arguments[0])].filter((e) => e.offsetParent).map((e) => {
  const stack = [];
  for (let p = e; p; p = p.parentElement) stack.push(parse(getComputedStyle(p).backgroundColor));
  const back = stack.reverse().reduce((below, colour) => over(colour, below), [255, 255, 255]);
  const two = [light(over(parse(getComputedStyle(e).color), back)), light(back)].sort((a, b) => a - b);
  return (two[1] + 0.05) / (two[0] + 0.05);
});"""
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
        for script, what in ((TOO_WIDE, "wider than the screen"), (UNSET_MATHS, "with maths as source")):
            try:  # fonts and maths may come a moment after the page
                WebDriverWait(browser, 5).until(lambda b, script=script: b.execute_script(script) <= 0)
            except TimeoutException:
                faults.append(f"{page} is {what}")
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


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("page", "selector"),
    [
        ("generated/tutorials/4_steering/", ".output code, .output code span"),
        ("generated/tutorials/4_steering/", ".md-button"),
        ("generated/tutorials/", ".card a:not([aria-hidden]), .card p"),
        ("explorable/", ".kds-table :is(th, td), .kds-explorable :is(label, figcaption, button)"),
        ("explanation/method/", "article p, article a:not(.headerlink), .katex"),
        ("reference/steering/", "article p, article p a, article td:not(.linenos)"),
    ],
)
def test_text_is_readable_in_both_schemes(
    browser: Any, address: str, screen: Callable[..., None], page: str, selector: str, dark: bool
) -> None:
    """Contrast of at least 4.5 to 1, the level AA of the accessibility guidelines (WCAG 2)."""
    screen(browser, DESKTOP, dark=dark)
    browser.get(address + page)
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    assert browser.execute_script("return document.body.dataset.mdColorScheme") == ("slate" if dark else "default")
    ratios = browser.execute_script(READABLE, selector)
    assert ratios
    assert min(ratios) >= 4.5
    browser.execute_script("localStorage.clear()")
