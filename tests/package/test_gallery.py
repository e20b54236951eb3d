"""The script that makes pages of the tutorials: cells, what they print, figures, and the page that lists them."""

import runpy
from pathlib import Path
from typing import Any

import pytest

plt = pytest.importorskip("matplotlib.pyplot", reason="comes with the extra toy")
pytest.importorskip("PIL", reason="comes with matplotlib")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = '''r"""
# 1. A page

Says something with \\(x\\) and a [link](2_more.md).

![what](images/1_page_1.webp){ .figure }
"""

import matplotlib.pyplot as plt

# %%
# ## A cell
#
# ??? success "Solution"
#     ```python
#     assert True
#     ```

x = 1  # a comment in code stays
print("x is", x)

# %%
# A figure of [0, 1]:

figure, ax = plt.subplots(figsize=(3, 2))
ax.set_title("on [0, 1]")
assert x == 1
'''


@pytest.fixture
def gallery() -> dict[str, Any]:
    """The names that the script defines."""
    return runpy.run_path(str(ROOT / "docs" / "scripts" / "gallery.py"))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "1_page.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_a_page_has_text_code_output_and_figures_in_order(gallery: Any, script: Path, tmp_path: Path) -> None:
    plt.switch_backend("agg")
    page = gallery["page"](script, tmp_path, run=True)
    marks = [
        "# 1. A page",
        "```python\nimport matplotlib",
        "## A cell",
        '??? success "Solution"\n    ```python',
        "x = 1  # a comment in code stays",
        "``` { .text .output }\nx is 1\n```",
        "A figure of",
        "![on (0, 1)](images/1_page_1.webp){ .figure width=300 loading=lazy }",
        "[This page as a script](1_page.py)",
    ]
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)
    assert (tmp_path / "1_page_1.webp").stat().st_size > 1000
    assert "# %%" not in page
    assert not plt.get_fignums()


def test_without_running_there_are_no_pictures(gallery: Any, script: Path, tmp_path: Path) -> None:
    page = gallery["page"](script, tmp_path, run=False)
    assert "images/" not in page
    assert "x is 1" not in page
    assert 'print("x is", x)' in page


def test_an_error_names_the_line_of_the_script(gallery: Any, tmp_path: Path) -> None:
    path = tmp_path / "1_page.py"
    path.write_text(SCRIPT.replace("x == 1", "x == 2"), encoding="utf-8")
    plt.switch_backend("agg")
    with pytest.raises(AssertionError) as caught:
        gallery["page"](path, tmp_path, run=True)
    plt.close("all")
    line = path.read_text(encoding="utf-8").splitlines()[caught.traceback[-1].lineno]
    assert line == "assert x == 2"


def test_a_card_leads_to_its_page(gallery: Any, script: Path) -> None:
    card = gallery["card"](script, run=True)
    assert "**[1. A page](1_page.md)**" in card
    assert "(images/1_page_1.webp)" in card
    assert "Says something with \\(x\\) and a link." in card


def test_every_tutorial_is_in_the_navigation_and_has_an_opening_picture(gallery: Any) -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    paths = sorted((ROOT / "docs" / "tutorials").glob("[0-9]*_*.py"))
    for path in paths:
        assert f"      - generated/tutorials/{path.stem}.md\n" in config
        text = gallery["cells"](path.read_text(encoding="utf-8"))[0].text
        assert gallery["OPENING"].search(text), path.name
        assert len(text) < 1200, "the picture is below the first screen"
