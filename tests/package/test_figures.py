"""The committed figures show what their scripts measure today, and the pages state the same numbers."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy", reason="comes with the extra toy")
plt = pytest.importorskip("matplotlib.pyplot", reason="comes with the extra toy")
Image = pytest.importorskip("PIL.Image", reason="comes with matplotlib")

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCRIPTS = sorted((DOCS / "figures").glob("*.py"))


@pytest.fixture(scope="module", params=SCRIPTS, ids=lambda path: path.stem)
def script(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The names that a figure's script defines."""
    return runpy.run_path(str(request.param))


@pytest.fixture(scope="module")
def measured(script: dict[str, Any]) -> Any:
    """Its numbers, measured now."""
    return script["numbers"]()


def leaves(tree: Any, path: str = "") -> dict[str, float]:
    """Every number of nested dicts and lists, by its place."""
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {place: value for key, branch in items for place, value in leaves(branch, f"{path}/{key}").items()}
    return {path: float(tree)}


def test_the_committed_picture_holds_the_numbers_of_today(script: dict[str, Any], measured: Any) -> None:
    with Image.open(script["PICTURE"]) as picture:
        committed = json.loads(picture.text["Description"])
        assert min(picture.size) > 400
    assert leaves(committed) == pytest.approx(leaves(measured), abs=2e-3)


def test_the_figure_is_drawn_from_the_numbers(script: dict[str, Any], measured: Any) -> None:
    plt.switch_backend("agg")
    figure = script["draw"](measured)
    lines = [line for ax in figure.axes for line in ax.lines]
    drawn = {round(float(v), 3) for line in lines for v in (*line.get_xdata(), *line.get_ydata())}
    bars = [[round(bar.get_height(), 3) for bar in ax.patches] for ax in figure.axes]
    plt.close(figure)
    if script["PICTURE"].stem.startswith("ranks"):
        for panel, by_sampler in zip(bars, measured.values(), strict=True):
            assert panel == [round(100 * count / sum(of_one), 3) for of_one in by_sampler.values() for count in of_one]
        return
    ends = ("/log_density", "/ratio at 300")
    shown = [v for place, v in leaves(measured).items() if "/effective/" in place or place.endswith(ends)]
    assert shown
    assert {round(value, 3) for value in shown} <= drawn


def test_each_figure_is_on_a_page(script: dict[str, Any]) -> None:
    name = f"](../assets/{script['PICTURE'].name})"
    pages = [page.read_text(encoding="utf-8").replace("\n", " ") for page in DOCS.rglob("*.md")]
    assert sum(name in page for page in pages) == 1


def test_the_page_of_related_ideas_states_the_measured_table() -> None:
    script = runpy.run_path(str(DOCS / "figures" / "related.py"))
    with Image.open(script["PICTURE"]) as picture:
        table = script["table"](json.loads(picture.text["Description"]))
    assert table in (DOCS / "explanation" / "related.md").read_text(encoding="utf-8")


def test_what_the_page_of_related_ideas_reads_from_the_table() -> None:
    script = runpy.run_path(str(DOCS / "figures" / "related.py"))
    with Image.open(script["PICTURE"]) as picture:
        rows = json.loads(picture.text["Description"])
    error = {name: row["error"] for name, row in rows.items()}
    density = {name: row["log_density"] for name, row in rows.items()}
    one, average, choice, best, early, early_chosen, full, full_chosen, pull, repulsion, hds = rows
    assert min(error, key=error.__getitem__) == min(density, key=density.__getitem__) == average
    assert max(density, key=density.__getitem__) == best
    with_the_data = [name for name in rows if density[name] > -3]
    assert min(with_the_data, key=error.__getitem__) == choice
    assert density[choice] < density[one] < density[early] < density[full]
    assert error[one] - error[early] < 0.05 * (error[one] - error[early_chosen])  # due to the choice
    assert density[early_chosen] < density[full_chosen]
    assert density[pull] < -4
    assert error[repulsion] > error[one]
    assert density[best] > density[hds] > density[full] + 0.3  # at a tenth of the evaluations
    assert 0 < error[one] - error[hds] < 0.15  # a little less
    assert density[repulsion] < density[one]
