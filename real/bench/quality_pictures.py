"""Pictures of a judgement without steering: a sheet of samples, and the rank histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from real.images.files import write_atomically
from real.images.photos import save_png

__all__ = ["SHEET", "save_picture", "save_ranks", "save_sheet"]

SHEET = 24  # photos of a sheet
COLUMNS = 4
GAP = 6  # pixels
INK, BAR = "#22262b", "#2c7fb8"


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


def save_ranks(path: Path, ranks: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
    """Draw rank histograms: flat where samples are exchangeable with the truth, a U where they differ too little.

    Args:
        path: The PNG.
        ranks: Counts of each rank, by title, then by side of the boxes (`real.bench.calibration.rank_counts`).
    """
    sides = list(dict.fromkeys(side for of_title in ranks.values() for side in of_title))

    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        size = (0.6 + 1.7 * len(ranks), 0.6 + 1.4 * len(sides))
        figure = Figure(figsize=size, dpi=150, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(sides), len(ranks), squeeze=False, sharex=True)

        # Heights are shares of the panel, the dashed line their mean: panels with different counts compare.
        for column, (title, of_title) in enumerate(ranks.items()):
            axes[0, column].set_title(title, fontsize=8, color=INK)
            for row, side in enumerate(sides):
                counts = np.array(of_title.get(side, [0]), dtype=np.float64)
                axes[row, column].bar(np.arange(len(counts)), counts / max(1.0, counts.sum()), width=0.9, color=BAR)
                axes[row, column].axhline(1 / len(counts), color=INK, linewidth=0.8, linestyle="--")
                axes[row, column].set_xticks([0, len(counts) - 1])
                axes[row, column].set_yticks([])

        for row, side in enumerate(sides):
            what = "a latent pixel" if side == "1" else f"means of {side} x {side}"
            axes[row, 0].set_ylabel(what)
        figure.supxlabel("rank of the truth among the samples; dashed: exchangeable", fontsize=8)

        write_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))
