"""The figure of explanation/latent-scale.md: what a cut-off in t/T means for latents of another scale.

    python docs/figures/latent_scale.py

writes docs/assets/latent_scale.png; its numbers lie in the picture itself, where a test compares them.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from kds_ref import scaled_linear_schedule

PICTURE = Path(__file__).parents[1] / "assets" / "latent_scale.png"
SCALES = (1.0, 2.5, 16.0)  # standard deviation of the latents
COLOURS = ("#1b7837", "#b35806", "#762a83")
CUTOFF = 300


def ratios(scale: float) -> np.ndarray:
    """Noise over signal at every timestep of LDM-SR's schedule, (1000,), for latents of that standard deviation."""
    alpha_bar = np.asarray(scaled_linear_schedule(beta_start=0.0015, beta_end=0.0155).alphas_cumprod)
    return np.sqrt((1 - alpha_bar) / alpha_bar) / scale


def numbers() -> dict[str, dict[str, float]]:
    """By scale: the ratio at t = 300, and the first timestep at which it reaches that of unit latents at t = 300."""
    paper = ratios(1.0)[CUTOFF]
    return {
        f"{scale:g}": {
            "ratio at 300": round(float(ratios(scale)[CUTOFF]), 3),
            "same noise as": int(np.searchsorted(ratios(1.0), ratios(scale)[CUTOFF])),
            "equal cut-off": int(np.searchsorted(ratios(scale), paper)),
        }
        for scale in SCALES
    }


def draw(found: dict[str, dict[str, float]]) -> plt.Figure:
    """The ratio over t/T for each scale; dots where it is the paper's."""
    figure, ax = plt.subplots(figsize=(7.6, 4.0), layout="constrained")
    t = np.arange(1000) / 1000
    paper = ratios(1.0)[CUTOFF]
    for (name, values), colour in zip(found.items(), COLOURS, strict=True):
        ax.semilogy(t, ratios(float(name)), color=colour, lw=2)
        place = values["equal cut-off"] / 1000
        ax.plot(place, paper, "o", color=colour, ms=8)
        ax.annotate(f"{place:.2f}", (place, paper), (-17, 6), textcoords="offset points", ha="center", color=colour)
        ax.annotate(f"standard deviation {name}", (0.995, ratios(float(name))[-1]), (4, 0), textcoords="offset points",
                    va="center", color=colour)  # fmt: skip
    ax.axhline(paper, color="#888", lw=1, ls=":")
    ax.annotate("ratio at the paper's cut-off", (1.36, paper), (0, -14), textcoords="offset points",
                ha="right", color="#555")  # fmt: skip
    ax.axvline(0.3, color="#888", lw=1, ls="--")
    ax.annotate("t/T = 0.3", (0.3, 0.0022), (4, 0), textcoords="offset points", color="#555")
    ax.set(xlim=(0, 1.36), ylim=(0.0015, 80), xlabel="t/T", ylabel="noise-to-signal ratio")
    ax.set_xticks(np.linspace(0, 1, 11))
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Compute, draw, write."""
    found = numbers()
    draw(found).savefig(PICTURE, dpi=160, metadata={"Software": None, "Description": json.dumps(found)})


if __name__ == "__main__":
    main()
