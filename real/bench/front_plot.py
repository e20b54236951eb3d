"""The plot of `front`: distortion against perception, one panel a budget, every point with its name.

A point is on the Pareto front if no other point of its panel is at least as good in both; the front is drawn as steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation

from real.bench.metrics import REPORTED

__all__ = ["draw_front", "pareto"]

INK, GREY, FAINT = "#22262b", "#8a949e", "#e4e8ec"
COLOURS = ("#6a2c91", "#2c7fb8", "#009e9e", "#e07b00", "#2fae48", "#d1495b", "#7f5539", "#5b6770")
AROUND = 24  # directions in which a name may stand
DOT = 7  # pixels from a dot to a name, at least
FAR = (7, 11, 16, 22, 30, 40, 52, 66)  # points from the dot


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, gain) that none is better than in both, by rising cost."""
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[i][1] > points[front[-1]][1]:
            front.append(i)
    return front


def draw_front(figure: Figure, report: Mapping[str, Any], perception: str) -> None:
    """Draw it.

    Args:
        figure: Empty; its size is set.
        report: Content of `report.json`.
        perception: The second metric: less is better.
    """
    budgets = [budget["evaluations"] for budget in report["budgets"]]
    columns = min(3, len(budgets))
    rows = -(-len(budgets) // columns)
    figure.set_size_inches(5.4 * columns, 4.4 * rows + 0.6)
    groups = list(dict.fromkeys(line["group"] for line in report["lines"]))
    colours = {group: COLOURS[i % len(COLOURS)] for i, group in enumerate(groups)}

    grid = figure.subplots(rows, columns, squeeze=False)
    panels = list(zip(grid.flat, budgets, strict=False))
    for axes in grid.flat[len(budgets) :]:
        axes.set_visible(False)
    for axes, budget in panels:
        lines = [line for line in report["lines"] if round(line["at"]) == budget]
        _draw_points(axes, lines, perception, colours)
        axes.set_title(f"{budget} model evaluations", fontsize=10, color=INK)
        axes.set_xlabel(f"{REPORTED[perception].label} (less is better)", fontsize=8)
        axes.set_ylabel(REPORTED["psnr_rgb"].label, fontsize=8)
    for group, colour in colours.items():
        panels[0][0].plot([], [], "o", color=colour, label=group)
    panels[0][0].plot([], [], color=GREY, linewidth=1.2, label="Pareto front")
    figure.legend(loc="outside lower center", ncols=len(groups) + 1, fontsize=8, frameon=False)

    figure.draw_without_rendering()  # places everything, so that names can be moved off each other
    for axes, budget in panels:
        place_names(axes, [line for line in report["lines"] if round(line["at"]) == budget], perception, colours)


def _point(line: Mapping[str, Any], perception: str) -> tuple[float, float]:
    return line["scores"][perception]["mean"], line["scores"]["psnr_rgb"]["mean"]


def _draw_points(
    axes: Axes, lines: Sequence[Mapping[str, Any]], perception: str, colours: Mapping[str, str]
) -> None:
    points = [_point(line, perception) for line in lines]
    front = pareto(points)
    x, y = np.array([points[i] for i in front]).T
    axes.step(x, y, where="post", color=GREY, linewidth=1.2, zorder=1)
    for i, (line, point) in enumerate(zip(lines, points, strict=True)):
        size = 42 if i in front else 20
        axes.scatter(*point, s=size, color=colours[line["group"]], edgecolors="white", linewidths=0.6, zorder=3)
    axes.margins(0.16)
    axes.grid(color=FAINT)
    axes.tick_params(labelsize=7, colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)


def place_names(
    axes: Axes, lines: Sequence[Mapping[str, Any]], perception: str, colours: Mapping[str, str]
) -> list[Annotation]:
    """Write each point's name at the nearest place where it covers no point and no other name."""
    points = [_point(line, perception) for line in lines]
    canvas: Any = axes.figure.canvas
    front, renderer = pareto(points), canvas.get_renderer()
    dots = axes.transData.transform(points)
    taken: list[Any] = []
    names = []
    for i in np.argsort(dots[:, 1]):  # from below, so that crowded places fill up in one direction
        name = axes.annotate(
            lines[i]["label"].split(" (")[0],
            points[i],
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7,
            fontweight="bold" if i in front else "normal",
            color=colours[lines[i]["group"]],
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2},
            zorder=4,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],  # the front may run below
        )
        for offset in _offsets():
            name.set_position(offset)
            box = name.get_window_extent(renderer)
            # of the text alone: the line to the point may cross another one
            box = super(Annotation, name).get_window_extent(renderer).padded(1.5)
            inside = axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1)
            hits_dot = any(box.padded(DOT).contains(*dot) for dot in dots)
            if inside and not hits_dot and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)
        names.append(name)
    return names


def _offsets() -> list[tuple[float, float]]:
    """Places around a point, near ones first; further out to the sides, as names are wide."""
    angles = np.linspace(0.0, 2.0 * np.pi, AROUND, endpoint=False)
    above = sorted(angles, key=lambda a: -np.sin(a))  # most names of a line of points read best above it
    return [(2.2 * far * float(np.cos(a)), far * float(np.sin(a))) for far in FAR for a in above]
