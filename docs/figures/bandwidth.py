"""The figure of how-to/settings.md: how many particles see each other, by bandwidth and size of the patch.

    python docs/figures/bandwidth.py

writes docs/assets/bandwidth.png; its numbers lie in the picture itself, where a test compares them.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kds_ref

PICTURE = Path(__file__).parents[1] / "assets" / "bandwidth.png"
N = 10
DIMENSIONS = (3, 12, 48, 192)  # patches of 1, 2, 4 and 8 pixels a side with three channels
RATIOS = (0.0625, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 1.5, 2.0, 4.0)  # h / (s sqrt(d))
COLOURS = ("#440154", "#31688e", "#35b779", "#b5a000")


def numbers() -> dict[str, dict[str, list[float]]]:
    """Effective particles and relative length of the shift, mean over 100 Gaussian ensembles, by dimension and ratio.

    The ensembles have a standard deviation of s = 1 in every dimension; a shift's length is given in s sqrt(d).
    """
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, list[float]]] = {}
    for d in DIMENSIONS:
        ensembles = rng.standard_normal((100, N, d))
        infos = [_steer(ensembles, ratio * d**0.5) for ratio in RATIOS]
        found[str(d)] = {
            "effective": [round(float(info.effective_particles.mean()), 3) for info in infos],
            "shift": [round(float(info.shift_norm.mean()) / d**0.5, 3) for info in infos],
        }
    return found


def _steer(ensembles: np.ndarray, bandwidth: float) -> kds_ref.SteeringInfo:
    return kds_ref.steer(ensembles, bandwidth=bandwidth, patch_size=None, sample_ndim=1)[1]


def draw(found: dict[str, dict[str, list[float]]]) -> plt.Figure:
    """Left against h / s, right against h / (s sqrt(d))."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for (d, values), colour in zip(found.items(), COLOURS, strict=True):
        for ax, scale in zip(axes, (int(d) ** 0.5, 1.0), strict=True):
            ax.semilogx(np.array(RATIOS) * scale, values["effective"], "o-", color=colour, label=f"d = {d}")
    axes[0].set(title="each patch size needs its own h ...", xlabel="h / s", ylabel=f"effective particles of {N}")
    axes[1].set(title="... and h / (s √d) is one scale for all", xlabel="h / (s √d)")
    axes[1].axvspan(0.5, 1.0, color="#2fae48", alpha=0.15, label="where to start")
    axes[1].legend(fontsize=8)
    return figure


def main() -> None:
    """Measure, draw, write."""
    found = numbers()
    draw(found).savefig(PICTURE, dpi=160, metadata={"Software": None, "Description": json.dumps(found)})


if __name__ == "__main__":
    main()
