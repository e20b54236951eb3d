"""The figure and the table of explanation/related.md: ways to make one answer of ten samples, on the toy.

    python docs/figures/related.py

writes docs/assets/related.png and prints the table; the numbers lie in the picture itself, where a test compares them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import kds_ref
from toy.experiment import Settings, initial_noise
from toy.mixture import three_modes

PICTURE = Path(__file__).parents[1] / "assets" / "related.png"
ENSEMBLES, N = 200, 10
Steering = Callable[[np.ndarray, float], tuple[np.ndarray, Any]]
KDS = "#2fae48"
OTHER = "#6a2c91"


def sample(steering: Steering | None = None) -> np.ndarray:
    """Ten particles of each ensemble with 50 steps of DDIM and the exact score, always from the same noise."""
    mixture, schedule = three_modes(), kds_ref.cosine_schedule()
    return kds_ref.ddim(
        lambda x_t, t: mixture.eps(x_t, alpha_bar=schedule.alpha_bar(t)),
        initial_noise(Settings(n_seeds=ENSEMBLES, n_particles=N), 2),
        schedule=schedule,
        timesteps=kds_ref.time_grid(50, spacing="trailing"),
        steering=steering,
    ).x0


def high_density() -> np.ndarray:
    """High-density sampling from the same noise: every particle alone, its score doubled below t/T = 0.3."""
    mixture, schedule = three_modes(), kds_ref.cosine_schedule()
    return kds_ref.ddim(
        kds_ref.high_density_sampling(lambda x_t, t: mixture.eps(x_t, alpha_bar=schedule.alpha_bar(t)), cutoff=0.3),
        initial_noise(Settings(n_seeds=ENSEMBLES, n_particles=N), 2),
        schedule=schedule,
        timesteps=kds_ref.time_grid(50, spacing="trailing"),
    ).x0


def steering(**options: Any) -> kds_ref.KernelDensitySteering:
    """KDS with the whole point as one patch."""
    return kds_ref.KernelDensitySteering(patch_size=None, sample_ndim=1, **options)


def repulsion(x0_pred: np.ndarray, t: float) -> tuple[np.ndarray, Any]:
    """The KDS step with its sign turned: it drives particles apart."""
    steered, info = kds_ref.steer(x0_pred, bandwidth=0.3, strength=0.3, patch_size=None, sample_ndim=1)
    return x0_pred - (steered - x0_pred), info


def choose(particles: np.ndarray) -> np.ndarray:
    """The particle nearest to the ensemble mean, (ensembles, 1, 2)."""
    index = kds_ref.select_particle(particles, sample_ndim=1)
    return particles[np.arange(ENSEMBLES), index][:, None]


def answers() -> dict[str, np.ndarray]:
    """The answers of each method, (ensembles, answers, 2)."""
    plain, early, full = sample(), sample(steering(cutoff=0.3)), sample(steering(cutoff=0.0))
    best = three_modes().log_density(plain).argmax(axis=1)
    return {
        "one sample": plain,
        "the average of the samples": plain.mean(axis=1, keepdims=True),
        "choice: the sample nearest to the average": choose(plain),
        "best of N, by the true density": plain[np.arange(ENSEMBLES), best][:, None],
        "KDS, cut-off 0.3: one particle": early,
        "KDS, cut-off 0.3, and choice": choose(early),
        "KDS to the end: one particle": full,
        "KDS to the end, and choice": choose(full),
        "pull to the plain mean, to the end": sample(steering(cutoff=0.0, kernel="l2")),
        "repulsion, to the end: one particle": sample(repulsion),
        "high-density sampling: one sample, no ensemble": high_density(),
    }


def numbers() -> dict[str, dict[str, float]]:
    """Expected squared error against another draw from the mixture, and mean log-density, of each method."""
    mixture = three_modes()
    mean, variance = mixture.mean(), float(np.trace(mixture.covariance()))
    return {
        name: {
            "error": round(variance + float(((x - mean) ** 2).sum(-1).mean()), 3),
            "log_density": round(float(mixture.log_density(x).mean()), 3),
        }
        for name, x in answers().items()
    }


def table(found: dict[str, dict[str, float]]) -> str:
    """The table of the page."""
    lines = ["| | expected squared error | log-density |", "|---|---|---|"]
    lines += [f"| {name} | {row['error']:.2f} | {row['log_density']:.2f} |" for name, row in found.items()]
    return "\n".join(lines)


def draw(found: dict[str, dict[str, float]]) -> plt.Figure:
    """A row for each method: error on the left, log-density on the right; rows from the least error on."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
    rows = sorted(found.items(), key=lambda item: -item[1]["error"])
    for place, (name, row) in enumerate(rows):
        colour = KDS if name.startswith("KDS") else OTHER
        for ax, key in zip(axes, ("error", "log_density"), strict=True):
            ax.plot(row[key], place, "o", color=colour, markersize=7)
    axes[0].set_yticks(range(len(rows)), [name for name, _ in rows])
    axes[0].set(title="near the truth?", xlabel="expected squared error (less is nearer)")
    axes[1].set(title="a likely answer?", xlabel="log-density (more is likelier)")
    for ax in axes:
        ax.grid(color="#d9dee3", linewidth=0.8)
        ax.set_axisbelow(True)
    figure.suptitle("ten samples, one answer (green: KDS)")
    return figure


def main() -> None:
    """Measure, draw, write."""
    found = numbers()
    draw(found).savefig(PICTURE, dpi=160, metadata={"Software": None, "Description": json.dumps(found)})
    print(table(found))


if __name__ == "__main__":
    main()
