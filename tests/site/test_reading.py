"""Pages load fast, and the table of verdicts and the claims can be read on a phone, on a screen and on paper."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LIMIT = 500_000  # bytes
SCREENS = {"phone": (390, 844), "desktop": (1280, 900)}
A4 = (718, 1047)  # between margins of 1 cm, at 96 pixels an inch
CELLS = """
return [...document.querySelectorAll('.claims th, .claims td')].filter((cell) => cell.innerText).map((cell) => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  const [inner, outer] = [text.getBoundingClientRect(), cell.getBoundingClientRect()];
  return {
    text: cell.innerText,
    size: parseFloat(getComputedStyle(cell).fontSize),
    inside: inner.left >= outer.left && inner.right <= outer.right + 0.5 && inner.bottom <= outer.bottom + 0.5,
    left: outer.left,
    right: outer.right,
  };
});"""
CARDS = """
return [...document.querySelectorAll('.cards details')].map((card) => {
  const [whole, summary] = [card, card.querySelector('summary')].map((part) => part.getBoundingClientRect());
  return {
    text: card.textContent,
    left: whole.left,
    right: whole.right,
    beyond: card.scrollWidth - card.clientWidth,
    opened: whole.height - summary.height,
  };
});"""


def weight(page: Path, shared: set[str]) -> int:
    """Bytes of a page: itself, the pictures that it loads at once, and the scripts that are its own."""
    text = page.read_text(encoding="utf-8")
    pictures = [re.search(r'src="([^"]+)"', tag)[1] for tag in re.findall(r"<img[^>]*>", text) if "lazy" not in tag]
    scripts = [name for name in re.findall(r'<script src="([^"]+)"', text) if name.rpartition("/")[2] not in shared]
    files = {(page.parent / name).resolve() for name in (*pictures, *scripts) if not name.startswith("data:")}
    return page.stat().st_size + sum(file.stat().st_size for file in files)


def test_pages_are_small(site: Path) -> None:
    pages = sorted(site.rglob("index.html"))
    assert len(pages) > 100
    house = (site / "house" / "index.html").read_text(encoding="utf-8")  # it has no script of its own
    shared = {name.rpartition("/")[2] for name in re.findall(r'<script src="([^"]+)"', house)}
    weights = {page.parent.relative_to(site).as_posix(): weight(page, shared) for page in pages}
    assert weights["explorable"] > 400_000, "its data are not counted"
    assert weights["toy"] > (site / "assets" / "toy.gif").stat().st_size, "the pictures are not counted"
    assert not {page: size for page, size in weights.items() if size > LIMIT}


@pytest.fixture
def claims(browser: Any, address: str, screen: Callable[..., None]) -> Callable[[str], Any]:
    """Opens the page on a medium; afterwards the browser is a screen again."""

    def opened(medium: str) -> Any:
        screen(browser, SCREENS.get(medium, A4))
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print" if medium == "paper" else "screen"})
        browser.get(address + "replication/")
        return browser

    yield opened
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})


@pytest.mark.parametrize("medium", ["phone", "desktop", "paper"])
def test_the_table_of_verdicts_can_be_read(claims: Callable[[str], Any], medium: str) -> None:
    cells = claims(medium).execute_script(CELLS)
    assert [cell["text"] for cell in cells[:3]] == ["claim", "replicates", "number"]
    assert len(cells) > 40
    width = SCREENS.get(medium, A4)[0]
    assert not [cell for cell in cells if cell["left"] < 0 or cell["right"] > width], "one has to scroll sideways"
    assert not [cell for cell in cells if not cell["inside"]], "a cell cuts its text off"
    assert min(cell["size"] for cell in cells) >= 12
    columns = {round(cell["left"]) for cell in cells}
    assert len(columns) == 3


@pytest.mark.parametrize("medium", ["phone", "desktop", "paper"])
def test_the_claims_can_be_read(claims: Callable[[str], Any], medium: str) -> None:
    cards = claims(medium).execute_script(CARDS)
    assert len(cards) > 15
    width = SCREENS.get(medium, A4)[0]
    assert not [card for card in cards if card["left"] < 0 or card["right"] > width or card["beyond"] > 0]
    assert len({round(card["left"]) for card in cards}) == (1 if medium == "phone" else 2)
    opened = [card["opened"] > 60 for card in cards]  # room for what the paper says, and what we found
    assert all(opened) if medium == "paper" else not all(opened)
