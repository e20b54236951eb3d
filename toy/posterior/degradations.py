"""What is measured of a patch: y = A x + noise, for 4x averaging, a hole, and noise alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toy.mixture import Array
from toy.posterior.prior import PATCH

FACTOR = 4  # pixels on a side that averaging makes one of


@dataclass(frozen=True)
class Degradation:
    """A linear measurement of a patch.

    Args:
        name: name in files and tables.
        operator: A, (m, PATCH * PATCH).
        noise: standard deviation of the measurement's noise, in units of the patches.
        text: what it is, for figures.
    """

    name: str
    operator: Array
    noise: float
    text: str

    @property
    def noise_covariance(self) -> Array:
        """R, (m, m)."""
        return self.noise**2 * np.eye(len(self.operator))

    def measure(self, patches: Array, rng: np.random.Generator) -> Array:
        """Return y for patches (B, PATCH * PATCH), (B, m)."""
        clean = patches @ self.operator.T
        return clean + self.noise * rng.standard_normal(clean.shape)


def degradations() -> dict[str, Degradation]:
    """Return the three of the study by name.

    Example:
        >>> {name: one.operator.shape for name, one in degradations().items()}
        {'average': (4, 64), 'hole': (48, 64), 'noise': (64, 64)}
    """
    line = np.kron(np.eye(PATCH // FACTOR), np.full((1, FACTOR), 1 / FACTOR))  # means of four along an axis
    blocks = np.asarray(np.kron(line, line), dtype=np.float64)
    whole: Array = np.eye(PATCH * PATCH)
    seen = np.ones((PATCH, PATCH)) > 0
    seen[PATCH // 4 : -PATCH // 4, PATCH // 4 : -PATCH // 4] = False  # a quarter of the area
    listed = (
        Degradation("average", blocks, 0.05, "4x averaging, noise 0.05"),
        Degradation("hole", whole[seen.ravel()], 0.05, "a hole of 4 x 4 pixels, noise 0.05"),
        Degradation("noise", whole, 0.5, "noise 0.5"),
    )
    return {one.name: one for one in listed}
