"""The figures of the plane: four posteriors with particles, and what a wrong model's spurious mode keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from toy.figure import GREEN, INK, MASSES, PURPLE, QUIET, SHADES, contour_levels
from toy.mixture import GaussianMixture
from toy.posterior.plane import posteriors

__all__ = ["BLUE", "ORANGE", "blank_figure", "draw_errors", "draw_plane"]

ORANGE, BLUE = "#c4561a", "#2a6fb0"
DPI = 110
GRID_POINTS = 121
PLANE_COLUMNS = {
    "plain": "plain",
    "h=0.3 to 0.3": "KDS, h = 0.3, to t/T = 0.3",
    "h=0.3 to 0": "KDS, h = 0.3, to the end",
    "h=3 to 0": "KDS, h = 3, to the end",
}
LINES = {
    "plain": (PURPLE, "-"),
    "h=0.3 to 0.3": (GREEN, ":"),
    "h=0.3 to 0": (GREEN, "-"),
    "h=1 to 0.3": (BLUE, ":"),
    "h=1 to 0": (BLUE, "-"),
    "h=3 to 0": (ORANGE, "-"),
}


def draw_plane(found: dict[str, dict[str, Any]]) -> Figure:
    """Draw the posteriors of the plane with particles and averages of some ensembles.

    Args:
        found: part -> posterior -> method -> what `plane.measure_case` found.
    """
    (cases,) = found.values()
    figure = blank_figure(11, 11)
    axes = figure.subplots(len(cases), len(PLANE_COLUMNS), squeeze=False)

    for row, (name, lines) in zip(axes, cases.items(), strict=True):
        for ax, (line, title) in zip(row, PLANE_COLUMNS.items(), strict=True):
            _contours(ax, posteriors()[name])

            particles = np.array(lines[line]["shown"])
            x, average = particles.reshape(-1, 2), particles.mean(1)
            ax.scatter(*x.T, s=9, c=PURPLE if line == "plain" else GREEN, linewidths=0, zorder=3)
            ax.scatter(*average.T, s=34, c=INK, marker="x", linewidths=1.4, zorder=4)

            error, density = (lines[line]["answers"]["random"][s]["mean"] for s in ("error_over_least", "log_density"))
            ax.set_xlabel(f"error {error:.2f}, log p {density:.2f}", fontsize=9)
            if ax.get_subplotspec().is_first_row():
                ax.set_title(title, fontsize=11, color=INK)
        row[0].set_ylabel(name, fontsize=12, color=INK)

    figure.suptitle(
        "Exact posteriors. Dots: particles of 16 ensembles of ten; crosses: their averages.\n"
        "Below: expected squared error of a particle over the least possible, and its mean log density",
        fontsize=12, color=INK,
    )  # fmt: skip
    return figure


def draw_errors(results: dict[str, Any]) -> Figure:
    """Draw what is left in a spurious mode, by its weight and by the number of particles."""
    spurious = results["plane, spurious"]
    figure = blank_figure(11, 4.2)
    left, middle, right = figure.subplots(1, 3)
    weights = {float(name.split()[1]): lines for name, lines in spurious.items() if name.startswith("weight")}
    for answer, ax in (("random", left), ("chosen", middle)):
        for line, (colour, style) in LINES.items():
            shares = [lines[line]["answers"][answer]["shares"][-1]["mean"] for lines in weights.values()]
            ax.plot(list(weights), shares, style, color=colour, marker="o", markersize=4, label=_line_label(line))
        ax.axline((0, 0), slope=1, color=QUIET, linewidth=0.8)
        ax.set(xlabel="weight of the spurious mode in the model", ylim=(-0.01, 0.42), xlim=(0, 0.42))
    left.set_title("share of particles in the spurious mode", fontsize=11)
    middle.set_title("share of chosen particles", fontsize=11)
    left.legend(fontsize=8)

    counts = {10: spurious["weight 0.2"]} | {int(n.split()[1]): v for n, v in spurious.items() if n.startswith("N ")}
    for line in ("plain", "h=0.3 to 0.3", "h=0.3 to 0", "h=1 to 0"):
        colour, style = LINES[line]
        shares = [counts[n][line]["answers"]["random"]["shares"][-1]["mean"] for n in sorted(counts)]
        right.plot(sorted(counts), shares, style, color=colour, marker="o", markersize=4)
    right.set(xlabel="particles N", ylim=(0, 0.25), xscale="log")
    right.set_xticks(sorted(counts), labels=[str(n) for n in sorted(counts)])
    right.minorticks_off()
    right.set_title("weight 0.2: share of particles", fontsize=11)
    return figure


def blank_figure(width: float, height: float) -> Figure:
    """Return a white figure of so many inches, bound to no window, whose parts make room for each other."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _line_label(line: str) -> str:
    if line == "plain":
        return "plain"
    bandwidth, end = line.removeprefix("h=").split(" to ")
    return f"KDS h={bandwidth}, " + ("to the end" if end == "0" else f"to {end}")


def _contours(ax: Axes, mixture: GaussianMixture) -> None:
    ticks = np.linspace(-2.6, 2.6, GRID_POINTS)
    density = mixture.density(np.stack(np.meshgrid(ticks, ticks), axis=-1))
    levels = [*contour_levels(density), float(density.max()) * 1.001]
    ax.contourf(ticks, ticks, density, levels=levels, colors=SHADES[: len(MASSES)])
    ax.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), xticks=[], yticks=[], aspect="equal")
