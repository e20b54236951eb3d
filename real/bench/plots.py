"""The plots of the reports, as PNG, written whole or not at all. They read numbers; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from real.bench.front_plot import draw_front
from real.bench.metrics import REPORTED
from real.bench.plan import Line
from real.images.files import write_atomically
from real.images.panels import Panel, save_panels

__all__ = ["PLOTS", "save_plot"]

INK, GREY = "#22262b", "#8a949e"
COLOURS = ("#6a2c91", "#2fae48", "#d1495b", "#2c7fb8", "#e0a100", "#22262b", "#7f5539", "#009e9e")
MARKERS = "osD^vPX*<"  # one more than colours, so that many groups stay apart
PHOTOS_SHOWN = 3
PERCEPTION = ("lpips", "lpips_hed", "fid", "fid_lite0")  # of `front`; less is better


def save_plot(path: Path, plot: str, report: Mapping[str, Any], lines: Sequence[Line], folder: Path) -> None:
    """Draw the plot of a study.

    Args:
        path: The PNG.
        plot: Name in `PLOTS`; "front", which draws a plot for each perceptual metric; or "panels", which shows the
            pictures in `folder`.
        report: Content of `report.json`.
        lines: The study's lines.
        folder: Folder that holds `images/`.
    """
    if plot == "panels":
        _panels(path, report, lines, folder)
    elif plot == "front":
        _fronts(path, report)
    else:
        _save(path, report, lambda figure: PLOTS[plot](figure, report))


def _save(path: Path, report: Mapping[str, Any], draw: Callable[[Figure], None]) -> None:
    """One figure under the report's title."""
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": GREY}):
        figure = Figure(dpi=150, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.suptitle(f"{report['study']}: {report['title']}", fontsize=10, color=INK, wrap=True)
        write_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))


def _two_metrics(report: Mapping[str, Any]) -> tuple[str, str]:
    """PSNR, and the number that stands for perception: LPIPS or LPIPS-HED where it was asked for."""
    known = report["lines"][0]["scores"]
    return "psnr_rgb", next((name for name in ("lpips", "lpips_hed") if name in known), "ssim_rgb")


def _dots(figure: Figure, report: Mapping[str, Any]) -> None:
    """One row per line: two metrics, as the change against the first line, since photos differ more than methods."""
    lines = report["lines"]
    figure.set_size_inches(8.0, 1.3 + 0.3 * len(lines))
    left, right = figure.subplots(1, 2, sharey=True)

    for axes, metric in zip((left, right), _two_metrics(report), strict=True):
        for row, line in enumerate(lines):
            colour = COLOURS[1] if line["key"].startswith(("kds", "patch", "funnel")) else COLOURS[0]
            change = line["change"][metric]
            axes.errorbar(_number(change["mean"]), row, xerr=_ends(change), fmt="o", color=colour, capsize=3)
        axes.axvline(0.0, color=GREY, linewidth=1)
        _label(axes, f"{REPORTED[metric].label}: change", "")
        axes.grid(axis="x", color="#e4e8ec")
        axes.locator_params(axis="x", nbins=5)  # long numbers of small changes run into each other

    left.set_ylim(-0.6, len(lines) - 0.4)
    left.set_yticks(range(len(lines)), [line["label"] for line in lines])
    left.invert_yaxis()


def _curves(figure: Figure, report: Mapping[str, Any]) -> None:
    """One curve per group of lines, as the change against the first line."""
    figure.set_size_inches(8.0, 3.6)
    option = "guidance weight w" if report["study"] == "table6" else "particles N"
    axes_of_row = figure.subplots(1, 2)
    for axes, metric in zip(axes_of_row, _two_metrics(report), strict=True):
        for i, (group, lines) in enumerate(_groups(report).items()):
            style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
            changes = [line["change"][metric] for line in lines]
            means, ends = [_number(c["mean"]) for c in changes], np.concatenate([_ends(c) for c in changes], axis=1)
            axes.errorbar([line["at"] for line in lines], means, yerr=ends, capsize=2, label=group, **style)
        axes.axhline(0.0, color=GREY, linewidth=1)
        _label(axes, option, f"{REPORTED[metric].label}: change")
        axes.grid(color="#e4e8ec")
    axes_of_row[0].legend(fontsize=7)


def _scatter(figure: Figure, report: Mapping[str, Any]) -> None:
    """One dot per photo: the worst plain particle against KDS; above the diagonal KDS is better."""
    figure.set_size_inches(4.6, 4.8)
    axes = figure.subplots()
    x, y = (np.array(report["by_photo"][key], dtype=np.float64) for key in ("plain-worst", "kds"))
    known = np.concatenate([x, y])[np.isfinite(np.concatenate([x, y]))]
    if len(known):
        ends = [known.min() - 0.5, known.max() + 0.5]
        axes.plot(ends, ends, color=GREY, linewidth=1)
    x, y = (np.where(np.isfinite(values), values, np.nan) for values in (x, y))
    axes.scatter(x, y, s=16, color=COLOURS[1], edgecolors="white", linewidths=0.5)
    axes.set_aspect("equal")
    _label(axes, "worst plain particle, PSNR RGB, dB", "KDS, PSNR RGB, dB")


def _fronts(path: Path, report: Mapping[str, Any]) -> None:
    """Distortion against perception; see `real.bench.front_plot`. Further metrics get files of their own."""
    known = report["lines"][0]["scores"]
    metrics = [name for name in PERCEPTION if name in known] or ["blur_effect"]
    for number, metric in enumerate(metrics):
        target = path if number == 0 else path.with_stem(f"{path.stem}-{metric.replace('_', '-')}")
        _save(target, report, lambda figure, metric=metric: draw_front(figure, report, metric))  # type: ignore[misc]


def _panels(path: Path, report: Mapping[str, Any], lines: Sequence[Line], folder: Path) -> None:
    """The first photo's pictures side by side; further photos below it."""
    by_photo = report["by_photo"]
    for number, name in enumerate(by_photo["photos"][:PHOTOS_SHOWN]):
        photo = folder / "images" / name
        panels: list[Panel] = [("low resolution", "", _pixels(photo / "low.png"))]
        for line in lines:
            psnr = f"{_number(by_photo[line.key][number]):.2f} dB"
            panels.append((line.label, psnr.replace("nan", "-"), _pixels(photo / f"{line.key}.png")))
        panels.append(("truth", "", _pixels(photo / "truth.png")))
        target = path if number == 0 else path.with_stem(f"{path.stem}-{number + 1}")
        save_panels(target, panels, caption=f"{name}; N = {report['settings']['particles']}; PSNR in RGB")


PLOTS: dict[str, Callable[[Figure, Mapping[str, Any]], None]] = {
    "dots": _dots,
    "curves": _curves,
    "scatter": _scatter,
}


def _groups(report: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for line in report["lines"]:
        groups.setdefault(line["group"], []).append(line)
    return groups


def _number(value: float | None) -> float:
    """NaN, which is not drawn, for what a report does not know."""
    return float("nan") if value is None else float(value)


def _ends(number: Mapping[str, Any]) -> np.ndarray:
    """Distances from the mean to the ends of the interval, (2, 1); 0 for one photo."""
    if number["low"] is None:
        return np.zeros((2, 1))
    return np.maximum([[number["mean"] - number["low"]], [number["high"] - number["mean"]]], 0.0)


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)
