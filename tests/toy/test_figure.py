"""The slide: nothing overlaps or leaves the picture, every particle is shown, colours differ in greyscale."""

import io
from itertools import combinations
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from toy import figure as module
from toy.experiment import Run, run_experiment
from toy.figure import draw
from toy.mixture import GaussianMixture, three_modes
from toy.settings import Settings


def experiment(**options: Any) -> tuple[dict[str, Any], tuple[Run, ...]]:
    return run_experiment(Settings(**{"n_seeds": 2, "n_particles": 12, "num_inference_steps": 6, **options}))


def texts(figure: Figure) -> list[Text]:
    axes = figure.axes
    own = [*figure.texts, *(t for a in axes for t in (*a.texts, a.title, a.yaxis.label))]
    return [text for text in own if text.get_text()]


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.collections]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_inference_steps": 1},
        {"seed": 2**32 - 1, "bandwidth": 0.123456, "strength": 0.123456, "cutoff": 0.123456,
         "num_inference_steps": 1000, "schedule": "scaled_linear"},
        {"bandwidth": 1e6, "strength": 1.0, "cutoff": 0.0},
    ],
)  # fmt: skip
def test_no_text_overlaps_or_leaves_the_slide(options: dict[str, Any]) -> None:
    results, runs = experiment(**options)
    results["settings"] |= {"n_seeds": 5000, "n_particles": 2000}
    for run in runs[1:]:
        figure = draw(three_modes(), (runs[0], run), results)
        figure.canvas.draw()
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
        width, height = figure.bbox.size
        for words, box in boxes:
            assert box.x0 > 5, words
            assert box.y0 > 5, words
            assert box.x1 < width - 5, words
            assert box.y1 < height - 5, words
        for (first, one), (second, other) in combinations(boxes, 2):
            assert not one.overlaps(other), (first, second)
        for panel in panels(figure):
            for words, box in boxes:
                assert not panel.get_window_extent().overlaps(box), words


def test_rows_columns_and_words() -> None:
    results, runs = experiment(num_inference_steps=50)
    figure = draw(three_modes(), (runs[0], runs[1]), results)
    assert [axes.get_title() for axes in panels(figure)] == ["t/T = 1", "t/T = 0.5", "t/T = 0", "", "", ""]
    assert [axes.get_ylabel() for axes in panels(figure) if axes.get_ylabel()] == ["DDIM", "DDIM + KDS"]
    words = "\n".join(text.get_text() for text in texts(figure))
    for part in ("t/T ≥ 0.3", "h = 0.3", "δ = 0.3", "50 DDIM steps", "cosine", "seed 0", "0.090"):
        assert part in words
    change = results["methods"]["kds_cutoff_0.3"]["difference_to_ddim"]["within_mode_variance"]
    assert f"{100 * change['relative_change']:+.0f} %".replace("-", "−") in words
    assert "down to t/T = 0" in "\n".join(t.get_text() for t in texts(draw(three_modes(), runs[::2], results)))


@pytest.mark.parametrize("ensemble", [0, 1])
def test_every_particle_of_the_shown_seed_is_inside_its_panel(ensemble: int) -> None:
    results, runs = experiment(n_particles=400)
    assert np.abs(runs[0].snapshots[0].x[ensemble]).max() > 3  # beyond what most ensembles need
    figure = draw(three_modes(), runs[:2], results, ensemble=ensemble)
    snapshots = [snapshot for run in runs[:2] for snapshot in run.snapshots]
    assert len(panels(figure)) == len(snapshots) == 6
    for axes, snapshot in zip(panels(figure), snapshots, strict=True):
        shown = np.asarray(axes.collections[-1].get_offsets())
        np.testing.assert_array_equal(shown, snapshot.x[ensemble])
        assert np.abs(shown).max() < axes.get_xlim()[1] == axes.get_ylim()[1]
        box = axes.get_window_extent()
        assert box.width == pytest.approx(box.height)  # equal aspect


def test_contours_enclose_the_stated_probability() -> None:
    ticks = np.linspace(-5, 5, 401)
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    normal = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    levels = module.contour_levels(normal.density(points))
    expected = [(1 - mass) / (2 * np.pi) for mass in module.MASSES]  # in the plane: 1 - mass of the peak
    np.testing.assert_allclose(levels, expected, rtol=0.02)


def test_colours_differ_in_lightness() -> None:
    def luminance(colour: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    assert contrast(module.PURPLE, module.GREEN) > 2.5
    assert contrast(module.PURPLE, module.SHADES[-1]) > 3
    for ink in (module.PURPLE, module.DARK_GREEN, module.INK, module.QUIET):
        assert contrast(ink, "#ffffff") > 4.5  # WCAG AA


def test_the_picture_is_a_slide_and_no_setting_of_matplotlib_changes() -> None:
    results, runs = experiment()
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    png = io.BytesIO()
    draw(three_modes(), runs[:2], results).savefig(png, format="png")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend
    assert png.getvalue()[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(png.getvalue()[i : i + 4], "big") for i in (16, 20))
    assert (width, height) in {(1999, 1125), (2000, 1125)}


def test_only_the_plane_can_be_drawn() -> None:
    results, runs = experiment()
    with pytest.raises(ValueError, match="mixture must have 2 dimensions to be drawn, got 1"):
        draw(GaussianMixture([1.0], [[0.0]], [[[1.0]]]), runs[:2], results)
