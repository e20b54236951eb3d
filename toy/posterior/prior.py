"""The prior on photos: a mixture of Gaussians fitted to grey patches, committed with the command that made it.

Patches are shifted and scaled by two numbers, so that their pixels have mean 0 and variance 1, as the latents of a
diffusion model have; means and covariances are in these units. scikit-learn does the fit and is imported for it alone.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from toy.mixture import Array, GaussianMixture

PATCH = 8  # pixels on a side
FITTED = "patch_prior.npz"
SMALLEST_VARIANCE = 1e-4  # added to every variance: a hundredth of the pixels' standard deviation


@dataclass(frozen=True)
class PatchPrior:
    """A mixture on patches of photos, and how grey values become its units.

    Args:
        mixture: the mixture, in PATCH * PATCH dimensions; pixels run row by row.
        offset: mean grey value of the photos, in [0, 1].
        scale: standard deviation of their grey values; (grey - offset) / scale is in the units of the mixture.
        source: what it was made from and how: command, number of patches, versions.

    Example:
        >>> prior = load_prior()
        >>> prior.mixture.dimension, prior.mixture.n_components
        (64, 30)
    """

    mixture: GaussianMixture
    offset: float
    scale: float
    source: dict[str, str | int | float]

    def to_units(self, grey: Array) -> Array:
        """Grey values in [0, 1] in the units of the mixture."""
        return (grey - self.offset) / self.scale

    def to_grey(self, x: Array) -> Array:
        """Values in the units of the mixture as grey values; what leaves [0, 1] stays outside."""
        return x * self.scale + self.offset


def load_prior() -> PatchPrior:
    """Return the committed prior."""
    return read_prior(files("toy.posterior").joinpath(FITTED).read_bytes())


def fit_prior(
    patches: Array, *, n_components: int = 30, seed: int = 0, source: dict[str, str | int | float] | None = None
) -> PatchPrior:
    """Fit a mixture with full covariances to patches by expectation maximisation.

    Args:
        patches: grey values in [0, 1], (n, PATCH * PATCH), at least ten for each component.
        n_components: K.
        seed: seed of the start by k-means.
        source: what to remember with the prior.

    Returns:
        The prior.

    Raises:
        ValueError: a shape does not fit or there are too few patches.
        ModuleNotFoundError: scikit-learn is not installed.
    """
    from sklearn.mixture import GaussianMixture as Fit

    if patches.ndim != 2 or patches.shape[1] != PATCH * PATCH:
        raise ValueError(f"patches must have shape (n, {PATCH * PATCH}), got {patches.shape}")
    least = 10 * n_components
    if len(patches) < least:
        raise ValueError(f"patches must be at least {least} for {n_components} components, got {len(patches)}")
    offset, scale = float(patches.mean()), float(patches.std())
    fit = Fit(n_components, reg_covar=SMALLEST_VARIANCE, max_iter=200, random_state=seed)
    fit.fit((patches - offset) / scale)
    mixture = GaussianMixture(fit.weights_, fit.means_, fit.covariances_)
    return PatchPrior(mixture, offset, scale, source or {})


def pack_prior(prior: PatchPrior) -> bytes:
    """Return a prior as a compressed file of NumPy: float32, of every covariance one triangle."""
    mixture, stream = prior.mixture, io.BytesIO()
    rows, columns = np.tril_indices(mixture.dimension)
    np.savez_compressed(
        stream,
        weights=mixture.weights.astype(np.float32),
        means=mixture.means.astype(np.float32),
        triangles=mixture.covariances[:, rows, columns].astype(np.float32),
        units=np.array([prior.offset, prior.scale]),
        source=np.frombuffer(json.dumps(prior.source).encode(), dtype=np.uint8),
    )
    return stream.getvalue()


def read_prior(content: bytes) -> PatchPrior:
    """Return the prior that `pack_prior` packed, to the precision of float32.

    Raises:
        ValueError: the content is no such file.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            weights, means, triangles = (stored[n].astype(np.float64) for n in ("weights", "means", "triangles"))
            offset, scale = stored["units"].tolist()
            source = json.loads(stored["source"].tobytes())
    except (OSError, KeyError, ValueError) as error:  # no file of NumPy, or another one
        raise ValueError("content must be a prior that `python -m toy prior` wrote, got another file") from error
    return PatchPrior(GaussianMixture(weights / weights.sum(), means, _full(triangles)), offset, scale, source)


def _full(triangles: Array) -> NDArray[np.float64]:
    """Symmetric matrices from their lower triangles, (K, d (d + 1) / 2) -> (K, d, d)."""
    dimension = int((8 * triangles.shape[1] + 1) ** 0.5 - 1) // 2
    rows, columns = np.tril_indices(dimension)
    matrices = np.zeros((len(triangles), dimension, dimension))
    matrices[:, rows, columns] = matrices[:, columns, rows] = triangles
    return matrices
