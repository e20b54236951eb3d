"""Links from pages to the source lead to a page with the file, at the line of the function."""

import re
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="comes with the extra docs")

import sources  # the hook; conftest knows where it lies


def test_lines_of_functions_classes_and_methods() -> None:
    text = "x = 1\n\n\nclass A:\n    def f(self):\n        def inner(): ...\n\n\ndef g(): ...\n"
    assert sources.lines_of(text) == {"A": 4, "A.f": 5, "A.f.inner": 6, "g": 9}


@pytest.mark.parametrize(
    ("page", "link"),
    [("house.md", "../kds_ref/steering.py"), ("how-to/models.md", "../../kds_ref/steering.py#steer")],
)
def test_a_link_is_found_wherever_its_page_lies(page: str, link: str) -> None:
    assert sources.linked(f"See [steer]({link}), [models](how-to/models.md), [paper](https://arxiv.org).", page) == {
        "kds_ref/steering.py"
    }


def test_every_link_of_the_house_leads_to_its_line(site: Path, request: pytest.FixtureRequest) -> None:
    page = (site / "house" / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'<a href="\.\./(source/[^"#]+)(?:#__codelineno-0-(\d+))?"><code>([\w.]+)<', page)
    assert len(links) > 60
    for folder, line, name in links:
        shown = (site / folder / "index.html").read_text(encoding="utf-8")
        source = (request.config.rootpath / folder.removeprefix("source/").rstrip("/")).read_text(encoding="utf-8")
        if line:
            assert f'id="__codelineno-0-{line}"' in shown
            assert re.search(rf"(def|class) {name.rpartition('.')[2]}\b", source.splitlines()[int(line) - 1]), name
