"""The page without a browser: what it shows of an outcome, what it says of mistakes, how it is served."""

import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("gradio", reason="comes with the extra app")
from real.app.page import Stops, numbers, restore, status  # noqa: E402
from real.app.runs import Step  # noqa: E402
from real.app.server import POLICY  # noqa: E402

GIVEN: dict[str, Any] = {
    "task": "sr",
    "truth": False,
    "particles": 3,
    "steps": 2,
    "bandwidth": None,
    "strength": 0.3,
    "cutoff": 0.3,
    "sampler": "ddim",
    "seed": 0,
    "side": 32,
}


def given(photo: np.ndarray, **changes: Any) -> dict[str, Any]:
    drawn = Image.new("RGBA", (80, 64))
    drawn.paste((255, 0, 170, 255), (30, 20, 50, 40))
    return {**GIVEN, "editor": {"background": Image.fromarray(photo), "layers": [drawn]}, **changes}


def test_a_run_fills_every_place(photo: np.ndarray, tiny_models: Callable[[str], Any]) -> None:
    *steps, last = restore(given(photo, truth=True, side=20), tiny_models, threading.Event())
    assert all(set(updates) == {"status"} for updates in steps)
    assert "being loaded" in steps[0]["status"]
    assert 'value="7" max="7"' in steps[-1]["status"]  # two runs of two steps, three pictures
    assert set(last) == {"status", "compare", "numbers", "plain", "average", "spread", "moved", "particles"}
    assert last["compare"][0].shape == last["compare"][1].shape == last["plain"].shape == (64, 80, 3)
    captions = [caption for _, caption in last["particles"]]
    assert len(captions) == 3
    assert sum(caption.endswith(", chosen") for caption in captions) == 1
    assert "| bicubic |" in last["numbers"]
    assert "the particles differ by" in last["numbers"]
    assert last["spread"].shape == last["moved"].shape == (64, 80, 3)


def test_a_painted_hole_is_filled(photo: np.ndarray, tiny_models: Callable[[str], Any]) -> None:
    *_, last = restore(given(photo, task="inpaint", truth=True), tiny_models, threading.Event())
    before, after = last["compare"]
    assert (before[20:40, 30:50] == 128).all()
    np.testing.assert_array_equal(after[:20], photo[:20])
    assert "PSNR of the hole" in last["numbers"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"editor": None}, "there is no photo"),
        ({"strength": 2.0}, "strength must be"),
        ({"bandwidth": -1.0}, "bandwidth must be"),
        ({"sampler": "euler"}, "sampler"),
    ],
)
def test_a_mistake_is_one_line(
    changes: dict[str, Any], said: str, photo: np.ndarray, tiny_models: Callable[[str], Any]
) -> None:
    (*_, last) = restore(given(photo, **changes), tiny_models, threading.Event())
    assert set(last) == {"status"}
    assert "This does not work: " in last["status"]
    assert said in last["status"]


def test_a_stopped_run_says_so(photo: np.ndarray, tiny_models: Callable[[str], Any]) -> None:
    stop = threading.Event()
    said = []
    for updates in restore(given(photo), tiny_models, stop):
        said.append(updates["status"])
        stop.set()
    assert "Stopped." in said[-1]


def test_a_tab_has_one_run() -> None:
    stops = Stops()
    first, other = stops.start("a"), stops.start("b")
    second = stops.start("a")
    assert first.is_set()
    assert not second.is_set()
    stops.stop(type("Request", (), {"session_hash": "a"})())  # type: ignore[arg-type]
    assert second.is_set()
    assert not other.is_set()


def test_the_status_is_text_and_the_numbers_a_table() -> None:
    assert status("<b>", Step(1, 4)) == '<p role="status"><progress value="1" max="4"></progress> &lt;b&gt;</p>'
    table = numbers({"one": {"psnr_rgb": 20.126, "ssim_rgb": 0.5, "psnr_y": 1.0}})
    assert table.splitlines() == ["| | PSNR | SSIM |", "|---|---:|---:|", "| one | 20.13 dB | 0.500 |"]
    assert "not known" in numbers({})


def test_the_page_is_served_here_and_loads_nothing_from_elsewhere(page_address: str) -> None:
    assert page_address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(page_address) as answer:
        assert answer.headers["Content-Security-Policy"] == POLICY
        text = answer.read().decode()
    assert "fonts.googleapis" not in text
    assert '"analytics_enabled":false' in text.replace(" ", "")
