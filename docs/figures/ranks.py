"""The figure of the bundled model's card: where the truth ranks among plain samples.

    python docs/figures/ranks.py

writes docs/assets/ranks.png from real/weights/sr/evaluation.json; its numbers lie in the picture itself, where a test
compares them.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

PICTURE = Path(__file__).parents[1] / "assets" / "ranks.png"
EVALUATION = Path(__file__).parents[2] / "real" / "weights" / "sr" / "evaluation.json"
SAMPLERS = {"ddim": ("DDIM", "#6a2c91"), "dpmpp-2s": ("DPM-Solver++ 2S", "#2fae48")}


def numbers() -> dict[str, dict[str, list[int]]]:
    """Sampler -> side of the boxes in latent pixels -> how often the truth has each rank."""
    calibration = json.loads(EVALUATION.read_text(encoding="utf-8"))["quality"]["calibration"]
    return {sampler: calibration[sampler]["ranks"] for sampler in SAMPLERS}


def draw(found: dict[str, dict[str, list[int]]]) -> plt.Figure:
    """Shares of the ranks by size of the boxes; the line is what a calibrated posterior has."""
    sides = list(found["ddim"])
    figure, axes = plt.subplots(1, len(sides), figsize=(9.5, 3.0), sharey=True, layout="constrained")
    for ax, side in zip(axes, sides, strict=True):
        for shift, (sampler, (name, colour)) in zip((-0.2, 0.2), SAMPLERS.items(), strict=True):
            counts = np.array(found[sampler][side])
            ax.bar(np.arange(len(counts)) + shift, 100 * counts / counts.sum(), width=0.4, color=colour, label=name)
        ax.axhline(100 / len(counts), color="#222", lw=1)
        ax.set_title("single latent pixels" if side == "1" else f"means of {side} x {side} latent pixels", fontsize=10)
        ax.set_xlabel("samples below the truth, of ten")
        ax.set_xticks(range(0, len(counts), 2))
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of the features, %")
    axes[-1].legend(frameon=False, fontsize=9)
    return figure


def main() -> None:
    """Read, draw, write."""
    found = numbers()
    draw(found).savefig(PICTURE, dpi=160, metadata={"Software": None, "Description": json.dumps(found)})


if __name__ == "__main__":
    main()
