"""The schematic and the animation are what their scripts compute today, and are where the pages say."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy", reason="comes with the extra toy")
pytest.importorskip("skimage", reason="comes with the extra real")
plt = pytest.importorskip("matplotlib.pyplot", reason="comes with the extra toy")
Image = pytest.importorskip("PIL.Image", reason="comes with matplotlib")

ROOT = Path(__file__).resolve().parents[2]
DRAWINGS = ROOT / "docs" / "figures" / "drawings"


def load(name: str) -> dict[str, Any]:
    """The names that a script defines."""
    return runpy.run_path(str(DRAWINGS / f"{name}.py"))


def test_the_schematic_shows_the_values_of_today() -> None:
    script = load("one_step")
    with Image.open(script["PICTURE"]) as picture:
        committed = json.loads(picture.text["Description"])
    today = script["numbers"]()
    assert committed == {name: pytest.approx(values, abs=2e-3) for name, values in today.items()}
    assert len(today["x0"]) == 10
    assert max(today["steered"]) < max(today["x0"]), "the shift pulls inwards"


def test_the_symptoms_are_those_that_the_page_tells_apart() -> None:
    script = load("symptoms")
    with Image.open(script["PICTURE"]) as picture:
        committed = json.loads(picture.text["Description"])
    today = script["numbers"]()
    assert committed == {name: pytest.approx(row, abs=0.02) for name, row in today.items()}
    small, healthy, large, equal = today.values()
    assert small["effective"] < 1.5
    assert small["shift"] < 0.05
    assert 2 < healthy["effective"] < 8
    assert 0.15 < healthy["shift"] < 0.6
    assert large["effective"] > 9.5
    assert large["shift"] >= 0.8
    assert equal == {"effective": 10.0, "shift": 0.0}


def test_the_animation_ends_with_the_numbers_of_today() -> None:
    script = load("toy_animation")
    with Image.open(script["PICTURE"]) as picture:
        committed = json.loads(picture.info["comment"])
        assert picture.n_frames == 26
    assert committed == pytest.approx(script["numbers"](), abs=1e-3)
    assert committed["KDS to the end"] < committed["KDS, t/T ≥ 0.3"] < committed["DDIM"]
    assert script["PICTURE"].stat().st_size < 400_000


def test_a_picture_of_the_animation_shows_every_particle() -> None:
    script = load("toy_animation")
    plt.switch_backend("agg")
    levels, found = script["ways"]()
    assert {len(states) for states in found.values()} == {len(levels)}
    last = {name: states[-1] for name, states in found.items()}
    below = dict.fromkeys(last, "variance 0.1")
    picture = script["draw"](1.0, last, "t/T = 0.00", below)
    nothing = script["draw"](1.0, {name: x + 100.0 for name, x in last.items()}, "t/T = 0.00", below)
    assert picture.size == nothing.size == (720, 315)
    assert picture.tobytes() != nothing.tobytes()


@pytest.mark.parametrize(
    ("name", "pages"),
    [
        ("one_step.png", ("README.md", "docs/explanation/method.md", "docs/tutorials/4_steering.py")),
        ("symptoms.png", ("docs/how-to/diagnostics.md",)),
        ("toy.gif", ("README.md", "docs/index.md", "docs/toy.md")),
    ],
)
def test_the_drawings_are_on_their_pages(name: str, pages: tuple[str, ...]) -> None:
    for page in pages:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert re.search(rf"assets/{re.escape(name)}[)\"]", text), page
