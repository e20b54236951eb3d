"""The comparison as one picture: panels side by side with a name and numbers above each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from real.images.files import write_atomically

__all__ = ["Panel", "save_panels"]

Panel = tuple[str, str, np.ndarray]  # title, line below it, RGB uint8 image
INCHES = 2.7


def save_panels(path: Path, panels: list[Panel], *, caption: str = "") -> None:
    """Draw panels of one row, all of one height, pixels not smoothed, and write a PNG.

    Args:
        path: The PNG.
        panels: Title, a line of numbers (may be empty) and the image, RGB uint8 (h, w, 3); images may differ in size.
        caption: One small line below.
    """
    # One size for all panels; the bounds keep those of very tall or wide photos readable.
    aspect = max(image.shape[1] / image.shape[0] for _, _, image in panels)
    width = INCHES * max(0.75, min(aspect, 2.0))
    height = width / aspect

    with matplotlib.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(len(panels) * (width + 0.08) + 0.12, height + 0.85), dpi=160, facecolor="white")
        FigureCanvasAgg(figure)
        total_w, total_h = figure.get_size_inches()

        for i, (title, numbers, image) in enumerate(panels):
            left = 0.1 + i * (width + 0.08)
            axes = figure.add_axes((left / total_w, 0.3 / total_h, width / total_w, height / total_h))
            axes.imshow(image, interpolation="nearest", aspect="equal")
            axes.set_axis_off()

            center = (left + width / 2) / total_w
            middle: dict[str, Any] = {"ha": "center", "va": "center"}
            figure.text(center, (height + 0.64) / total_h, title, fontsize=11, weight="bold", **middle)
            figure.text(center, (height + 0.42) / total_h, numbers, fontsize=9.5, color="#333", **middle)

        figure.text(0.1 / total_w, 0.14 / total_h, caption, ha="left", va="center", fontsize=8, color="#555")
        write_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))
