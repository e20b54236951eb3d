"""The plot of `front`: distortion against perception, one panel per budget, every point with its name.

A point is on the Pareto front if no other point of its panel is at least as good in both; the front is drawn as steps.
What takes no evaluation of the model hides which way to use the model is best, so what samples has a front of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from real.bench.metrics import REPORTED

__all__ = ["draw_front", "pareto"]

INK, GREY, LEADER, FAINT = "#22262b", "#8a949e", "#c3cad1", "#e4e8ec"
COLOURS = ("#6a2c91", "#2c7fb8", "#009e9e", "#e07b00", "#2fae48", "#d1495b", "#7f5539", "#5b6770", "#22262b")
OF_ALL: Mapping[str, Any] = {"color": GREY, "linewidth": 1.2}  # the two fronts
OF_SAMPLES: Mapping[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": (0, (2, 2))}
AROUND = 24  # directions in which a name may stand
DOT = 7  # pixels from a dot to a name, at least
FAR = (7, 11, 16, 22, 30, 40, 52, 66)  # points from the dot


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, gain) that no other point beats in both, by rising cost."""
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[i][1] > points[front[-1]][1]:
            front.append(i)
    return front


def draw_front(figure: Figure, report: Mapping[str, Any], perception: str) -> None:
    """Draw it; lines without a finite number are left out.

    Args:
        figure: Empty figure; its size is set.
        report: Content of `report.json`.
        perception: The second metric: less is better.
    """
    budgets = [budget["evaluations"] for budget in report["budgets"]]
    known = [line for line in report["lines"] if None not in _point(line, perception)]
    # What takes no evaluation has no budget of its own: it fits into each.
    by_budget = {budget: [line for line in known if round(line["at"]) in (0, budget)] for budget in budgets}
    groups = list(dict.fromkeys(line["group"] for line in report["lines"]))
    colours = {group: COLOURS[i % len(COLOURS)] for i, group in enumerate(groups)}

    panels = _panels(figure, len(budgets))
    for axes, budget in zip(panels, budgets, strict=True):
        _draw_points(axes, by_budget[budget], perception, colours)
        axes.set_title(f"{budget} model evaluations", fontsize=11, color=INK, loc="left")
        axes.set_xlabel(f"{REPORTED[perception].label} (less is better)", fontsize=8)
        axes.set_ylabel(f"{REPORTED['psnr_rgb'].label} (more is better)", fontsize=8)

    for group, colour in colours.items():
        panels[0].plot([], [], "o", color=colour, label=group)
    panels[0].plot([], [], label="Pareto front", **OF_ALL)
    panels[0].plot([], [], label="of what samples the model", **OF_SAMPLES)
    columns = min(-(-(len(groups) + 2) // 2), 2 * min(3, len(panels)))  # two rows where the figure is wide enough
    figure.legend(loc="outside lower center", ncols=columns, fontsize=9, frameon=False)

    figure.draw_without_rendering()  # places everything, so that names can be moved off each other
    for axes, budget in zip(panels, budgets, strict=True):
        place_names(axes, by_budget[budget], perception, colours)


def _panels(figure: Figure, count: int) -> list[Axes]:
    """Axes for so many panels, at most three in a row."""
    columns = min(3, max(1, count))
    rows = max(1, -(-count // columns))
    figure.set_size_inches(5.4 * columns, 4.4 * rows + 0.6)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    return grid[:count]


def _point(line: Mapping[str, Any], perception: str) -> tuple[float, float]:
    return line["scores"][perception]["mean"], line["scores"]["psnr_rgb"]["mean"]


def _draw_points(
    axes: Axes, lines: Sequence[Mapping[str, Any]], perception: str, colours: Mapping[str, str]
) -> None:
    points = [_point(line, perception) for line in lines]
    fronts = _fronts(lines, points)
    for front, style in zip(fronts, (OF_ALL, OF_SAMPLES), strict=True):
        x, y = np.array([points[i] for i in front]).reshape(-1, 2).T
        axes.step(x, y, where="post", zorder=1, **style)
    on_front = {i for front in fronts for i in front}
    for i, (line, point) in enumerate(zip(lines, points, strict=True)):
        size = 42 if i in on_front else 20
        axes.scatter(*point, s=size, color=colours[line["group"]], edgecolors="white", linewidths=0.6, zorder=3)

    axes.margins(0.16)
    axes.grid(color=FAINT)
    axes.tick_params(labelsize=7, colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)


def _fronts(lines: Sequence[Mapping[str, Any]], points: Sequence[tuple[float, float]]) -> tuple[list[int], list[int]]:
    """Indices on the front of all lines, and on that of the lines which evaluate the model."""
    sampled = [i for i, line in enumerate(lines) if round(line["at"])]
    return pareto(points), [sampled[j] for j in pareto([points[i] for i in sampled])]


def place_names(
    axes: Axes, lines: Sequence[Mapping[str, Any]], perception: str, colours: Mapping[str, str]
) -> list[Annotation]:
    """Write each point's name at the nearest place where it covers no point and no other name."""
    if not lines:
        return []
    points = [_point(line, perception) for line in lines]
    on_front, dots = {i for front in _fronts(lines, points) for i in front}, axes.transData.transform(points)
    taken: list[Bbox] = []
    names = []
    for i in np.argsort(dots[:, 1]):  # from below, so that crowded places fill up in one direction
        label = lines[i]["label"].split(" (")[0]
        name = _name(axes, label, points[i], colour=colours[lines[i]["group"]], bold=i in on_front)
        names.append(name)
        taken.append(_move(name, axes, dots, taken))
    return names


def _name(axes: Axes, label: str, point: tuple[float, float], *, colour: str, bold: bool) -> Annotation:
    """A point's name with a thin line to the point."""
    return axes.annotate(
        label,
        point,
        xytext=(0, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=7,
        fontweight="bold" if bold else "normal",
        color=colour,
        arrowprops={"arrowstyle": "-", "color": LEADER, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2},
        zorder=4,
        path_effects=[withStroke(linewidth=2.0, foreground="white")],  # the front may run below
    )


def _move(name: Annotation, axes: Axes, dots: np.ndarray, taken: Sequence[Bbox]) -> Bbox:
    """Move a name to the nearest free place, or the last one that was tried; return what it takes."""
    canvas: Any = axes.figure.canvas
    renderer = canvas.get_renderer()
    name.update_positions(renderer)  # to its point
    at_point = Text.get_window_extent(name, renderer).padded(1.5)  # of the text, without the line to the point
    scale = axes.figure.dpi / 72.0  # pixels of a point of print
    for offset in _offsets():
        box = at_point.translated(scale * offset[0], scale * offset[1])
        inside = axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1)
        hits_dot = any(box.padded(DOT).contains(*dot) for dot in dots)
        if inside and not hits_dot and not any(box.overlaps(other) for other in taken):
            break
    name.set_position(offset)
    return box


def _offsets() -> list[tuple[float, float]]:
    """Places around a point, near ones first; further out to the sides, as names are wide."""
    angles = np.linspace(0.0, 2.0 * np.pi, AROUND, endpoint=False)
    above = sorted(angles, key=lambda a: -np.sin(a))  # most names of a line of points read best above it
    return [(2.2 * far * float(np.cos(a)), far * float(np.sin(a))) for far in FAR for a in above]
