"""The slide: density and particles at t/T = 1, 0.5, 0; DDIM above, DDIM + KDS below (the paper's Fig. 2).

One row per run, one column per snapshot, and at the right each row's numbers over all seeds. The filled
contours are the exact noised density p_t, the law that unsteered samples follow. Nothing here opens
a window or changes matplotlib's global settings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from toy.experiment import Run, Snapshot
from toy.mixture import Array, GaussianMixture

SLIDE = (13.333, 7.5)  # inches, 16:9
PANEL, GAP, LEFT, TOP = 2.72, 0.14, 0.78, 1.22  # inches; TOP from the upper edge to the first row
NUMBERS = SLIDE[0] - LEFT - 3 * (PANEL + GAP)  # inches left for the numbers
DPI = 150
INK, QUIET, FRAME = "#22262b", "#555f69", "#c3cad1"
# Purple and green differ in lightness, too (about 30 and 63 of 100): they stay apart in greyscale.
PURPLE, GREEN = "#6a2c91", "#2fae48"
DARK_GREEN = "#0f5c22"  # for text, where the green of the dots is too pale on white
SHADES = ("#eef1f4", "#dde3e9", "#cad4dd", "#b5c3cf", "#a0b2c1")
MASSES = (0.98, 0.9, 0.7, 0.45, 0.2)  # part of the probability inside each contour, outermost first
GRID_POINTS = 241


def draw(mixture: GaussianMixture, runs: tuple[Run, ...], results: dict[str, Any], *, ensemble: int = 0) -> Figure:
    """Draw runs one below the other.

    Args:
        mixture: the target, two-dimensional.
        runs: rows of the figure, as returned by `run_experiment`: DDIM, then one with KDS.
        results: the dict that `run_experiment` returned with them.
        ensemble: seed whose particles are shown, counted from 0. The numbers are those of all seeds.

    Returns:
        A 16:9 figure bound to no window; save it with its savefig.

    Raises:
        ValueError: the mixture is not two-dimensional.
    """
    if mixture.dimension != 2:
        raise ValueError(f"mixture must have 2 dimensions to be drawn, got {mixture.dimension}")

    figure = Figure(figsize=SLIDE, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    half_width = _half_width(runs, ensemble)

    for row, run in enumerate(runs):
        for column, snapshot in enumerate(run.snapshots):
            axes = _place(figure, row, column, PANEL)
            _draw_density(axes, mixture, snapshot.alpha_bar, half_width)
            x, y = snapshot.x[ensemble].T
            colour = PURPLE if run.cutoff is None else GREEN
            area = 40 * min(1, (60 / x.size) ** 0.5)  # points^2; many particles get smaller dots
            axes.scatter(x, y, s=area, c=colour, edgecolors="white", linewidths=0.7, zorder=3)
            if row == 0:
                axes.set_title(_moment(snapshot), fontsize=18, color=INK, pad=8)
            if column == 0:
                axes.set_ylabel(_name(run), fontsize=20, color=_ink(run), fontweight="bold", labelpad=10)
        _write_numbers(_place(figure, row, len(run.snapshots), NUMBERS), run, results)

    _write_title(figure, runs[-1], results["settings"])
    _write_caption(figure, results, ensemble)
    return figure


def _place(figure: Figure, row: int, column: int, width: float) -> Axes:
    """Add axes of the given width and one panel's height where row and column say."""
    left, bottom = LEFT + column * (PANEL + GAP), SLIDE[1] - TOP - row * (PANEL + GAP) - PANEL
    return figure.add_axes((left / SLIDE[0], bottom / SLIDE[1], width / SLIDE[0], PANEL / SLIDE[1]))


def _draw_density(axes: Axes, mixture: GaussianMixture, alpha_bar: float, half_width: float) -> None:
    ticks = np.linspace(-half_width, half_width, GRID_POINTS)
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1)  # (GRID_POINTS, GRID_POINTS, 2)
    density = mixture.density(points, alpha_bar=alpha_bar)
    levels = [*contour_levels(density), float(density.max()) * 1.001]
    axes.contourf(ticks, ticks, density, levels=levels, colors=SHADES)
    axes.set_xlim(-half_width, half_width)
    axes.set_ylim(-half_width, half_width)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FRAME)


def contour_levels(density: Array) -> list[float]:
    """Return the heights, ascending, whose contours enclose `MASSES` of the probability on an even grid.

    Args:
        density: values on the grid, of any shape, at least one positive.

    Returns:
        One height for each of `MASSES`, in the units of the density.
    """
    ordered = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    return [float(ordered[np.searchsorted(mass, wanted)]) for wanted in MASSES]


def _half_width(runs: tuple[Run, ...], ensemble: int) -> float:
    """Return the common half width of all panels: every shown particle lies inside."""
    largest = max(float(np.abs(snapshot.x[ensemble]).max()) for run in runs for snapshot in run.snapshots)
    return max(2.6, largest + 0.2)


def _moment(snapshot: Snapshot) -> str:
    return f"t/T = {round(snapshot.fraction, 2):g}"


def _name(run: Run) -> str:
    return "DDIM" if run.cutoff is None else "DDIM + KDS"


def _ink(run: Run) -> str:
    return PURPLE if run.cutoff is None else DARK_GREEN


def _write_numbers(axes: Axes, run: Run, results: dict[str, Any]) -> None:
    """Write variance, likelihood and shares beside a row, the first one large."""
    axes.set_axis_off()
    numbers = results["methods"][run.name]
    variance_label = "variance within a mode"

    if run.cutoff is not None:
        change = numbers["difference_to_ddim"]["within_mode_variance"]["relative_change"]
        if change is not None:
            variance_label += f", {_minus(f'{100 * change:+.0f}')} %"

    shares = " / ".join(f"{100 * share['mean']:.1f}" for share in numbers["mode_shares"])
    lines = [
        (0.865, _number(numbers["within_mode_variance"]), 25, "bold", _ink(run)),
        (0.745, variance_label, 15, "normal", INK),
        (0.53, _number(numbers["mean_log_likelihood"]), 19, "normal", _ink(run)),
        (0.42, "mean log-likelihood (nats)", 15, "normal", INK),
        (0.20, shares, 19, "normal", _ink(run)),
        (0.09, "share of each mode (%)", 15, "normal", INK),
    ]
    for height, text, size, weight, colour in lines:
        axes.text(0.04, height, text, fontsize=size, fontweight=weight, color=colour, va="center")


def _write_title(figure: Figure, run: Run, settings: dict[str, Any]) -> None:
    if run.cutoff is None:
        title = "DDIM with the exact score"
    elif run.cutoff == 0:
        title = "Kernel density steering down to t/T = 0"
    else:
        title = f"Kernel density steering while t/T ≥ {run.cutoff:g}"
    particles = f"N = {settings['n_particles']} particles, exact score"
    figure.text(LEFT / SLIDE[0], 0.946, title, fontsize=24, fontweight="bold", color=INK, va="center")
    figure.text(0.98, 0.944, particles, fontsize=16, color=QUIET, va="center", ha="right")


def _write_caption(figure: Figure, results: dict[str, Any], ensemble: int) -> None:
    """Write the settings, which the paper does not give for its figure, and what the numbers are."""
    settings, target = results["settings"], results["target"]
    shares = " / ".join(f"{100 * share:.1f}" for share in target["mode_shares"])
    schedule = settings["schedule"].replace("_", " ")
    likelihood = _minus(f"{target['mean_log_likelihood']:.3f}")

    first = (
        f"h = {settings['bandwidth']:g}, δ = {settings['strength']:g}, "
        f"{settings['num_inference_steps']} DDIM steps, {schedule} schedule "
        f"(the paper's figure states none). "
        f"Same initial noise in both rows; seed {settings['seed'] + ensemble} shown."
    )

    second = (
        f"Shaded: exact density. Mean ± standard error over seeds ({settings['n_seeds']}). "
        f"Perfect samples: {target['within_mode_variance']:.3f}, {likelihood} and {shares}."
    )

    for height, words in ((0.063, first), (0.028, second)):
        text = figure.text(LEFT / SLIDE[0], height, words, fontsize=12.5, color=QUIET, va="center")
        room = (SLIDE[0] - LEFT - 2 * GAP) * DPI / text.get_window_extent().width
        text.set_fontsize(12.5 * min(1, room))  # only unusually long numbers need a smaller print


def _number(summary: dict[str, Any]) -> str:
    if summary["mean"] is None:
        return "undefined"
    mean, error = _minus(f"{summary['mean']:.3f}"), summary["standard_error"]
    return mean if error is None else f"{mean} ± {error:.3f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
