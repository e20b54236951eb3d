"""The figure of the bundled model's card: where the truth ranks among plain samples.

    python docs/figures/ranks.py

writes docs/assets/ranks.png from real/weights/sr/evaluation.json; its numbers lie in the picture itself, where a test
compares them. ranks_inpainting.py draws the same of the inpainting model.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

PICTURE = Path(__file__).parents[1] / "assets" / "ranks.png"
WEIGHTS = Path(__file__).parents[2] / "real" / "weights"
SAMPLERS = {"ddim": ("DDIM", "#6a2c91"), "dpmpp-2s": ("DPM-Solver++ 2S", "#2fae48")}

Panels = dict[str, dict[str, list[int]]]


def numbers() -> Panels:
    """Title of a panel -> sampler -> how often the truth has each rank."""
    calibration = json.loads((WEIGHTS / "sr" / "evaluation.json").read_text(encoding="utf-8"))["quality"]["calibration"]
    return {
        "single latent pixels" if side == "1" else f"means of {side} x {side} latent pixels": {
            sampler: calibration[sampler]["ranks"][side] for sampler in SAMPLERS
        }
        for side in calibration["ddim"]["ranks"]
    }


def draw(panels: Panels) -> plt.Figure:
    """Shares of the ranks, one panel per title; the line is what a calibrated posterior has."""
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(9.5, 0.4 + 2.6 * rows), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, by_sampler) in zip(axes.flat, panels.items(), strict=False):
        width = 0.8 / len(by_sampler)
        for number, (sampler, counts) in enumerate(by_sampler.items()):
            name, colour = SAMPLERS[sampler]
            shares = 100 * np.array(counts) / sum(counts)
            places = np.arange(len(counts)) + width * (number + 0.5) - 0.4
            ax.bar(places, shares, width=width, color=colour, label=name)
            ax.axhline(100 / len(counts), color="#222", lw=1)
        ax.set_title(title, fontsize=10)
        ax.set_xticks(range(0, len(counts), 2))
        ax.tick_params(labelbottom=True)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(panels) :]:
        ax.remove()

    figure.supxlabel(f"samples below the truth, of {len(counts) - 1}", fontsize=10)
    figure.supylabel("share of the features, %", fontsize=10)
    most = max(figure.axes, key=lambda ax: len(ax.containers))
    most.legend(frameon=False, fontsize=9)
    return figure


def save(panels: Panels, path: Path) -> None:
    """Write the picture with its numbers in it."""
    draw(panels).savefig(path, dpi=160, metadata={"Software": None, "Description": json.dumps(panels)})


if __name__ == "__main__":
    save(numbers(), PICTURE)
