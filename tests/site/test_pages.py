"""The built pages as files: no link leads nowhere, every picture has words, nothing is loaded from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

LOADS = {("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src"), ("link", "href"), ("img", "srcset")}


class Page(HTMLParser):
    """Anchors, links and loads, and pictures without words, of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.without_words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "img" and not values.get("alt", "").strip():
            self.without_words.append(values.get("src", ""))
        if tag == "link" and values.get("rel") == "canonical":
            return
        for name in values:
            if (tag, name) in LOADS:
                parts = values[name].split(",") if name == "srcset" else [values[name]]
                self.loads += [part.split()[0] for part in parts if part.split()]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    assert len(found) > 30
    return found


def target(site: Path, page: Path, url: str) -> Path:
    """The file that an address on a page means."""
    path = unquote(urlsplit(url).path)
    place = site / path.lstrip("/") if path.startswith("/") else page.parent / path if path else page
    return place / "index.html" if place.is_dir() else place


def broken(site: Path, pages: dict[Path, Page], page: Path, url: str) -> str | None:
    """What is wrong with an address, or None."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    place = target(site, page, url).resolve()
    if not place.is_file() or not place.is_relative_to(site):
        return f"{page.relative_to(site)}: {url} leads nowhere"
    anchor = unquote(parts.fragment)
    if anchor and place in pages and anchor not in pages[place].anchors:
        return f"{page.relative_to(site)}: {url} names an anchor that is not there"
    return None


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    checked = [(path, url) for path, page in pages.items() for url in (*page.links, *page.loads)]
    assert len(checked) > 1000
    assert not [fault for path, url in checked if (fault := broken(site, pages, path, url))]


@pytest.mark.parametrize("url", ["nowhere/", "../index.html", "#no-such-anchor", "toy/#no-such-anchor"])
def test_the_check_of_links_sees_a_broken_one(site: Path, pages: dict[Path, Page], url: str) -> None:
    assert broken(site, pages, site / "index.html", url)
    assert broken(site, pages, site / "index.html", "toy/#make-them-yourself") is None


def test_every_picture_has_words(pages: dict[Path, Page]) -> None:
    assert not {path: page.without_words for path, page in pages.items() if page.without_words}
    assert Page('<img src="a.png" alt=""><img src="b.png" alt="b">').without_words == ["a.png"]


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    outside = re.compile(r"^(\w+:)?//")
    assert not {path: bad for path, page in pages.items() if (bad := [u for u in page.loads if outside.match(u)])}
    for sheet in site.rglob("*.css"):
        urls = re.findall(r"url\(['\"]?([^)'\"]+)", sheet.read_text(encoding="utf-8"))
        assert not [url for url in urls if outside.match(url)], sheet


def test_every_page_has_a_title_of_its_own(pages: dict[Path, Page]) -> None:
    titles = {path: re.findall(r"<title>([^<]+)</title>", path.read_text(encoding="utf-8")) for path in pages}
    assert all(len(found) == 1 for found in titles.values())
    real = [found[0] for path, found in titles.items() if path.name != "404.html"]
    assert sorted({title for title in real if real.count(title) > 1}) == []
