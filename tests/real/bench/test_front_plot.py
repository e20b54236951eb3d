"""The plot of the front: the Pareto front by hand, and names that cover neither points nor each other."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from real.bench import plots
from real.bench.beyond import FAMILIES, front, front_pairs
from real.bench.front_plot import draw_front, pareto
from real.bench.plan import Grid
from real.settings import Settings

BUDGETS = (10, 25, 50, 100, 250, 500)


def lines_of(budgets: tuple[int, ...]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    lines = []
    for line in front(Settings(bandwidth=0.3), Grid(budget=budgets)):
        x, y = rng.normal(0.3, 0.01), rng.normal(21.0, 0.4)
        scores = {"lpips_hed": {"mean": float(x)}, "psnr_rgb": {"mean": float(y)}}
        lines.append({"key": line.key, "label": line.label, "group": line.group, "at": line.at, "scores": scores})
    return lines


def test_the_pareto_front_by_hand() -> None:
    points = [(0.3, 20.0), (0.2, 21.0), (0.4, 22.0), (0.2, 20.5), (0.5, 21.9), (0.4, 22.0)]
    assert pareto(points) == [1, 2]
    assert pareto([(1.0, 1.0)]) == [0]
    rng = np.random.default_rng(1)
    points = [(float(a), float(b)) for a, b in rng.normal(size=(40, 2))]
    by_definition = [
        i
        for i, (x, y) in enumerate(points)
        if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)
    ]
    assert sorted(pareto(points)) == by_definition


def test_names_cover_neither_points_nor_each_other() -> None:
    figure = Figure(dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    budgets = (10, 500)
    report = {"lines": lines_of(budgets), "budgets": [{"evaluations": b} for b in budgets]}
    unknown = report["lines"][0]
    unknown["scores"]["psnr_rgb"]["mean"] = None  # no photo has a finite number: it is not drawn
    draw_front(figure, report, "lpips_hed")
    canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent(canvas.get_renderer())
    assert figure.bbox.contains(box.x0, box.y0)
    assert figure.bbox.contains(box.x1, box.y1)
    for axes, budget in zip(figure.axes, budgets, strict=True):
        lines = [line for line in report["lines"] if line["at"] in (0, budget) and line is not unknown]
        names = [child for child in axes.get_children() if isinstance(child, Annotation)]
        assert sorted(name.get_text() for name in names) == sorted(line["label"].split(" (")[0] for line in lines)
        boxes = [Text.get_window_extent(name, canvas.get_renderer()) for name in names]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        dots = [(line["scores"]["lpips_hed"]["mean"], line["scores"]["psnr_rgb"]["mean"]) for line in lines]
        assert not any(box.contains(*dot) for box in boxes for dot in axes.transData.transform(dots))
        assert all(axes.bbox.contains(*corner) for box in boxes for corner in ((box.x0, box.y0), (box.x1, box.y1)))


def test_what_samples_has_a_front_of_its_own() -> None:
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    lines = lines_of((10,))
    for line in lines:
        if not line["at"]:  # better in both than anything that samples
            line["scores"] = {"lpips_hed": {"mean": 0.1}, "psnr_rgb": {"mean": 30.0}}
    draw_front(figure, {"lines": lines, "budgets": [{"evaluations": 10}]}, "lpips_hed")
    of_all, of_samples = (line.get_xydata().tolist() for line in figure.axes[0].lines[:2])
    assert of_all == [[0.1, 30.0]]
    points = [(line["scores"]["lpips_hed"]["mean"], line["scores"]["psnr_rgb"]["mean"]) for line in lines if line["at"]]
    assert [tuple(point) for point in of_samples] == [points[i] for i in pareto(points)]


def test_each_perceptual_metric_has_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(plots, "draw_front", lambda figure, report, metric: drawn.append(metric))
    for names in (("psnr_rgb", "lpips_hed", "fid_lite0"), ("psnr_rgb",)):
        report = {"study": "front", "title": "a title", "lines": [{"scores": dict.fromkeys(names)}]}
        plots.save_plot(tmp_path / "front.png", "front", report, [], tmp_path)
    assert drawn == ["lpips_hed", "fid_lite0", "blur_effect"]
    assert {path.name for path in tmp_path.iterdir()} == {"front.png", "front-fid-lite0.png"}


def test_every_family_is_there_and_budgets_are_kept() -> None:
    lines = front(Settings(bandwidth=0.3), Grid(budget=BUDGETS))
    for budget in BUDGETS:
        names = {line.label.split(" (")[0] for line in lines if line.at == budget}
        lacking = {family.name for family in FAMILIES} - names
        assert lacking == ({"drafts"} if budget == 10 else set())  # one draft is nothing to choose from
    assert {line.key for line in lines if line.at == 0} >= {"bicubic", "lanczos", "regression"}
    for line in lines:
        settings, budget = line.ensemble.settings, round(line.at)
        if line.ensemble.kind in ("plain", "kds"):
            cost = settings.particles * settings.steps
            assert 0.85 * budget <= cost <= budget
        assert settings.steps >= 5
    at_500 = {line.label for line in lines if line.at == 500}
    assert {"KDS (N = 10, S = 50)", "DDIM (N = 1, S = 500)", "early (N = 13, S = 50)"} <= at_500


def test_what_takes_no_evaluation_is_compared_with_kds_at_every_budget() -> None:
    pairs = {(pair.a, pair.b) for pair in front_pairs(front(Settings(bandwidth=0.3), Grid(budget=BUDGETS)))}
    assert {pair for pair in pairs if pair[1] == "lanczos"} == {(f"KDS-{budget}", "lanczos") for budget in BUDGETS}
