"""The animation of the toy, of README and the first page: the same noise with DDIM and with DDIM + KDS.

    python docs/figures/drawings/toy_animation.py

writes docs/assets/toy.gif. Every picture is a step of the sampler; the particles are those of the first ensemble of the
toy, the numbers those of this ensemble.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import kds_ref
from toy.experiment import Settings, initial_noise
from toy.mixture import three_modes
from toy.statistics import ensemble_statistics

PICTURE = Path(__file__).parents[2] / "assets" / "toy.gif"
METHODS = {"DDIM": None, "KDS, t/T ≥ 0.3": 0.3, "KDS to the end": 0.0}
COLOURS = ("#6a2c91", "#17802f", "#17802f")
LIMIT, STEPS = 2.7, 50
EVERY = 2  # steps between two pictures
SHORT, LONG = 90, 2500  # milliseconds: of a picture on the way, of the last


def ways() -> tuple[list[float], dict[str, list[np.ndarray]]]:
    """The noise levels of the pictures, and each method's particles there."""
    mixture, schedule = three_modes(), kds_ref.cosine_schedule()
    timesteps = kds_ref.time_grid(STEPS, spacing="trailing")
    start = initial_noise(Settings(n_seeds=1), mixture.dimension)[0]
    levels = [schedule.alpha_bar(t) for t in timesteps] + [1.0]

    found: dict[str, list[np.ndarray]] = {}
    for name, cutoff in METHODS.items():
        states = [start]
        steering = None
        if cutoff is not None:
            steering = kds_ref.KernelDensitySteering(cutoff=cutoff, patch_size=None, sample_ndim=1)
        kds_ref.ddim(
            lambda x_t, t: mixture.eps(x_t, alpha_bar=schedule.alpha_bar(t)),
            start,
            schedule=schedule,
            timesteps=timesteps,
            steering=steering,
            callback=lambda state, states=states: states.append(state.x_next),
        )
        found[name] = states[::EVERY]
    return levels[::EVERY], found


def numbers() -> dict[str, float]:
    """Variance within a mode at the end of each row."""
    _, found = ways()
    return variances(found)


def variances(found: dict[str, list[np.ndarray]]) -> dict[str, float]:
    """The same from particles that are there."""
    statistics = {name: ensemble_statistics(states[-1][None], three_modes()) for name, states in found.items()}
    return {name: round(float(values["within_mode_variance"][0]), 4) for name, values in statistics.items()}


def draw(level: float, states: dict[str, np.ndarray], when: str, below: dict[str, str]) -> Image.Image:
    """One picture: the particles of each method over the exact density, and a line below each panel."""
    mixture = three_modes()
    ticks = np.linspace(-LIMIT, LIMIT, 101)
    density = mixture.density(np.stack(np.meshgrid(ticks, ticks), axis=-1), alpha_bar=level)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.15), dpi=100, layout="constrained")
    for ax, (name, x), colour in zip(axes, states.items(), COLOURS, strict=True):
        ax.contourf(ticks, ticks, density, levels=6, cmap="Greys", alpha=0.35)
        ax.plot(*x.T, "o", color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.6)
        ax.set(title=name, xticks=[], yticks=[], xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal")
        ax.set_xlabel(below[name])
    figure.suptitle(when, fontfamily="monospace", fontweight="bold")

    file = BytesIO()
    figure.savefig(file)
    plt.close(figure)
    return Image.open(file).convert("RGB")


def pictures(levels: list[float], found: dict[str, list[np.ndarray]]) -> list[Image.Image]:
    """All of them, with the colours of three, which have every one."""
    drawn = []
    ends = {name: f"variance within a mode {value:.3f}" for name, value in variances(found).items()}
    for i, level in enumerate(levels):
        done = EVERY * i / STEPS
        below = ends if done == 1 else dict.fromkeys(found, " ")
        drawn.append(draw(level, {name: states[i] for name, states in found.items()}, f"t/T = {1 - done:.2f}", below))
    three = [np.asarray(drawn[i]) for i in (0, len(drawn) // 2, -1)]
    palette = Image.fromarray(np.concatenate(three)).quantize(64, dither=Image.Dither.NONE)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in drawn]


def main() -> None:
    """Compute, draw, write."""
    levels, found = ways()
    first, *rest = pictures(levels, found)
    options: dict[str, Any] = {"duration": [SHORT] * len(rest) + [LONG], "loop": 0, "optimize": True}
    first.save(PICTURE, save_all=True, append_images=rest, comment=json.dumps(variances(found)).encode(), **options)


if __name__ == "__main__":
    main()
