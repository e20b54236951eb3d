"""Pictures of a judgement without steering: a sheet of samples, and the rank histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from real.images.files import write_atomically
from real.images.photos import save_png

__all__ = ["SHEET", "save_picture", "save_ranks", "save_sheet"]

SHEET = 24  # photos of a sheet
COLUMNS = 4
GAP = 6  # pixels
INK = "#22262b"
SAMPLERS = {"ddim": ("DDIM", "#2c7fb8"), "dpmpp-2s": ("DPM-Solver++ 2S", "#a1c659")}  # name and colour


def save_picture(path: Path, pixels: np.ndarray) -> None:
    """As `save_png`, in a folder that is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, pixels)


def save_sheet(path: Path, strips: Sequence[Path]) -> None:
    """Write PNGs of `save_picture`, of any sizes, as one: rows of four on white, each pixel as it is; none: nothing."""
    pictures = [np.asarray(Image.open(strip)) for strip in strips if strip.is_file()]
    if not pictures:
        return

    height, width = (GAP + max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.full((GAP + rows * height, GAP + min(COLUMNS, len(pictures)) * width, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = GAP + (i // COLUMNS) * height, GAP + (i % COLUMNS) * width
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    save_picture(path, sheet)


def save_ranks(path: Path, ranks: Mapping[str, Mapping[str, Mapping[str, Sequence[int]]]]) -> None:
    """Draw rank histograms: flat where samples are exchangeable with the truth, a U where they differ too little.

    Args:
        path: The PNG.
        ranks: Counts of each rank, by title of the column, then by sampler ("ddim", "dpmpp-2s"), then by side of the
            boxes (`real.bench.calibration.rank_counts`).
    """
    every = [counts for by_sampler in ranks.values() for counts in by_sampler.values()]
    sides = list(dict.fromkeys(side for by_side in every for side in by_side))

    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        size = (max(4.0, 0.6 + 2.0 * len(ranks)), 0.8 + 1.4 * len(sides))
        figure = Figure(figsize=size, dpi=150, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(sides), len(ranks), squeeze=False, sharex=True)

        for column, (title, by_sampler) in enumerate(ranks.items()):
            axes[0, column].set_title(title, fontsize=8, color=INK)
            for row, side in enumerate(sides):
                _histogram(axes[row, column], {s: of[side] for s, of in by_sampler.items() if side in of})

        for row, side in enumerate(sides):
            what = "a latent pixel" if side == "1" else f"means of {side} x {side}"
            axes[row, 0].set_ylabel(what)
        handles = [Patch(color=colour, label=name) for name, colour in SAMPLERS.values()]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=8)
        figure.supxlabel("rank of the truth among the samples; dashed: exchangeable", fontsize=8)

        write_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))


def _histogram(ax: Axes, by_sampler: Mapping[str, Sequence[int]]) -> None:
    """Bars of both samplers side by side. Heights are shares, the dashed line their mean: panels compare."""
    width = 0.9 / len(SAMPLERS)
    for i, (sampler, (_, colour)) in enumerate(SAMPLERS.items()):
        if sampler not in by_sampler:
            continue
        counts = np.array(by_sampler[sampler], dtype=np.float64)
        places = np.arange(len(counts)) + width * (i - (len(SAMPLERS) - 1) / 2)
        ax.bar(places, counts / max(1.0, counts.sum()), width=width, color=colour)
        ax.axhline(1 / len(counts), color=INK, linewidth=0.8, linestyle="--")
        ax.set_xticks([0, len(counts) - 1])
    ax.set_yticks([])
