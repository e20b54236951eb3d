"""Links from pages to the source lead to a page with the file, at the line of the function."""

import re
from pathlib import Path

import pytest
import sources  # conftest knows where it lies


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


@pytest.mark.parametrize(
    ("page", "up"), [("index.md", ""), ("house.md", "../"), ("how-to/index.md", "../"), ("how-to/models.md", "../../")]
)
def test_a_link_becomes_that_of_the_site(page: str, up: str) -> None:
    """MkDocs makes a folder of each page but an index, so a link starts one folder deeper."""
    target = "../" * (page.count("/") + 1) + "kds_ref/steering.py"
    there = f"{up}generated/source/kds_ref/steering.py/"
    assert sources.with_links(f"See [`it`]({target}).", page) == f'See <a href="{there}">`it`</a>.'
    line = sources.lines_of((sources.ROOT / "kds_ref" / "steering.py").read_text(encoding="utf-8"))["steer"]
    linked = sources.with_links(f"[`steer`]({target}#steer)", page)
    assert linked == f'<a href="{there}#__codelineno-0-{line}">`steer`</a>'


def test_a_link_to_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"got \.\./kds_ref/steering\.py#nothing in docs/house\.md"):
        sources.with_links("[`nothing`](../kds_ref/steering.py#nothing)", "house.md")


def test_only_the_hook_knows_mkdocs() -> None:
    """Another generator of sites can run the scripts as they are."""
    docs = sources.DOCS
    scripts = sorted((docs / "scripts").glob("*.py"))
    assert len(scripts) == 7
    assert not [path.name for path in scripts if re.search(r"mkdocs|def on_\w+", path.read_text(encoding="utf-8"))]
    config = (docs.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.search(r"^hooks:\n((?:  - .*\n)+)", config, re.MULTILINE)[1].count("- ") == 1


def test_every_link_of_the_house_leads_to_its_line(site: Path, request: pytest.FixtureRequest) -> None:
    page = (site / "house" / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'<a href="\.\./(generated/source/[^"#]+)(?:#__codelineno-0-(\d+))?"><code>([\w.]+)<', page)
    assert len(links) > 60
    for folder, line, name in links:
        shown = (site / folder / "index.html").read_text(encoding="utf-8")
        file = request.config.rootpath / folder.removeprefix("generated/source/").rstrip("/")
        source = file.read_text(encoding="utf-8")
        if line:
            assert f'id="__codelineno-0-{line}"' in shown
            assert re.search(rf"(def|class) {name.rpartition('.')[2]}\b", source.splitlines()[int(line) - 1]), name
