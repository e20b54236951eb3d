"""The pictures of how-to/diagnostics.md: ten particles with h too small, right, too large, and with equal noise.

    python docs/figures/drawings/symptoms.py

writes docs/assets/symptoms.png. The particles are two groups of opinion, eight and two, in the plane of two values.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kds_ref

PICTURE = Path(__file__).parents[2] / "assets" / "symptoms.png"
PURPLE, GREEN = "#6a2c91", "#17802f"
CASES = {  # bandwidths
    "nobody moves: h too small": 0.1,
    "steering": 1.0,
    "all to the mean: h too large": 10.0,
    "equal already: same noise": 1.0,
}


def particles(name: str) -> np.ndarray:
    """Ten points, (10, 2)."""
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal((-1.0, -0.4), 0.5, (8, 2)), rng.normal((2.2, 1.2), 0.25, (2, 2))])
    return np.repeat(points[:1], 10, axis=0) if name.startswith("equal") else points


def numbers() -> dict[str, dict[str, float]]:
    """Effective particles, and the shift's length over s sqrt(d), means over the particles."""
    found = {}
    for name, bandwidth in CASES.items():
        points = particles(name)
        _, info = kds_ref.steer(points, bandwidth=bandwidth, patch_size=None)
        spread = float(np.sqrt(2 * points.var(axis=0, ddof=1).mean()))
        length = float(info.shift_norm.mean())
        relative = length / spread if spread else 0.0
        found[name] = {"effective": round(float(info.effective_particles.mean()), 2), "shift": round(relative, 2)}
    return found


def draw(found: dict[str, dict[str, float]]) -> plt.Figure:
    """A panel for each case; the arrows are full shifts."""
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.7), layout="constrained")
    for ax, (name, bandwidth) in zip(axes, CASES.items(), strict=True):
        points = particles(name)
        shift = kds_ref.mean_shift(points, points, bandwidth=bandwidth)
        ax.plot(*points.T, "o", color=PURPLE, markersize=5)
        ax.quiver(*points.T, *shift.T, angles="xy", scale_units="xy", scale=1, width=0.008, color=GREEN)
        ax.set(xlim=(-3, 3.4), ylim=(-2.4, 2.6), xticks=[], yticks=[], aspect="equal")
        ax.set_title(name, fontsize=10)
        row = found[name]
        ax.set_xlabel(f"{row['effective']:.1f} effective of 10\nshift {row['shift']:.2f} s√d", fontsize=9)
    return figure


def main() -> None:
    """Compute, draw, write."""
    found = numbers()
    draw(found).savefig(PICTURE, dpi=160, metadata={"Software": None, "Description": json.dumps(found)})
    print(found)


if __name__ == "__main__":
    main()
